//! The Redis store against real servers: one, one with TLS, one with an ACL, a Cluster, and one that Sentinels watch.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_msal::SystemRandom;
use async_msal_session::store::contract::{self, Bench};
use async_msal_session::store::{Expiry, RedisOptions, RedisStore, SessionStore, StoreError};
use async_msal_session::{SessionId, SessionLayout, StoreKey};
use async_msal_test_servers::{FakeClock, RedisCluster, RedisServer, Sentinel};

const DOCUMENT: &str = include_str!("../../../../docs/redis.md");

pub(crate) const HOUR: Duration = Duration::from_secs(3600);

pub(crate) fn open(url: &str) -> RedisStore {
    RedisStore::open_lazy(&RedisOptions::new(url)).unwrap()
}

pub(crate) fn new_key() -> StoreKey {
    StoreKey::new(SessionLayout::Sealed, "contract", &SessionId::generate(&SystemRandom::default()).unwrap())
}

/// Asks until the store answers; panics when it has not within `limit`.
pub(crate) async fn recovers_within(limit: Duration, store: &dyn SessionStore) -> Duration {
    let started = Instant::now();
    loop {
        let answer = store.create(&new_key(), "x".into(), HOUR).await;
        if answer.is_ok() {
            return started.elapsed();
        }
        assert!(started.elapsed() < limit, "no recovery within {limit:?}: {answer:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn keeps_the_contract(store: RedisStore, clock: FakeClock) {
    contract::run(&Bench::new(Arc::new(store), move |by| clock.advance(by))).await;
}

#[tokio::test]
async fn the_redis_store_keeps_the_contract() {
    let clock = FakeClock::new();
    let server = RedisServer::builder().with_clock(&clock).start();
    keeps_the_contract(open(&server.url()), clock).await;
}

#[tokio::test]
async fn a_cluster_keeps_the_contract() {
    let clock = FakeClock::new();
    let cluster = RedisCluster::with_clock(&clock);
    keeps_the_contract(open(&cluster.url()), clock).await;
}

#[tokio::test]
async fn the_documented_commands_and_keys_suffice() {
    let clock = FakeClock::new();
    let rules = DOCUMENT.lines().find_map(|line| line.strip_prefix("ACL SETUSER app on >PASSWORD ")).unwrap();
    // The suite names its index after itself.
    let rules = format!("{} ~contract:*", rules.replace("__Host-async_msal", "contract"));
    let server = RedisServer::builder().acl_user("app", "s3cret", &rules).with_clock(&clock).start();
    keeps_the_contract(open(&server.url()), clock).await;
    let other_database = open(&format!("{}/1", server.url().trim_end_matches('/')));
    assert_eq!(other_database.count_hint("contract_").await.unwrap(), Some(0));
}

#[tokio::test]
async fn the_older_protocol_will_do() {
    let clock = FakeClock::new();
    let server = RedisServer::builder().with_clock(&clock).start();
    keeps_the_contract(open(&format!("{}?protocol=resp2", server.url())), clock).await;
}

async fn keeps_records_over_tls(url: &str, ca_pem: &str, foreign_ca_pem: &str) {
    let options = RedisOptions::new(url);
    for untrusting in [options.clone(), options.clone().ca_certificate_pem(foreign_ca_pem)] {
        let refused = RedisStore::open_lazy(&untrusting).unwrap().ping().await.unwrap_err();
        assert!(matches!(refused, StoreError::Denied { .. }), "{refused:?}");
        assert!(refused.to_string().contains("certificate") && !refused.is_retryable(), "{refused}");
    }
    let store = RedisStore::open_lazy(&options.ca_certificate_pem(ca_pem)).unwrap();
    for _ in 0..20 {
        let key = new_key();
        let version = store.create(&key, "one".into(), HOUR).await.unwrap().unwrap();
        store.compare_and_set(&key, &version, "two".into(), Expiry::Keep).await.unwrap();
        assert_eq!(store.load(&key).await.unwrap().unwrap().value, "two");
        assert!(store.delete(&key).await.unwrap());
    }
}

#[tokio::test]
async fn tls_is_checked_against_the_authority_given() {
    let server = RedisServer::builder().tls().password("s3cret").start();
    let foreign = RedisServer::builder().tls().start();
    keeps_records_over_tls(&server.url(), server.ca_pem(), foreign.ca_pem()).await;
}

#[tokio::test]
async fn tls_of_a_cluster_is_checked_against_the_authority_given() {
    let cluster = RedisCluster::with_tls();
    let foreign = RedisServer::builder().tls().start();
    keeps_records_over_tls(&cluster.url(), cluster.ca_pem(), foreign.ca_pem()).await;
}

#[tokio::test]
async fn nodes_of_a_cluster_that_name_no_host_are_at_the_one_that_was_asked() {
    let clock = FakeClock::new();
    let arguments = ["--cluster-preferred-endpoint-type", "unknown-endpoint"];
    let cluster = RedisCluster::with(RedisServer::builder().with_clock(&clock).args(arguments));
    let slots = cluster.nodes()[0].cli(&["--json", "CLUSTER", "SLOTS"]);
    assert!(slots.contains("[null,"), "{slots}");
    keeps_the_contract(open(&cluster.url()), clock).await;
}

#[tokio::test]
async fn nothing_is_connected_before_the_first_call() {
    let server = RedisServer::start();
    let before = server.cli(&["INFO", "stats"]);
    let store = open(&server.url());
    let connections = |info: &str| {
        info.lines().find_map(|line| line.strip_prefix("total_connections_received:")?.parse::<u64>().ok())
    };
    // The second INFO came by a connection of its own.
    assert_eq!(connections(&server.cli(&["INFO", "stats"])), connections(&before).map(|n| n + 1));
    store.ping().await.unwrap();
}

#[tokio::test]
async fn a_scan_of_a_cluster_meets_the_records_of_every_master() {
    let cluster = RedisCluster::start();
    let store = open(&cluster.url());
    let mut wanted = std::collections::BTreeSet::new();
    for _ in 0..100 {
        let key = new_key();
        store.create(&key, "x".into(), HOUR).await.unwrap();
        wanted.insert(key.as_str().to_owned());
    }
    for node in cluster.nodes() {
        assert_ne!(node.cli(&["DBSIZE"]), "0", "every master has some");
    }
    let (mut met, mut cursor) = (std::collections::BTreeSet::new(), None);
    loop {
        let page = store.scan("contract_", cursor, 10).await.unwrap();
        met.extend(page.records.into_iter().map(|(key, _)| key));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(met, wanted);
}

#[tokio::test]
async fn a_slot_that_moves_is_followed() {
    let cluster = RedisCluster::start();
    let store = open(&cluster.url());
    let key = new_key();
    store.create(&key, "x".into(), HOUR).await.unwrap();
    let slot = cluster.nodes()[0].cli(&["CLUSTER", "KEYSLOT", key.as_str()]);
    let owner = (cluster.nodes().iter()).position(|node| node.cli(&["DBSIZE"]) == "1").unwrap();
    let target = (owner + 1) % 3;
    let ids: Vec<String> = cluster.nodes().iter().map(|node| node.cli(&["CLUSTER", "MYID"])).collect();
    let (from, to) = (&cluster.nodes()[owner], &cluster.nodes()[target]);
    assert_eq!(to.cli(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &ids[owner]]), "OK");
    assert_eq!(from.cli(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &ids[target]]), "OK");
    let port = to.port().to_string();
    assert_eq!(from.cli(&["MIGRATE", "127.0.0.1", &port, key.as_str(), "0", "5000"]), "OK");
    // ASK: the slot is still the old owner's, the key is not.
    assert!(store.load(&key).await.unwrap().is_some());
    for node in [to, from] {
        assert_eq!(node.cli(&["CLUSTER", "SETSLOT", &slot, "NODE", &ids[target]]), "OK");
    }
    // MOVED.
    assert!(store.load(&key).await.unwrap().is_some());
    assert!(store.delete(&key).await.unwrap());
}

#[tokio::test]
async fn a_fail_over_that_sentinels_decide_is_followed_within_five_seconds() {
    let mut sentinel = Sentinel::start();
    let store = open(&sentinel.url());
    store.create(&new_key(), "x".into(), HOUR).await.unwrap();
    sentinel.server_mut(0).kill9();
    let took = recovers_within(Duration::from_secs(5), &store).await;
    assert!(sentinel.server_mut(1).cli(&["ROLE"]).starts_with("master"), "after {took:?}");
}
