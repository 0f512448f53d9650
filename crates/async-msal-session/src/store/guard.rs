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
    episodes: Arc<Mutex<Episodes>>,
}

/// The present stretch of being up or down, kept apart for the store as a whole and for its taking of writes: a replica
/// that serves reads is up, and does not come and go with every call.
#[derive(Debug)]
struct Episodes {
    store: Episode,
    writes: Episode,
}

#[derive(Clone, Debug)]
struct Episode {
    status: Status,
    since: i64,
    reason: Option<String>,
}

impl Episode {
    /// Goes over to another status; `None` where it is the same, else the former one.
    fn turn(&mut self, status: Status, now: i64, reason: Option<&StoreError>) -> Option<Status> {
        if self.status == status {
            // It refused connections at first and is loading by now: the present cause is told.
            self.reason = reason.map(ToString::to_string);
            return None;
        }
        let was = self.status;
        *self = Self { status, since: now, reason: reason.map(ToString::to_string) };
        Some(was)
    }
}

impl StoreGuard {
    pub(crate) fn new(inner: Arc<dyn SessionStore>, limit: Duration, clock: Arc<dyn Clock>) -> Self {
        let unknown = Episode { status: Status::Unknown, since: clock.now(), reason: None };
        let episodes = Episodes { store: unknown.clone(), writes: unknown };
        Self { inner, limit, clock, episodes: Arc::new(Mutex::new(episodes)) }
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
        self.note(operation, result.as_ref().err());
        result
    }

    /// Up, down or not asked yet; since when, and why. A store that reads and refuses to write is up, since it began to
    /// refuse, with the reason.
    pub(crate) fn health(&self) -> ComponentHealth {
        let episodes = self.episodes.lock().unwrap_or_else(PoisonError::into_inner);
        let refuses = episodes.store.status == Status::Up && episodes.writes.status == Status::Down;
        let Episode { since, reason, .. } = if refuses { &episodes.writes } else { &episodes.store };
        let mut health = ComponentHealth::default();
        (health.status, health.since, health.reason) = (episodes.store.status, *since, reason.clone());
        health
    }

    /// Keeps the episodes and says a change of one once.
    fn note(&self, operation: Operation, error: Option<&StoreError>) {
        let (now, kind) = (self.clock.now(), self.inner.kind());
        let mut episodes = self.episodes.lock().unwrap_or_else(PoisonError::into_inner);
        let refused = error.filter(|error| error.reads_go_on());
        let down = error.filter(|error| !error.reads_go_on());
        let status = if down.is_some() { Status::Down } else { Status::Up };
        let store = episodes.store.turn(status, now, down);
        if store == Some(Status::Down) {
            // Another server may answer now: whether it takes writes is to be seen.
            episodes.writes = Episode { status: Status::Unknown, since: now, reason: None };
        }
        let writes = match refused {
            Some(_) => episodes.writes.turn(Status::Down, now, refused),
            None if error.is_none() && operation.shows_room() => episodes.writes.turn(Status::Up, now, None),
            None => None,
        };
        drop(episodes);
        if store.is_some() {
            match down {
                Some(error) => {
                    tracing::error!(target: telemetry::STORE, store = kind, %error, "session store is down");
                }
                None if store == Some(Status::Down) => {
                    tracing::info!(target: telemetry::STORE, store = kind, "session store is up again");
                }
                None => {}
            }
        }
        match (writes, refused) {
            (Some(_), Some(error)) => {
                tracing::error!(target: telemetry::STORE, store = kind, %error, "session store refuses writes");
            }
            (Some(Status::Down), None) => {
                tracing::info!(target: telemetry::STORE, store = kind, "session store takes writes again");
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use async_msal::ManualClock;

    use super::*;
    use crate::store::MemoryStore;

    fn guard() -> (StoreGuard, ManualClock) {
        let clock = ManualClock::new(100);
        let store = Arc::new(MemoryStore::new());
        (StoreGuard::new(store, Duration::from_millis(500), Arc::new(clock.clone())), clock)
    }

    #[test]
    fn a_store_that_refuses_writes_stays_up_and_says_so_until_one_is_taken() {
        let (guard, clock) = guard();
        let refused = StoreError::ReadOnly { what: "full".to_owned() };
        guard.note(Operation::Load, None);
        clock.advance(1);
        guard.note(Operation::Create, Some(&refused));
        for operation in [Operation::Load, Operation::Delete, Operation::AcquireLease] {
            clock.advance(1);
            guard.note(operation, None);
            let health = guard.health();
            assert_eq!((health.status, health.since), (Status::Up, 101));
            assert!(health.reason.is_some_and(|reason| reason.contains("full")));
        }
        guard.note(Operation::CompareAndSet, None);
        assert_eq!((guard.health().status, guard.health().reason), (Status::Up, None));
    }

    #[test]
    fn a_store_that_comes_back_is_not_said_to_refuse_what_its_predecessor_did() {
        let (guard, clock) = guard();
        guard.note(Operation::Create, Some(&StoreError::ReadOnly { what: "replica".to_owned() }));
        clock.advance(1);
        guard.note(Operation::Load, Some(&StoreError::Unavailable { what: "gone".to_owned(), source: None }));
        assert_eq!((guard.health().status, guard.health().since), (Status::Down, 101));
        guard.note(Operation::Load, None);
        assert_eq!((guard.health().status, guard.health().reason), (Status::Up, None));
    }
}
