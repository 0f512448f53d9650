//! Redis in trouble, seen from the store: what each case answers, how long it takes, and how it ends by itself.

use std::future::Future;
use std::time::{Duration, Instant};

use async_msal_session::StoreKey;
use async_msal_session::store::{
    CasOutcome, Expiry, LeaseOwner, MarkKey, PutOnce, RedisStore, SessionStore, StoreError,
};
use async_msal_test_servers::{RedisCluster, RedisServer, Sentinel};

use crate::redis::{HOUR, new_key, open, recovers_within};

/// STORE_TIMEOUT's default, and what a loaded machine may add to it.
const LIMIT: Duration = Duration::from_millis(500);
const A_LITTLE: Duration = Duration::from_millis(250);
/// The Cluster's own time limit for a node of it.
const CLUSTER_NOTICES: Duration = Duration::from_secs(2);
/// The next request after the server is back works within a second (and not only some later one).
const BACK: Duration = Duration::from_secs(1);

async fn record(store: &RedisStore) -> StoreKey {
    let key = new_key();
    store.create(&key, "x".into(), HOUR).await.unwrap().unwrap();
    key
}

async fn timed<T>(call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    let started = Instant::now();
    let answer = call.await;
    assert!(started.elapsed() < LIMIT + A_LITTLE, "it took {:?}", started.elapsed());
    answer
}

/// Every call answers within the limit, and with an error.
async fn every_call_fails_in_time(store: &RedisStore) {
    let (key, owner, mark) = (new_key(), LeaseOwner::new("ada"), MarkKey::of("m"));
    let version = async_msal_session::store::Version::new("x");
    assert!(timed(store.load(&key)).await.is_err());
    assert!(timed(store.load_cached(&key)).await.is_err());
    assert!(timed(store.load_many(&[key.clone(), new_key()])).await.is_err());
    assert!(timed(store.create(&key, "x".into(), HOUR)).await.is_err());
    assert!(timed(store.compare_and_set(&key, &version, "y".into(), Expiry::Keep)).await.is_err());
    assert!(timed(store.delete(&key)).await.is_err());
    assert!(timed(store.acquire_lease(&key, &owner, HOUR)).await.is_err());
    assert!(timed(store.extend_lease(&key, &owner, HOUR)).await.is_err());
    assert!(timed(store.release_lease(&key, &owner)).await.is_err());
    assert!(timed(store.put_once(&mark, "x".into(), HOUR)).await.is_err());
    assert!(timed(store.replace_once(&mark, &"x".into(), "y".into())).await.is_err());
    assert!(timed(store.load_once(&mark)).await.is_err());
    assert!(timed(store.scan("contract_", None, 10)).await.is_err());
    assert!(timed(store.ping()).await.is_err());
}

#[tokio::test]
async fn a_server_that_is_down_at_the_start_is_used_as_soon_as_it_is_there() {
    let mut server = RedisServer::start();
    server.kill9();
    let store = open(&server.url());
    every_call_fails_in_time(&store).await;
    server.restart();
    timed(store.create(&new_key(), "x".into(), HOUR)).await.unwrap();
}

