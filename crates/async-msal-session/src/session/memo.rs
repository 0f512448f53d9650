//! Parsed forms of records that were read a moment ago: the requests of one page are a burst, and find the same bytes.

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_msal::TokenCache;
use bytes::Bytes;

use crate::identity::Person;
use crate::record::SessionRecord;
use crate::session_id::StoreKey;

/// While each read asks the store, a record takes over a place when it is met twice in a row there: memory that is kept is
/// cold when it is freed, which users who come once are not worth. Where the store keeps copies in this process, what is
/// met once will come again as it is, and is kept at once.
const PLACES: usize = 8192;
/// A larger record is not kept.
const LARGEST: usize = 32 * 1024;
/// Bytes of all records that are kept; their parsed forms take about as much again.
const BYTES: usize = 32 << 20;
/// A form nobody asked for is dropped after this, as others are asked for.
const IDLE: Duration = Duration::from_secs(60);

/// What was made of a record's bytes.
#[derive(Clone, Debug)]
pub(super) struct Parsed {
    pub(super) value: Bytes,
    pub(super) record: Arc<SessionRecord>,
    pub(super) cache: Arc<TokenCache>,
    pub(super) person: Option<Arc<Person>>,
    pub(super) former_key: bool,
}

/// The store alone decides whether a record is still valid and what stands in it. Its answer is compared byte by byte,
/// which costs next to nothing beside opening and parsing it; so does a miss.
pub(crate) struct Memo {
    places: Box<[Place]>,
    /// Who was met last in each place: a hash of the record's key. Empty where records are kept at once.
    met: Box<[AtomicU64]>,
    bytes: AtomicUsize,
    hasher: RandomState,
    /// The place that is looked at next for something to drop.
    hand: AtomicUsize,
}

type Place = Mutex<Option<Kept>>;

struct Kept {
    key: StoreKey,
    parsed: Parsed,
    asked: Instant,
}

impl fmt::Debug for Memo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memo").field("places", &self.places.len()).finish_non_exhaustive()
    }
}

impl Memo {
    /// `beside_copies`: the store keeps copies of records in this process.
    pub(crate) fn new(beside_copies: bool) -> Self {
        let met = if beside_copies { 0 } else { PLACES };
        Self {
            places: (0..PLACES).map(|_| Mutex::new(None)).collect(),
            met: (0..met).map(|_| AtomicU64::new(0)).collect(),
            bytes: AtomicUsize::new(0),
            hasher: RandomState::new(),
            hand: AtomicUsize::new(0),
        }
    }

    /// The parsed form of these very bytes under this key.
    pub(super) fn get(&self, key: &StoreKey, value: &Bytes) -> Option<Parsed> {
        self.drop_idle();
        self.places(key).into_iter().find_map(|number| {
            let mut place = locked(&self.places[number]);
            let kept = place.as_mut().filter(|kept| kept.key == *key && kept.parsed.value == *value)?;
            kept.asked = Instant::now();
            Some(kept.parsed.clone())
        })
    }

    /// Keeps what was parsed for a record that is met again.
    pub(super) fn put(&self, key: &StoreKey, parsed: &Parsed) {
        let places = self.places(key);
        let is_met_again = self.met.get(places[0]).is_none_or(|met| {
            let hash = self.hasher.hash_one(key);
            met.swap(hash, Ordering::Relaxed) == hash
        });
        let size = parsed.value.len();
        if !is_met_again || size > LARGEST || self.bytes.load(Ordering::Relaxed) + size > BYTES {
            return;
        }
        self.forget(key);
        // The place that is free, else the one nobody asked for longer.
        let asked = |number: &usize| locked(&self.places[*number]).as_ref().map(|kept| kept.asked);
        let number = if asked(&places[0]) <= asked(&places[1]) { places[0] } else { places[1] };
        self.bytes.fetch_add(size, Ordering::Relaxed);
        let kept = Kept { key: key.clone(), parsed: parsed.clone(), asked: Instant::now() };
        let former = locked(&self.places[number]).replace(kept);
        self.free(former);
    }

