//! A certificate that signs client assertions (OpenID Connect Core 9, `private_key_jwt`; Microsoft identity platform,
//! certificate credentials).

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::json;
use x509_cert::der::Decode as _;

use super::assertion::AssertionRequest;
use super::key::{self, Passphrase};
use crate::error::{ClientCertificateError, Error};
use crate::random::{Random, RandomError};
use crate::secret::ClientAssertion;

/// Seconds that a signed assertion is good for.
const LIFE: i64 = 600;

/// How an assertion is signed, and how it names its certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AssertionAlgorithm {
    /// RSASSA-PSS with SHA-256 and a salt of 32 bytes; `x5t#S256`. What Entra ID asks for.
    Ps256,
    /// RSASSA-PKCS1-v1_5 with SHA-256; `x5t`, the SHA-1 thumbprint. AD FS takes no other.
    Rs256,
}

/// A private RSA key and its certificate.
///
/// ```no_run
/// # // Needs files of the reader's own.
/// use async_msal::client_credential::ClientCertificate;
/// let key = std::fs::read("client.key")?;
/// let chain = std::fs::read("client.crt")?;
/// let certificate = ClientCertificate::from_pem(&key, None, &chain)?.with_x5c();
/// # let _ = certificate; Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Security
///
/// `Debug` shows the thumbprint only.
#[derive(Clone)]
pub struct ClientCertificate {
    key: Arc<RsaKeyPair>,
    /// DER, the key's own first; none where only the thumbprint is known.
    chain: Arc<[Vec<u8>]>,
    sha1: [u8; 20],
    not_after: Option<i64>,
    algorithm: Option<AssertionAlgorithm>,
    x5c: bool,
}

impl ClientCertificate {
    /// A key (PKCS#8, PKCS#1 or encrypted PKCS#8) and its certificate with the chain behind it, both PEM. One text may
    /// hold both.
    ///
    /// An encrypted key must be PBES2 with PBKDF2 and AES-CBC, which OpenSSL writes. Deriving its key takes up to a
    /// second of computing: do it at start.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] with a [`ClientCertificateError`]: no key or no certificate, no RSA key of 2048 bits or more,
    /// a missing or wrong passphrase, or a certificate of another key.
    pub fn from_pem(key: &[u8], passphrase: Option<&Passphrase>, certificates: &[u8]) -> Result<Self, Error> {
        let key = key::from_pem(key, passphrase)?;
        let chain: Vec<Vec<u8>> = CertificateDer::pem_slice_iter(certificates)
            .map(|der| der.map(|der| der.to_vec()))
            .collect::<Result<_, _>>()
            .map_err(|_| ClientCertificateError::NoCertificate)?;
        Ok(Self::new(key, chain)?)
    }

    /// A PKCS#12 file, as Azure Key Vault and Windows export it (feature `pfx`).
    ///
    /// # Errors
    ///
    /// As [`from_pem`](Self::from_pem).
    #[cfg(feature = "pfx")]
    pub fn from_pfx(bytes: &[u8], passphrase: &Passphrase) -> Result<Self, Error> {
        let pfx = super::pfx::open(bytes, passphrase)?;
        Ok(Self::new(key::from_pkcs8(&pfx.key)?, pfx.certificates)?)
    }

    /// A key of which only the certificate's SHA-1 thumbprint is known (40 hexadecimal digits; colons and spaces are
    /// skipped). Signs RS256; there is no `x5c`, and neither the pair nor its expiry can be checked.
    ///
    /// # Errors
    ///
    /// As [`from_pem`](Self::from_pem).
    pub fn from_key_and_thumbprint(
        key: &[u8],
        passphrase: Option<&Passphrase>,
        thumbprint: &str,
    ) -> Result<Self, Error> {
        let key = key::from_pem(key, passphrase)?;
        let sha1 = parse_thumbprint(thumbprint).ok_or(ClientCertificateError::Thumbprint)?;
        let algorithm = Some(AssertionAlgorithm::Rs256);
        Ok(Self { key: Arc::new(key), chain: Arc::new([]), sha1, not_after: None, algorithm, x5c: false })
    }

    /// Signs by this algorithm. Default: PS256, and RS256 at AD FS. A bare thumbprint knows RS256 only.
    #[must_use]
    pub fn with_algorithm(mut self, algorithm: AssertionAlgorithm) -> Self {
        if !self.chain.is_empty() {
            self.algorithm = Some(algorithm);
        }
        self
    }

    /// Sends the certificate and its chain along (`x5c`), so that a registration by subject name and issuer follows a
    /// renewed certificate. Default: not sent.
    #[must_use]
    pub fn with_x5c(mut self) -> Self {
        self.x5c = true;
        self
    }

    /// The certificate's SHA-1 thumbprint, in upper-case hexadecimal digits, as the Azure portal shows it.
    #[must_use]
    pub fn thumbprint(&self) -> String {
        self.sha1.iter().map(|byte| format!("{byte:02X}")).collect()
    }

