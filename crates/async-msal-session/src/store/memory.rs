//! Records in this process only: for tests, and for services that may forget everybody at a restart.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_msal::{Clock, SystemClock};
use async_trait::async_trait;
use bytes::Bytes;

use super::types::whole_seconds;
use super::{
    CasOutcome, Cursor, Expiry, Fence, IndexEntry, IndexKey, LeaseOwner, MarkKey, Page, PutOnce,
    SessionStore, StoreError, Stored, Version,
};
use crate::session_id::StoreKey;

/// How many records a memory store holds unless told otherwise.
const DEFAULT_CAPACITY: usize = 100_000;

/// A [`SessionStore`] in memory.
///
/// It is bounded: at most 100,000 records, and as many marks and index sets, unless told otherwise. When it is
/// full of live things it refuses new ones with [`StoreError::Unavailable`]; nobody is signed out to make room.
pub struct MemoryStore {
    tables: Mutex<Tables>,
    clock: Arc<dyn Clock>,
    capacity: usize,
}

#[derive(Default)]
struct Tables {
    records: BTreeMap<String, Record>,
    index: HashMap<String, BTreeMap<StoreKey, IndexRow>>,
    leases: HashMap<String, Lease>,
    marks: HashMap<String, Mark>,
    counter: i64,
}

struct Record {
    stored: Stored,
    expires_at: i64,
}

struct IndexRow {
    added_at: i64,
    expires_at: i64,
}

struct Lease {
    owner: LeaseOwner,
    expires_at: i64,
}

struct Mark {
    value: Bytes,
    expires_at: i64,
}

/// Counts only: keys hold the session's id in layout aiohttp.
impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tables, clock: _, capacity } = self;
        let tables = tables.lock().unwrap_or_else(PoisonError::into_inner);
        f.debug_struct("MemoryStore")
            .field("records", &tables.records.len())
            .field("marks", &tables.marks.len())
            .field("capacity", capacity)
            .finish_non_exhaustive()
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryStore {
    /// An empty store on the machine's clock.
    #[must_use]
    pub fn new() -> Self {
        Self::with_clock(Arc::new(SystemClock::default()))
    }

    /// An empty store on the given clock. Default: the machine's.
    #[must_use]
    pub fn with_clock(clock: Arc<dyn Clock>) -> Self {
        Self { tables: Mutex::default(), clock, capacity: DEFAULT_CAPACITY }
    }

    /// Holds at most this many records. Default: 100,000.
    #[must_use]
    pub fn with_capacity(mut self, records: usize) -> Self {
        self.capacity = records;
        self
    }

    fn tables(&self) -> (MutexGuard<'_, Tables>, i64) {
        // Nothing panics while holding the lock, and no table is left half changed if it did.
        (self.tables.lock().unwrap_or_else(PoisonError::into_inner), self.clock.now())
    }
}

impl Tables {
    fn next(&mut self) -> i64 {
        self.counter += 1;
        self.counter
    }

    fn live(&mut self, key: &StoreKey, now: i64) -> Option<&mut Record> {
        self.records.get_mut(key.as_str()).filter(|record| record.expires_at > now)
    }

    fn sweep(&mut self, now: i64, limit: usize) -> u64 {
        let mut removed = sweep_map(&mut self.marks, limit, |mark| mark.expires_at > now);
        sweep_map(&mut self.leases, limit, |lease| lease.expires_at > now);
        let dead: Vec<String> = (self.records.iter())
            .filter(|(_, record)| record.expires_at <= now)
            .take(limit)
            .map(|(key, _)| key.clone())
            .collect();
        removed += dead.len() as u64;
        for key in dead {
            self.records.remove(&key);
        }
        for rows in self.index.values_mut() {
            rows.retain(|_, row| row.expires_at > now);
        }
        self.index.retain(|_, rows| !rows.is_empty());
        removed
    }
}

fn sweep_map<V>(map: &mut HashMap<String, V>, limit: usize, live: impl Fn(&V) -> bool) -> u64 {
    let mut removed = 0;
    map.retain(|_, value| {
        let keep = removed >= limit as u64 || live(value);
        removed += u64::from(!keep);
        keep
    });
    removed
}

fn full() -> StoreError {
    StoreError::Unavailable { what: "the memory store is full".to_owned(), source: None }
}

