//! Where session records are kept.
//!
//! A store keeps opaque bytes under keys. It knows neither tokens nor users: records come to it sealed (or plain, in
//! layout aiohttp), and the keys of its index are hashes. What it must give is in [`SessionStore`]; the rules are
//! proved for every store by one suite, [`contract`].

#[cfg(any(feature = "postgres", feature = "redis"))]
mod certificate;
pub mod contract;
mod episodes;
mod guard;
mod memory;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "redis")]
mod redis;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod sql;
#[cfg(feature = "sqlite")]
mod sqlite;
mod together;
mod types;

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::session_id::StoreKey;

pub(crate) use self::guard::{Operation, StoreGuard};
pub use self::memory::MemoryStore;
#[cfg(feature = "postgres")]
pub use self::postgres::PostgresStore;
#[cfg(feature = "redis")]
pub use self::redis::{RedisOptions, RedisStore};
#[cfg(feature = "sqlite")]
pub use self::sqlite::SqliteStore;
pub use self::types::{
    CasOutcome, Cursor, Expiry, Fence, IndexEntry, IndexKey, LeaseOwner, MarkKey, Page, PutOnce, StoreError,
    Stored, Version,
};

/// What a store of session records must do.
///
/// Every method is one atomic step; nothing is assumed to hold between two of them. A method may be dropped at any
/// await point: the step then either happened or did not. The library puts `STORE_TIMEOUT` around every call, so an
/// implementation needs no deadline of its own, and it must not retry longer than a caller would wait.
///
/// Times to live are seconds, rounded up. What has expired is as if it were not there, whether or not it has been swept.
#[async_trait]
pub trait SessionStore: std::fmt::Debug + Send + Sync + 'static {
    /// A short name for logs, metrics and health: `memory`, `sqlite`, `redis`.
    fn kind(&self) -> &'static str;

    /// Reads a record.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be asked. An absent record is `Ok(None)`.
    async fn load(&self, key: &StoreKey) -> Result<Option<Stored>, StoreError>;

    /// Reads a record where a copy kept in this process is good enough: one that the store itself declares void within
    /// milliseconds of a change. A store without such copies reads.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    async fn load_cached(&self, key: &StoreKey) -> Result<Option<Stored>, StoreError> {
        self.load(key).await
    }

    /// Whether [`load_cached`](Self::load_cached) may answer from such copies.
    fn keeps_copies(&self) -> bool {
        false
    }

    /// Reads many records in as few round trips as the store can, in the order of `keys`.
    ///
    /// # Errors
    /// As [`load`](Self::load): one that cannot be asked for fails all.
    async fn load_many(&self, keys: &[StoreKey]) -> Result<Vec<Option<Stored>>, StoreError> {
        futures_util::future::try_join_all(keys.iter().map(|key| self.load(key))).await
    }

    /// Writes a record that must not exist yet. `None` when one exists: it is left as it is.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be asked.
    async fn create(
        &self,
        key: &StoreKey,
        value: Bytes,
        ttl: Duration,
    ) -> Result<Option<Version>, StoreError>;

    /// Replaces a record if it still has the version `expected`. Never creates one.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be asked.
    async fn compare_and_set(
        &self,
        key: &StoreKey,
        expected: &Version,
        value: Bytes,
        expiry: Expiry,
    ) -> Result<CasOutcome, StoreError>;

    /// Deletes a record; `true` when there was one.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be asked.
    async fn delete(&self, key: &StoreKey) -> Result<bool, StoreError>;

    /// Adds `key` to each of `names`. Adding it again renews its time to live and keeps the time it was first added. Each name
    /// is one atomic step.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be asked; it may be under some of the names by then.
    async fn index_add(&self, names: &[IndexKey], key: &StoreKey, ttl: Duration) -> Result<(), StoreError>;

    /// Takes `key` out of each of `names`.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be asked; it may be out of some by then.
    async fn index_remove(&self, names: &[IndexKey], key: &StoreKey) -> Result<(), StoreError>;

    /// At most `limit` entries of what `index` names, newest first. Records named here may be gone already.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be asked.
    async fn index_lookup(&self, index: &IndexKey, limit: usize) -> Result<Vec<IndexEntry>, StoreError>;

    /// Takes the lease of `key` for `owner` unless another owner holds it. The fence grows with every taking.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be asked.
    async fn acquire_lease(
        &self,
        key: &StoreKey,
        owner: &LeaseOwner,
        ttl: Duration,
    ) -> Result<Option<Fence>, StoreError>;

    /// Gives the lease another `ttl` from now; `false` when `owner` does not hold it any more.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be asked.
    async fn extend_lease(
        &self,
        key: &StoreKey,
        owner: &LeaseOwner,
        ttl: Duration,
    ) -> Result<bool, StoreError>;

    /// Ends the lease; `false` when `owner` does not hold it any more. Nobody else's lease is ever ended.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be asked.
    async fn release_lease(&self, key: &StoreKey, owner: &LeaseOwner) -> Result<bool, StoreError>;

    /// Leaves a mark that can be left once in its life.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be asked.
    async fn put_once(&self, mark: &MarkKey, value: Bytes, ttl: Duration) -> Result<PutOnce, StoreError>;

    /// Replaces the value under a mark if it still is `expected`; its time to live stays. `false` otherwise.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be asked.
    async fn replace_once(&self, mark: &MarkKey, expected: &Bytes, value: Bytes) -> Result<bool, StoreError>;

    /// Reads the value under a mark.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be asked.
    async fn load_once(&self, mark: &MarkKey) -> Result<Option<Bytes>, StoreError>;

    /// Removes at most `limit` expired things of each kind; returns how many. Stores that expire by themselves return 0.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be asked.
    async fn sweep_expired(&self, limit: usize) -> Result<u64, StoreError>;

    /// One page of the records whose keys are `prefix` and hexadecimal digits, in no order that matters; a record that stays
    /// during the whole scan is met at least once. `limit` is what a page should hold, about.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be asked.
    async fn scan(&self, prefix: &str, cursor: Option<Cursor>, limit: usize) -> Result<Page, StoreError>;

    /// About how many records of `prefix` the store holds, for a progress bar; `None` where that would take a walk through all
    /// of them.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be asked.
    async fn count_hint(&self, prefix: &str) -> Result<Option<u64>, StoreError> {
        let _ = prefix;
        Ok(None)
    }

    /// Asks whether the store is there, by the cheapest question it has.
    ///
    /// # Errors
    /// [`StoreError`] when it is not.
    async fn ping(&self) -> Result<(), StoreError>;
}
