//! The Python package's tools among our keys, and our listing among other applications'.

use std::collections::BTreeMap;
use std::time::Duration;

use async_msal_axum::async_msal_session::store::{LeaseOwner, RedisOptions, RedisStore, SessionStore as _};
use async_msal_axum::async_msal_session::{Find, SessionLayout, StoreKey};
use futures_util::{StreamExt as _, pin_mut};

use super::beside_both_releases;
use super::world::{COOKIE, Who, World, now, until};
use crate::app::{ADA, GIL};

beside_both_releases! {
    the_tools_of_python_touch_none_of_our_keys,
    records_of_an_application_whose_name_begins_with_ours_are_none_of_ours,
    a_user_who_signed_in_on_python_is_found_by_mail_and_indexed,
    a_job_on_rust_finds_a_record_that_0_6_7_spoiled_and_mends_it,
}

async fn the_tools_of_python_touch_none_of_our_keys(world: World) {
    let mut browsers = Vec::new();
    for person in world.emulator.users() {
        browsers.push(world.signed_in_on_rust(&person.username).await);
    }
    let records: Vec<String> = browsers.iter().map(|browser| world.key(browser)).collect();
    // Another node renews the first session, and holds its lease until we say so.
    let node = RedisStore::open_lazy(&RedisOptions::new(world.redis.url().as_str())).expect("an address");
    let renewed = StoreKey::parse(SessionLayout::Aiohttp, COOKIE, &records[0]).expect("a record's key");
    let owner = LeaseOwner::new("another node");
    let lease = node.acquire_lease(&renewed, &owner, Duration::from_secs(600)).await.expect("an answer");
    assert!(lease.is_some(), "nobody else renews it");

    let before = contents(&world);
    for kind in ["lease", "user", "mail", "used"] {
        let prefix = format!("async-msal:{kind}:");
        assert!(before.keys().any(|key| key.starts_with(&prefix)), "{kind}: {:?}", before.keys());
    }
    let mut browser = world.browser();
    world.on_python(&mut browser);
    let mut met: Vec<String> =
        serde_json::from_value(browser.get("/tools/iterate").await.json()).expect("a list of keys");
    met.sort();
    let mut expected = records.clone();
    expected.sort();
    assert_eq!(met, expected, "session_iter meets the records and nothing else");
    for tool in ["/tools/clean", "/tools/invalid"] {
        let answer = browser.get(tool).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    let after = contents(&world);
    let touched = |key: &&String| after.get(*key) != before.get(*key);
    assert_eq!(before.keys().chain(after.keys()).filter(touched).collect::<Vec<_>>(), [""; 0]);
    // It is the lease that renewals of ours wait for.
    assert!(node.release_lease(&renewed, &owner).await.expect("an answer"), "the lease was still held");
    world.expire_tokens(&records[0]);
    world.on_rust(&mut browsers[0]);
    assert_eq!(browsers[0].get("/token").await.status, 200);
    assert_eq!(world.refreshes(), 1);
}

/// Every key with its content; times to live go by, and are left out.
fn contents(world: &World) -> BTreeMap<String, String> {
    let dump = |key: String| {
        let text = world.redis.cli(&["--no-raw", "DUMP", &key]);
        (key, text)
    };
    world.keys().into_iter().map(dump).collect()
}

async fn records_of_an_application_whose_name_begins_with_ours_are_none_of_ours(world: World) {
    let mut browser = world.signed_in_on_rust(ADA).await;
    let key = world.key(&browser);
    let record = world.text(&key).expect("a record");
    let id = key.strip_prefix(&format!("{COOKIE}_")).expect("an id");
    let others = [
        format!("{COOKIE}_2_{id}"),
        format!("{COOKIE}2_{id}"),
        format!("{COOKIE}_{}", id.to_uppercase()),
        format!("{COOKIE}_{}", &id[1..]),
        format!("{COOKIE}_{id}0"),
    ];
    let other_user = record.replace(ADA, "ben@other.example");
    for other in &others {
        if *other != key {
            assert_eq!(world.redis.cli(&["SET", other, &other_user, "EX", "1000"]), "OK");
        }
    }
    // Not even a text.
    assert_eq!(world.redis.cli(&["RPUSH", &format!("{COOKIE}_list"), "x"]), "1");
    let sessions = world.msal.sessions();
    pin_mut!(sessions);
    let mut met = Vec::new();
    while let Some(session) = sessions.next().await {
        met.push(session.expect("a session").key.as_str().to_owned());
    }
    assert_eq!(met, [key]);
    let found = world.msal.for_user(&Find::mail("ben@other.example")).await.expect("an answer");
    assert!(found.is_none());
    assert_eq!(world.rust_says(&mut browser).await, Who::user(ADA, "Ada Marsh"));
}

/// Nobody on the Rust side met the record before: it is found by one walk through the store.
async fn a_user_who_signed_in_on_python_is_found_by_mail_and_indexed(world: World) {
    let ada = world.signed_in_on_python(ADA).await;
    let gil = world.signed_in_on_python(GIL).await;
    assert!(world.keys().iter().all(|key| !key.starts_with("async-msal:")), "nothing is indexed yet");
    for (mail, browser) in [(ADA, &ada), (GIL, &gil)] {
        let found = world.msal.for_user(&Find::mail(mail)).await.expect("one person").expect("a session");
        assert_eq!(found.store_key().expect("a key").as_str(), world.key(browser));
        let token = found.get_token(&"User.Read".into()).await.expect("a token");
        assert!(token.expires_on > now());
    }
    until("the records are indexed", || {
        world.keys().iter().filter(|key| key.starts_with("async-msal:mail:")).count() == 2
    })
    .await;
    // The record says so to Python too.
    for mut browser in [ada, gil] {
        assert!(world.python_says(&mut browser).await.admitted);
    }
}

async fn a_job_on_rust_finds_a_record_that_0_6_7_spoiled_and_mends_it(world: World) {
    let mut browser = world.signed_in_on_python(ADA).await;
    let key = world.key(&browser);
    world.expire_tokens(&key);
    assert_eq!(world.write_back(ADA, true).await, "identity_provider");
    let found = world.msal.for_user(&Find::mail(ADA)).await.expect("one person").expect("a session");
    assert_eq!(found.store_key().expect("a key").as_str(), key);
    until("the record is mended", || world.record(&key)["created"].is_i64() && world.ttl(&key) > 0).await;
    assert_eq!(world.python_says(&mut browser).await, Who::user(ADA, "Ada Marsh"));
}
