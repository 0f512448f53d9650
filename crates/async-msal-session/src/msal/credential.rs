//! The credential that the settings name.

use std::path::Path;
use std::sync::Arc;

use async_msal::client_credential::FederatedTokenFile;
use async_msal::{ClientCertificate, ClientCredential, ManagedIdentity, Passphrase};

use crate::settings::{CredentialSetting, Settings, SettingsError, name};

/// Reads a certificate's file; an assertion's is read when it is needed, for it is replaced while the process runs.
pub(super) fn from_settings(settings: &Settings) -> Result<ClientCredential, SettingsError> {
    match &settings.credential {
        CredentialSetting::Secret => {
            let secret = settings.secrets.first().cloned();
            Ok(secret.ok_or_else(|| SettingsError::invalid(name::SP_APP_PW, "missing"))?.into())
        }
        CredentialSetting::Certificate { path, passphrase } => {
            certificate(path, passphrase.as_ref()).map(Into::into)
        }
        CredentialSetting::AssertionFile(path) => {
            Ok(ClientCredential::Assertion(Arc::new(FederatedTokenFile::new(path))))
        }
        CredentialSetting::ManagedIdentity(client_id) => {
            let identity = ManagedIdentity::from_env()
                .map_err(|error| SettingsError::invalid(name::SP_APP_MANAGED_IDENTITY, error.to_string()))?;
            Ok(match client_id {
                Some(client_id) => identity.user_assigned(client_id),
                None => identity,
            }
            .into())
        }
    }
}

fn certificate(path: &Path, passphrase: Option<&Passphrase>) -> Result<ClientCertificate, SettingsError> {
    let invalid = |reason: String| SettingsError::invalid(name::SP_APP_CERT, reason);
    let bytes = zeroize::Zeroizing::new(std::fs::read(path).map_err(|error| invalid(error.to_string()))?);
    let extension = path.extension().map(|extension| extension.to_ascii_lowercase());
    if extension.is_some_and(|extension| extension == "pfx" || extension == "p12") {
        return pfx(&bytes, passphrase);
    }
    ClientCertificate::from_pem(&bytes, passphrase, &bytes).map_err(|error| invalid(error.to_string()))
}

#[cfg(feature = "pfx")]
fn pfx(bytes: &[u8], passphrase: Option<&Passphrase>) -> Result<ClientCertificate, SettingsError> {
    let none = Passphrase::new("");
    ClientCertificate::from_pfx(bytes, passphrase.unwrap_or(&none))
        .map_err(|error| SettingsError::invalid(name::SP_APP_CERT, error.to_string()))
}

#[cfg(not(feature = "pfx"))]
fn pfx(_bytes: &[u8], _passphrase: Option<&Passphrase>) -> Result<ClientCertificate, SettingsError> {
    Err(SettingsError::invalid(name::SP_APP_CERT, "this build reads PEM files only (feature `pfx`)"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Env;
    use crate::settings::SettingsSource;

    const KEY: &[u8] =
        include_bytes!("../../../async-msal/tests/fixtures/client-certificate/client-aes256.key");
    const CERTIFICATE: &[u8] =
        include_bytes!("../../../async-msal/tests/fixtures/client-certificate/client.crt");

    fn read(more: &[(&str, &str)]) -> Result<ClientCredential, String> {
        let good = [
            ("SP_APP_ID", "app"),
            ("SP_AUTHORITY", "https://login.microsoftonline.com/contoso.example"),
            ("PUBLIC_URL", "https://app.example"),
            ("STORE_URL", "memory:"),
        ];
        let env = Env::memory(good.iter().chain(more).copied());
        let settings = SettingsSource::new().env(&env, "").read().map_err(|error| error.to_string())?;
        from_settings(&settings).map_err(|error| error.to_string())
    }

    #[test]
    fn a_file_with_key_and_certificate_is_the_credential() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("client.pem");
        std::fs::write(&path, [CERTIFICATE, KEY].concat()).unwrap();
        let path = path.to_str().unwrap();
        let found = read(&[("SP_APP_CERT", path), ("SP_APP_CERT_PW", "correct")]).unwrap();
        assert!(matches!(found, ClientCredential::Certificate(_)));
        let error = read(&[("SP_APP_CERT", path)]).unwrap_err();
        assert!(error.contains("SP_APP_CERT") && error.contains("passphrase"), "{error}");
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named_by_its_setting() {
        let error = read(&[("SP_APP_CERT", "/nowhere/client.pem")]).unwrap_err();
        assert!(error.contains("SP_APP_CERT"), "{error}");
    }

    #[cfg(feature = "pfx")]
    #[test]
    fn a_pfx_file_is_told_by_its_extension() {
        let pfx = include_bytes!("../../../async-msal/tests/fixtures/client-certificate/client.pfx");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("client.PFX");
        std::fs::write(&path, pfx).unwrap();
        let path = path.to_str().unwrap();
        assert!(read(&[("SP_APP_CERT", path), ("SP_APP_CERT_PW", "correct")]).is_ok());
        assert!(read(&[("SP_APP_CERT", path)]).unwrap_err().contains("passphrase"));
    }

    #[test]
    fn an_assertion_file_is_read_later() {
        let found = read(&[("SP_APP_ASSERTION_FILE", "/nowhere/token")]).unwrap();
        assert!(matches!(found, ClientCredential::Assertion(_)));
    }
}
