//! Records as the store holds them: lifetimes, layouts, and what cannot be read.

use std::time::Duration;

use async_msal_emulator::Policy;
use async_msal_session::async_msal::Status;
use async_msal_session::{Error, SessionId, SessionLayout};

use crate::support::{self, ADA, BEN, World, request, user_scopes};

const DAY: i64 = 86_400;

#[tokio::test]
async fn a_dump_of_the_sealed_store_shows_neither_tokens_nor_mail_nor_cookie() {
    let world = World::new().await;
    let id = world.sign_in(ADA).await;
    let key = world.msal.store_key(&id);
    let dump = String::from_utf8(world.store.peek(key.as_str()).await.to_vec()).unwrap();
    assert!(!key.as_str().contains(id.expose_secret()));
    for secret in [ADA, "token_cache", "eyJ0eXAi", id.expose_secret()] {
        assert!(!dump.contains(secret), "{secret}");
    }
    let sealed: serde_json::Value = serde_json::from_str(&dump).unwrap();
    assert_eq!(sealed.as_object().unwrap().keys().collect::<Vec<_>>(), ["kid", "nonce", "ct"]);
}

#[tokio::test]
async fn a_session_unused_for_its_idle_time_has_ended() {
    let world = World::new().await;
    let id = world.sign_in(ADA).await;
    world.clock.advance(DAY + 1);
    assert!(world.msal.load_session(&id).await.unwrap().is_none());
}

#[tokio::test]
async fn a_used_session_slides_at_most_once_per_tenth_of_the_idle_time() {
    let world = World::new().await;
    let id = world.sign_in(ADA).await;
    world.clock.advance(DAY / 10 - 10);
    world.load(&id).await;
    world.settle().await;
    assert_eq!(world.store.calls("compare_and_set"), 0);
    world.clock.advance(20);
    world.load(&id).await;
    world.settle().await;
    world.load(&id).await;
    world.settle().await;
    assert_eq!(world.store.calls("compare_and_set"), 1);
    world.clock.advance(DAY - 60);
    assert!(world.msal.load_session(&id).await.unwrap().is_some(), "it did not slide");
}

#[tokio::test]
async fn no_use_carries_a_session_over_its_absolute_end() {
    let world = World::new().await;
    let id = world.sign_in(ADA).await;
    for _ in 0..29 {
        world.clock.advance(DAY - 60);
        let session = world.load(&id).await;
        session.get_token(&user_scopes()).await.unwrap();
        world.settle().await;
    }
    world.clock.advance(DAY - 60);
    world.msal.load_session(&id).await.unwrap();
    world.settle().await;
    world.clock.advance(3600);
    assert!(world.msal.load_session(&id).await.unwrap().is_none());
}

#[tokio::test]
async fn a_renewal_keeps_the_records_time_to_live() {
    let world = World::new().await;
    let id = world.sign_in(ADA).await;
    // Asked for by a job, under the record's key and long before a tenth of the idle time has passed twice.
    world.clock.advance(3700);
    world.load(&id).await.get_token(&user_scopes()).await.unwrap();
    world.settle().await;
    world.clock.advance(DAY - 3600);
    assert!(world.msal.load_session(&id).await.unwrap().is_none(), "a renewal lengthened the session");
}

#[tokio::test]
async fn a_record_sealed_for_one_user_does_not_open_for_another() {
    let world = World::new().await;
    let (ada, ben) = (world.sign_in(ADA).await, world.sign_in(BEN).await);
    let stolen = world.store.peek(world.msal.store_key(&ada).as_str()).await;
    let key = world.msal.store_key(&ben);
    world.store.plant(key.as_str(), std::str::from_utf8(&stolen).unwrap()).await;
    assert!(world.msal.load_session(&ben).await.unwrap().is_none());
}

#[tokio::test]
async fn a_lost_key_means_sign_in_again() {
    let world = World::new().await;
    let id = world.sign_in(ADA).await;
    let store = std::sync::Arc::clone(&world.store);
    let other = support::builder(&world.emulator, &world.clock, store)
        .session_keys(["AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="])
        .build()
        .unwrap();
    assert!(other.load_session(&id).await.unwrap().is_none());
}

#[tokio::test]
async fn what_cannot_be_read_counts_as_absent() {
    let world = World::with(Policy::default(), |builder| builder.layout(SessionLayout::Aiohttp)).await;
    let id = world.sign_in(ADA).await;
    let key = world.msal.store_key(&id);
    let large = "x".repeat(5_000_000);
    for text in ["", "null", "[]", "{", "{}", r#"{"created": 0, "session": {"mail": "a"}}"#, &large] {
        world.store.plant(key.as_str(), text).await;
        let loaded = world.msal.load_session(&id).await;
        assert!(matches!(loaded, Ok(None)), "{:?}", &text[..text.len().min(30)]);
    }
}

#[tokio::test]
async fn a_record_that_python_spoiled_is_read_and_mended() {
    let world = World::with(Policy::default(), |builder| builder.layout(SessionLayout::Aiohttp)).await;
    let id = world.sign_in(ADA).await;
    let key = world.msal.store_key(&id);
    let text = String::from_utf8(world.store.peek(key.as_str()).await.to_vec()).unwrap();
    let spoiled = text.replacen("1800000000", "\"1800000000\"", 1);
    world.store.plant(key.as_str(), &spoiled).await;
    let session = world.load(&id).await;
    assert!(session.is_authenticated());
    session.set_item("a", &1).unwrap();
    session.save().await.unwrap();
    let mended: serde_json::Value = serde_json::from_slice(&world.store.peek(key.as_str()).await).unwrap();
    assert!(mended["created"].is_i64());
}

