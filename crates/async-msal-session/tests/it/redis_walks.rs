//! Walks over all records while servers change places and slots move: complete, or an error that says so.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use async_msal_session::store::{Cursor, RedisStore, SessionStore, StoreError};
use async_msal_test_servers::{RedisCluster, RedisServer, Sentinel};

use crate::redis::{HOUR, new_key, open};

const RECORDS: usize = 60;
const PREFIX: &str = "contract_";

async fn fill(store: &RedisStore) -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    for _ in 0..RECORDS {
        let key = new_key();
        store.create(&key, "x".into(), HOUR).await.unwrap().unwrap();
        keys.insert(key.as_str().to_owned());
    }
    keys
}

/// One step of the walk: what was met, and where to go on.
async fn step(
    store: &RedisStore,
    cursor: Option<Cursor>,
) -> Result<(Vec<String>, Option<Cursor>), StoreError> {
    let page = store.scan(PREFIX, cursor, 5).await?;
    Ok((page.records.into_iter().map(|(key, _)| key).collect(), page.next))
}

/// The whole walk.
async fn walk(store: &RedisStore) -> Result<BTreeSet<String>, StoreError> {
    let (mut met, mut cursor) = (BTreeSet::new(), None);
    loop {
        let (keys, next) = step(store, cursor).await?;
        met.extend(keys);
        cursor = next;
        if cursor.is_none() {
            return Ok(met);
        }
    }
}

/// Walks, anew where the way was lost, until a walk comes to its end.
async fn walks_anew(store: &RedisStore) -> BTreeSet<String> {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        match walk(store).await {
            Ok(met) => return met,
            Err(error) => assert!(Instant::now() < end, "no walk comes to its end: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The walk cannot go on from here, and says why.
async fn is_lost(store: &RedisStore, cursor: Option<Cursor>, why: &str) {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let error = step(store, cursor.clone()).await.expect_err("records are missed without a word");
        assert!(error.is_retryable(), "{error}");
        if error.to_string().contains(why) {
            return;
        }
        assert!(Instant::now() < end, "{error}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_walk_goes_on_over_a_connection_that_broke() {
    let server = RedisServer::start();
    let store = open(&server.url());
    let keys = fill(&store).await;
    let (mut met, mut cursor) = step(&store, None).await.unwrap();
    while cursor.is_some() {
        server.cli(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
        let (more, next) = step(&store, cursor).await.unwrap();
        met.extend(more);
        cursor = next;
    }
    assert_eq!(met.into_iter().collect::<BTreeSet<_>>(), keys);
}

#[tokio::test]
async fn a_walk_ends_with_the_process_of_the_server() {
    let mut server = RedisServer::start();
    let store = open(&server.url());
    let keys = fill(&store).await;
    let (_, cursor) = step(&store, None).await.unwrap();
    server.cli(&["SAVE"]);
    // It keeps its records, in another order.
    server.restart();
    is_lost(&store, cursor, "begun again").await;
    assert_eq!(walk(&store).await.unwrap(), keys);
}

#[tokio::test]
async fn a_walk_ends_with_a_fail_over() {
    let mut sentinel = Sentinel::start();
    let store = open(&sentinel.url());
    let keys = fill(&store).await;
    let end = Instant::now() + Duration::from_secs(20);
    while sentinel.server_mut(1).cli(&["DBSIZE"]) != RECORDS.to_string() {
        assert!(Instant::now() < end, "they were not copied");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (_, cursor) = step(&store, None).await.unwrap();
    sentinel.server_mut(0).kill9();
    is_lost(&store, cursor, "begun again").await;
    assert_eq!(walks_anew(&store).await, keys);
}

/// The slot of a record of this master, with the master's name.
fn slot_of(server: &RedisServer, key: &str) -> (String, String) {
    (server.cli(&["CLUSTER", "KEYSLOT", key]), server.cli(&["CLUSTER", "MYID"]))
}

#[tokio::test]
async fn a_walk_ends_when_a_slot_moves_to_a_master_it_has_left() {
    let cluster = RedisCluster::start();
    let store = open(&cluster.url());
    let keys = fill(&store).await;
    assert_eq!(walk(&store).await.unwrap(), keys);
    // The walk takes masters by their addresses: it begins at the first, and a slot of the last moves there.
    let mut masters: Vec<&RedisServer> = cluster.nodes().iter().collect();
    masters.sort_by_key(|server| server.port());
    let (first, last) = (masters[0], masters[2]);
    let of_last = |key: &&String| last.cli(&["EXISTS", key]) == "1";
    let key = keys.iter().find(of_last).expect("one of sixty is there");
    let ((slot, to), (_, from)) = (slot_of(first, key), slot_of(last, key));

    let (_, cursor) = step(&store, None).await.unwrap();
    assert_eq!(first.cli(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &from]), "OK");
    assert_eq!(last.cli(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &to]), "OK");
    is_lost(&store, cursor.clone(), "moving").await;
    let port = first.port().to_string();
    let in_slot = last.cli(&["CLUSTER", "GETKEYSINSLOT", &slot, "100"]);
    for key in in_slot.lines() {
        assert_eq!(last.cli(&["MIGRATE", "127.0.0.1", &port, key, "0", "5000"]), "OK");
    }
    for server in [first, last, masters[1]] {
        assert_eq!(server.cli(&["CLUSTER", "SETSLOT", &slot, "NODE", &to]), "OK");
    }
    is_lost(&store, cursor, "begun again").await;
    assert_eq!(walks_anew(&store).await, keys);
    assert_eq!(store.count_hint(PREFIX).await.unwrap(), Some(RECORDS as u64));
}
