//! The rules every store keeps, as one suite. Whoever writes a store runs it in a test of his own.
//!
//! [`run`] panics with the rule's name where a store breaks it. Keys are random, so the suite runs beside other users of
//! the same store.

use std::fmt;
use std::slice;
use std::sync::Arc;
use std::time::Duration;

use async_msal::SystemRandom;
use bytes::Bytes;

use super::{CasOutcome, Expiry, IndexKey, LeaseOwner, MarkKey, PutOnce, SessionStore, StoreError, Version};
use crate::session_id::{SessionId, SessionLayout, StoreKey};

const HOUR: Duration = Duration::from_secs(3600);

/// A store under test, and the hand that moves its clock.
pub struct Bench {
    store: Arc<dyn SessionStore>,
    advance: Box<dyn Fn(i64) + Send + Sync>,
}

impl fmt::Debug for Bench {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bench").field("store", &self.store).finish_non_exhaustive()
    }
}

impl Bench {
    /// `advance` moves the store's clock by so many seconds.
    pub fn new(store: Arc<dyn SessionStore>, advance: impl Fn(i64) + Send + Sync + 'static) -> Self {
        Self { store, advance: Box::new(advance) }
    }

    async fn record(&self, text: &'static str) -> (StoreKey, Version) {
        let key = new_key();
        let version = ok(self.store.create(&key, text.into(), HOUR).await);
        (key, version.expect("a new key is free"))
    }

    async fn value(&self, key: &StoreKey) -> Option<Bytes> {
        ok(self.store.load(key).await).map(|stored| stored.value)
    }
}

fn ok<T>(result: Result<T, StoreError>) -> T {
    result.expect("the store answers")
}

fn new_key() -> StoreKey {
    let id = SessionId::generate(&SystemRandom::default()).expect("randomness");
    StoreKey::new(SessionLayout::Sealed, "contract", &id)
}

fn unique(prefix: &str) -> String {
    format!("{prefix}{}", new_key().digits())
}

/// Runs the whole suite.
///
/// # Panics
/// Where the store breaks a rule.
pub async fn run(bench: &Bench) {
    a_record_is_read_as_it_was_written(bench).await;
    creating_over_a_live_record_changes_nothing(bench).await;
    of_two_writers_with_one_version_one_wins(bench).await;
    a_write_never_brings_back_a_deleted_record(bench).await;
    a_record_made_again_refuses_its_predecessors_version(bench).await;
    keep_leaves_the_end_and_after_moves_it(bench).await;
    an_expired_record_is_absent_and_its_key_free(bench).await;
    the_index_finds_newest_first_and_forgets_what_is_removed(bench).await;
    adding_again_keeps_the_first_time(bench).await;
    a_lease_has_one_owner_and_ends(bench).await;
    only_the_owner_releases_or_extends(bench).await;
    fences_grow(bench).await;
    a_mark_is_left_once(bench).await;
    an_outcome_replaces_only_what_it_saw(bench).await;
    a_scan_meets_every_record_once_over_pages(bench).await;
    the_sweep_removes_what_expired_and_nothing_else(bench).await;
    of_fifty_racing_marks_one_is_first(bench).await;
}

async fn a_record_is_read_as_it_was_written(bench: &Bench) {
    let key = new_key();
    assert!(bench.value(&key).await.is_none());
    let bytes = Bytes::from_static(b"\x00\xff{\"created\": 1}\r\n");
    let version = ok(bench.store.create(&key, bytes.clone(), HOUR).await).expect("free");
    let stored = ok(bench.store.load(&key).await).expect("there");
    assert_eq!((stored.value, stored.version), (bytes, version));
}

async fn creating_over_a_live_record_changes_nothing(bench: &Bench) {
    let (key, _) = bench.record("first").await;
    assert!(ok(bench.store.create(&key, "second".into(), HOUR).await).is_none());
    assert_eq!(bench.value(&key).await, Some("first".into()));
}

async fn of_two_writers_with_one_version_one_wins(bench: &Bench) {
    let (key, seen) = bench.record("0").await;
    let first = ok(bench.store.compare_and_set(&key, &seen, "1".into(), Expiry::Keep).await);
    let second = ok(bench.store.compare_and_set(&key, &seen, "2".into(), Expiry::Keep).await);
    assert!(matches!(first, CasOutcome::Saved(_)), "{first:?}");
    assert_eq!(second, CasOutcome::Conflict);
    assert_eq!(bench.value(&key).await, Some("1".into()));
}

