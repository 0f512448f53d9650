//! The one wrapper around every store call: time limit, counters, and what the call showed of the store's health.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_msal::{Clock, ComponentHealth};
use futures_util::FutureExt as _;

use super::episodes::{Episodes, Moment, Shown};
use super::together::{Together, Way};
use super::{SessionStore, StoreError, Stored};
use crate::session_id::StoreKey;
use crate::telemetry;

/// What is asked of the store, for counters and errors.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Operation {
    Load,
    Create,
    CompareAndSet,
    Delete,
    IndexAdd,
    IndexRemove,
    IndexLookup,
    AcquireLease,
    ExtendLease,
    ReleaseLease,
    PutOnce,
    ReplaceOnce,
    LoadOnce,
    Sweep,
    Scan,
    Ping,
}

impl Operation {
    fn name(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::Create => "create",
            Self::CompareAndSet => "compare_and_set",
            Self::Delete => "delete",
            Self::IndexAdd => "index_add",
            Self::IndexRemove => "index_remove",
            Self::IndexLookup => "index_lookup",
            Self::AcquireLease => "acquire_lease",
            Self::ExtendLease => "extend_lease",
            Self::ReleaseLease => "release_lease",
            Self::PutOnce => "put_once",
            Self::ReplaceOnce => "replace_once",
            Self::LoadOnce => "load_once",
            Self::Sweep => "sweep_expired",
            Self::Scan => "scan",
            Self::Ping => "ping",
        }
    }

    /// Whether having done it shows that the store takes new bytes. Deleting works in a full one, and whoever finds a
    /// lease taken or a mark left has written nothing.
    fn shows_room(self) -> bool {
        matches!(self, Self::Create | Self::CompareAndSet | Self::IndexAdd | Self::PutOnce)
    }
}

/// A store with its time limit and its health. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct StoreGuard {
    inner: Arc<dyn SessionStore>,
    limit: Duration,
    clock: Arc<dyn Clock>,
    episodes: Arc<Episodes>,
    reads: Together,
}

impl StoreGuard {
    pub(crate) fn new(inner: Arc<dyn SessionStore>, limit: Duration, clock: Arc<dyn Clock>) -> Self {
        let episodes = Arc::new(Episodes::new(inner.kind(), clock.now()));
        // Twenty reads of one record at a time, at most.
        let reads = Together::new(limit / 20);
        Self { inner, limit, clock, episodes, reads }
    }

    /// Runs one call under the time limit: `guard.run(Operation::Load, |s| s.load(&key))`.
    ///
    /// Cancel safety: as the store's own call; the guard itself keeps nothing that a drop could leave half done.
    pub(crate) async fn run<'a, T, F>(
        &'a self,
        operation: Operation,
        call: impl FnOnce(&'a dyn SessionStore) -> F,
    ) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        let name = operation.name();
        let started = Instant::now();
        let result = tokio::time::timeout(self.limit, call(&*self.inner))
            .await
            .unwrap_or(Err(StoreError::Timeout { operation: name, limit: self.limit }));
        let outcome = match &result {
            Ok(_) => "ok",
            Err(StoreError::Timeout { .. }) => "timeout",
            Err(_) => "failed",
        };
        telemetry::store_call(self.inner.kind(), name, outcome, started.elapsed());
        let now = Moment { unix: self.clock.now(), at: Instant::now() };
        let shown = match &result {
            Ok(_) => Shown::Done { room: operation.shows_room() },
            Err(error) => Shown::Failed(error),
        };
        self.episodes.note(now, shown);
        result
    }

    /// A request's first look at a record. Many at once make few reads: hundreds of their own would wait for each other in
    /// the store's connections until their time is up.
    pub(crate) async fn look(&self, key: &StoreKey) -> Result<Option<Stored>, StoreError> {
        let way = self.reads.join(key, || {
            let (guard, key) = (self.clone(), key.clone());
            async move { guard.run(Operation::Load, |store| store.load_cached(&key)).await }.boxed()
        });
        match way {
            Way::Alone(_turn) => self.run(Operation::Load, |store| store.load_cached(key)).await,
            Way::Shared(place) => {
                // The read has its own limit, and begins by then.
                let late = StoreError::Timeout { operation: Operation::Load.name(), limit: self.limit };
                let limit = self.limit + 2 * self.reads.patience();
                tokio::time::timeout(limit, place.answer()).await.unwrap_or(Err(late))
            }
        }
    }

    /// Up, down or not asked yet; since when, and why.
    pub(crate) fn health(&self) -> ComponentHealth {
        self.episodes.health(Instant::now())
    }
}
