//! A store that fails, or waits, on command; and counts what it is asked.

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
use tokio::sync::Semaphore;

/// What happens to calls of one operation.
#[derive(Clone, Debug)]
enum Trouble {
    /// So many of the next calls fail.
    Fail(usize),
    /// All calls are refused as a store that takes no writes refuses them.
    Refuse,
    /// So many of the next calls are done, and then seem to fail.
    FailAfter(usize),
    /// Calls wait until the gate has room for them.
    Gate(Arc<Semaphore>),
    /// The next call waits for the gate.
    GateOnce(Arc<Semaphore>),
}

#[derive(Debug)]
pub(crate) struct FaultyStore {
    inner: Arc<dyn SessionStore>,
    troubles: Mutex<HashMap<&'static str, Trouble>>,
    calls: Mutex<HashMap<&'static str, usize>>,
}

impl FaultyStore {
    pub(crate) fn new(inner: Arc<dyn SessionStore>) -> Self {
        Self { inner, troubles: Mutex::default(), calls: Mutex::default() }
    }

    fn trouble(&self, operation: &'static str, trouble: Trouble) {
        self.troubles.lock().unwrap().insert(operation, trouble);
    }

    pub(crate) fn fail(&self, operation: &'static str, calls: usize) {
        self.trouble(operation, Trouble::Fail(calls));
    }

    /// Calls of `operation` are refused from now on: only reads work.
    pub(crate) fn refuse(&self, operation: &'static str) {
        self.trouble(operation, Trouble::Refuse);
    }

    /// So many calls of `operation` are done and answer with an error all the same.
    pub(crate) fn fail_after(&self, operation: &'static str, calls: usize) {
        self.trouble(operation, Trouble::FailAfter(calls));
    }

    fn fails_after(&self, operation: &'static str) -> Result<(), StoreError> {
        match self.troubles.lock().unwrap().get_mut(operation) {
            Some(Trouble::FailAfter(left)) if *left > 0 => {
                *left -= 1;
                Err(StoreError::unavailable("on command", std::io::Error::other("on command")))
            }
            _ => Ok(()),
        }
    }

    /// Whether anything is under a key.
    pub(crate) async fn holds(&self, key: &str) -> bool {
        self.inner.load(&StoreKey::from_store(key.to_owned())).await.unwrap().is_some()
    }

    /// Calls of `operation` wait from now on; each permit lets one go on.
    pub(crate) fn gate(&self, operation: &'static str) -> Arc<Semaphore> {
        let gate = Arc::new(Semaphore::new(0));
        self.trouble(operation, Trouble::Gate(Arc::clone(&gate)));
        gate
    }

    /// The next call of `operation` waits for a permit; those after it do not.
    pub(crate) fn gate_once(&self, operation: &'static str) -> Arc<Semaphore> {
        let gate = Arc::new(Semaphore::new(0));
        self.trouble(operation, Trouble::GateOnce(Arc::clone(&gate)));
        gate
    }

    pub(crate) fn calls(&self, operation: &str) -> usize {
        self.calls.lock().unwrap().get(operation).copied().unwrap_or(0)
    }

    pub(crate) fn writes(&self) -> usize {
        ["create", "compare_and_set", "delete"].into_iter().map(|operation| self.calls(operation)).sum()
    }

    /// The bytes under a key, as whoever reads the store sees them.
    pub(crate) async fn peek(&self, key: &str) -> Bytes {
        let key = StoreKey::from_store(key.to_owned());
        self.inner.load(&key).await.unwrap().expect("a record").value
    }

    /// Takes a session's lease as another node, which then dies.
    pub(crate) async fn hold_lease(&self, key: &StoreKey, ttl: Duration) {
        self.inner
            .acquire_lease(key, &LeaseOwner::new("a dead node"), ttl)
            .await
            .unwrap()
            .expect("a free lease");
    }

    /// Puts bytes under a key, as another service would.
    pub(crate) async fn plant(&self, key: &str, value: &str) {
        self.plant_bytes(key, value.as_bytes().to_vec()).await;
    }

    pub(crate) async fn plant_bytes(&self, key: &str, value: Vec<u8>) {
        let key = StoreKey::from_store(key.to_owned());
        self.inner.delete(&key).await.unwrap();
        self.inner.create(&key, value.into(), Duration::from_secs(86_400)).await.unwrap();
    }

    /// Writes a record again as it is, as another node would.
    pub(crate) async fn touch(&self, key: &str) {
        let value = String::from_utf8(self.peek(key).await.to_vec()).unwrap();
        self.overwrite(key, &value).await;
    }

    /// Writes over a record, as another service would.
    pub(crate) async fn overwrite(&self, key: &str, value: &str) {
        let key = StoreKey::from_store(key.to_owned());
        let Stored { version, .. } = self.inner.load(&key).await.unwrap().expect("a record");
        self.inner.compare_and_set(&key, &version, value.to_owned().into(), Expiry::Keep).await.unwrap();
    }

