//! Options of a client, each with its default.

use std::sync::Arc;
use std::time::Duration;

use reqwest::ClientBuilder;

use super::{ConfidentialClient, Inner};
use crate::authority::discovery::Discovery;
use crate::authority::{Authority, AuthorityKind, Tenant};
use crate::client_credential::ClientCredential;
use crate::client_credential::proof::Prover;
use crate::clock::{Clock, SystemClock};
use crate::error::{ConfigError, Error};
use crate::http_client::{HttpClient, HttpOptions};
use crate::id_token::SigningAlgorithm;
use crate::id_token::verify::IdTokenPolicy;
use crate::random::{Random, SystemRandom};
use crate::secret::ClientSecret;
use crate::token_endpoint::Throttle;

/// Collects options; [`build`](Self::build) does no I/O on the network.
#[derive(Debug)]
#[must_use = "a builder does nothing before build()"]
pub struct ConfidentialClientBuilder {
    client_id: String,
    authority: Option<Authority>,
    credential: Option<ClientCredential>,
    capabilities: Vec<String>,
    http: HttpOptions,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    allowed_tenants: Vec<String>,
    refuse_personal: bool,
    algorithms: Vec<SigningAlgorithm>,
    endpoint_hosts: Vec<String>,
    loopback: bool,
}

impl ConfidentialClientBuilder {
    pub(super) fn new(client_id: String) -> Self {
        Self {
            client_id,
            authority: None,
            credential: None,
            capabilities: Vec::new(),
            http: HttpOptions::default(),
            clock: Arc::new(SystemClock),
            random: Arc::new(SystemRandom),
            allowed_tenants: Vec::new(),
            refuse_personal: false,
            algorithms: vec![SigningAlgorithm::Rs256],
            endpoint_hosts: Vec::new(),
            loopback: false,
        }
    }

    /// Where tokens come from. Required.
    pub fn authority(mut self, authority: Authority) -> Self {
        self.authority = Some(authority);
        self
    }

    /// How the client proves itself. Required, or [`client_secret`](Self::client_secret).
    pub fn credential(mut self, credential: impl Into<ClientCredential>) -> Self {
        self.credential = Some(credential.into());
        self
    }

    /// A shared secret.
    pub fn client_secret(self, secret: ClientSecret) -> Self {
        self.credential(ClientCredential::Secret(secret))
    }

    /// What the client can handle, such as `cp1` (continuous access evaluation). Default: nothing.
    pub fn client_capabilities<T: Into<String>>(mut self, capabilities: impl IntoIterator<Item = T>) -> Self {
        self.capabilities = capabilities.into_iter().map(Into::into).collect();
        self
    }

    /// Changes the HTTP client: a proxy, a resolver. Called for each client that is built; redirects and
    /// time limits are set afterwards. Default: the system's proxy variables.
    pub fn http_client(
        mut self,
        customize: impl Fn(ClientBuilder) -> ClientBuilder + Send + Sync + 'static,
    ) -> Self {
        self.http = self.http.with_customize(Arc::new(customize));
        self
    }

    /// Trusts a certificate authority (PEM) beside the machine's. Default: none.
    pub fn ca_certificate_pem(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.http = self.http.with_extra_ca_pem(pem);
        self
    }

    /// The clock. Default: the machine's.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// The randomness. Default: the operating system's.
    pub fn random(mut self, random: Arc<dyn Random>) -> Self {
        self.random = random;
        self
    }

    /// Limits each request as a whole. Default: 10 s, of which 3 s for the connection.
    pub fn request_timeout(mut self, limit: Duration) -> Self {
        self.http = self.http.with_request_timeout(limit);
        self
    }

    /// Takes id tokens of these tenants (GUIDs) only. Default: all that the authority admits.
    pub fn allowed_tenants<T: Into<String>>(mut self, tenants: impl IntoIterator<Item = T>) -> Self {
        self.allowed_tenants = tenants.into_iter().map(Into::into).collect();
        self
    }

    /// Refuses personal accounts at `common` too. Default: `common` and `consumers` take them.
    pub fn refuse_personal_accounts(mut self) -> Self {
        self.refuse_personal = true;
        self
    }

    /// Signing algorithms of a generic provider's id tokens. Default: RS256; Entra ID has no other.
    pub fn signing_algorithms(mut self, algorithms: impl IntoIterator<Item = SigningAlgorithm>) -> Self {
        self.algorithms = algorithms.into_iter().collect();
        self
    }

    /// Trusts these hosts: metadata may name endpoints there beside the authority's own, as some generic providers do,
    /// and an Entra ID authority there needs no instance discovery (a request to `login.microsoftonline.com`, which is
    /// made for unknown hosts only). Default: none.
    pub fn allowed_endpoint_hosts<T: Into<String>>(mut self, hosts: impl IntoIterator<Item = T>) -> Self {
        self.endpoint_hosts = hosts.into_iter().map(Into::into).collect();
        self
    }

    /// Allows an authority on this very machine, plain http included: the emulator.
    ///
    /// # Security
    ///
    /// Whoever can listen on that port can sign in as anybody. For development and tests.
    pub fn dangerous_allow_loopback_authority(mut self) -> Self {
        self.loopback = true;
        self
    }

    /// Makes the client.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for what is missing or cannot work.
    pub fn build(self) -> Result<ConfidentialClient, Error> {
        let authority = self.authority.ok_or(ConfigError::Missing("the authority"))?;
        let credential = self.credential.ok_or(ConfigError::Missing("the client's credential"))?;
        if self.client_id.trim().is_empty() {
            return Err(ConfigError::Missing("the client id").into());
        }
        if matches!(&credential, ClientCredential::Secret(secret) if secret.expose_secret().is_empty()) {
            return Err(ConfigError::Missing("the client secret").into());
        }
        if authority.is_loopback() && !self.loopback {
            return Err(ConfigError::LoopbackAuthority.into());
        }
        let entra = authority.kind() == AuthorityKind::Entra;
        let kind = authority.kind();
        if let ClientCredential::Certificate(certificate) = &credential {
            certificate.warn_of_expiry(self.clock.now());
        }
        let personal = !matches!(authority.tenant(), Some(Tenant::Organizations)) && !self.refuse_personal;
        let policy = IdTokenPolicy {
            algorithms: if entra { vec![SigningAlgorithm::Rs256] } else { self.algorithms },
            allow_personal: personal,
            entra,
            // A list of tenants would mean nothing at an authority whose tokens name none.
            tenants: entra || authority.kind() == AuthorityKind::Ciam || !self.allowed_tenants.is_empty(),
            allowed_tenants: self.allowed_tenants,
        };
        let http = HttpClient::new(&self.http)?;
        let discovery = Discovery::new(authority, self.endpoint_hosts, http.clone(), Arc::clone(&self.clock));
        let inner = Inner {
            client_id: self.client_id,
            prover: Prover::new(credential, kind),
            capabilities: self.capabilities,
            policy,
            http,
            http_options: self.http,
            clock: self.clock,
            random: self.random,
            discovery: Arc::new(discovery),
            throttle: Throttle::default(),
        };
        Ok(ConfidentialClient { inner: Arc::new(inner), gate: None })
    }
}
