//! What must never be an error, a panic or somebody else: hostile names, and records that are broken, foreign or from
//! another time. On memory and on a real Redis.

use async_msal_emulator::{Endpoint, Fault, FaultRule, Policy};
use async_msal_session::admin::RepairOptions;
use async_msal_session::{Error, Find, SessionId, SessionLayout};
use futures_util::TryStreamExt as _;
use serde_json::{Value, json};

use crate::support::{ADA, BEN, START, World, request, user_scopes};

const DAY: i64 = 86_400;

/// A world on one of the stores, and what keeps the store alive.
async fn world(store: &str, layout: SessionLayout) -> (World, Box<dyn std::any::Any>) {
    match store {
        "memory" => (World::with(Policy::default(), |builder| builder.layout(layout)).await, Box::new(())),
        _ => {
            let server = async_msal_test_servers::RedisServer::start();
            let redis = std::sync::Arc::new(crate::redis::open(&server.url()));
            (World::on(redis, Policy::default(), |builder| builder.layout(layout)).await, Box::new(server))
        }
    }
}

async fn hostile_names(store: &str) {
    for layout in [SessionLayout::Sealed, SessionLayout::Aiohttp] {
        let (world, _server) = world(store, layout).await;
        let ada = world.sign_in(ADA).await;
        let large = "x".repeat(10_000);
        let hostile =
            ["*", "?", "[a-z]*", "{}", "a b", "a\r\nDEL x\r\n", "a\0b", "\u{202e}", ":", "::", "", &large];
        for text in hostile {
            assert!(SessionId::parse(text).is_none(), "{text:?} is no cookie");
            for find in [Find::mail(text), Find::user(text, text), Find::Sid(text.to_owned())] {
                assert!(world.msal.for_user(&find).await.unwrap().is_none(), "{find:?}");
                assert_eq!(world.msal.sign_out_everywhere(&find).await.unwrap(), 0, "{find:?}");
            }
            assert_eq!(world.msal.sign_out_by_sid(text, None).await.unwrap(), 0);
        }
        // A profile may bring such a name. It finds its own session and no other.
        for text in hostile.into_iter().filter(|text| !text.trim().is_empty()) {
            let answer = Fault::answer(200, json!({"id": "x", "mail": text}).to_string());
            world.emulator.admin().fail_next(FaultRule::new(Endpoint::GraphMe, answer)).unwrap();
            let id = world.sign_in(BEN).await;
            if let Some(found) = world.msal.for_user(&Find::mail(text)).await.unwrap() {
                assert_eq!(found.handle(), Some(id.handle()), "{text:?}");
            }
        }
        assert!(world.msal.load_session(&ada).await.unwrap().is_some(), "Ada is untouched");
        assert_eq!(
            world.msal.for_user(&Find::mail(ADA)).await.unwrap().unwrap().mail().as_deref(),
            Some(ADA)
        );
    }
}