    /// The trouble a call meets: an error, or a gate to wait at.
    fn meet(&self, operation: &'static str) -> Result<Option<Arc<Semaphore>>, StoreError> {
        let mut troubles = self.troubles.lock().unwrap();
        let gate = match troubles.get_mut(operation) {
            Some(Trouble::Fail(left)) if *left > 0 => {
                *left -= 1;
                return Err(StoreError::unavailable("on command", std::io::Error::other("on command")));
            }
            Some(Trouble::Refuse) => return Err(StoreError::ReadOnly { what: "on command".to_owned() }),
            Some(Trouble::Gate(gate)) => Some(Arc::clone(gate)),
            Some(Trouble::GateOnce(gate)) => {
                let gate = Arc::clone(gate);
                troubles.remove(operation);
                Some(gate)
            }
            _ => None,
        };
        Ok(gate)
    }

    async fn pass(&self, operation: &'static str) -> Result<(), StoreError> {
        *self.calls.lock().unwrap().entry(operation).or_default() += 1;
        // As a store behind I/O: others get their turn between any two calls.
        tokio::task::yield_now().await;
        let gate = self.meet(operation)?;
        if let Some(gate) = gate {
            gate.acquire().await.unwrap().forget();
        }
        Ok(())
    }
}

#[async_trait]
impl SessionStore for FaultyStore {
    fn kind(&self) -> &'static str {
        "faulty"
    }

    async fn load(&self, key: &StoreKey) -> Result<Option<Stored>, StoreError> {
        self.pass("load").await?;
        self.inner.load(key).await
    }

    async fn create(
        &self,
        key: &StoreKey,
        value: Bytes,
        ttl: Duration,
    ) -> Result<Option<Version>, StoreError> {
        self.pass("create").await?;
        let created = self.inner.create(key, value, ttl).await?;
        self.fails_after("create")?;
        Ok(created)
    }

    async fn compare_and_set(
        &self,
        key: &StoreKey,
        expected: &Version,
        value: Bytes,
        expiry: Expiry,
    ) -> Result<CasOutcome, StoreError> {
        self.pass("compare_and_set").await?;
        self.inner.compare_and_set(key, expected, value, expiry).await
    }

    async fn delete(&self, key: &StoreKey) -> Result<bool, StoreError> {
        self.pass("delete").await?;
        self.inner.delete(key).await
    }

    async fn index_add(&self, names: &[IndexKey], key: &StoreKey, ttl: Duration) -> Result<(), StoreError> {
        self.pass("index_add").await?;
        self.inner.index_add(names, key, ttl).await
    }

    async fn index_remove(&self, names: &[IndexKey], key: &StoreKey) -> Result<(), StoreError> {
        self.pass("index_remove").await?;
        self.inner.index_remove(names, key).await
    }

    async fn index_lookup(&self, index: &IndexKey, limit: usize) -> Result<Vec<IndexEntry>, StoreError> {
        self.pass("index_lookup").await?;
        self.inner.index_lookup(index, limit).await
    }

    async fn acquire_lease(
        &self,
        key: &StoreKey,
        owner: &LeaseOwner,
        ttl: Duration,
    ) -> Result<Option<Fence>, StoreError> {
        self.pass("acquire_lease").await?;
        self.inner.acquire_lease(key, owner, ttl).await
    }

    async fn extend_lease(
        &self,
        key: &StoreKey,
        owner: &LeaseOwner,
        ttl: Duration,
    ) -> Result<bool, StoreError> {
        self.pass("extend_lease").await?;
        self.inner.extend_lease(key, owner, ttl).await
    }

    async fn release_lease(&self, key: &StoreKey, owner: &LeaseOwner) -> Result<bool, StoreError> {
        self.pass("release_lease").await?;
        self.inner.release_lease(key, owner).await
    }

    async fn put_once(&self, mark: &MarkKey, value: Bytes, ttl: Duration) -> Result<PutOnce, StoreError> {
        self.pass("put_once").await?;
        self.inner.put_once(mark, value, ttl).await
    }

    async fn replace_once(&self, mark: &MarkKey, expected: &Bytes, value: Bytes) -> Result<bool, StoreError> {
        self.pass("replace_once").await?;
        self.inner.replace_once(mark, expected, value).await
    }

    async fn load_once(&self, mark: &MarkKey) -> Result<Option<Bytes>, StoreError> {
        self.pass("load_once").await?;
        self.inner.load_once(mark).await
    }

    async fn sweep_expired(&self, limit: usize) -> Result<u64, StoreError> {
        self.pass("sweep_expired").await?;
        self.inner.sweep_expired(limit).await
    }

    async fn scan(&self, prefix: &str, cursor: Option<Cursor>, limit: usize) -> Result<Page, StoreError> {
        self.pass("scan").await?;
        self.inner.scan(prefix, cursor, limit).await
    }

    async fn count_hint(&self, prefix: &str) -> Result<Option<u64>, StoreError> {
        self.pass("count_hint").await?;
        self.inner.count_hint(prefix).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.pass("ping").await?;
        self.inner.ping().await
    }
}
