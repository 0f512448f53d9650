//! The story of a store's up and down, told once: where an outage begins and where it ends.
//!
//! A store can fail in part: one master of a Cluster hangs, and every third call with it. That is one outage, and not a
//! new one with every call; it is over when no call has failed for a while.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_msal::{ComponentHealth, Status};

use super::StoreError;
use crate::telemetry;

/// An outage is over when a call succeeds and none has failed for so long.
const QUIET: Duration = Duration::from_secs(1);
/// The same where calls succeeded and failed by turns.
const QUIET_IN_PART: Duration = Duration::from_secs(10);
/// An outage that begins so soon after the last one is taken for one that comes and goes.
const RELAPSE: Duration = Duration::from_secs(30);
/// A store that fails in part is up as long as some call succeeded within this time.
const ANSWERS: Duration = Duration::from_secs(2);

/// What a call showed.
#[derive(Clone, Copy)]
pub(super) enum Shown<'a> {
    /// It was done; whether that shows that the store takes new bytes.
    Done { room: bool },
    /// It failed.
    Failed(&'a StoreError),
}

/// When it was, by the clock that people read and by the one that measures.
#[derive(Clone, Copy)]
pub(super) struct Moment {
    pub(super) unix: i64,
    pub(super) at: Instant,
}

/// The present stretch, kept apart for the store as a whole and for its taking of writes: a replica that serves reads is up,
/// and does not come and go with every call.
#[derive(Debug)]
pub(super) struct Episodes {
    kind: &'static str,
    told: Mutex<Told>,
}

#[derive(Debug)]
struct Told {
    store: Episode,
    writes: Episode,
}

#[derive(Debug, Default)]
struct Episode {
    /// Unix seconds of the last turn; before the first call, when that one was awaited from.
    since: i64,
    /// Whether anything was asked yet.
    known: bool,
    outage: Option<Outage>,
    /// When the last outage ended.
    ended: Option<Instant>,
}

#[derive(Debug)]
struct Outage {
    reason: String,
    failed: Instant,
    succeeded: Option<Instant>,
    in_part: bool,
}

impl Outage {
    fn is_over(&self, now: Instant) -> bool {
        let quiet = if self.in_part { QUIET_IN_PART } else { QUIET };
        self.succeeded.is_some() && now.saturating_duration_since(self.failed) >= quiet
    }

    /// Whether nothing works at present.
    fn is_whole(&self, now: Instant) -> bool {
        match self.succeeded {
            None => true,
            Some(at) => at < self.failed && now.saturating_duration_since(at) > ANSWERS,
        }
    }
}

impl Episode {
    /// Whether an outage begins with this failure.
    fn fail(&mut self, now: Moment, error: &StoreError) -> bool {
        self.known = true;
        // It refused connections at first and is loading by now: the present cause is told.
        let reason = error.to_string();
        if let Some(outage) = &mut self.outage {
            outage.in_part |= outage.succeeded.is_some();
            (outage.reason, outage.failed) = (reason, now.at);
            return false;
        }
        let in_part = self.ended.is_some_and(|ended| now.at.saturating_duration_since(ended) < RELAPSE);
        self.outage = Some(Outage { reason, failed: now.at, succeeded: None, in_part });
        self.since = now.unix;
        true
    }

    /// Whether an outage ends with this success.
    fn succeed(&mut self, now: Moment) -> bool {
        if !self.known {
            (self.known, self.since) = (true, now.unix);
        }
        let Some(outage) = &mut self.outage else { return false };
        outage.succeeded = Some(now.at);
        if !outage.is_over(now.at) {
            return false;
        }
        (self.outage, self.since, self.ended) = (None, now.unix, Some(now.at));
        true
    }

    fn outage(&self, now: Instant) -> Option<&Outage> {
        self.outage.as_ref().filter(|outage| !outage.is_over(now))
    }
}

impl Episodes {
    pub(super) fn new(kind: &'static str, since: i64) -> Self {
        let awaited = || Episode { since, ..Episode::default() };
        Self { kind, told: Mutex::new(Told { store: awaited(), writes: awaited() }) }
    }

    /// Up, down or not asked yet; since when, and why. A store that fails in part, or reads and refuses to write, is up, with
    /// the reason, since that began.
    pub(super) fn health(&self, now: Instant) -> ComponentHealth {
        let told = self.told();
        let (store, writes) = (told.store.outage(now), told.writes.outage(now));
        let mut health = ComponentHealth::default();
        health.status = match store {
            _ if !told.store.known => Status::Unknown,
            Some(outage) if outage.is_whole(now) => Status::Down,
            _ => Status::Up,
        };
        let of_writes = store.is_none() && writes.is_some();
        health.since = if of_writes { told.writes.since } else { told.store.since };
        health.reason = store.or(writes).map(|outage| outage.reason.clone());
        health
    }

