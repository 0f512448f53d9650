//! The one wrapper around every store call: time limit, counters, and the story of up and down.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_msal::{Clock, ComponentHealth, Status};

use super::{SessionStore, StoreError};
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
}

/// A store with its time limit and its health. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct StoreGuard {
    inner: Arc<dyn SessionStore>,
    limit: Duration,
    clock: Arc<dyn Clock>,
    episode: Arc<Mutex<Episode>>,
}

/// The present stretch of being up or down.
#[derive(Clone, Debug)]
struct Episode {
    status: Status,
    since: i64,
    reason: Option<String>,
}

impl StoreGuard {
    pub(crate) fn new(inner: Arc<dyn SessionStore>, limit: Duration, clock: Arc<dyn Clock>) -> Self {
        let episode = Episode { status: Status::Unknown, since: clock.now(), reason: None };
        Self { inner, limit, clock, episode: Arc::new(Mutex::new(episode)) }
    }

    /// As the store says of itself.
    pub(crate) fn keeps_copies(&self) -> bool {
        self.inner.keeps_copies()
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
        self.note(result.as_ref().err());
        result
    }

    /// Up, down or not asked yet; since when, and why.
    pub(crate) fn health(&self) -> ComponentHealth {
        let episode = self.episode.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut health = ComponentHealth::default();
        (health.status, health.since, health.reason) = (episode.status, episode.since, episode.reason);
        health
    }

    /// Keeps the episode and says a change of it once.
    fn note(&self, error: Option<&StoreError>) {
        let status = if error.is_some() { Status::Down } else { Status::Up };
        let mut episode = self.episode.lock().unwrap_or_else(PoisonError::into_inner);
        if episode.status == status {
            return;
        }
        let was = episode.status;
        *episode = Episode { status, since: self.clock.now(), reason: error.map(ToString::to_string) };
        drop(episode);
        match error {
            Some(error) => {
                tracing::error!(target: telemetry::TARGET, store = self.inner.kind(), %error, "session store is down");
            }
            None if was == Status::Down => {
                tracing::info!(target: telemetry::TARGET, store = self.inner.kind(), "session store is up again");
            }
            None => {}
        }
    }
}
