//! A store around another that counts what is asked of it, and fails on request.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_msal_axum::async_msal_session::StoreKey;
use async_msal_axum::async_msal_session::store::{
    CasOutcome, Cursor, Expiry, Fence, IndexEntry, IndexKey, LeaseOwner, MarkKey, Page, PutOnce,
    SessionStore, StoreError, Stored, Version,
};
use async_trait::async_trait;
use bytes::Bytes;

#[derive(Debug)]
pub(crate) struct WatchedStore {
    inner: Arc<dyn SessionStore>,
    down: AtomicBool,
    read_only: AtomicBool,
    hangs: AtomicBool,
    loads: AtomicU64,
    writes: AtomicU64,
    marks: AtomicU64,
}

type Answer<T> = Result<T, StoreError>;

impl WatchedStore {
    pub(crate) fn new(inner: Arc<dyn SessionStore>) -> Self {
        let zero = AtomicU64::default;
        Self {
            inner,
            down: AtomicBool::new(false),
            read_only: AtomicBool::new(false),
            hangs: AtomicBool::new(false),
            loads: zero(),
            writes: zero(),
            marks: zero(),
        }
    }

    pub(crate) fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }

    /// Records can be read and not written.
    pub(crate) fn fail_writes(&self, fail: bool) {
        self.read_only.store(fail, Ordering::SeqCst);
    }

    /// Whose sessions there are is asked in vain from now on.
    pub(crate) fn hang_look_ups(&self) {
        self.hangs.store(true, Ordering::SeqCst);
    }

    /// Reads of records so far.
    pub(crate) fn loads(&self) -> u64 {
        self.loads.load(Ordering::SeqCst)
    }

    /// Writes of records so far, deletions included; marks of used states aside.
    pub(crate) fn writes(&self) -> u64 {
        self.writes.load(Ordering::SeqCst)
    }

    /// States marked as used so far.
    pub(crate) fn marks(&self) -> u64 {
        self.marks.load(Ordering::SeqCst)
    }

    pub(crate) async fn records(&self) -> usize {
        self.inner.scan("", None, 1_000).await.expect("the store answers").records.len()
    }

    fn check_write(&self) -> Answer<()> {
        if self.read_only.load(Ordering::SeqCst) {
            return Err(StoreError::unavailable("made read-only by the test", "read only"));
        }
        self.check(Some(&self.writes))
    }

    fn check(&self, counter: Option<&AtomicU64>) -> Answer<()> {
        if self.down.load(Ordering::SeqCst) {
            return Err(StoreError::unavailable("switched off by the test", "down"));
        }
        if let Some(counter) = counter {
            counter.fetch_add(1, Ordering::SeqCst);
        }
        Ok(())
    }
}

#[async_trait]
impl SessionStore for WatchedStore {
    fn kind(&self) -> &'static str {
        "watched"
    }

    async fn load(&self, key: &StoreKey) -> Answer<Option<Stored>> {
        self.check(Some(&self.loads))?;
        self.inner.load(key).await
    }

    async fn create(&self, key: &StoreKey, value: Bytes, ttl: Duration) -> Answer<Option<Version>> {
        self.check_write()?;
        self.inner.create(key, value, ttl).await
    }

    async fn compare_and_set(
        &self,
        key: &StoreKey,
        expected: &Version,
        value: Bytes,
        expiry: Expiry,
    ) -> Answer<CasOutcome> {
        self.check_write()?;
        self.inner.compare_and_set(key, expected, value, expiry).await
    }

    async fn delete(&self, key: &StoreKey) -> Answer<bool> {
        self.check_write()?;
        self.inner.delete(key).await
    }

    async fn index_add(&self, names: &[IndexKey], key: &StoreKey, ttl: Duration) -> Answer<()> {
        self.check(None)?;
        self.inner.index_add(names, key, ttl).await
    }

    async fn index_remove(&self, names: &[IndexKey], key: &StoreKey) -> Answer<()> {
        self.check(None)?;
        self.inner.index_remove(names, key).await
    }

    async fn index_lookup(&self, index: &IndexKey, limit: usize) -> Answer<Vec<IndexEntry>> {
        self.check(None)?;
        if self.hangs.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        self.inner.index_lookup(index, limit).await
    }

    async fn acquire_lease(
        &self,
        key: &StoreKey,
        owner: &LeaseOwner,
        ttl: Duration,
    ) -> Answer<Option<Fence>> {
        self.check(None)?;
        self.inner.acquire_lease(key, owner, ttl).await
    }

    async fn extend_lease(&self, key: &StoreKey, owner: &LeaseOwner, ttl: Duration) -> Answer<bool> {
        self.check(None)?;
        self.inner.extend_lease(key, owner, ttl).await
    }

    async fn release_lease(&self, key: &StoreKey, owner: &LeaseOwner) -> Answer<bool> {
        self.check(None)?;
        self.inner.release_lease(key, owner).await
    }

    async fn put_once(&self, mark: &MarkKey, value: Bytes, ttl: Duration) -> Answer<PutOnce> {
        self.check(Some(&self.marks))?;
        self.inner.put_once(mark, value, ttl).await
    }

    async fn replace_once(&self, mark: &MarkKey, expected: &Bytes, value: Bytes) -> Answer<bool> {
        self.check(None)?;
        self.inner.replace_once(mark, expected, value).await
    }

    async fn load_once(&self, mark: &MarkKey) -> Answer<Option<Bytes>> {
        self.check(None)?;
        self.inner.load_once(mark).await
    }

    async fn sweep_expired(&self, limit: usize) -> Answer<u64> {
        self.inner.sweep_expired(limit).await
    }

    async fn scan(&self, prefix: &str, cursor: Option<Cursor>, limit: usize) -> Answer<Page> {
        self.check(None)?;
        self.inner.scan(prefix, cursor, limit).await
    }

    async fn ping(&self) -> Answer<()> {
        self.check(None)?;
        self.inner.ping().await
    }
}