async fn a_write_never_brings_back_a_deleted_record(bench: &Bench) {
    let (key, seen) = bench.record("0").await;
    assert!(ok(bench.store.delete(&key).await));
    assert!(!ok(bench.store.delete(&key).await));
    let late = ok(bench.store.compare_and_set(&key, &seen, "1".into(), Expiry::After(HOUR)).await);
    assert_eq!(late, CasOutcome::Gone);
    assert!(bench.value(&key).await.is_none());
}

async fn a_record_made_again_refuses_its_predecessors_version(bench: &Bench) {
    let (key, seen) = bench.record("old").await;
    ok(bench.store.delete(&key).await);
    ok(bench.store.create(&key, "new".into(), HOUR).await).expect("free again");
    let late = ok(bench.store.compare_and_set(&key, &seen, "late".into(), Expiry::Keep).await);
    assert_eq!(late, CasOutcome::Conflict);
}

async fn keep_leaves_the_end_and_after_moves_it(bench: &Bench) {
    let (kept, version) = bench.record("kept").await;
    let (moved, other) = bench.record("moved").await;
    (bench.advance)(3000);
    ok(bench.store.compare_and_set(&kept, &version, "kept".into(), Expiry::Keep).await);
    ok(bench.store.compare_and_set(&moved, &other, "moved".into(), Expiry::After(HOUR)).await);
    (bench.advance)(1000);
    assert!(bench.value(&kept).await.is_none(), "Keep lengthened the life");
    assert!(bench.value(&moved).await.is_some(), "After did not lengthen the life");
}

async fn an_expired_record_is_absent_and_its_key_free(bench: &Bench) {
    let (key, version) = bench.record("0").await;
    (bench.advance)(3601);
    assert!(bench.value(&key).await.is_none());
    let late = ok(bench.store.compare_and_set(&key, &version, "1".into(), Expiry::Keep).await);
    assert_eq!(late, CasOutcome::Gone);
    assert!(ok(bench.store.create(&key, "2".into(), HOUR).await).is_some());
}

async fn the_index_finds_newest_first_and_forgets_what_is_removed(bench: &Bench) {
    let index = IndexKey::new(unique("contract:"));
    let keys = [new_key(), new_key(), new_key()];
    for key in &keys {
        ok(bench.store.index_add(slice::from_ref(&index), key, HOUR).await);
        (bench.advance)(1);
    }
    let found = ok(bench.store.index_lookup(&index, 2).await);
    let names: Vec<&StoreKey> = found.iter().map(|entry| &entry.key).collect();
    assert_eq!(names, [&keys[2], &keys[1]]);
    ok(bench.store.index_remove(slice::from_ref(&index), &keys[2]).await);
    ok(bench.store.index_remove(slice::from_ref(&index), &keys[2]).await);
    assert_eq!(ok(bench.store.index_lookup(&index, 9).await).len(), 2);
    (bench.advance)(3601);
    assert!(ok(bench.store.index_lookup(&index, 9).await).is_empty());
}

async fn adding_again_keeps_the_first_time(bench: &Bench) {
    let (index, key) = (IndexKey::new(unique("contract:")), new_key());
    ok(bench.store.index_add(slice::from_ref(&index), &key, HOUR).await);
    let first = ok(bench.store.index_lookup(&index, 1).await)[0].added_at;
    (bench.advance)(3000);
    ok(bench.store.index_add(slice::from_ref(&index), &key, HOUR).await);
    (bench.advance)(3000);
    let again = ok(bench.store.index_lookup(&index, 9).await);
    assert_eq!(again.len(), 1);
    assert_eq!(again[0].added_at, first);
}

async fn a_lease_has_one_owner_and_ends(bench: &Bench) {
    let (key, ada, ben) = (new_key(), LeaseOwner::new("ada"), LeaseOwner::new("ben"));
    let ttl = Duration::from_secs(15);
    assert!(ok(bench.store.acquire_lease(&key, &ada, ttl).await).is_some());
    assert!(ok(bench.store.acquire_lease(&key, &ben, ttl).await).is_none());
    assert!(
        ok(bench.store.acquire_lease(&new_key(), &ben, ttl).await).is_some(),
        "another session waits for none"
    );
    (bench.advance)(10);
    assert!(ok(bench.store.extend_lease(&key, &ada, ttl).await));
    (bench.advance)(10);
    assert!(ok(bench.store.acquire_lease(&key, &ben, ttl).await).is_none(), "extending did not extend");
    (bench.advance)(6);
    assert!(ok(bench.store.acquire_lease(&key, &ben, ttl).await).is_some());
    assert!(!ok(bench.store.extend_lease(&key, &ada, ttl).await), "a lost lease was extended");
}

