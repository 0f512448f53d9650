//! How a Redis store is opened.

use std::time::Duration;

use crate::settings::{Settings, StoreAddress};

/// Options of a [`RedisStore`](super::RedisStore).
#[derive(Clone, Debug)]
pub struct RedisOptions {
    pub(super) address: StoreAddress,
    pub(super) limit: Duration,
    pub(super) ca_pem: Option<Vec<u8>>,
    pub(super) read_cache: bool,
}

impl RedisOptions {
    /// The address as STORE_URL takes it: `redis://[user:password@]host[:port][/db]`, `rediss://…` for TLS,
    /// `redis+sentinel://host,host/<master>[/db]`, `redis+cluster://host,host`.
    #[must_use]
    pub fn new(address: impl Into<StoreAddress>) -> Self {
        Self {
            address: address.into(),
            limit: Settings::DEFAULT_STORE_TIMEOUT,
            ca_pem: None,
            read_cache: false,
        }
    }

    /// Time limit of one call, connecting included (STORE_TIMEOUT). Default: 500 ms.
    #[must_use]
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Trusts these certificate authorities (PEM) beside the machine's (CA_FILE).
    #[must_use]
    pub fn ca_certificate_pem(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.ca_pem = Some(pem.into());
        self
    }

    /// Keeps copies of records in this process as long as the server watches them for it (STORE_CACHE). A change by another
    /// node voids a copy at once; where the connection fails unseen, after three seconds at most. Default: off.
    #[must_use]
    pub fn read_cache(mut self, on: bool) -> Self {
        self.read_cache = on;
        self
    }
}
