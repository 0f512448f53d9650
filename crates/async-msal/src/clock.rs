//! Time comes in from outside, so that tests own it.

use std::fmt::Debug;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

static PROCESS_START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// The wall clock in Unix seconds, and a monotonic one for back-off.
pub trait Clock: Debug + Send + Sync {
    /// Unix seconds. May jump when somebody sets the machine's clock.
    fn now(&self) -> i64;

    /// Time since an arbitrary start; never goes back. Used for rate limits and back-off only.
    fn monotonic(&self) -> Duration {
        PROCESS_START.elapsed()
    }
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> i64 {
        // A clock before 1970 or after the year 292 billion is as good as zero.
        let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(elapsed.as_secs()).unwrap_or_default()
    }
}

/// A clock that a test moves by hand; clones share the time.
#[derive(Debug, Clone, Default)]
pub struct ManualClock {
    wall: Arc<AtomicI64>,
    monotonic: Arc<AtomicU64>,
}

impl ManualClock {
    /// Starts at `now` (Unix seconds).
    #[must_use]
    pub fn new(now: i64) -> Self {
        Self { wall: Arc::new(AtomicI64::new(now)), monotonic: Arc::default() }
    }

    /// Sets the wall clock alone, as an administrator would.
    pub fn set(&self, now: i64) {
        self.wall.store(now, Ordering::SeqCst);
    }

    /// Lets `seconds` pass on both clocks; a negative number only moves the wall clock back.
    pub fn advance(&self, seconds: i64) {
        self.wall.fetch_add(seconds, Ordering::SeqCst);
        self.monotonic.fetch_add(u64::try_from(seconds).unwrap_or_default(), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> i64 {
        self.wall.load(Ordering::SeqCst)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_secs(self.monotonic.load(Ordering::SeqCst))
    }
}
