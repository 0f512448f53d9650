use std::net::SocketAddr;
use std::sync::Arc;

use axum_server::Handle;
use tokio::task::JoinHandle;

use crate::admin::Admin;
use crate::authorize::{self, AuthorizationAnswer};
use crate::builder::EmulatorBuilder;
use crate::client::check_address;
use crate::client_assertion::EXCHANGE;
use crate::endpoint::managed_identity;
use crate::error::EmulatorError;
use crate::persons::Person;
use crate::state::{Shared, lock};
use crate::token::exchange_token;

/// How many redirect addresses one client may have.
const MAX_REDIRECT_URIS: usize = 256;

/// A running emulator. Dropping it stops it; [`shutdown`](Self::shutdown) also waits until the port is free.
#[must_use = "a dropped emulator stops"]
pub struct Emulator {
    shared: Arc<Shared>,
    handle: Handle<SocketAddr>,
    server: Option<JoinHandle<()>>,
}

impl Emulator {
    /// Options, then [`start`](EmulatorBuilder::start).
    pub fn builder() -> EmulatorBuilder {
        EmulatorBuilder::new()
    }

    pub(crate) fn new(shared: Arc<Shared>, handle: Handle<SocketAddr>, server: JoinHandle<()>) -> Self {
        Self { shared, handle, server: Some(server) }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// `http://127.0.0.1:8401`: no slash at the end.
    #[must_use]
    pub fn base_url(&self) -> String {
        self.shared.base_url()
    }

    /// The authority of the emulator's tenant: [`base_url`](Self::base_url) and the tenant id.
    #[must_use]
    pub fn authority_url(&self) -> String {
        format!("{}/{}", self.shared.base_url(), self.shared.tenant_id)
    }

    /// The root of Microsoft Graph: [`base_url`](Self::base_url) and `/v1.0`.
    #[must_use]
    pub fn graph_url(&self) -> String {
        format!("{}/v1.0", self.shared.base_url())
    }

    /// The first client's id.
    #[must_use]
    pub fn client_id(&self) -> String {
        lock(&self.shared.clients).first().map(|c| c.client_id.clone()).unwrap_or_default()
    }

    /// The first client's secret.
    #[must_use]
    pub fn client_secret(&self) -> String {
        lock(&self.shared.clients).first().map(|c| c.client_secret.clone()).unwrap_or_default()
    }

    /// The tenant's id.
    #[must_use]
    pub fn tenant_id(&self) -> &str {
        &self.shared.tenant_id
    }

    /// The certificate authority, as PEM, that a client of an https emulator has to trust.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        &self.shared.authority.certificate_pem
    }

    /// The people, in the order of the login page: Ada, Ben, Cleo, Gil.
    #[must_use]
    pub fn users(&self) -> Vec<Person> {
        self.shared.directory().people
    }

    /// Registers a redirect (or post-logout) address for the first client.
    ///
    /// # Errors
    /// It is not an absolute http or https address, or the client has 256 already.
    pub fn register_redirect_uri(&self, uri: &str) -> Result<(), EmulatorError> {
        check_address(uri)?;
        let mut clients = lock(&self.shared.clients);
        let Some(client) = clients.first_mut() else { return Ok(()) };
        if client.redirect_uris.iter().any(|known| known == uri) {
            return Ok(());
        }
        if client.redirect_uris.len() >= MAX_REDIRECT_URIS {
            return Err(EmulatorError::TooMany(format!(
                "{MAX_REDIRECT_URIS} redirect addresses are registered"
            )));
        }
        client.redirect_uris.push(uri.to_owned());
        Ok(())
    }

    /// Sets the front-channel logout address of the first client.
    ///
    /// # Errors
    /// It is not an absolute http or https address.
    pub fn register_frontchannel_logout_uri(&self, uri: &str) -> Result<(), EmulatorError> {
        check_address(uri)?;
        if let Some(client) = lock(&self.shared.clients).first_mut() {
            client.frontchannel_logout_uri = Some(uri.to_owned());
        }
        Ok(())
    }

    /// A token such as Kubernetes projects into a pod, for `subject`, good for `lifetime` seconds: a client assertion
    /// of a client with that federated credential.
    ///
    /// # Errors
    /// The crypto library fails.
    pub fn workload_identity_token(&self, subject: &str, lifetime: i64) -> Result<String, EmulatorError> {
        let issuer = format!("{}/workload-identity", self.shared.base_url());
        exchange_token(&self.shared, (&issuer, subject, EXCHANGE), lifetime)
    }

    /// The subject (object id) of the machine's own managed identity, to be listed as a federated credential.
    #[must_use]
    pub fn managed_identity_subject(&self) -> String {
        managed_identity::system_assigned(&self.shared).1
    }

    /// Client id and subject of the one user-assigned managed identity.
    #[must_use]
    pub fn user_assigned_identity(&self) -> (String, String) {
        managed_identity::user_assigned(&self.shared)
    }

    /// What `IDENTITY_ENDPOINT` and `IDENTITY_HEADER` say on App Service.
    #[must_use]
    pub fn app_service_identity(&self) -> (String, String) {
        let endpoint = format!("{}{}", self.shared.base_url(), managed_identity::APP_SERVICE);
        (endpoint, managed_identity::identity_header(&self.shared))
    }

    /// Settings, counters, keys and faults.
    #[must_use]
    pub fn admin(&self) -> Admin {
        Admin::new(Arc::clone(&self.shared))
    }

    /// Answers an authorization request as if `person` had been chosen on the login page and had consented: what a
    /// test does in place of a browser. The request is checked as over HTTP.
    ///
    /// # Errors
    /// No such person, or the request was refused on a page (unknown client, unregistered redirect address). Errors
    /// that go back to the application are fields of the answer.
    ///
    /// # Cancel safety
    /// Dropped, a code may exist that nobody knows.
    pub async fn authorize(
        &self,
        auth_uri: &str,
        person: &str,
    ) -> Result<AuthorizationAnswer, EmulatorError> {
        authorize::answer_for(&self.shared, auth_uri, person).await
    }

    /// Stops, and returns when the port is free.
    ///
    /// # Cancel safety
    /// Dropped, the emulator still stops.
    pub async fn shutdown(mut self) {
        self.handle.shutdown();
        if let Some(server) = self.server.take() {
            // The task ends by itself now; it can fail only by having been cancelled with its runtime.
            drop(server.await);
        }
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        self.handle.shutdown();
    }
}

impl std::fmt::Debug for Emulator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Emulator")
            .field("base_url", &self.shared.base_url())
            .field("tenant_id", &self.shared.tenant_id)
            .finish_non_exhaustive()
    }
}
