//! The way to the server: one connection for all, made when it is first wanted and made anew when it broke.
//!
//! Every caller waits at most the time limit. Making a connection runs in a task of its own, one at a time, so a caller that
//! gives up does not start it over; there is no back-off between attempts that callers would have to sit through, since
//! an attempt is made only when somebody asks. A connection that ended is noticed when it ends (RESP3), one that does not
//! answer within the limit is given up with everything still queued in it: no answer can reach another's question.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use redis::{ErrorKind, PushInfo, PushKind, RedisError, RedisResult};

use super::connection::Connection;
use super::dial::Dial;
use super::failure::{code, wants_another_connection};

/// The part of STORE_TIMEOUT an answer may take; the rest is for giving up in an orderly way.
const PART: f64 = 0.95;

/// A connection that can be used now.
#[derive(Clone)]
pub(super) struct Live {
    connection: Connection,
    broken: Arc<AtomicBool>,
}

/// Whether doing it twice is doing it once.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeat {
    /// It reads, or writes the same again: a connection that breaks under it is replaced and it is asked again.
    Safe,
    /// It may have happened although no answer came.
    Unsafe,
}

type Attempt = Shared<BoxFuture<'static, RedisResult<Live>>>;

#[derive(Default)]
struct State {
    live: Option<Live>,
    attempt: Option<Attempt>,
}

/// See the module.
pub(super) struct Link {
    dial: Dial,
    limit: Duration,
    state: Arc<Mutex<State>>,
}

impl Link {
    pub(super) fn new(dial: Dial, limit: Duration) -> Self {
        Self { dial, limit: limit.mul_f64(PART), state: Arc::default() }
    }

    /// Asks one question, within the time limit.
    pub(super) async fn ask<T, F>(&self, repeat: Repeat, question: impl Fn(Connection) -> F) -> RedisResult<T>
    where
        F: Future<Output = RedisResult<T>>,
    {
        let end = tokio::time::Instant::now() + self.limit;
        let mut again = true;
        loop {
            let live = tokio::time::timeout_at(end, self.live()).await.unwrap_or_else(|_| Err(too_late()))?;
            let answer = tokio::time::timeout_at(end, question(live.connection.clone()))
                .await
                .unwrap_or_else(|_| Err(too_late()));
            let Err(error) = answer else { return answer };
            if !wants_another_connection(&error) || !live.connection.is_worn_out_by(&error) {
                return Err(error);
            }
            live.broken.store(true, Ordering::Relaxed);
            // A read-only server has done nothing: the master may be elsewhere by now.
            let nothing_done = code(&error) == "READONLY";
            if !again || error.is_timeout() || !(repeat == Repeat::Safe || nothing_done) {
                return Err(error);
            }
            again = false;
        }
    }

    /// The present connection, or the next one.
    async fn live(&self) -> RedisResult<Live> {
        let attempt = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(live) = state.live.as_ref().filter(|live| !live.broken.load(Ordering::Relaxed)) {
                return Ok(live.clone());
            }
            state.live = None;
            match &state.attempt {
                Some(running) if running.peek().is_none() => running.clone(),
                // It panicked, or its runtime is gone.
                _ => state.attempt.insert(self.attempt()).clone(),
            }
        };
        attempt.await
    }

    fn attempt(&self) -> Attempt {
        let (dial, state, limit) = (self.dial.clone(), Arc::clone(&self.state), self.limit * 2);
        let task = tokio::spawn(async move {
            let broken = Arc::new(AtomicBool::new(false));
            let connecting = tokio::time::timeout(limit, dial.connect(on_end(Arc::clone(&broken))));
            let connected = connecting.await.unwrap_or_else(|_| Err(too_late()));
            let live = connected.map(|connection| Live { connection, broken });
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            // How it ended says nothing to those who ask later, whether or not anybody waited for it to its end.
            state.attempt = None;
            state.live = live.as_ref().ok().cloned();
            live
        });
        task.map(|joined| joined.unwrap_or_else(|_| Err(too_late()))).boxed().shared()
    }
}

/// What a connection calls with every push; the one that matters says that it ended.
fn on_end(broken: Arc<AtomicBool>) -> impl Fn(PushInfo) -> Result<(), redis::aio::SendError> + Send + Sync {
    move |push| {
        if push.kind == PushKind::Disconnection {
            broken.store(true, Ordering::Relaxed);
        }
        Ok(())
    }
}

pub(super) fn too_late() -> RedisError {
    std::io::Error::from(std::io::ErrorKind::TimedOut).into()
}

/// An answer that no Redis gives.
pub(super) fn unexpected(what: &'static str) -> RedisError {
    (ErrorKind::UnexpectedReturnType, what).into()
}
