//! Key and certificates in one file (PKCS#12, RFC 7292).

use p12_keystore::{Pkcs12Archive, error::Error};
use zeroize::Zeroizing;

use super::key::Passphrase;
use crate::error::ClientCertificateError;

/// Longer files are no certificate.
const LONGEST: usize = 1024 * 1024;

/// What is in it: the private key (PKCS#8) and the certificates (DER), in the file's order.
pub(super) struct Pfx {
    pub(super) key: Zeroizing<Vec<u8>>,
    pub(super) certificates: Vec<Vec<u8>>,
}

pub(super) fn open(bytes: &[u8], passphrase: &Passphrase) -> Result<Pfx, ClientCertificateError> {
    if bytes.len() > LONGEST {
        return Err(ClientCertificateError::Pfx);
    }
    let archive = Pkcs12Archive::from_pkcs12(bytes, passphrase.expose_secret());
    let archive = archive.map_err(|error| match error {
        Error::MacError(_) => ClientCertificateError::Passphrase,
        Error::UnsupportedEncryptionScheme | Error::UnsupportedMacAlgorithm => {
            ClientCertificateError::UnsupportedEncryption
        }
        _ => ClientCertificateError::Pfx,
    })?;
    let key = archive.keys.first().ok_or(ClientCertificateError::NoKey)?;
    let certificates = archive.certs.iter().map(|bag| bag.cert.as_der().to_vec()).collect();
    Ok(Pfx { key: Zeroizing::new(key.key.as_der().to_vec()), certificates })
}
