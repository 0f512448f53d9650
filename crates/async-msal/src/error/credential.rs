//! What can be wrong with a credential that is more than a secret.

use std::sync::Arc;

use super::Error;

/// Why a certificate cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClientCertificateError {
    /// There is no private key in it.
    #[error("there is no private key")]
    NoKey,
    /// The key is no RSA key of 2048 bits or more, which Entra ID asks for.
    #[error("the private key is no RSA key of at least 2048 bits")]
    KeyNotRsa,
    /// The key is encrypted, and the passphrase is missing or wrong.
    #[error("the passphrase is missing or wrong")]
    Passphrase,
    /// Encrypted otherwise than by PBES2 with PBKDF2 and AES-CBC: `openssl pkcs8 -topk8 -v2 aes256` converts it.
    #[error("the encryption is not supported: convert it by openssl pkcs8 -topk8 -v2 aes256")]
    UnsupportedEncryption,
    /// There is no certificate, or one that cannot be read.
    #[error("there is no readable certificate")]
    NoCertificate,
    /// The private key belongs to none of the certificates.
    #[error("the private key belongs to another certificate")]
    KeyMismatch,
    /// The thumbprint is not 40 hexadecimal digits.
    #[error("the thumbprint is not 40 hexadecimal digits")]
    Thumbprint,
    /// Not a PKCS#12 file.
    #[error("it is no PKCS#12 file")]
    Pfx,
}

/// Why there is no client assertion.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ClientAssertionError {
    /// The callback, or reading the token file, failed.
    #[error("its source failed")]
    Failed(#[source] Arc<dyn std::error::Error + Send + Sync>),
    /// The source took longer than the client's time limit.
    #[error("its source did not answer in time")]
    TimedOut,
    /// Empty, longer than 64 KiB, or with characters that no assertion has.
    #[error("it is empty or malformed")]
    Malformed,
    /// The managed identity's endpoint refused, with this status: is an identity assigned?
    #[error("the managed identity refused (status {0})")]
    ManagedIdentity(u16),
}

impl ClientAssertionError {
    /// Can it work later without anybody acting?
    pub(super) const fn is_retryable(&self) -> bool {
        match self {
            Self::Failed(_) | Self::TimedOut => true,
            Self::Malformed => false,
            Self::ManagedIdentity(status) => *status >= 500 || *status == 429,
        }
    }
}

impl From<ClientCertificateError> for Error {
    fn from(reason: ClientCertificateError) -> Self {
        Self::Config(reason.into())
    }
}
