//! Sessions that were to end while the store was down. This process takes them for ended at once; for all others they end
//! when the store is back.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;

use crate::msal::Msal;
use crate::session_id::StoreKey;
use crate::telemetry;

/// Most sessions that wait for their end.
const CAPACITY: usize = 10_000;
/// First and longest pause between attempts. One session is tried; where it ends, the others follow.
const PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));
/// Sessions ended at a time once the store is back.
const AT_A_TIME: usize = 16;
/// A session is not tried for longer: by then most have ended by themselves, unused.
const LONGEST: i64 = 24 * 3600;

/// The sessions of one process that wait for their end.
#[derive(Debug, Default)]
pub(crate) struct Endings {
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    sessions: HashMap<StoreKey, Ending>,
    /// A task tries them.
    tried: bool,
}

#[derive(Clone, Copy, Debug)]
struct Ending {
    cause: &'static str,
    until: i64,
}

impl Endings {
    /// Whether a session counts as ended here though the store may still have it.
    pub(crate) fn contains(&self, key: &StoreKey) -> bool {
        self.lock().sessions.contains_key(key)
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds sessions; whether a task has to be started that tries them.
    fn add(&self, keys: &[StoreKey], ending: Ending) -> bool {
        let mut waiting = self.lock();
        for key in keys {
            if waiting.sessions.len() >= CAPACITY {
                telemetry::count(telemetry::ENDINGS_LATER, "outcome", "no_room");
                tracing::error!(target: telemetry::TARGET, session = %key.handle(), "no room: a session is not ended");
            } else if waiting.sessions.insert(key.clone(), ending).is_none() {
                telemetry::count(telemetry::ENDINGS_LATER, "outcome", "waiting");
            }
        }
        let start = !waiting.tried && !waiting.sessions.is_empty();
        waiting.tried |= start;
        start
    }

    fn remove(&self, key: &StoreKey, outcome: &'static str) {
        if self.lock().sessions.remove(key).is_some() {
            telemetry::count(telemetry::ENDINGS_LATER, "outcome", outcome);
        }
    }

    /// Those that are still worth an attempt. The others are given up, and where none is left the task ends.
    fn due(&self, now: i64) -> Vec<(StoreKey, Ending)> {
        let mut waiting = self.lock();
        let before = waiting.sessions.len();
        waiting.sessions.retain(|_, ending| ending.until > now);
        let given_up = before - waiting.sessions.len();
        waiting.tried = !waiting.sessions.is_empty();
        let due = waiting.sessions.iter().map(|(key, ending)| (key.clone(), *ending)).collect();
        drop(waiting);
        gave_up(given_up);
        due
    }
}

impl Msal {
    /// Ends sessions that the store would not end now: here at once, for all when it is back.
    pub(crate) fn end_later(&self, keys: &[StoreKey], cause: &'static str) {
        let idle = i64::try_from(self.settings().session_idle().as_secs()).unwrap_or(LONGEST);
        let until = self.clock().now().saturating_add(idle.min(LONGEST));
        if self.endings().add(keys, Ending { cause, until }) {
            let msal = self.clone();
            self.background().spawn(async move { msal.end_waiting().await });
        }
    }

    async fn end_waiting(&self) {
        let mut pause = PAUSES.0;
        loop {
            let goes_on = self.background().pause(pause).await;
            let mut due = self.endings().due(self.clock().now()).into_iter();
            let Some(first) = due.next() else { return };
            // One tells whether the store is back. A process that stops tries once more, and no longer.
            if self.try_to_end(first).await {
                stream::iter(due).map(|one| self.try_to_end(one)).buffer_unordered(AT_A_TIME).count().await;
                pause = PAUSES.0;
            } else {
                pause = (pause * 2).min(PAUSES.1);
            }
            if !goes_on {
                self.endings().due(i64::MAX);
                return;
            }
        }
    }

    async fn try_to_end(&self, (key, ending): (StoreKey, Ending)) -> bool {
        let ended = self.end_record(&key, ending.cause).await.is_ok();
        if ended {
            self.endings().remove(&key, "ended");
        }
        ended
    }
}

fn gave_up(sessions: usize) {
    if sessions > 0 {
        metrics::counter!(telemetry::ENDINGS_LATER, "outcome" => "given_up").increment(sessions as u64);
        tracing::error!(target: telemetry::TARGET, sessions, "sessions were not ended: the store did not come back in time");
    }
}
