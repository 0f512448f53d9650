//! A store whose next call of one operation stops, before or after it is done, until it is told to go on.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_msal_session::StoreKey;
use async_msal_session::store::{
    CasOutcome, Cursor, Expiry, Fence, IndexEntry, IndexKey, LeaseOwner, MarkKey, Page, PutOnce,
    SessionStore, StoreError, Stored, Version,
};
use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::Notify;

use crate::node::{Moment, Report, report};

#[derive(Debug)]
pub(crate) struct HeldStore {
    inner: Arc<dyn SessionStore>,
    holds: Mutex<HashMap<Moment, Arc<Notify>>>,
    longest_lease: Duration,
}

impl HeldStore {
    pub(crate) fn new(inner: Arc<dyn SessionStore>, longest_lease: Duration) -> Self {
        Self { inner, holds: Mutex::default(), longest_lease }
    }

    /// The next call that comes to `moment` waits there.
    pub(crate) fn hold(&self, moment: Moment) -> Arc<Notify> {
        let gate = Arc::new(Notify::new());
        self.holds.lock().unwrap().insert(moment, Arc::clone(&gate));
        gate
    }

    async fn at(&self, moment: Moment) {
        let gate = self.holds.lock().unwrap().remove(&moment);
        if let Some(gate) = gate {
            report(None, &Report::At(moment));
            gate.notified().await;
        }
    }
}

#[async_trait]
impl SessionStore for HeldStore {
    fn kind(&self) -> &'static str {
        self.inner.kind()
    }

    async fn load(&self, key: &StoreKey) -> Result<Option<Stored>, StoreError> {
        self.inner.load(key).await
    }

    async fn load_cached(&self, key: &StoreKey) -> Result<Option<Stored>, StoreError> {
        self.inner.load_cached(key).await
    }

    async fn load_many(&self, keys: &[StoreKey]) -> Result<Vec<Option<Stored>>, StoreError> {
        self.inner.load_many(keys).await
    }

    async fn create(
        &self,
        key: &StoreKey,
        value: Bytes,
        ttl: Duration,
    ) -> Result<Option<Version>, StoreError> {
        self.at(Moment::Indexed).await;
        self.inner.create(key, value, ttl).await
    }

    async fn compare_and_set(
        &self,
        key: &StoreKey,
        expected: &Version,
        value: Bytes,
        expiry: Expiry,
    ) -> Result<CasOutcome, StoreError> {
        self.at(Moment::BeforeSave).await;
        self.inner.compare_and_set(key, expected, value, expiry).await
    }

    async fn delete(&self, key: &StoreKey) -> Result<bool, StoreError> {
        let deleted = self.inner.delete(key).await;
        self.at(Moment::Deleted).await;
        deleted
    }

    async fn index_add(&self, names: &[IndexKey], key: &StoreKey, ttl: Duration) -> Result<(), StoreError> {
        self.inner.index_add(names, key, ttl).await
    }

    async fn index_remove(&self, names: &[IndexKey], key: &StoreKey) -> Result<(), StoreError> {
        self.inner.index_remove(names, key).await
    }

    async fn index_lookup(&self, index: &IndexKey, limit: usize) -> Result<Vec<IndexEntry>, StoreError> {
        self.inner.index_lookup(index, limit).await
    }

    async fn acquire_lease(
        &self,
        key: &StoreKey,
        owner: &LeaseOwner,
        ttl: Duration,
    ) -> Result<Option<Fence>, StoreError> {
        let taken = self.inner.acquire_lease(key, owner, ttl.min(self.longest_lease)).await;
        if matches!(taken, Ok(Some(_))) {
            self.at(Moment::LeaseTaken).await;
        }
        taken
    }

    async fn extend_lease(
        &self,
        key: &StoreKey,
        owner: &LeaseOwner,
        ttl: Duration,
    ) -> Result<bool, StoreError> {
        self.inner.extend_lease(key, owner, ttl.min(self.longest_lease)).await
    }

    async fn release_lease(&self, key: &StoreKey, owner: &LeaseOwner) -> Result<bool, StoreError> {
        self.inner.release_lease(key, owner).await
    }

    async fn put_once(&self, mark: &MarkKey, value: Bytes, ttl: Duration) -> Result<PutOnce, StoreError> {
        self.inner.put_once(mark, value, ttl).await
    }

    async fn replace_once(&self, mark: &MarkKey, expected: &Bytes, value: Bytes) -> Result<bool, StoreError> {
        self.inner.replace_once(mark, expected, value).await
    }

    async fn load_once(&self, mark: &MarkKey) -> Result<Option<Bytes>, StoreError> {
        self.inner.load_once(mark).await
    }

    async fn sweep_expired(&self, limit: usize) -> Result<u64, StoreError> {
        self.inner.sweep_expired(limit).await
    }

    async fn scan(&self, prefix: &str, cursor: Option<Cursor>, limit: usize) -> Result<Page, StoreError> {
        self.inner.scan(prefix, cursor, limit).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.inner.ping().await
    }
}
