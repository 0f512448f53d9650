//! Copies of records that the server promised to say void.
//!
//! They belong to one connection and go with it. Each lives 30 seconds at most, so they leave in the order they came, and
//! together they take so many bytes at most.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use redis::{PushInfo, PushKind, Value};

use crate::store::Stored;

/// The longest a copy is served.
const LIFE: Duration = Duration::from_secs(30);
/// Bytes of keys and values together.
const BYTES: usize = 32 << 20;
/// How long ago the last answered heartbeat may have been sent: two missed and a little.
const HEARD: Duration = Duration::from_millis(2500);

/// See the module.
#[derive(Debug)]
pub(super) struct Copies(Mutex<State>);

#[derive(Debug)]
struct State {
    records: HashMap<String, Copied>,
    /// Keys in the order they came, each with the number of the copy meant.
    order: VecDeque<(String, u64)>,
    bytes: usize,
    next: u64,
    /// Keys that are being read, and how often they were said void meanwhile.
    flights: HashMap<String, Flight>,
    /// When the last answered heartbeat was sent.
    heard: Instant,
    over: bool,
}

#[derive(Debug)]
struct Copied {
    stored: Stored,
    end: Instant,
    number: u64,
}

#[derive(Debug, Default)]
struct Flight {
    readers: usize,
    /// How often it was said void since the first of them began.
    voided: u64,
}

/// One read under way. Dropped, it is over.
#[derive(Debug)]
pub(super) struct Reading<'a> {
    copies: &'a Copies,
    key: &'a str,
    /// What was said of the key before this read began does not matter to it.
    voided: u64,
}

impl Copies {
    /// Empty, heard of at `now`.
    pub(super) fn new(now: Instant) -> Self {
        Self(Mutex::new(State {
            records: HashMap::new(),
            order: VecDeque::new(),
            bytes: 0,
            next: 0,
            flights: HashMap::new(),
            heard: now,
            over: false,
        }))
    }

    /// The copy of a record, the same bytes each time.
    pub(super) fn get(&self, key: &str) -> Option<Stored> {
        let state = self.state();
        if !state.are_good() {
            return None;
        }
        let copied = state.records.get(key).filter(|copied| Instant::now() < copied.end)?;
        Some(copied.stored.clone())
    }

    /// Whether the connection is there and was heard of lately; only then may a copy be served.
    pub(super) fn are_good(&self) -> bool {
        self.state().are_good()
    }

    /// A heartbeat sent at `sent` was answered.
    pub(super) fn heard(&self, sent: Instant) {
        self.state().heard = sent;
    }

    /// The connection ended or is given up.
    pub(super) fn end(&self) {
        let mut state = self.state();
        state.over = true;
        state.forget_all();
    }

    /// A read of `key` begins; what it brings is kept only if nothing was said of the key until then.
    pub(super) fn begin<'a>(&'a self, key: &'a str) -> Reading<'a> {
        let mut state = self.state();
        let flight = state.flights.entry(key.to_owned()).or_default();
        flight.readers += 1;
        Reading { copies: self, key, voided: flight.voided }
    }

    /// The record under `key` is not what it was.
    pub(super) fn forget(&self, key: &str) {
        self.state().forget(key);
    }

