//! The store's lease of one session, held while a token request runs; and of other work that one node does for all.

use std::future::Future;
use std::time::{Duration, Instant};

use async_msal::RandomError;

use crate::error::Error;
use crate::msal::Msal;
use crate::session_id::{StoreKey, hex};
use crate::store::{LeaseOwner, Operation, StoreError};
use crate::telemetry;

/// Life of a lease: longer than a token request may take, so that a slow authority never makes a second renewal.
const LIFE: Duration = Duration::from_secs(15);
/// The lease is extended so often while the request runs.
const EXTEND_EVERY: Duration = Duration::from_secs(5);
/// Longest wait for somebody else's lease: one life and a little, since a dead holder's lease ends by itself.
const MAX_WAIT: Duration = Duration::from_secs(25);
/// First and longest pause between two looks at the lease.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(250));

/// A lease that is ours.
#[derive(Debug)]
pub(crate) struct Lease {
    key: StoreKey,
    owner: LeaseOwner,
}

impl Lease {
    /// Tries to take the lease; `None` while another holds it.
    pub(crate) async fn take(msal: &Msal, key: &StoreKey) -> Result<Option<Self>, StoreError> {
        let mut bytes = [0_u8; 16];
        let random: Result<(), RandomError> = msal.client().random().fill(&mut bytes);
        random.map_err(|error| StoreError::unavailable("randomness for the lease", error))?;
        let owner = LeaseOwner::new(hex(&bytes));
        let taken =
            msal.store().run(Operation::AcquireLease, |store| store.acquire_lease(key, &owner, LIFE)).await?;
        Ok(taken.map(|fence| {
            tracing::debug!(target: telemetry::TARGET, fence = fence.number(), "renewal lease taken");
            Self { key: key.clone(), owner }
        }))
    }

    /// Gives it back. Should that fail, it ends by itself.
    pub(crate) async fn release(self, msal: &Msal) {
        let Self { key, owner } = &self;
        let released =
            msal.store().run(Operation::ReleaseLease, |store| store.release_lease(key, owner)).await;
        if !matches!(released, Ok(true)) {
            tracing::debug!(target: telemetry::TARGET, "renewal lease was not released and ends by itself");
        }
    }
}

/// Whether the lease is held still, for a whole life from now. Without one there is nothing to lose.
pub(super) async fn is_ours(msal: &Msal, lease: Option<&Lease>) -> Result<bool, StoreError> {
    let Some(Lease { key, owner }) = lease else { return Ok(true) };
    msal.store().run(Operation::ExtendLease, |store| store.extend_lease(key, owner, LIFE)).await
}

/// The lease was lost each time before the request was sent.
pub(super) fn lost_again() -> Error {
    let what = "the renewal lease was lost again and again".to_owned();
    StoreError::Unavailable { what, source: None }.into()
}

/// Runs `work` and extends the lease meanwhile. A lease that was lost stops nothing: the save compares and merges.
pub(crate) async fn keep<T>(msal: &Msal, lease: Option<&Lease>, work: impl Future<Output = T>) -> T {
    tokio::pin!(work);
    let Some(Lease { key, owner }) = lease else { return work.await };
    loop {
        match tokio::time::timeout(EXTEND_EVERY, &mut work).await {
            Ok(done) => return done,
            Err(_) => {
                let extending =
                    msal.store().run(Operation::ExtendLease, |store| store.extend_lease(key, owner, LIFE));
                tokio::select! {
                    biased;
                    done = &mut work => return done,
                    _ = extending => {}
                }
            }
        }
    }
}

/// Pauses between looks at somebody else's lease, growing and bounded.
pub(super) struct Waiting {
    since: Instant,
    pause: Duration,
}

impl Waiting {
    pub(super) fn new() -> Self {
        Self { since: Instant::now(), pause: PAUSES.0 }
    }

    pub(super) async fn pause(&mut self) -> Result<(), Error> {
        if self.since.elapsed() > MAX_WAIT {
            let what = "another node holds the renewal lease for too long".to_owned();
            return Err(StoreError::Unavailable { what, source: None }.into());
        }
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(PAUSES.1);
        Ok(())
    }
}
