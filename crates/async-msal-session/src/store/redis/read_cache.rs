//! Reads that cost no round trip: copies of records, kept as long as the server watches them for us.
//!
//! Such reads go over a connection of their own, on which the server tracks what was read (CLIENT TRACKING, RESP3) and
//! says when it changed. A heartbeat each second shows that it still could; two missed, or the connection's end, void all
//! copies, and reads go to the server by the ordinary way until there is a new connection.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use redis::{RedisResult, Value};
use tokio::task::AbortHandle;

use super::connection::Connection;
use super::copies::Copies;
use super::dial::Dial;
use super::link::too_late;
use crate::store::Stored;

/// Between two heartbeats.
const BEAT: Duration = Duration::from_secs(1);
/// Between two attempts to get a tracked connection.
const PAUSE: Duration = Duration::from_millis(200);

/// See the module.
pub(super) struct ReadCache {
    dial: Dial,
    limit: Duration,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    tracked: Option<Arc<Tracked>>,
    /// When the last attempt began, and whether it goes on.
    attempt: Option<Instant>,
    dialing: bool,
}

/// A connection on which the server tracks, and what was read over it.
pub(super) struct Tracked {
    connection: Connection,
    copies: Arc<Copies>,
    limit: Duration,
    heartbeat: AbortHandle,
}

impl Drop for Tracked {
    fn drop(&mut self) {
        self.heartbeat.abort();
    }
}

impl ReadCache {
    pub(super) fn new(dial: Dial, limit: Duration) -> Self {
        Self { dial, limit, state: Arc::default() }
    }

    /// The tracked connection, if it is good; else one is being made and this read goes the ordinary way.
    pub(super) fn tracked(&self) -> Option<Arc<Tracked>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tracked) = state.tracked.as_ref().filter(|tracked| tracked.copies.are_good()) {
            return Some(Arc::clone(tracked));
        }
        if let Some(gone) = state.tracked.take() {
            gone.copies.end();
        }
        if !state.dialing && state.attempt.is_none_or(|began| began.elapsed() >= PAUSE) {
            (state.dialing, state.attempt) = (true, Some(Instant::now()));
            let (dial, limit, shared) = (self.dial.clone(), self.limit, Arc::clone(&self.state));
            tokio::spawn(async move {
                let tracked =
                    tokio::time::timeout(limit * 2, track(dial, limit)).await.ok().and_then(Result::ok);
                let mut state = shared.lock().unwrap_or_else(PoisonError::into_inner);
                (state.dialing, state.tracked) = (false, tracked.map(Arc::new));
            });
        }
        None
    }

    /// This process changes the record: its copy goes when the value returned does, whatever became of the change.
    pub(super) fn changing<'a>(&'a self, key: &'a str) -> Changing<'a> {
        Changing { cache: self, key }
    }

    fn forget(&self, key: &str) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tracked) = &state.tracked {
            tracked.copies.forget(key);
        }
    }
}

/// See [`ReadCache::changing`].
pub(super) struct Changing<'a> {
    cache: &'a ReadCache,
    key: &'a str,
}

impl Drop for Changing<'_> {
    fn drop(&mut self) {
        self.cache.forget(self.key);
    }
}

impl Tracked {
    /// The copy, or what the server says now, of which a copy is kept.
    pub(super) async fn read(
        &self,
        key: &str,
        understand: impl Fn(Value, Value) -> RedisResult<Option<Stored>>,
    ) -> RedisResult<Option<Stored>> {
        if let Some(stored) = self.copies.get(key) {
            return Ok(Some(stored));
        }
        let reading = self.copies.begin(key);
        let answer = tokio::time::timeout(self.limit, self.connection.clone().read(&[key])).await;
        let answer = answer.unwrap_or_else(|_| Err(too_late()));
        let Some((value, left)) = answer.inspect_err(|_| self.copies.end())?.pop() else { return Ok(None) };
        let life = if let Value::Int(left @ 0..) = left {
            Some(Duration::from_millis(left.unsigned_abs()))
        } else {
            None
        };
        let stored = understand(value, left)?;
        if let Some(stored) = &stored {
            reading.keep(stored, life);
        }
        Ok(stored)
    }
}

/// Makes a connection and has the server track what is read over it.
async fn track(dial: Dial, limit: Duration) -> RedisResult<Tracked> {
    let copies = Arc::new(Copies::new(Instant::now()));
    let told = Arc::clone(&copies);
    let mut connection = dial
        .connect(move |push| {
            told.pushed(push);
            Ok::<(), redis::aio::SendError>(())
        })
        .await?;
    redis::cmd("CLIENT").arg("TRACKING").arg("ON").exec_async(&mut connection).await?;
    let heartbeat = tokio::spawn(beat(connection.clone(), Arc::clone(&copies))).abort_handle();
    Ok(Tracked { connection, copies, limit, heartbeat })
}

/// Asks each second whether the server is there; its answers come behind all it had to say before.
async fn beat(mut connection: Connection, copies: Arc<Copies>) {
    let mut ticks = tokio::time::interval(BEAT);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while copies.are_good() {
        ticks.tick().await;
        let sent = Instant::now();
        let answered = tokio::time::timeout(BEAT, redis::cmd("PING").exec_async(&mut connection)).await;
        if matches!(answered, Ok(Ok(()))) {
            copies.heard(sent);
        }
    }
    copies.end();
}