#[tokio::test]
async fn a_record_reused_by_a_python_sign_in_names_the_new_person() {
    let world = World::with(Policy::default(), |builder| builder.layout(SessionLayout::Aiohttp)).await;
    let (ada, ben) = (world.sign_in(ADA).await, world.sign_in(BEN).await);
    let read = |text: bytes::Bytes| serde_json::from_slice::<serde_json::Value>(&text).unwrap();
    let mut record = read(world.store.peek(world.msal.store_key(&ada).as_str()).await);
    let bens = read(world.store.peek(world.msal.store_key(&ben).as_str()).await);
    // Python writes cache and mail, and leaves our item of the former user behind.
    record["session"]["token_cache"] = bens["session"]["token_cache"].clone();
    record["session"]["mail"] = BEN.into();
    world.store.plant(world.msal.store_key(&ada).as_str(), &record.to_string()).await;
    let session = world.load(&ada).await;
    assert_eq!(session.identity().unwrap().oid, Some(world.emulator.users()[1].object_id.clone()));
}

#[tokio::test]
async fn a_store_that_is_down_is_an_error_and_never_signed_out() {
    let world = World::new().await;
    let id = world.sign_in(ADA).await;
    world.store.fail("load", 1);
    assert!(matches!(world.msal.load_session(&id).await, Err(Error::Store(_))));
    assert_eq!(world.msal.health().store.status, Status::Down);
    assert!(world.msal.load_session(&id).await.unwrap().is_some());
    assert_eq!(world.msal.health().store.status, Status::Up);
}

#[tokio::test]
async fn a_slow_store_costs_no_more_than_its_time_limit() {
    let world =
        World::with(Policy::default(), |builder| builder.store_timeout(Duration::from_millis(100))).await;
    let id = SessionId::parse(&"a".repeat(32)).unwrap();
    let _gate = world.store.gate("load");
    let asked = std::time::Instant::now();
    let slow = world.msal.load_session(&id).await.unwrap_err();
    assert_eq!(slow.code(), "store_timeout");
    assert!(asked.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn with_a_new_key_in_front_former_records_open_and_are_sealed_anew_by_a_write() {
    let world = World::new().await;
    let id = world.sign_in(ADA).await;
    let secret = async_msal_session::async_msal::ClientSecret::new;
    let rotated = |former: Option<String>| {
        let secrets = std::iter::once("a new secret".to_owned()).chain(former).map(secret);
        let store = std::sync::Arc::clone(&world.store);
        support::builder(&world.emulator, &world.clock, store).keys_from_secrets(secrets).build().unwrap()
    };
    let both = rotated(Some(world.emulator.client_secret()));
    let session = both.load_session(&id).await.unwrap().expect("the former key opens");
    session.set_item("a", &1).unwrap();
    session.save().await.unwrap();
    assert!(rotated(None).load_session(&id).await.unwrap().is_some(), "it was not sealed anew");
    let find = async_msal_session::Find::mail(ADA);
    assert!(rotated(None).for_user(&find).await.unwrap().is_some(), "it was not indexed anew");
    both.initiate_sign_in(request()).await.unwrap();
}

#[tokio::test]
async fn switching_the_layout_over_existing_records_loses_nobody_in_both_directions() {
    let directions = [SessionLayout::Sealed, SessionLayout::Aiohttp];
    for (before, after) in directions.into_iter().zip(directions.into_iter().rev()) {
        let world =
            World::with(Policy::default(), |builder| builder.layout(before).cookie_name("__Host-c")).await;
        let id = world.sign_in(ADA).await;
        let old = world.msal.store_key(&id);
        let store = std::sync::Arc::clone(&world.store);
        let switched = support::builder(&world.emulator, &world.clock, store);
        let switched = switched.layout(after).cookie_name("__Host-c").build().unwrap();
        let session = switched.load_session(&id).await.unwrap().expect("the record was taken over");
        assert_eq!(session.mail().as_deref(), Some(ADA));
        assert!(switched.for_user(&async_msal_session::Find::mail(ADA)).await.unwrap().is_some());
        assert!(!world.store.holds(old.as_str()).await, "the old record lives on");
        let page = "https://app.example/user/signed-out".parse().unwrap();
        switched.sign_out(&id, &page, None).await.unwrap();
        assert!(switched.load_session(&id).await.unwrap().is_none());
    }
}

#[tokio::test]
async fn a_create_that_only_seemed_to_fail_leaves_no_second_record() {
    let world = World::new().await;
    world.store.fail_after("create", 1);
    let id = world.sign_in(ADA).await;
    assert!(world.load(&id).await.is_authenticated());
    let page = world.msal.sessions();
    let sessions: Vec<_> = futures_util::TryStreamExt::try_collect(page).await.unwrap();
    assert_eq!(sessions.len(), 1);
}

#[tokio::test]
async fn two_requests_at_once_on_a_slow_store_are_both_answered() {
    let limit = Duration::from_secs(4);
    let world = World::with(Policy::default(), |builder| builder.store_timeout(limit)).await;
    let id = world.sign_in(ADA).await;
    let before = world.store.calls("load");
    let gate = world.store.gate("load");
    let ask = || {
        let (msal, id) = (world.msal.clone(), id.clone());
        tokio::spawn(async move { msal.load_session(&id).await.map(|session| session.is_some()) })
    };
    let first = ask();
    while world.store.calls("load") == before {
        tokio::task::yield_now().await;
    }
    // The second does not wait for the first, which takes nearly as long as it may.
    let second = ask();
    while world.store.calls("load") < before + 2 {
        tokio::task::yield_now().await;
    }
    gate.add_permits(2);
    assert!(first.await.unwrap().unwrap() && second.await.unwrap().unwrap());
}
