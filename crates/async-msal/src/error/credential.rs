//! What can be wrong with a credential that is more than a secret.

use std::sync::Arc;

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
    #[error("client assertion: its source failed")]
    Failed(#[source] Arc<dyn std::error::Error + Send + Sync>),
    /// The source took longer than the client's time limit.
    #[error("client assertion: its source did not answer in time")]
    TimedOut,
    /// Empty, longer than 64 KiB, or with characters that no assertion has.
    #[error("client assertion: it is empty or malformed")]
    Malformed,
    /// The managed identity's endpoint refused: is an identity assigned?
    #[error("client assertion: the managed identity refused (status {status}){}", said(.error.as_deref(), .description.as_deref()))]
    #[non_exhaustive]
    ManagedIdentity {
        /// The answer's status.
        status: u16,
        /// Its `error`, where it is a word.
        error: Option<String>,
        /// Its `error_description` or `message`, at most 256 characters. Text for logs: never decide by it, escape it when
        /// rendering.
        description: Option<String>,
    },
}

impl ClientAssertionError {
    /// Can it work later without anybody acting?
    pub(super) const fn is_retryable(&self) -> bool {
        match self {
            Self::Failed(_) | Self::TimedOut => true,
            Self::Malformed => false,
            Self::ManagedIdentity { status, .. } => *status >= 500 || *status == 429,
        }
    }
}

/// What the endpoint said, behind its status.
fn said(error: Option<&str>, description: Option<&str>) -> String {
    [error, description].into_iter().flatten().map(|text| format!(": {text}")).collect()
}