async fn only_the_owner_releases_or_extends(bench: &Bench) {
    let (key, ada, ben) = (new_key(), LeaseOwner::new("ada"), LeaseOwner::new("ben"));
    ok(bench.store.acquire_lease(&key, &ada, HOUR).await);
    assert!(!ok(bench.store.release_lease(&key, &ben).await));
    assert!(!ok(bench.store.extend_lease(&key, &ben, HOUR).await));
    assert!(ok(bench.store.acquire_lease(&key, &ben, HOUR).await).is_none());
    assert!(ok(bench.store.release_lease(&key, &ada).await));
    assert!(!ok(bench.store.release_lease(&key, &ada).await));
    assert!(ok(bench.store.acquire_lease(&key, &ben, HOUR).await).is_some());
}

async fn fences_grow(bench: &Bench) {
    let (key, owner) = (new_key(), LeaseOwner::new("ada"));
    let mut last = None;
    for _ in 0..3 {
        let fence = ok(bench.store.acquire_lease(&key, &owner, HOUR).await).expect("free");
        assert!(last.is_none_or(|last| fence > last));
        last = Some(fence);
        ok(bench.store.release_lease(&key, &owner).await);
    }
}

async fn a_mark_is_left_once(bench: &Bench) {
    let mark = MarkKey::of(&unique(""));
    assert_eq!(ok(bench.store.put_once(&mark, "a".into(), HOUR).await), PutOnce::First);
    let again = ok(bench.store.put_once(&mark, "b".into(), HOUR).await);
    assert_eq!(again, PutOnce::AlreadyThere("a".into()));
    assert_eq!(ok(bench.store.load_once(&mark).await), Some("a".into()));
    (bench.advance)(3601);
    assert!(ok(bench.store.load_once(&mark).await).is_none());
    assert_eq!(ok(bench.store.put_once(&mark, "c".into(), HOUR).await), PutOnce::First);
}

async fn an_outcome_replaces_only_what_it_saw(bench: &Bench) {
    let mark = MarkKey::of(&unique(""));
    assert!(!ok(bench.store.replace_once(&mark, &"a".into(), "b".into()).await), "nothing to replace");
    ok(bench.store.put_once(&mark, "a".into(), HOUR).await);
    assert!(!ok(bench.store.replace_once(&mark, &"x".into(), "b".into()).await));
    assert!(ok(bench.store.replace_once(&mark, &"a".into(), "b".into()).await));
    assert_eq!(ok(bench.store.load_once(&mark).await), Some("b".into()));
    (bench.advance)(3601);
    assert!(ok(bench.store.load_once(&mark).await).is_none(), "replacing lengthened the life");
}

async fn a_scan_meets_every_record_once_over_pages(bench: &Bench) {
    let mut wanted = Vec::new();
    for _ in 0..5 {
        wanted.push(bench.record("x").await.0);
    }
    let (mut met, mut cursor) = (Vec::new(), None);
    loop {
        let page = ok(bench.store.scan("contract_", cursor, 2).await);
        met.extend(page.records.into_iter().map(|(key, _)| key));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    for key in wanted {
        assert_eq!(met.iter().filter(|name| name.as_str() == key.as_str()).count(), 1);
    }
}

async fn the_sweep_removes_what_expired_and_nothing_else(bench: &Bench) {
    let (dead, _) = bench.record("dead").await;
    (bench.advance)(3601);
    let (live, _) = bench.record("live").await;
    ok(bench.store.sweep_expired(1000).await);
    assert!(bench.value(&dead).await.is_none());
    assert!(bench.value(&live).await.is_some());
    assert_eq!(ok(bench.store.sweep_expired(1000).await), 0, "swept twice");
}

async fn of_fifty_racing_marks_one_is_first(bench: &Bench) {
    let mark = MarkKey::of(&unique(""));
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..50 {
        let (store, mark) = (Arc::clone(&bench.store), mark.clone());
        tasks.spawn(async move { ok(store.put_once(&mark, number.to_string().into(), HOUR).await) });
    }
    let outcomes = tasks.join_all().await;
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == PutOnce::First).count(), 1);
}