#[tokio::test]
async fn the_first_call_after_a_restart_works_reading_or_writing() {
    let mut server = RedisServer::start();
    for reading in [true, false] {
        let store = open(&server.url());
        record(&store).await;
        server.kill9();
        every_call_fails_in_time(&store).await;
        server.restart();
        if reading {
            assert!(timed(store.load(&new_key())).await.unwrap().is_none());
        } else {
            timed(store.create(&new_key(), "x".into(), HOUR)).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_restart_between_two_calls_is_not_noticed() {
    let mut server = RedisServer::start();
    let store = open(&server.url());
    record(&store).await;
    server.restart();
    // A read is asked again on a new connection, should it be the one that meets the old connection's end.
    assert!(timed(store.load(&new_key())).await.unwrap().is_none());
    timed(store.create(&new_key(), "x".into(), HOUR)).await.unwrap();
}

#[tokio::test]
async fn a_server_that_does_not_answer_costs_no_call_more_than_the_limit() {
    let server = RedisServer::start();
    let store = open(&server.url());
    let key = record(&store).await;
    server.pause();
    let started = Instant::now();
    every_call_fails_in_time(&store).await;
    assert!(started.elapsed() > LIMIT);
    server.resume();
    recovers_within(BACK, &store).await;
    assert!(store.load(&key).await.unwrap().is_some());
}

#[tokio::test]
async fn many_callers_at_once_wait_no_longer_than_one() {
    let server = RedisServer::start();
    let store = std::sync::Arc::new(open(&server.url()));
    record(&store).await;
    server.pause();
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..200 {
        let store = std::sync::Arc::clone(&store);
        calls.spawn(async move { timed(store.load(&new_key())).await.is_err() });
    }
    assert!(calls.join_all().await.into_iter().all(|failed| failed));
}

#[tokio::test]
async fn a_server_that_loads_its_data_says_so_and_is_waited_for() {
    let mut server = RedisServer::builder()
        .args(["--key-load-delay", "20000", "--loading-process-events-interval-bytes", "1024"])
        .start();
    let store = open(&server.url());
    for _ in 0..200 {
        record(&store).await;
    }
    server.cli(&["SAVE"]);
    server.restart_without_waiting();
    let mut said = false;
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        match timed(store.load(&new_key())).await {
            Ok(_) => break,
            Err(error) => said |= error.to_string().contains("LOADING"),
        }
        assert!(Instant::now() < end, "it never ended loading");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(said, "LOADING was never met");
    timed(store.create(&new_key(), "x".into(), HOUR)).await.unwrap();
}

#[tokio::test]
async fn a_read_only_replica_is_read_and_refuses_writes_by_name() {
    let mut servers = Sentinel::start();
    let primary = open(&servers.server_mut(0).url());
    let replica = open(&servers.server_mut(1).url());
    let key = record(&primary).await;
    // WAIT would wait for what its own connection wrote.
    let end = Instant::now() + Duration::from_secs(20);
    while replica.load(&key).await.unwrap().is_none() {
        assert!(Instant::now() < end, "it was not copied");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let refused = timed(replica.create(&new_key(), "x".into(), HOUR)).await.unwrap_err();
    assert!(refused.reads_go_on() && refused.code() == "store_read_only", "{refused}");
    assert!(replica.load(&key).await.unwrap().is_some());
}

#[tokio::test]
async fn a_server_without_enough_replicas_reads_and_refuses_writes() {
    let server = RedisServer::start();
    let store = open(&server.url());
    let key = record(&store).await;
    assert_eq!(server.cli(&["CONFIG", "SET", "min-replicas-to-write", "1"]), "OK");
    let refused = store.create(&new_key(), "x".into(), HOUR).await.unwrap_err();
    assert!(refused.reads_go_on() && refused.to_string().contains("NOREPLICAS"), "{refused}");
    assert!(store.load(&key).await.unwrap().is_some());
}

#[tokio::test]
async fn a_full_server_reads_and_deletes_and_refuses_new_records() {
    let server = RedisServer::start();
    let store = open(&server.url());
    let key = record(&store).await;
    let owner = LeaseOwner::new("ada");
    store.acquire_lease(&key, &owner, HOUR).await.unwrap().unwrap();
    assert_eq!(server.cli(&["CONFIG", "SET", "maxmemory", "1"]), "OK");
    let refused = store.create(&new_key(), "x".into(), HOUR).await.unwrap_err();
    assert!(refused.reads_go_on() && refused.to_string().contains("OOM"), "{refused}");
    let seen = store.load(&key).await.unwrap().unwrap();
    let refused = store.compare_and_set(&key, &seen.version, "y".into(), Expiry::Keep).await.unwrap_err();
    assert!(refused.reads_go_on(), "{refused}");
    assert!(store.put_once(&MarkKey::of("m"), "x".into(), HOUR).await.unwrap_err().reads_go_on());
    assert!(store.release_lease(&key, &owner).await.unwrap());
    assert!(store.delete(&key).await.unwrap());
    assert_eq!(server.cli(&["CONFIG", "SET", "maxmemory", "0"]), "OK");
    record(&store).await;
}

#[tokio::test]
async fn what_was_flushed_or_evicted_is_absent_and_never_written_again() {
    let server = RedisServer::start();
    let store = open(&server.url());
    let key = record(&store).await;
    let seen = store.load(&key).await.unwrap().unwrap();
    assert_eq!(server.cli(&["FLUSHALL"]), "OK");
    assert!(store.load(&key).await.unwrap().is_none());
    let late = store.compare_and_set(&key, &seen.version, "y".into(), Expiry::After(HOUR)).await.unwrap();
    assert_eq!(late, CasOutcome::Gone);
    let owner = LeaseOwner::new("ada");
    let first = store.acquire_lease(&key, &owner, HOUR).await.unwrap().unwrap();
    assert_eq!(server.cli(&["FLUSHALL"]), "OK");
    assert!(!store.extend_lease(&key, &owner, HOUR).await.unwrap());
    // The counter went too, and the fence grows all the same.
    assert!(store.acquire_lease(&key, &owner, HOUR).await.unwrap().unwrap() > first);
}

#[tokio::test]
async fn scripts_that_the_server_forgot_are_sent_again() {
    let server = RedisServer::start();
    let store = open(&server.url());
    for _ in 0..2 {
        let key = record(&store).await;
        let seen = store.load(&key).await.unwrap().unwrap();
        let saved = store.compare_and_set(&key, &seen.version, "y".into(), Expiry::Keep).await.unwrap();
        assert!(matches!(saved, CasOutcome::Saved(_)));
        assert_eq!(server.cli(&["SCRIPT", "FLUSH"]), "OK");
    }
    assert_eq!(store.put_once(&MarkKey::of("m"), "x".into(), HOUR).await.unwrap(), PutOnce::First);
}

#[tokio::test]
async fn a_wrong_password_is_told_from_a_server_that_is_down() {
    let server = RedisServer::builder().password("s3cret").start();
    let wrong = server.url().replace("s3cret", "canary");
    for url in [wrong.clone(), wrong.replace(":canary@", ""), format!("{wrong}?protocol=resp2")] {
        let error = timed(open(&url).ping()).await.unwrap_err();
        assert!(matches!(error, StoreError::Denied { .. }), "{error:?}");
        assert!(!format!("{error:?}{error}").contains("canary"));
    }
    open(&server.url()).ping().await.unwrap();
}

#[tokio::test]
async fn a_user_without_the_right_is_told_so() {
    let server = RedisServer::builder().acl_user("app", "p", "~* +@all -set").start();
    let store = open(&server.url());
    let error = store.create(&new_key(), "x".into(), HOUR).await.unwrap_err();
    assert!(error.to_string().contains("NOPERM"), "{error}");
    assert!(store.load(&new_key()).await.unwrap().is_none());
}

#[tokio::test]
async fn an_answer_never_reaches_another_question() {
    let server = RedisServer::start();
    let store = std::sync::Arc::new(open(&server.url()));
    let mut keys = Vec::new();
    for _ in 0..20 {
        let key = new_key();
        store.create(&key, key.as_str().to_owned().into(), HOUR).await.unwrap().unwrap();
        keys.push(key);
    }
    let end = Instant::now() + Duration::from_secs(2);
    let mut readers = tokio::task::JoinSet::new();
    for (number, key) in keys.into_iter().enumerate() {
        let store = std::sync::Arc::clone(&store);
        readers.spawn(async move {
            let mut answers = 0;
            while Instant::now() < end {
                // Some callers give up in the middle of an exchange.
                let patience = Duration::from_micros(if number % 2 == 0 { 200 } else { 400_000 });
                let Ok(Ok(answer)) = tokio::time::timeout(patience, store.load(&key)).await else { continue };
                assert_eq!(answer.unwrap().value, key.as_str().as_bytes());
                answers += 1;
            }
            answers
        });
    }
    let killer = std::thread::spawn(move || {
        let mut kills = 0;
        while Instant::now() < end {
            kills +=
                server.cli(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).parse::<u32>().unwrap();
            std::thread::sleep(Duration::from_millis(20));
        }
        (kills, server)
    });
    let answers: u32 = readers.join_all().await.into_iter().sum();
    let (kills, _server) = killer.join().unwrap();
    assert!(answers > 100 && kills > 10, "{answers} answers, {kills} kills");
}

#[tokio::test]
async fn a_cluster_that_was_down_is_used_again_by_itself() {
    let mut cluster = RedisCluster::start();
    let store = open(&cluster.url());
    record(&store).await;
    for number in 0..3 {
        cluster.node_mut(number).kill9();
    }
    every_call_fails_in_time(&store).await;
    for number in 0..3 {
        cluster.node_mut(number).restart();
    }
    cluster.wait_until_ok();
    recovers_within(BACK, &store).await;
}

#[tokio::test]
async fn a_master_of_a_cluster_that_does_not_answer_costs_no_call_more_than_the_limit() {
    let cluster = RedisCluster::start();
    let store = open(&cluster.url());
    let mut keys = Vec::new();
    for _ in 0..30 {
        keys.push(record(&store).await);
    }
    let of_master =
        |number: usize, key: &StoreKey| cluster.nodes()[number].cli(&["EXISTS", key.as_str()]) == "1";
    let (theirs, others): (Vec<&StoreKey>, Vec<&StoreKey>) = keys.iter().partition(|key| of_master(1, key));
    assert!(!theirs.is_empty() && !others.is_empty());
    cluster.nodes()[1].pause();
    let paused = Instant::now();
    // One of theirs first, which times out, and costs the other masters' nothing.
    let answer = timed(store.load(theirs[0])).await;
    assert!(matches!(answer, Err(StoreError::Unavailable { .. })), "{answer:?}");
    for key in &others {
        match timed(store.load(key)).await {
            Ok(answer) => assert!(answer.is_some()),
            // When the others have noticed, the Cluster serves nothing at all (cluster-require-full-coverage).
            Err(error) => assert!(paused.elapsed() > CLUSTER_NOTICES, "{error:?}"),
        }
    }
    for key in &theirs {
        let answer = timed(store.load(key)).await;
        assert!(matches!(answer, Err(StoreError::Unavailable { .. })), "{answer:?}");
    }
    cluster.nodes()[1].resume();
    cluster.wait_until_ok();
    recovers_within(BACK, &store).await;
    for key in &keys {
        assert!(timed(store.load(key)).await.unwrap().is_some());
    }
}