#[async_trait]
impl SessionStore for MemoryStore {
    fn kind(&self) -> &'static str {
        "memory"
    }

    async fn load(&self, key: &StoreKey) -> Result<Option<Stored>, StoreError> {
        let (mut tables, now) = self.tables();
        Ok(tables.live(key, now).map(|record| record.stored.clone()))
    }

    async fn create(
        &self,
        key: &StoreKey,
        value: Bytes,
        ttl: Duration,
    ) -> Result<Option<Version>, StoreError> {
        let (mut tables, now) = self.tables();
        if tables.live(key, now).is_some() {
            return Ok(None);
        }
        if tables.records.len() >= self.capacity {
            tables.sweep(now, usize::MAX);
        }
        if tables.records.len() >= self.capacity {
            return Err(full());
        }
        let version = Version::from_number(tables.next());
        let expires_at = now.saturating_add(whole_seconds(ttl));
        let stored = Stored::new(value, version.clone(), Some(expires_at));
        tables.records.insert(key.as_str().to_owned(), Record { stored, expires_at });
        Ok(Some(version))
    }

    async fn compare_and_set(
        &self,
        key: &StoreKey,
        expected: &Version,
        value: Bytes,
        expiry: Expiry,
    ) -> Result<CasOutcome, StoreError> {
        let (mut tables, now) = self.tables();
        let next = Version::from_number(tables.next());
        let Some(record) = tables.live(key, now) else { return Ok(CasOutcome::Gone) };
        if record.stored.version != *expected {
            return Ok(CasOutcome::Conflict);
        }
        if let Expiry::After(ttl) = expiry {
            record.expires_at = now.saturating_add(whole_seconds(ttl));
        }
        record.stored = Stored::new(value, next.clone(), Some(record.expires_at));
        Ok(CasOutcome::Saved(next))
    }

    async fn delete(&self, key: &StoreKey) -> Result<bool, StoreError> {
        let (mut tables, now) = self.tables();
        Ok(tables.records.remove(key.as_str()).is_some_and(|record| record.expires_at > now))
    }

    async fn index_add(&self, names: &[IndexKey], key: &StoreKey, ttl: Duration) -> Result<(), StoreError> {
        let (mut tables, now) = self.tables();
        let room = self.capacity.saturating_mul(4);
        let expires_at = now.saturating_add(whole_seconds(ttl));
        for name in names {
            if !tables.index.contains_key(name.as_str()) && tables.index.len() >= room {
                tables.sweep(now, usize::MAX);
                if tables.index.len() >= room {
                    return Err(full());
                }
            }
            let rows = tables.index.entry(name.as_str().to_owned()).or_default();
            rows.retain(|_, row| row.expires_at > now);
            rows.entry(key.clone())
                .and_modify(|row| row.expires_at = expires_at)
                .or_insert(IndexRow { added_at: now, expires_at });
        }
        Ok(())
    }

    async fn index_remove(&self, names: &[IndexKey], key: &StoreKey) -> Result<(), StoreError> {
        let (mut tables, _) = self.tables();
        for name in names {
            if let Some(rows) = tables.index.get_mut(name.as_str()) {
                rows.remove(key);
                if rows.is_empty() {
                    tables.index.remove(name.as_str());
                }
            }
        }
        Ok(())
    }

    async fn index_lookup(&self, index: &IndexKey, limit: usize) -> Result<Vec<IndexEntry>, StoreError> {
        let (tables, now) = self.tables();
        let mut entries: Vec<IndexEntry> = (tables.index.get(index.as_str()).into_iter().flatten())
            .filter(|(_, row)| row.expires_at > now)
            .map(|(key, row)| IndexEntry::new(key.clone(), row.added_at))
            .collect();
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.added_at));
        entries.truncate(limit);
        Ok(entries)
    }

    async fn acquire_lease(
        &self,
        key: &StoreKey,
        owner: &LeaseOwner,
        ttl: Duration,
    ) -> Result<Option<Fence>, StoreError> {
        let (mut tables, now) = self.tables();
        if tables.leases.get(key.as_str()).is_some_and(|held| held.expires_at > now && held.owner != *owner) {
            return Ok(None);
        }
        if tables.leases.len() >= self.capacity {
            tables.sweep(now, usize::MAX);
        }
        let fence = Fence::new(tables.next().unsigned_abs());
        let lease = Lease { owner: owner.clone(), expires_at: now.saturating_add(whole_seconds(ttl)) };
        tables.leases.insert(key.as_str().to_owned(), lease);
        Ok(Some(fence))
    }

    async fn extend_lease(
        &self,
        key: &StoreKey,
        owner: &LeaseOwner,
        ttl: Duration,
    ) -> Result<bool, StoreError> {
        let (mut tables, now) = self.tables();
        let held =
            tables.leases.get_mut(key.as_str()).filter(|held| held.expires_at > now && held.owner == *owner);
        Ok(held.map(|lease| lease.expires_at = now.saturating_add(whole_seconds(ttl))).is_some())
    }

    async fn release_lease(&self, key: &StoreKey, owner: &LeaseOwner) -> Result<bool, StoreError> {
        let (mut tables, now) = self.tables();
        let held =
            tables.leases.get(key.as_str()).is_some_and(|held| held.expires_at > now && held.owner == *owner);
        if held {
            tables.leases.remove(key.as_str());
        }
        Ok(held)
    }

    async fn put_once(&self, mark: &MarkKey, value: Bytes, ttl: Duration) -> Result<PutOnce, StoreError> {
        let (mut tables, now) = self.tables();
        if let Some(there) = tables.marks.get(mark.as_str()).filter(|there| there.expires_at > now) {
            return Ok(PutOnce::AlreadyThere(there.value.clone()));
        }
        if tables.marks.len() >= self.capacity {
            tables.sweep(now, usize::MAX);
            if tables.marks.len() >= self.capacity {
                return Err(full());
            }
        }
        let expires_at = now.saturating_add(whole_seconds(ttl));
        tables.marks.insert(mark.as_str().to_owned(), Mark { value, expires_at });
        Ok(PutOnce::First)
    }

    async fn replace_once(&self, mark: &MarkKey, expected: &Bytes, value: Bytes) -> Result<bool, StoreError> {
        let (mut tables, now) = self.tables();
        let there = tables
            .marks
            .get_mut(mark.as_str())
            .filter(|there| there.expires_at > now && there.value == *expected);
        Ok(there.map(|there| there.value = value).is_some())
    }

    async fn load_once(&self, mark: &MarkKey) -> Result<Option<Bytes>, StoreError> {
        let (tables, now) = self.tables();
        Ok(tables
            .marks
            .get(mark.as_str())
            .filter(|there| there.expires_at > now)
            .map(|there| there.value.clone()))
    }

    async fn sweep_expired(&self, limit: usize) -> Result<u64, StoreError> {
        let (mut tables, now) = self.tables();
        Ok(tables.sweep(now, limit))
    }

    async fn scan(&self, prefix: &str, cursor: Option<Cursor>, limit: usize) -> Result<Page, StoreError> {
        let (tables, now) = self.tables();
        let after = cursor
            .map_or(Bound::Included(prefix.to_owned()), |cursor| Bound::Excluded(cursor.as_str().to_owned()));
        let rows = tables.records.range((after, Bound::Unbounded));
        let mut rows = rows.take_while(|(key, _)| key.starts_with(prefix));
        let page: Vec<(&String, &Record)> = rows.by_ref().take(limit.max(1)).collect();
        let next = page.last().filter(|_| rows.next().is_some()).map(|(key, _)| Cursor::new(key.as_str()));
        let live = page.into_iter().filter(|(_, record)| record.expires_at > now);
        Ok(Page::new(live.map(|(key, record)| (key.clone(), record.stored.clone())).collect(), next))
    }

    async fn count_hint(&self, _prefix: &str) -> Result<Option<u64>, StoreError> {
        Ok(Some(self.tables().0.records.len() as u64))
    }

    async fn ping(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use async_msal::ManualClock;

    use super::*;
    use crate::session_id::{SessionId, SessionLayout};
    use crate::store::contract::{self, Bench};

    #[tokio::test]
    async fn the_memory_store_keeps_the_contract() {
        let clock = ManualClock::new(1_700_000_000);
        let store = Arc::new(MemoryStore::with_clock(Arc::new(clock.clone())));
        contract::run(&Bench::new(store, move |by| clock.advance(by))).await;
    }

    #[tokio::test]
    async fn a_full_store_refuses_rather_than_forgets_a_live_record() {
        let store = MemoryStore::new().with_capacity(1);
        let key = |digit: &str| {
            let id = SessionId::parse(&digit.repeat(32)).unwrap();
            StoreKey::new(SessionLayout::Sealed, "c", &id)
        };
        let hour = Duration::from_secs(3600);
        assert!(store.create(&key("1"), Bytes::from_static(b"a"), hour).await.unwrap().is_some());
        assert!(store.create(&key("2"), Bytes::from_static(b"b"), hour).await.is_err());
        assert!(store.load(&key("1")).await.unwrap().is_some());
    }
}
