//! Reads of one record that many want at once, as the requests of one page do: all who come while one goes on share the
//! next, which begins when that one ends, or a moment after it was first wanted.
//!
//! The next, and not the one under way: that one may have been answered before a sign-out or a save that the caller knows
//! of. What a caller gets was read after it asked, as if it had read alone.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use tokio::sync::oneshot;

use super::{StoreError, Stored};
use crate::session_id::StoreKey;

pub(super) type Answer = Result<Option<Stored>, StoreError>;
type Next = Shared<BoxFuture<'static, Result<Option<Stored>, Arc<StoreError>>>>;

/// As many as records that are being read.
#[derive(Clone)]
pub(super) struct Together {
    records: Arc<Mutex<HashMap<StoreKey, Reads>>>,
    /// The longest the next read waits for the one under way: a store that is slow is not made slower.
    patience: Duration,
}

/// The reads of one record.
#[derive(Default)]
struct Reads {
    /// How many go on.
    reading: usize,
    /// The one after them, which has not begun.
    next: Option<Next>,
    /// It begins when this is dropped.
    holds_back: Option<oneshot::Sender<()>>,
}

/// How a caller gets its answer.
pub(super) enum Way {
    /// It reads, while it holds this.
    Alone(Turn),
    /// With the others who wait.
    Shared(Place),
}

impl fmt::Debug for Together {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Together").field("records", &self.map().len()).finish()
    }
}

impl Together {
    /// See `patience`.
    pub(super) fn new(patience: Duration) -> Self {
        Self { records: Arc::default(), patience }
    }

    /// The longest a caller waits before its read begins.
    pub(super) fn patience(&self) -> Duration {
        self.patience
    }

    /// `read` is the next read, should there be none to share.
    pub(super) fn join(&self, key: &StoreKey, read: impl FnOnce() -> BoxFuture<'static, Answer>) -> Way {
        let mut map = self.map();
        let Some(reads) = map.get_mut(key) else {
            map.insert(key.clone(), Reads { reading: 1, ..Reads::default() });
            return Way::Alone(Turn { together: self.clone(), key: key.clone() });
        };
        let next = reads.next.get_or_insert_with(|| {
            let (holds_back, begins) = oneshot::channel::<()>();
            reads.holds_back = Some(holds_back);
            let (together, key, read) = (self.clone(), key.clone(), read());
            let next = async move {
                // Dropped, never sent.
                drop(tokio::time::timeout(together.patience, begins).await);
                let _turn = together.begin(key);
                read.await.map_err(Arc::new)
            };
            next.boxed().shared()
        });
        Way::Shared(Place { together: self.clone(), key: key.clone(), next: Some(next.clone()) })
    }

    /// From now on who comes shares the one after.
    fn begin(&self, key: StoreKey) -> Turn {
        let mut map = self.map();
        let reads = map.entry(key.clone()).or_default();
        reads.reading += 1;
        reads.holds_back = None;
        let begun = reads.next.take();
        drop(map);
        // It holds the future that runs this.
        drop(begun);
        Turn { together: self.clone(), key }
    }

    fn map(&self) -> MutexGuard<'_, HashMap<StoreKey, Reads>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A read that goes on. Dropped, the next begins.
pub(super) struct Turn {
    together: Together,
    key: StoreKey,
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut map = self.together.map();
        let Some(reads) = map.get_mut(&self.key) else { return };
        reads.reading = reads.reading.saturating_sub(1);
        reads.holds_back = None;
        if reads.reading == 0 && reads.next.is_none() {
            map.remove(&self.key);
        }
    }
}

/// A place among those who share the next read.
pub(super) struct Place {
    together: Together,
    key: StoreKey,
    next: Option<Next>,
}

impl Place {
    /// The answer, which all who share it get.
    pub(super) async fn answer(mut self) -> Answer {
        let Some(next) = &mut self.next else { return Ok(None) };
        next.await.map_err(|error| error.repeated())
    }
}

