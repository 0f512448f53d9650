//! What is up and what is down.

use async_msal::{ClientHealth, ComponentHealth, Status};

/// Store, authority and keys, each with since when and why. It holds no secret.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Health {
    /// The session store.
    pub store: ComponentHealth,
    /// The authority: discovery and token endpoint.
    pub authority: ComponentHealth,
    /// The authority's signing keys.
    pub keys: ComponentHealth,
}

impl Health {
    pub(crate) fn new(store: ComponentHealth, client: ClientHealth) -> Self {
        Self { store, authority: client.authority, keys: client.keys }
    }

    /// Nothing is known to be down.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        [&self.store, &self.authority, &self.keys].iter().all(|component| component.status != Status::Down)
    }
}