/// Records nobody can be signed in by, as text.
fn unusable() -> Vec<String> {
    let large = "x".repeat(5_000_000);
    let deep = "[".repeat(100_000);
    [
        "",
        " ",
        "null",
        "true",
        "0",
        "-1",
        "\"text\"",
        "[]",
        "[{}]",
        "{",
        "{}",
        "{}{}",
        "\u{feff}{}",
        "NaN",
        &deep,
        &large,
        r#"{"created": 0, "session": {"mail": "a"}}"#,
        r#"{"created": -5, "session": {"mail": "a"}}"#,
        r#"{"created": null, "session": {}}"#,
        r#"{"created": [1], "session": {}}"#,
        r#"{"created": "soon", "session": {}}"#,
        r#"{"created": 1e300, "session": {}}"#,
        r#"{"created": 1800000000}"#,
        r#"{"created": 1800000000, "session": null}"#,
        r#"{"created": 1800000000, "session": []}"#,
        r#"{"created": 1800000000, "session": "text"}"#,
        r#"{"session": {"mail": "a"}}"#,
        r#"{"kid": "deadbeef", "nonce": "AAAAAAAAAAAAAAAA", "ct": "AAAA"}"#,
        r#"{"kid": 5, "nonce": {}, "ct": null}"#,
    ]
    .into_iter()
    .map(str::to_owned)
    .chain([format!(r#"{{"created": 1800000000, "session": {{"a": "{large}"}}}}"#)])
    .collect()
}

async fn unusable_records(store: &str) {
    for layout in [SessionLayout::Sealed, SessionLayout::Aiohttp] {
        let (world, _server) = world(store, layout).await;
        let id = world.sign_in(ADA).await;
        let key = world.msal.store_key(&id);
        let page = "https://app.example/user/signed-out".parse().unwrap();
        for text in unusable() {
            let shown = &text[..text.len().min(60)];
            world.store.plant(key.as_str(), &text).await;
            assert!(world.msal.load_session(&id).await.unwrap().is_none(), "{shown:?}");
            let asked = world.msal.session(&id).get_token(&user_scopes()).await.unwrap_err();
            assert!(asked.is_interaction_required(), "{shown:?}: {asked:?}");
            assert!(world.msal.for_user(&Find::mail(ADA)).await.unwrap().is_none(), "{shown:?}");
            let listed: Vec<_> = world.msal.sessions().try_collect().await.unwrap();
            assert!(listed.is_empty(), "{shown:?}");
            assert!(!world.msal.sign_out(&id, &page, None).await.unwrap().was_signed_in, "{shown:?}");
        }
        // Whoever comes with such a record signs in as anybody else does.
        world.store.plant(key.as_str(), "nonsense").await;
        let again = world.sign_in_as(request().with_present_session(&id), ADA).await.unwrap();
        assert!(world.load(&again.session_id).await.is_authenticated());
    }
}

async fn items_of_wrong_types(store: &str) {
    let (world, _server) = world(store, SessionLayout::Aiohttp).await;
    let id = world.sign_in(ADA).await;
    let key = world.msal.store_key(&id);
    let good: Value = serde_json::from_slice(&world.store.peek(key.as_str()).await).unwrap();
    for wrong in
        [json!(null), json!(5), json!([]), json!({}), json!("{"), json!("null"), json!("[]"), json!(true)]
    {
        for item in ["token_cache", "mail", "async_msal", "name", "flow_cache", "async_msal_profile_due"] {
            let mut record = good.clone();
            record["session"][item] = wrong.clone();
            world.store.plant(key.as_str(), &record.to_string()).await;
            let Some(session) = world.msal.load_session(&id).await.unwrap() else { continue };
            // Whatever is left of it, it is Ada or nobody.
            let person = session.identity().and_then(|identity| identity.oid);
            assert!(person.is_none_or(|oid| oid == world.emulator.users()[0].object_id), "{item} = {wrong}");
            let whole = item != "token_cache" && (item != "mail" || wrong.is_string());
            assert_eq!(session.is_authenticated(), whole, "{item} = {wrong}");
        }
    }
}

async fn created_in_the_future(store: &str) {
    for layout in [SessionLayout::Sealed, SessionLayout::Aiohttp] {
        let (world, _server) = world(store, layout).await;
        world.clock.advance(3 * DAY);
        let id = world.sign_in(ADA).await;
        // The clock of the node that wrote it was three days ahead.
        world.clock.advance(-3 * DAY);
        assert!(world.load(&id).await.is_authenticated());
        let report: Vec<_> = world.msal.repair(RepairOptions::new()).try_collect().await.unwrap();
        assert_eq!(report[0].mended, 1);
        let listed: Vec<_> = world.msal.sessions().try_collect().await.unwrap();
        assert_eq!(listed[0].created, START);
        assert!(world.load(&id).await.is_authenticated());
    }
}

async fn altered_records(store: &str) {
    let (world, _server) = world(store, SessionLayout::Sealed).await;
    let id = world.sign_in(ADA).await;
    let key = world.msal.store_key(&id);
    let good = world.store.peek(key.as_str()).await.to_vec();
    for at in (0..good.len()).step_by(good.len() / 40 + 1) {
        for altered in [flipped(&good, at), good[..at].to_vec()] {
            world.store.plant_bytes(key.as_str(), altered).await;
            assert!(world.msal.load_session(&id).await.unwrap().is_none(), "altered at {at}");
        }
    }
    world.store.plant_bytes(key.as_str(), good).await;
    assert!(world.load(&id).await.is_authenticated());
}

fn flipped(good: &[u8], at: usize) -> Vec<u8> {
    let mut altered = good.to_vec();
    altered[at] ^= 1;
    altered
}

async fn swapped_records(store: &str) {
    let (world, _server) = world(store, SessionLayout::Sealed).await;
    let ids = [world.sign_in(ADA).await, world.sign_in(BEN).await];
    let keys = ids.each_ref().map(|id| world.msal.store_key(id));
    let records = [
        world.store.peek(keys[0].as_str()).await.to_vec(),
        world.store.peek(keys[1].as_str()).await.to_vec(),
    ];
    let [adas, bens] = records;
    world.store.plant_bytes(keys[0].as_str(), bens).await;
    world.store.plant_bytes(keys[1].as_str(), adas).await;
    for id in &ids {
        assert!(world.msal.load_session(id).await.unwrap().is_none());
    }
    for mail in [ADA, BEN] {
        assert!(world.msal.for_user(&Find::mail(mail)).await.unwrap().is_none());
    }
}

async fn a_newer_version(store: &str) {
    let (world, _server) = world(store, SessionLayout::Aiohttp).await;
    let id = world.sign_in(ADA).await;
    let key = world.msal.store_key(&id);
    let mut record: Value = serde_json::from_slice(&world.store.peek(key.as_str()).await).unwrap();
    record["session"]["async_msal"] = json!({"v": 2, "who": {"is": "it"}});
    record["session"]["async_msal_later"] = json!({"of": "another version"});
    world.store.plant(key.as_str(), &record.to_string()).await;
    let session = world.load(&id).await;
    assert_eq!(session.identity().unwrap().oid, Some(world.emulator.users()[0].object_id.clone()));
    session.set_item("a", &1).unwrap();
    session.save().await.unwrap();
    let kept: Value = serde_json::from_slice(&world.store.peek(key.as_str()).await).unwrap();
    assert_eq!(kept["session"]["async_msal_later"]["of"], "another version");
}

macro_rules! on {
    ($store:ident) => {
        mod $store {
            #[tokio::test]
            async fn names_that_look_like_patterns_or_commands_find_nobody_and_harm_nobody() {
                super::hostile_names(stringify!($store)).await;
            }

            #[tokio::test]
            async fn records_that_cannot_be_read_are_as_if_they_were_not_there() {
                super::unusable_records(stringify!($store)).await;
            }

            #[tokio::test]
            async fn items_of_wrong_types_make_nobody_somebody_else() {
                super::items_of_wrong_types(stringify!($store)).await;
            }

            #[tokio::test]
            async fn a_record_from_the_future_is_read_and_mended() {
                super::created_in_the_future(stringify!($store)).await;
            }

            #[tokio::test]
            async fn a_sealed_record_altered_or_cut_short_anywhere_does_not_open() {
                super::altered_records(stringify!($store)).await;
            }

            #[tokio::test]
            async fn swapped_records_of_two_users_open_for_neither() {
                super::swapped_records(stringify!($store)).await;
            }

            #[tokio::test]
            async fn what_a_later_version_wrote_is_kept_and_its_user_found() {
                super::a_newer_version(stringify!($store)).await;
            }
        }
    };
}

on!(memory);
#[cfg(feature = "redis")]
on!(redis);

#[tokio::test]
async fn a_small_jump_of_the_clock_signs_nobody_out() {
    for jump in [-600, 600] {
        let world = World::new().await;
        let ids = [world.sign_in(ADA).await, world.sign_in(BEN).await];
        world.clock.advance(jump);
        for id in &ids {
            world.load(id).await.get_token(&user_scopes()).await.unwrap();
        }
        world.settle().await;
        world.clock.advance(-jump);
        for id in &ids {
            world.load(id).await.get_token(&user_scopes()).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_jump_of_a_day_back_signs_nobody_out_and_one_forward_ends_idle_sessions_alone() {
    let world = World::new().await;
    let id = world.sign_in(ADA).await;
    world.clock.advance(-DAY);
    world.load(&id).await.get_token(&user_scopes()).await.unwrap();
    world.settle().await;
    world.clock.advance(DAY);
    world.load(&id).await.get_token(&user_scopes()).await.unwrap();
    world.clock.advance(DAY + 1);
    let gone = world.msal.session(&id).get_token(&user_scopes()).await;
    assert!(matches!(gone, Err(Error::SessionEnded)), "{gone:?}");
    let long = World::with(Policy::default(), |builder| builder.layout(SessionLayout::Aiohttp)).await;
    let id = long.sign_in(ADA).await;
    long.clock.advance(DAY);
    long.load(&id).await.get_token(&user_scopes()).await.unwrap();
}
