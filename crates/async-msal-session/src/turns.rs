//! Turns of writers that met a conflict: one at a time per session in this process, with pauses that grow towards the
//! writers of other processes.
//!
//! These are not the locks of renewals. A renewal holds its own while it waits for the authority, and saves take none of
//! them; a turn is held over store calls alone.

use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::error::Error;
use crate::msal::Msal;
use crate::session_id::StoreKey;
use crate::store::StoreError;
use crate::telemetry;

/// Most sessions with a turn.
const CAPACITY: u64 = 20_000;
/// A turn nobody took for so long is forgotten.
const IDLE: Duration = Duration::from_secs(120);
/// Longest wait for a turn; whoever had none by then goes on with pauses alone.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// Rounds of compare-and-set before a writer gives up. Each lost round means that somebody else's save went through.
const MAX_CONFLICTS: u32 = 32;
/// First and longest pause between rounds; by chance it is up to half shorter.
const PAUSES: (Duration, Duration) = (Duration::from_millis(4), Duration::from_millis(250));

/// The turns of one process.
#[derive(Debug)]
pub(crate) struct Turns {
    locks: Cache<StoreKey, Arc<Mutex<()>>>,
}

impl Turns {
    pub(crate) fn new() -> Self {
        Self { locks: Cache::builder().max_capacity(CAPACITY).time_to_idle(IDLE).build() }
    }

    async fn take(&self, key: &StoreKey) -> Option<OwnedMutexGuard<()>> {
        let lock = self.locks.get_with_by_ref(key, async { Arc::default() }).await;
        tokio::time::timeout(LONGEST_WAIT, lock.lock_owned()).await.ok()
    }
}

/// The rounds of one writer.
pub(crate) struct Rounds<'a> {
    msal: &'a Msal,
    key: &'a StoreKey,
    lost: u32,
    turn: Option<OwnedMutexGuard<()>>,
}

impl<'a> Rounds<'a> {
    pub(crate) fn new(msal: &'a Msal, key: &'a StoreKey) -> Self {
        Self { msal, key, lost: 0, turn: None }
    }

    /// After a lost round: waits for the turn, or for a while, before the record is read again.
    pub(crate) async fn lost(&mut self) -> Result<(), Error> {
        telemetry::count_one(telemetry::CONFLICTS);
        self.lost += 1;
        if self.lost >= MAX_CONFLICTS {
            let what = "the record changed with every attempt to save it".to_owned();
            return Err(StoreError::Unavailable { what, source: None }.into());
        }
        if self.lost == 1 {
            self.turn = self.msal.turns().take(self.key).await;
        }
        if self.lost > 1 || self.turn.is_none() {
            tokio::time::sleep(self.pause()).await;
        }
        Ok(())
    }

    fn pause(&self) -> Duration {
        let longest = PAUSES.0.saturating_mul(1 << self.lost.min(16)).min(PAUSES.1);
        let mut byte = [0_u8];
        // Without randomness the pauses are whole ones.
        let spared = match self.msal.client().random().fill(&mut byte) {
            Ok(()) => f64::from(byte[0]) / 512.0,
            Err(_) => 0.0,
        };
        longest.mul_f64(1.0 - spared)
    }
}