impl Drop for Place {
    /// The last who waited takes the read away with it.
    fn drop(&mut self) {
        // Not under the lock: what this may end takes it too.
        self.next = None;
        let mut map = self.together.map();
        let Some(reads) = map.get_mut(&self.key) else { return };
        let forsaken = match &reads.next {
            Some(next) if next.strong_count().is_none_or(|holders| holders <= 1) => reads.next.take(),
            _ => None,
        };
        if forsaken.is_some() && reads.reading == 0 {
            map.remove(&self.key);
        }
        drop(map);
        drop(forsaken);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use async_msal::SystemRandom;
    use tokio::sync::Semaphore;

    use super::*;
    use crate::session_id::{SessionId, SessionLayout};
    use crate::store::Version;

    const FOREVER: Duration = Duration::from_secs(3600);

    fn key() -> StoreKey {
        StoreKey::new(SessionLayout::Sealed, "t", &SessionId::generate(&SystemRandom::default()).unwrap())
    }

    /// Reads count themselves, and wait until they are let go.
    #[derive(Clone)]
    struct Slow {
        together: Together,
        begun: Arc<AtomicUsize>,
        gate: Arc<Semaphore>,
    }

    impl Slow {
        fn new() -> Self {
            Self {
                together: Together::new(FOREVER),
                begun: Arc::default(),
                gate: Arc::new(Semaphore::new(0)),
            }
        }

        async fn once(self) -> Answer {
            let number = self.begun.fetch_add(1, Ordering::SeqCst).to_string();
            self.gate.acquire().await.unwrap().forget();
            if number == "7" {
                return Err(StoreError::unavailable("seven", std::io::Error::other("seven")));
            }
            Ok(Some(Stored::new(number.clone().into(), Version::new(number), None)))
        }

        async fn read(self, key: StoreKey) -> Answer {
            let slow = self.clone();
            match self.together.clone().join(&key, move || slow.once().boxed()) {
                Way::Alone(_turn) => self.once().await,
                Way::Shared(place) => place.answer().await,
            }
        }

        fn spawn(&self, key: &StoreKey) -> tokio::task::JoinHandle<String> {
            let reading = self.clone().read(key.clone());
            tokio::spawn(async move {
                match reading.await {
                    Ok(stored) => String::from_utf8(stored.unwrap().value.to_vec()).unwrap(),
                    Err(error) => error.to_string(),
                }
            })
        }

        async fn begun(&self, reads: usize) {
            while self.begun.load(Ordering::SeqCst) < reads {
                tokio::task::yield_now().await;
            }
        }

        /// Everybody who was started has got as far as it can.
        async fn quiet() {
            for _ in 0..50 {
                tokio::task::yield_now().await;
            }
        }
    }

    #[tokio::test]
    async fn who_comes_during_a_read_shares_the_next_one_and_never_the_one_under_way() {
        let (slow, key) = (Slow::new(), key());
        let first = slow.spawn(&key);
        slow.begun(1).await;
        let others: Vec<_> = (0..100).map(|_| slow.spawn(&key)).collect();
        Slow::quiet().await;
        assert_eq!(slow.begun.load(Ordering::SeqCst), 1);
        slow.gate.add_permits(1);
        assert_eq!(first.await.unwrap(), "0");
        slow.begun(2).await;
        let late = slow.spawn(&key);
        Slow::quiet().await;
        slow.gate.add_permits(2);
        for other in others {
            assert_eq!(other.await.unwrap(), "1");
        }
        assert_eq!(late.await.unwrap(), "2");
        assert!(slow.together.map().is_empty());
    }

    #[tokio::test]
    async fn a_slow_read_is_waited_for_a_moment_and_no_longer() {
        let (mut slow, key) = (Slow::new(), key());
        slow.together = Together::new(Duration::from_millis(25));
        let first = slow.spawn(&key);
        slow.begun(1).await;
        let second = slow.spawn(&key);
        // The second begins though the first goes on.
        while slow.begun.load(Ordering::SeqCst) < 2 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        slow.gate.add_permits(2);
        assert_eq!((first.await.unwrap(), second.await.unwrap()), ("0".to_owned(), "1".to_owned()));
        assert!(slow.together.map().is_empty());
    }

    #[tokio::test]
    async fn records_do_not_wait_for_each_other() {
        let slow = Slow::new();
        let one = slow.spawn(&key());
        let two = slow.spawn(&key());
        slow.begun(2).await;
        slow.gate.add_permits(2);
        let mut answers = [one.await.unwrap(), two.await.unwrap()];
        answers.sort();
        assert_eq!(answers, ["0", "1"]);
    }

    #[tokio::test]
    async fn callers_who_go_away_take_nobodys_answer_and_leave_nothing() {
        let (slow, key) = (Slow::new(), key());
        let first = slow.spawn(&key);
        slow.begun(1).await;
        let (leaves, stays) = (slow.spawn(&key), slow.spawn(&key));
        Slow::quiet().await;
        first.abort();
        leaves.abort();
        slow.begun(2).await;
        slow.gate.add_permits(1);
        assert_eq!(stays.await.unwrap(), "1");
        let holder = slow.spawn(&key);
        slow.begun(3).await;
        let waiting = slow.spawn(&key);
        Slow::quiet().await;
        waiting.abort();
        assert!(waiting.await.is_err());
        assert!(slow.together.map()[&key].next.is_none());
        holder.abort();
        assert!(holder.await.is_err());
        assert!(slow.together.map().is_empty());
    }

    #[tokio::test]
    async fn all_who_share_a_read_get_its_error() {
        let (slow, key) = (Slow::new(), key());
        slow.begun.store(6, Ordering::SeqCst);
        let first = slow.spawn(&key);
        slow.begun(7).await;
        let others: Vec<_> = (0..3).map(|_| slow.spawn(&key)).collect();
        Slow::quiet().await;
        slow.gate.add_permits(2);
        assert_eq!(first.await.unwrap(), "6");
        for other in others {
            assert_eq!(other.await.unwrap(), "the session store failed: seven");
        }
    }
}