    /// What the server says by itself.
    pub(super) fn pushed(&self, push: PushInfo) {
        match (push.kind, push.data.into_iter().next()) {
            (PushKind::Disconnection, _) => self.end(),
            (PushKind::Invalidate, Some(Value::Array(keys))) => {
                let mut state = self.state();
                for key in keys {
                    if let Value::BulkString(key) = key {
                        state.forget(&String::from_utf8_lossy(&key));
                    }
                }
            }
            // Everything: FLUSHALL, FLUSHDB.
            (PushKind::Invalidate, _) => self.state().forget_all(),
            _ => {}
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reading<'_> {
    /// Keeps what was read, for as long as the record lives and no longer than a copy may.
    pub(super) fn keep(self, stored: &Stored, left: Option<Duration>) {
        let mut state = self.copies.state();
        let void = state.flights.get(self.key).is_none_or(|flight| flight.voided != self.voided);
        if !void && !state.over {
            state.insert(self.key, stored.clone(), Instant::now() + left.unwrap_or(LIFE).min(LIFE));
        }
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        let mut state = self.copies.state();
        if let Some(flight) = state.flights.get_mut(self.key) {
            flight.readers -= 1;
            if flight.readers == 0 {
                state.flights.remove(self.key);
            }
        }
    }
}

impl State {
    fn are_good(&self) -> bool {
        !self.over && self.heard.elapsed() < HEARD
    }

    fn insert(&mut self, key: &str, stored: Stored, end: Instant) {
        self.remove(key);
        self.next += 1;
        let (number, size) = (self.next, key.len() + stored.value.len());
        if size > BYTES {
            return;
        }
        self.bytes += size;
        self.records.insert(key.to_owned(), Copied { stored, end, number });
        self.order.push_back((key.to_owned(), number));
        let now = Instant::now();
        while let Some((key, number)) = self.order.front() {
            let present = self.records.get(key).filter(|copied| copied.number == *number);
            if self.bytes <= BYTES && present.is_some_and(|copied| now < copied.end) {
                break;
            }
            let stale = present.map(|_| key.clone());
            self.order.pop_front();
            if let Some(key) = stale {
                self.remove(&key);
            }
        }
    }

    fn remove(&mut self, key: &str) {
        if let Some(copied) = self.records.remove(key) {
            self.bytes -= key.len() + copied.stored.value.len();
        }
    }

    fn forget(&mut self, key: &str) {
        self.remove(key);
        if let Some(flight) = self.flights.get_mut(key) {
            flight.voided += 1;
        }
    }

    fn forget_all(&mut self) {
        self.records.clear();
        self.order.clear();
        self.bytes = 0;
        for flight in self.flights.values_mut() {
            flight.voided += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::store::Version;

    fn record(size: usize) -> Stored {
        let value = Bytes::from(vec![b'x'; size]);
        Stored::new(value.clone(), Version::new(value), None)
    }

    fn keep(copies: &Copies, key: &str, size: usize) {
        copies.begin(key).keep(&record(size), None);
    }

    fn void(keys: &[&str]) -> PushInfo {
        let keys = keys.iter().map(|key| Value::BulkString(key.as_bytes().to_vec())).collect();
        PushInfo { kind: PushKind::Invalidate, data: vec![Value::Array(keys)] }
    }

    #[test]
    fn each_hit_is_the_same_bytes() {
        let copies = Copies::new(Instant::now());
        keep(&copies, "a", 9);
        let (one, two) = (copies.get("a").unwrap(), copies.get("a").unwrap());
        assert_eq!(one.value.as_ptr(), two.value.as_ptr());
    }

    #[test]
    fn what_is_said_void_is_gone_and_nothing_else() {
        let copies = Copies::new(Instant::now());
        keep(&copies, "a", 9);
        keep(&copies, "b", 9);
        copies.pushed(void(&["a"]));
        assert!(copies.get("a").is_none() && copies.get("b").is_some());
        copies.pushed(PushInfo { kind: PushKind::Invalidate, data: vec![Value::Nil] });
        assert!(copies.get("b").is_none());
    }

    #[test]
    fn a_read_that_was_overtaken_is_not_kept() {
        let copies = Copies::new(Instant::now());
        for overtake in [|copies: &Copies| copies.pushed(void(&["a"])), |copies: &Copies| copies.forget("a")]
        {
            let reading = copies.begin("a");
            overtake(&copies);
            reading.keep(&record(9), None);
            assert!(copies.get("a").is_none());
        }
        keep(&copies, "a", 9);
        assert!(copies.get("a").is_some(), "the next one is");
        assert!(copies.state().flights.is_empty());
    }

    #[test]
    fn readers_without_a_gap_keep_a_key_out_no_longer_than_the_one_that_was_overtaken() {
        let copies = Copies::new(Instant::now());
        let overtaken = copies.begin("a");
        copies.pushed(void(&["a"]));
        let later = copies.begin("a");
        overtaken.keep(&record(9), None);
        assert!(copies.get("a").is_none());
        let last = copies.begin("a");
        later.keep(&record(9), None);
        assert!(copies.get("a").is_some());
        drop(last);
        assert!(copies.state().flights.is_empty());
    }

    #[test]
    fn a_copy_ends_with_its_record() {
        let copies = Copies::new(Instant::now());
        copies.begin("a").keep(&record(9), Some(Duration::ZERO));
        assert!(copies.get("a").is_none());
    }

    #[test]
    fn they_are_bounded_and_the_oldest_leave_first() {
        let copies = Copies::new(Instant::now());
        for number in 0..40 {
            keep(&copies, &number.to_string(), 1 << 20);
        }
        assert!(copies.get("0").is_none() && copies.get("39").is_some());
        assert!(copies.state().bytes <= BYTES);
        for _ in 0..100 {
            keep(&copies, "again", 9);
        }
        assert!(copies.state().order.len() < 200);
        keep(&copies, "huge", BYTES + 1);
        assert!(copies.get("huge").is_none() && copies.get("39").is_some());
    }

    #[test]
    fn without_a_heartbeat_they_are_no_good() {
        let copies = Copies::new(Instant::now() - HEARD);
        assert!(!copies.are_good());
        copies.heard(Instant::now());
        assert!(copies.are_good());
        copies.end();
        assert!(!copies.are_good());
    }
}
