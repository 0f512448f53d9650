//! A certificate for loopback and the authority that signed it.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

/// The files a server is started with.
#[derive(Clone, Debug)]
pub(crate) struct TlsFiles {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) ca: PathBuf,
    pub(crate) ca_pem: String,
}

impl TlsFiles {
    pub(crate) fn make(folder: &Path) -> Self {
        let mut authority = CertificateParams::new(Vec::<String>::new()).expect("no names");
        // Another name than a certificate's has by itself: OpenSSL takes one that names itself its issuer for self-signed.
        authority.distinguished_name.push(DnType::CommonName, "Test authority");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority_key = KeyPair::generate().expect("a key");
        let ca_pem = authority.self_signed(&authority_key).expect("an authority").pem();
        let issuer = Issuer::new(authority, authority_key);
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let server_key = KeyPair::generate().expect("a key");
        let server = CertificateParams::new(names).expect("names of loopback");
        let server = server.signed_by(&server_key, &issuer).expect("a certificate");
        let files = Self {
            certificate: folder.join("server.crt"),
            key: folder.join("server.key"),
            ca: folder.join("ca.crt"),
            ca_pem,
        };
        std::fs::write(&files.certificate, server.pem()).expect("a file");
        std::fs::write(&files.key, server_key.serialize_pem()).expect("a file");
        // PostgreSQL takes no key that others can read.
        std::fs::set_permissions(&files.key, PermissionsExt::from_mode(0o600)).expect("the key's mode");
        std::fs::write(&files.ca, &files.ca_pem).expect("a file");
        files
    }

    /// What Redis takes.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let text = |path: &PathBuf| path.display().to_string();
        [
            ("--tls-cert-file", text(&self.certificate)),
            ("--tls-key-file", text(&self.key)),
            ("--tls-ca-cert-file", text(&self.ca)),
            ("--tls-auth-clients", "no".to_owned()),
        ]
        .into_iter()
        .flat_map(|(name, value)| [name.to_owned(), value])
        .collect()
    }
}
