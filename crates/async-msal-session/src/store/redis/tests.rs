use async_msal::SystemRandom;
use async_msal_test_servers::RedisServer;

use super::*;
use crate::session_id::{SessionId, SessionLayout};

const HOUR: Duration = Duration::from_secs(3600);

fn open(server: &RedisServer) -> RedisStore {
    RedisStore::open_lazy(&RedisOptions::new(server.url().as_str())).unwrap()
}

fn new_key() -> StoreKey {
    StoreKey::new(SessionLayout::Sealed, "app", &SessionId::generate(&SystemRandom::default()).unwrap())
}

#[tokio::test]
async fn every_key_has_a_time_to_live() {
    let server = RedisServer::start();
    let store = open(&server);
    let key = new_key();
    store.create(&key, "x".into(), HOUR).await.unwrap().unwrap();
    let seen = store.load(&key).await.unwrap().unwrap();
    store.compare_and_set(&key, &seen.version, "y".into(), Expiry::Keep).await.unwrap();
    let names =
        [IndexKey::new("async-msal:user:1".to_owned()), IndexKey::new("async-msal:mail:2".to_owned())];
    store.index_add(&names, &key, HOUR).await.unwrap();
    store.acquire_lease(&key, &LeaseOwner::new("ada"), HOUR).await.unwrap();
    store.put_once(&MarkKey::of("m"), "x".into(), HOUR).await.unwrap();
    store.replace_once(&MarkKey::of("m"), &"x".into(), "y".into()).await.unwrap();
    let keys = server.cli(&["KEYS", "*"]);
    assert_eq!(keys.lines().count(), 6, "{keys}");
    for key in keys.lines() {
        let left: i64 = server.cli(&["TTL", key]).parse().unwrap();
        assert!((1..=86_400).contains(&left), "{key}: {left}");
    }
}

#[tokio::test]
async fn adding_to_the_index_never_shortens_the_life_of_a_name() {
    let server = RedisServer::start();
    let store = open(&server);
    let name = [IndexKey::new("async-msal:user:1".to_owned())];
    store.index_add(&name, &new_key(), HOUR).await.unwrap();
    store.index_add(&name, &new_key(), Duration::from_secs(60)).await.unwrap();
    let left: i64 = server.cli(&["TTL", "async-msal:user:1"]).parse().unwrap();
    assert!(left > 3500, "{left}");
}

#[tokio::test]
async fn entries_older_than_any_session_make_room_by_themselves() {
    let server = RedisServer::start();
    let store = open(&server);
    let name = [IndexKey::new("async-msal:user:1".to_owned())];
    for (age, member) in [(7300, "past"), (7100, "alive")] {
        let fill =
            format!("redis.call('ZADD', 'async-msal:user:1', redis.call('TIME')[1] - {age}, '{member}')");
        server.cli(&["EVAL", &fill, "0"]);
    }
    store.index_add(&name, &new_key(), HOUR).await.unwrap();
    let found = store.index_lookup(&name[0], 9).await.unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!(found[1].key.as_str(), "alive");
}

#[tokio::test]
async fn one_name_of_the_index_is_bounded() {
    let server = RedisServer::start();
    let store = open(&server);
    let name = [IndexKey::new("async-msal:user:1".to_owned())];
    let fill = "local now = redis.call('TIME')[1] - 1 \
        for i = 1, 10000 do redis.call('ZADD', 'async-msal:user:1', now, 'old' .. i) end";
    server.cli(&["EVAL", fill, "0"]);
    let key = new_key();
    store.index_add(&name, &key, HOUR).await.unwrap();
    assert_eq!(server.cli(&["ZCARD", "async-msal:user:1"]), INDEX_ENTRIES);
    assert_eq!(store.index_lookup(&name[0], 1).await.unwrap()[0].key, key);
}

#[tokio::test]
async fn a_scan_takes_texts_under_hexadecimal_keys_and_nothing_else() {
    let server = RedisServer::start();
    let store = open(&server);
    let key = new_key();
    store.create(&key, "x".into(), HOUR).await.unwrap().unwrap();
    for other in ["app_list", "app_two_0123", "app_", "async-msal:used:1", "xapp_0123"] {
        server.cli(&["SET", other, "x"]);
    }
    server.cli(&["LPUSH", "app_abc", "x"]);
    let (mut met, mut cursor) = (Vec::new(), None);
    loop {
        let page = store.scan("app_", cursor, 3).await.unwrap();
        met.extend(page.records.into_iter().map(|(key, _)| key));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(met, [key.as_str()]);
    // A key of ours that holds something else is no record.
    server.cli(&["DEL", key.as_str()]);
    server.cli(&["LPUSH", key.as_str(), "x"]);
    assert!(store.load(&key).await.unwrap().is_none());
}

#[tokio::test]
async fn a_count_for_a_progress_bar_is_about_the_records_and_not_about_all_keys() {
    let server = RedisServer::start();
    let store = open(&server);
    assert_eq!(store.count_hint("app_").await.unwrap(), Some(0));
    for number in 0..60 {
        let key = new_key();
        store.create(&key, "x".into(), HOUR).await.unwrap().unwrap();
        server.cli(&["SET", &format!("other:{number}"), "x"]);
    }
    let about = store.count_hint("app_").await.unwrap();
    assert_eq!(about, Some(60), "a sample of all keys is exact");
}

#[test]
fn what_means_something_in_a_pattern_is_taken_as_it_is() {
    assert_eq!(scan::pattern("a*[b]?_"), "a\\*\\[b\\]\\?_[0-9a-f]*");
}
