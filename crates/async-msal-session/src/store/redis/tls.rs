//! Certificate authorities for `rediss:`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::RootCertStore;

/// Gives rustls its provider, since redis asks for the process's own, unless the application chose one.
pub(super) fn install_provider() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        let _chosen_meanwhile = rustls::crypto::aws_lc_rs::default_provider().install_default();
    }
}

/// `extra` and the machine's authorities as one PEM: redis trusts either its own reading of the machine's or what it is given.
pub(super) fn with_machines(extra: &[u8]) -> Vec<u8> {
    let mut pem = extra.to_vec();
    let mut usable = RootCertStore::empty();
    for certificate in rustls_native_certs::load_native_certs().certs {
        // One that rustls cannot read must not spoil the rest.
        if usable.add(certificate.clone()).is_ok() {
            pem.extend_from_slice(b"\n-----BEGIN CERTIFICATE-----\n");
            pem.extend_from_slice(STANDARD.encode(&certificate).as_bytes());
            pem.extend_from_slice(b"\n-----END CERTIFICATE-----\n");
        }
    }
    pem
}