    /// Forgets a session that has ended.
    pub(crate) fn forget(&self, key: &StoreKey) {
        for number in self.places(key) {
            let former = locked(&self.places[number]).take_if(|kept| kept.key == *key);
            self.free(former);
        }
    }

    /// Two, so that two records seldom take turns in one.
    fn places(&self, key: &StoreKey) -> [usize; 2] {
        let (hash, count) = (self.hasher.hash_one(key) as usize, self.places.len());
        [hash % count, hash / count % count]
    }

    fn drop_idle(&self) {
        let number = self.hand.fetch_add(1, Ordering::Relaxed) % self.places.len();
        let idle = locked(&self.places[number]).take_if(|kept| kept.asked.elapsed() > IDLE);
        self.free(idle);
    }

    /// Outside the place's lock.
    fn free(&self, kept: Option<Kept>) {
        if let Some(kept) = kept {
            self.bytes.fetch_sub(kept.parsed.value.len(), Ordering::Relaxed);
        }
    }
}

fn locked(place: &Place) -> MutexGuard<'_, Option<Kept>> {
    place.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u32) -> StoreKey {
        StoreKey::from_store(format!("s_{number:032x}"))
    }

    fn parsed(value: impl Into<Bytes>) -> Parsed {
        Parsed {
            value: value.into(),
            record: Arc::default(),
            cache: Arc::default(),
            person: None,
            former_key: false,
        }
    }

    fn put(memo: &Memo, key: &StoreKey, parsed: &Parsed) {
        memo.put(key, parsed);
        memo.put(key, parsed);
    }

    #[test]
    fn a_record_that_is_met_once_is_not_kept() {
        let memo = Memo::new(false);
        memo.put(&key(1), &parsed("one"));
        assert!(memo.get(&key(1), &"one".into()).is_none());
    }

    #[test]
    fn only_the_same_bytes_under_the_same_key_are_known() {
        let memo = Memo::new(false);
        put(&memo, &key(1), &parsed("one"));
        assert!(memo.get(&key(1), &"one".into()).is_some());
        assert!(memo.get(&key(1), &"two".into()).is_none());
        assert!(memo.get(&key(2), &"one".into()).is_none());
    }

    #[test]
    fn an_ended_session_is_forgotten_and_no_other() {
        let memo = Memo::new(false);
        put(&memo, &key(1), &parsed("one"));
        memo.forget(&key(2));
        assert!(memo.get(&key(1), &"one".into()).is_some());
        memo.forget(&key(1));
        assert!(memo.get(&key(1), &"one".into()).is_none());
    }

    #[test]
    fn a_large_record_is_not_kept() {
        let (memo, value) = (Memo::new(false), Bytes::from(vec![b'x'; LARGEST + 1]));
        put(&memo, &key(1), &parsed(value.clone()));
        assert!(memo.get(&key(1), &value).is_none());
    }

    #[test]
    fn beside_copies_of_the_store_a_record_is_kept_at_once() {
        let memo = Memo::new(true);
        memo.put(&key(1), &parsed("one"));
        assert!(memo.get(&key(1), &"one".into()).is_some());
    }

    #[test]
    fn all_that_is_kept_is_bounded_and_counted_back() {
        let (memo, value) = (Memo::new(true), Bytes::from(vec![b'x'; LARGEST]));
        let many = u32::try_from(2 * BYTES / LARGEST).unwrap();
        for number in 0..many {
            memo.put(&key(number), &parsed(value.clone()));
        }
        let kept = (0..many).filter(|number| memo.get(&key(*number), &value).is_some()).count();
        assert!((1..=BYTES / LARGEST).contains(&kept), "{kept}");
        (0..many).for_each(|number| memo.forget(&key(number)));
        assert_eq!(memo.bytes.load(Ordering::Relaxed), 0);
    }
}
