use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::error::EmulatorError;

/// A registered application.
///
/// ```
/// use async_msal_emulator::ClientRegistration;
///
/// let client = ClientRegistration::new("33333333-3333-3333-3333-333333333333", "s3cret")
///     .with_redirect_uri("https://app.example/user/authorized");
/// ```
#[derive(Clone, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ClientRegistration {
    /// The application (client) id.
    pub client_id: String,
    /// The client secret.
    pub client_secret: String,
    /// The name on the login and consent pages.
    #[serde(default = "default_name")]
    pub display_name: String,
    /// Registered redirect addresses, compared as text; a post-logout address must be among them, as at Entra ID.
    #[serde(default)]
    pub redirect_uris: Vec<String>,
    /// Loaded in a hidden frame when a user who signed in to this client signs out.
    #[serde(default)]
    pub frontchannel_logout_uri: Option<String>,
    /// Whether `/common` and `/organizations` may be used. Default: true.
    #[serde(default = "yes")]
    pub multi_tenant: bool,
    /// Certificates (PEM) whose keys sign assertions in the secret's place.
    #[serde(default)]
    pub certificates_pem: Vec<String>,
    /// Whose tokens are taken in the secret's place.
    #[serde(default)]
    pub federated_credentials: Vec<FederatedCredential>,
}

/// An issuer and subject that a registration trusts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FederatedCredential {
    /// `iss` of the token; absent: any that this emulator signs as.
    #[serde(default)]
    pub issuer: Option<String>,
    /// `sub` of the token.
    pub subject: String,
}

impl ClientRegistration {
    /// A client without redirect addresses.
    pub fn new(client_id: impl Into<String>, client_secret: impl Into<String>) -> Self {
        Self {
            client_id: client_id.into(),
            client_secret: client_secret.into(),
            display_name: default_name(),
            redirect_uris: Vec::new(),
            frontchannel_logout_uri: None,
            multi_tenant: true,
            certificates_pem: Vec::new(),
            federated_credentials: Vec::new(),
        }
    }

    /// Sets the name shown to the user. Default: "Demo application".
    #[must_use]
    pub fn with_display_name(mut self, name: impl Into<String>) -> Self {
        self.display_name = name.into();
        self
    }

    /// Registers one more redirect (or post-logout) address.
    #[must_use]
    pub fn with_redirect_uri(mut self, uri: impl Into<String>) -> Self {
        self.redirect_uris.push(uri.into());
        self
    }

    /// Sets the front-channel logout address. Default: none.
    #[must_use]
    pub fn with_frontchannel_logout_uri(mut self, uri: impl Into<String>) -> Self {
        self.frontchannel_logout_uri = Some(uri.into());
        self
    }

    /// Refuses `/common` and `/organizations` for this client (AADSTS50194).
    #[must_use]
    pub fn single_tenant(mut self) -> Self {
        self.multi_tenant = false;
        self
    }

    /// Registers a certificate (PEM). With an empty secret the client has no other credential.
    #[must_use]
    pub fn with_certificate_pem(mut self, pem: impl Into<String>) -> Self {
        self.certificates_pem.push(pem.into());
        self
    }

    /// Trusts tokens of this subject, whoever of the emulator's issuers signed them.
    #[must_use]
    pub fn with_federated_credential(mut self, subject: impl Into<String>) -> Self {
        self.federated_credentials.push(FederatedCredential { issuer: None, subject: subject.into() });
        self
    }

    /// The certificates in DER; what cannot be read is left out.
    pub(crate) fn certificates(&self) -> Vec<Vec<u8>> {
        let read = |pem: &String| Some(CertificateDer::from_pem_slice(pem.as_bytes()).ok()?.to_vec());
        self.certificates_pem.iter().filter_map(read).collect()
    }

    pub(crate) fn check(&self) -> Result<(), EmulatorError> {
        if self.certificates().len() != self.certificates_pem.len() {
            return Err(EmulatorError::Keys("a registered certificate is no PEM".into()));
        }
        self.redirect_uris.iter().chain(&self.frontchannel_logout_uri).try_for_each(|uri| check_address(uri))
    }
}

impl std::fmt::Debug for ClientRegistration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            client_id,
            client_secret: _,
            display_name,
            redirect_uris,
            frontchannel_logout_uri,
            multi_tenant,
            certificates_pem,
            federated_credentials,
        } = self;
        f.debug_struct("ClientRegistration")
            .field("client_id", client_id)
            .field("client_secret", &"[redacted]")
            .field("display_name", display_name)
            .field("redirect_uris", redirect_uris)
            .field("frontchannel_logout_uri", frontchannel_logout_uri)
            .field("multi_tenant", multi_tenant)
            .field("certificates", &certificates_pem.len())
            .field("federated_credentials", federated_credentials)
            .finish()
    }
}

/// An absolute http or https address without a fragment (RFC 6749 3.1.2).
pub(crate) fn check_address(address: &str) -> Result<(), EmulatorError> {
    let good = Url::parse(address)
        .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.fragment().is_none());
    if good { Ok(()) } else { Err(EmulatorError::InvalidAddress(address.to_owned())) }
}

fn default_name() -> String {
    "Demo application".into()
}

fn yes() -> bool {
    true
}