    /// When the certificate expires, in Unix seconds; `None` where only its thumbprint is known.
    #[must_use]
    pub const fn not_after(&self) -> Option<i64> {
        self.not_after
    }

    /// The certificate of the key is the one that holds its public half: files have them in any order.
    fn new(key: RsaKeyPair, mut chain: Vec<Vec<u8>>) -> Result<Self, ClientCertificateError> {
        if chain.is_empty() {
            return Err(ClientCertificateError::NoCertificate);
        }
        let mut own = None;
        for (index, der) in chain.iter().enumerate() {
            let parsed =
                x509_cert::Certificate::from_der(der).map_err(|_| ClientCertificateError::NoCertificate)?;
            let certificate = parsed.tbs_certificate();
            let public = certificate.subject_public_key_info().subject_public_key.as_bytes();
            if own.is_none() && public == Some(key.public_key().as_ref()) {
                let seconds = certificate.validity().not_after.to_unix_duration().as_secs();
                own = Some((index, i64::try_from(seconds).unwrap_or(i64::MAX)));
            }
        }
        let (index, not_after) = own.ok_or(ClientCertificateError::KeyMismatch)?;
        chain[..=index].rotate_right(1);
        let mut sha1 = [0; 20];
        sha1.copy_from_slice(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &chain[0]).as_ref());
        let (key, chain) = (Arc::new(key), Arc::from(chain));
        Ok(Self { key, chain, sha1, not_after: Some(not_after), algorithm: None, x5c: false })
    }

    /// A warning in the log where the certificate has expired, or soon will: the authority decides.
    pub(crate) fn warn_of_expiry(&self, now: i64) {
        const SOON: i64 = 30 * 86_400;
        let Some(left) = self.not_after.map(|not_after| not_after.saturating_sub(now)) else { return };
        if left <= 0 {
            tracing::warn!(thumbprint = self.thumbprint(), "the client certificate has expired");
        } else if left < SOON {
            let days = left / 86_400;
            tracing::warn!(thumbprint = self.thumbprint(), days, "the client certificate expires soon");
        }
    }

    /// Signs an assertion; it and its expiry.
    pub(super) fn sign(
        &self,
        request: &AssertionRequest,
        by_default: AssertionAlgorithm,
        random: &dyn Random,
        now: i64,
    ) -> Result<(ClientAssertion, i64), Error> {
        let algorithm = self.algorithm.unwrap_or(by_default);
        let expiry = now.saturating_add(LIFE);
        let mut id = [0; 16];
        random.fill(&mut id)?;
        let claims = json!({
            "aud": request.audience,
            "iss": request.client_id,
            "sub": request.client_id,
            "iat": now,
            "nbf": now,
            "exp": expiry,
            "jti": uuid::Builder::from_random_bytes(id).into_uuid().to_string(),
        });
        let encode = |part: &serde_json::Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let input = format!("{}.{}", encode(&self.header(algorithm)), encode(&claims));
        let scheme = match algorithm {
            AssertionAlgorithm::Ps256 => &RSA_PSS_SHA256,
            AssertionAlgorithm::Rs256 => &RSA_PKCS1_SHA256,
        };
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key
            .sign(scheme, &SystemRandom::new(), input.as_bytes(), &mut signature)
            .map_err(|_| RandomError)?;
        Ok((ClientAssertion::new(format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))), expiry))
    }

    fn header(&self, algorithm: AssertionAlgorithm) -> serde_json::Value {
        let mut header = match algorithm {
            AssertionAlgorithm::Ps256 => {
                let sha256 = digest::digest(&digest::SHA256, self.chain.first().map_or(&[], Vec::as_slice));
                json!({"alg": "PS256", "typ": "JWT", "x5t#S256": URL_SAFE_NO_PAD.encode(sha256)})
            }
            AssertionAlgorithm::Rs256 => {
                json!({"alg": "RS256", "typ": "JWT", "x5t": URL_SAFE_NO_PAD.encode(self.sha1)})
            }
        };
        if self.x5c && !self.chain.is_empty() {
            // Standard base64 here, unlike everywhere else in a JWT (RFC 7515 4.1.6).
            header["x5c"] = self.chain.iter().map(|der| STANDARD.encode(der)).collect();
        }
        header
    }
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let thumbprint = self.thumbprint();
        formatter.debug_struct("ClientCertificate").field("thumbprint", &thumbprint).finish_non_exhaustive()
    }
}

fn parse_thumbprint(text: &str) -> Option<[u8; 20]> {
    let digits: Vec<u8> = text
        .chars()
        .filter(|character| !matches!(character, ':' | ' '))
        .map(|character| character.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect::<Option<_>>()?;
    let bytes: Vec<u8> =
        digits.chunks(2).filter_map(|pair| Some(pair.first()? * 16 + pair.get(1)?)).collect();
    if digits.len() == 40 { bytes.try_into().ok() } else { None }
}
