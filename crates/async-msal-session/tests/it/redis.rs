//! The Redis store against a real server.

use std::sync::Arc;

use async_msal_session::store::contract::{self, Bench};
use async_msal_session::store::{RedisOptions, RedisStore, SessionStore as _};
use async_msal_test_servers::{FakeClock, RedisServer};

pub(crate) fn open(url: &str) -> RedisStore {
    RedisStore::open_lazy(&RedisOptions::new(url)).unwrap()
}

#[tokio::test]
async fn the_redis_store_keeps_the_contract() {
    let clock = FakeClock::new();
    let server = RedisServer::builder().with_clock(&clock).start();
    let store = open(&server.url());
    contract::run(&Bench::new(Arc::new(store), move |by| clock.advance(by))).await;
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