    /// Keeps the episodes, and says where one begins or ends.
    pub(super) fn note(&self, now: Moment, shown: Shown<'_>) {
        let store = self.kind;
        let mut told = self.told();
        match shown {
            Shown::Failed(error) if !error.reads_go_on() => {
                if told.store.fail(now, error) {
                    drop(told);
                    tracing::error!(target: telemetry::STORE, store, %error, "session store is down");
                }
            }
            Shown::Failed(error) => {
                let (up, refuses) = (told.store.succeed(now), told.writes.fail(now, error));
                drop(told);
                self.is_up_again(up);
                if refuses {
                    tracing::error!(target: telemetry::STORE, store, %error, "session store refuses writes");
                }
            }
            Shown::Done { room } => {
                let up = told.store.succeed(now);
                let takes = room && told.writes.succeed(now);
                if up && told.writes.outage.take().is_some() {
                    // Another server may answer now: whether it takes writes is to be seen.
                    told.writes.since = now.unix;
                }
                drop(told);
                self.is_up_again(up);
                if takes {
                    tracing::info!(target: telemetry::STORE, store, "session store takes writes again");
                }
            }
        }
    }

    fn is_up_again(&self, up: bool) {
        if up {
            tracing::info!(target: telemetry::STORE, store = self.kind, "session store is up again");
        }
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Episodes, and a clock.
    struct Story {
        episodes: Episodes,
        began: Instant,
        passed: Duration,
    }

    impl Story {
        fn new() -> Self {
            Self { episodes: Episodes::new("test", 100), began: Instant::now(), passed: Duration::ZERO }
        }

        fn now(&self) -> Moment {
            Moment { unix: 100 + i64::try_from(self.passed.as_secs()).unwrap(), at: self.began + self.passed }
        }

        fn wait(&mut self, milliseconds: u64) {
            self.passed += Duration::from_millis(milliseconds);
        }

        fn fails(&self) {
            let error = StoreError::Unavailable { what: "gone".to_owned(), source: None };
            self.episodes.note(self.now(), Shown::Failed(&error));
        }

        fn refuses(&self) {
            let error = StoreError::ReadOnly { what: "full".to_owned() };
            self.episodes.note(self.now(), Shown::Failed(&error));
        }

        fn reads(&self) {
            self.episodes.note(self.now(), Shown::Done { room: false });
        }

        fn writes(&self) {
            self.episodes.note(self.now(), Shown::Done { room: true });
        }

        fn health(&self) -> (Status, i64, bool) {
            let health = self.episodes.health(self.now().at);
            (health.status, health.since, health.reason.is_some())
        }
    }

    #[test]
    fn before_the_first_call_nothing_is_known() {
        let story = Story::new();
        assert_eq!(story.health(), (Status::Unknown, 100, false));
        story.reads();
        assert_eq!(story.health(), (Status::Up, 100, false));
    }

    #[test]
    fn an_outage_is_told_at_once_and_is_past_a_second_after_its_last_failure() {
        let mut story = Story::new();
        story.reads();
        story.wait(5000);
        story.fails();
        assert_eq!(story.health(), (Status::Down, 105, true));
        story.wait(60_000);
        story.fails();
        assert_eq!(story.health(), (Status::Down, 105, true));
        story.reads();
        assert_eq!(story.health(), (Status::Up, 105, true), "it answers");
        story.wait(1000);
        story.reads();
        assert_eq!(story.health(), (Status::Up, 166, false));
    }

    #[test]
    fn a_store_that_fails_in_part_is_one_outage_and_up_with_a_reason() {
        let mut story = Story::new();
        story.fails();
        story.reads();
        for _ in 0..100 {
            story.wait(900);
            story.fails();
            assert_eq!(story.health(), (Status::Up, 100, true));
            story.wait(900);
            story.reads();
            assert_eq!(story.health(), (Status::Up, 100, true));
        }
        story.wait(9000);
        story.reads();
        assert_eq!(story.health(), (Status::Up, 100, true));
        story.wait(200);
        story.reads();
        assert_eq!(story.health(), (Status::Up, 289, false));
    }

    #[test]
    fn one_that_failed_in_part_and_fails_as_a_whole_is_down() {
        let mut story = Story::new();
        story.fails();
        story.reads();
        story.fails();
        story.wait(2001);
        story.fails();
        assert_eq!(story.health(), (Status::Down, 100, true));
    }

    #[test]
    fn rare_calls_that_fail_by_turns_are_two_outages_at_most() {
        let mut story = Story::new();
        let mut turns = 0;
        let mut before = story.health().2;
        for _ in 0..50 {
            story.fails();
            turns += usize::from(story.health().2 != before);
            before = story.health().2;
            story.wait(3000);
            story.reads();
            turns += usize::from(story.health().2 != before);
            before = story.health().2;
            story.wait(3000);
        }
        assert_eq!(turns, 3, "down, up, down");
    }

    #[test]
    fn a_store_that_refuses_writes_stays_up_and_says_so_until_one_is_taken() {
        let mut story = Story::new();
        story.reads();
        story.wait(1000);
        story.refuses();
        for _ in 0..3 {
            story.wait(1000);
            story.reads();
            assert_eq!(story.health(), (Status::Up, 101, true));
        }
        story.writes();
        assert_eq!(story.health(), (Status::Up, 100, false));
    }

    #[test]
    fn a_store_that_comes_back_is_not_said_to_refuse_what_its_predecessor_did() {
        let mut story = Story::new();
        story.refuses();
        story.wait(1000);
        story.fails();
        assert_eq!(story.health(), (Status::Down, 101, true));
        story.wait(1000);
        story.reads();
        assert_eq!(story.health(), (Status::Up, 102, false));
    }
}
