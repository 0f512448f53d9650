//! The throw-away certificate authority and the leaf certificate of an https emulator.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair};
use rcgen::{ExtendedKeyUsagePurpose, KeyUsagePurpose};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};

use crate::error::EmulatorError;

/// The authority as it is kept in the data folder.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Authority {
    pub(crate) certificate_pem: String,
    private_key_pem: String,
}

impl Authority {
    /// Makes a new authority, good for ten years on this machine only.
    pub(crate) fn generate() -> Result<Self, EmulatorError> {
        let make = || -> Result<Self, rcgen::Error> {
            let key = KeyPair::generate()?;
            let mut params = CertificateParams::new(Vec::new())?;
            let mut name = DistinguishedName::new();
            name.push(DnType::CommonName, "async-msal emulator throw-away CA");
            params.distinguished_name = name;
            params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
            validity(&mut params, 3650);
            let certificate_pem = params.self_signed(&key)?.pem();
            Ok(Self { certificate_pem, private_key_pem: key.serialize_pem() })
        };
        make().map_err(|e| EmulatorError::Keys(e.to_string()))
    }

    /// A server configuration whose leaf certificate names `hosts`.
    pub(crate) fn server_config(&self, hosts: &[String]) -> Result<rustls::ServerConfig, EmulatorError> {
        let (chain, key) = self.leaf(hosts).map_err(|e| EmulatorError::Keys(e.to_string()))?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| EmulatorError::Keys(e.to_string()))?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(|e| EmulatorError::Keys(e.to_string()))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }

    fn leaf(
        &self,
        hosts: &[String],
    ) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), rcgen::Error> {
        let issuer =
            Issuer::from_ca_cert_pem(&self.certificate_pem, KeyPair::from_pem(&self.private_key_pem)?)?;
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(hosts.to_vec())?;
        let mut name = DistinguishedName::new();
        name.push(DnType::CommonName, "async-msal emulator");
        params.distinguished_name = name;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        validity(&mut params, 365);
        let leaf = params.signed_by(&key, &issuer)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        Ok((vec![leaf.der().clone()], key))
    }
}

/// From yesterday, so that a clock a little behind does not refuse it.
fn validity(params: &mut CertificateParams, days: i64) {
    let now = OffsetDateTime::now_utc();
    params.not_before = now - Duration::days(1);
    params.not_after = now + Duration::days(days);
}
