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
