//! Reading the private key: PEM in its usual forms, plain or encrypted.

use aws_lc_rs::cipher::{self, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::pbkdf2;
use aws_lc_rs::signature::RsaKeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pkcs5::pbes2;
use pkcs8::EncryptedPrivateKeyInfoRef;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use zeroize::Zeroizing;

use crate::error::ClientCertificateError;
pub use crate::secret::Passphrase;

const ENCRYPTED: [&str; 2] = ["-----BEGIN ENCRYPTED PRIVATE KEY-----", "-----END ENCRYPTED PRIVATE KEY-----"];
/// More rounds are not waited for: ten million take seconds.
const MOST_ROUNDS: u32 = 10_000_000;

/// The RSA key of a PEM text: PKCS#8, PKCS#1, or encrypted PKCS#8 (PBES2, RFC 8018 6.2).
pub(super) fn from_pem(
    pem: &[u8],
    passphrase: Option<&Passphrase>,
) -> Result<RsaKeyPair, ClientCertificateError> {
    let text = std::str::from_utf8(pem).map_err(|_| ClientCertificateError::NoKey)?;
    if let Some(der) = encrypted_der(text) {
        let passphrase = passphrase.ok_or(ClientCertificateError::Passphrase)?;
        return from_pkcs8(&decrypt(&der?, passphrase)?);
    }
    if text.contains("Proc-Type: 4,ENCRYPTED") {
        return Err(ClientCertificateError::UnsupportedEncryption);
    }
    match PrivateKeyDer::from_pem_slice(pem).map_err(|_| ClientCertificateError::NoKey)? {
        PrivateKeyDer::Pkcs8(der) => from_pkcs8(der.secret_pkcs8_der()),
        PrivateKeyDer::Pkcs1(der) => {
            RsaKeyPair::from_der(der.secret_pkcs1_der()).map_err(|_| ClientCertificateError::KeyNotRsa)
        }
        _ => Err(ClientCertificateError::KeyNotRsa),
    }
}

pub(super) fn from_pkcs8(der: &[u8]) -> Result<RsaKeyPair, ClientCertificateError> {
    RsaKeyPair::from_pkcs8(der).map_err(|_| ClientCertificateError::KeyNotRsa)
}

fn encrypted_der(text: &str) -> Option<Result<Vec<u8>, ClientCertificateError>> {
    let (_, rest) = text.split_once(ENCRYPTED[0])?;
    let body = rest.split_once(ENCRYPTED[1]).map(|(body, _)| body.split_whitespace().collect::<String>());
    Some(body.and_then(|body| STANDARD.decode(body).ok()).ok_or(ClientCertificateError::NoKey))
}

/// The parameters are read by `pkcs8`, the cryptography is aws-lc's.
fn decrypt(der: &[u8], passphrase: &Passphrase) -> Result<Zeroizing<Vec<u8>>, ClientCertificateError> {
    let info = EncryptedPrivateKeyInfoRef::try_from(der)
        .map_err(|_| ClientCertificateError::UnsupportedEncryption)?;
    let parameters =
        info.encryption_algorithm.pbes2().ok_or(ClientCertificateError::UnsupportedEncryption)?;
    let (algorithm, iv) = match &parameters.encryption {
        pbes2::EncryptionScheme::Aes128Cbc { iv } => (&cipher::AES_128, iv),
        pbes2::EncryptionScheme::Aes192Cbc { iv } => (&cipher::AES_192, iv),
        pbes2::EncryptionScheme::Aes256Cbc { iv } => (&cipher::AES_256, iv),
        _ => return Err(ClientCertificateError::UnsupportedEncryption),
    };
    let key = derive(&parameters.kdf, parameters.encryption.key_size(), passphrase)?;
    // A wrong passphrase shows by the padding, or by what comes out being no key.
    let wrong = |_| ClientCertificateError::Passphrase;
    let key = UnboundCipherKey::new(algorithm, &key).map_err(wrong)?;
    let key = PaddedBlockDecryptingKey::cbc_pkcs7(key).map_err(wrong)?;
    let mut data = Zeroizing::new(info.encrypted_data.as_bytes().to_vec());
    let plain = key.decrypt(&mut data, DecryptionContext::Iv128(FixedLength::from(iv))).map_err(wrong)?;
    if pkcs8::PrivateKeyInfoRef::try_from(&*plain).is_err() {
        return Err(ClientCertificateError::Passphrase);
    }
    Ok(Zeroizing::new(plain.to_vec()))
}

fn derive(
    kdf: &pbes2::Kdf,
    length: usize,
    passphrase: &Passphrase,
) -> Result<Zeroizing<Vec<u8>>, ClientCertificateError> {
    let parameters = kdf.pbkdf2().ok_or(ClientCertificateError::UnsupportedEncryption)?;
    let algorithm = match parameters.prf {
        pbes2::Pbkdf2Prf::HmacWithSha1 => pbkdf2::PBKDF2_HMAC_SHA1,
        pbes2::Pbkdf2Prf::HmacWithSha256 => pbkdf2::PBKDF2_HMAC_SHA256,
        pbes2::Pbkdf2Prf::HmacWithSha384 => pbkdf2::PBKDF2_HMAC_SHA384,
        pbes2::Pbkdf2Prf::HmacWithSha512 => pbkdf2::PBKDF2_HMAC_SHA512,
        _ => return Err(ClientCertificateError::UnsupportedEncryption),
    };
    let rounds =
        std::num::NonZeroU32::new(parameters.iteration_count).filter(|rounds| rounds.get() <= MOST_ROUNDS);
    let rounds = rounds.ok_or(ClientCertificateError::UnsupportedEncryption)?;
    let mut key = Zeroizing::new(vec![0; length]);
    pbkdf2::derive(
        algorithm,
        rounds,
        parameters.salt.as_ref(),
        passphrase.expose_secret().as_bytes(),
        &mut key,
    );
    Ok(key)
}
