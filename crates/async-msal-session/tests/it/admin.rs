//! Looking after the store: both layouts, page by page, and nothing that is not ours.

use std::sync::Arc;
use std::time::Duration;

use async_msal_emulator::Policy;
use async_msal_session::admin::RepairOptions;
use async_msal_session::async_msal::ClientSecret;
use async_msal_session::{Error, Find, Msal, SessionLayout};
use futures_util::{Stream, TryStreamExt as _};

use crate::support::{self, ADA, BEN, CLEO, World};

const DAY: u64 = 86_400;
const NAME: &str = "c";

async fn world(layout: SessionLayout) -> World {
    World::with(Policy::default(), |builder| builder.layout(layout).cookie_name(NAME)).await
}

/// The same application on the same store with another layout, as after a change of SESSION_LAYOUT.
fn switched(world: &World, layout: SessionLayout) -> Msal {
    let store = Arc::clone(&world.store);
    support::builder(&world.emulator, &world.clock, store).layout(layout).cookie_name(NAME).build().unwrap()
}

/// The end of a walk.
async fn last<T>(walk: impl Stream<Item = Result<T, Error>>) -> T {
    let steps: Vec<T> = walk.try_collect().await.unwrap();
    steps.into_iter().next_back().expect("at least one step")
}

#[tokio::test]
async fn a_listing_after_a_change_of_layout_meets_the_sessions_of_both() {
    for (before, after) in both() {
        let world = world(before).await;
        world.sign_in(ADA).await;
        let switched = switched(&world, after);
        let stats = last(switched.stats()).await;
        assert_eq!((stats.live, stats.users, stats.without_index), (1, 1, 0));
        let listed: Vec<_> = switched.sessions().try_collect().await.unwrap();
        assert_eq!(listed.len(), 1);
        assert_eq!(listed[0].key.layout(), before);
        assert!(switched.for_user(&Find::mail(ADA)).await.unwrap().is_some());
        assert_eq!(switched.sign_out_everywhere(&Find::mail(ADA)).await.unwrap(), 1);
        assert_eq!(last(switched.stats()).await.live, 0);
    }
}

fn both() -> [(SessionLayout, SessionLayout); 2] {
    [(SessionLayout::Sealed, SessionLayout::Aiohttp), (SessionLayout::Aiohttp, SessionLayout::Sealed)]
}

#[tokio::test]
async fn a_session_met_in_a_listing_is_ended_by_its_key() {
    for layout in [SessionLayout::Sealed, SessionLayout::Aiohttp] {
        let world = world(layout).await;
        let (ada, ben) = (world.sign_in(ADA).await, world.sign_in(BEN).await);
        assert!(world.msal.end_session(&world.msal.store_key(&ada)).await.unwrap());
        assert!(!world.msal.end_session(&world.msal.store_key(&ada)).await.unwrap());
        assert!(world.msal.load_session(&ada).await.unwrap().is_none());
        assert!(world.msal.load_session(&ben).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn cleaning_removes_what_nobody_used_for_so_long_and_nothing_else() {
    let world = world(SessionLayout::Aiohttp).await;
    let old = world.sign_in(ADA).await;
    world.clock.advance(3 * DAY.cast_signed());
    let young = world.sign_in(BEN).await;
    let report = last(world.msal.clean(Duration::from_secs(2 * DAY))).await;
    assert_eq!((report.scanned, report.removed, report.expired), (2, 1, 0));
    assert!(world.msal.load_session(&old).await.unwrap().is_none());
    assert!(world.msal.load_session(&young).await.unwrap().is_some());
    assert!(world.msal.for_user(&Find::mail(ADA)).await.unwrap().is_none());
}

#[tokio::test]
async fn a_session_used_while_it_is_being_cleaned_stays() {
    let world = Arc::new(world(SessionLayout::Sealed).await);
    let id = world.sign_in(ADA).await;
    world.clock.advance(3600);
    let session = world.load(&id).await;
    session.set_item("a", &1).unwrap();
    let gate = world.store.gate("compare_and_set");
    let cleaning = {
        let world = Arc::clone(&world);
        tokio::spawn(async move { last(world.msal.clean(Duration::from_secs(1800))).await })
    };
    while world.store.calls("compare_and_set") == 0 {
        tokio::task::yield_now().await;
    }
    // The record is written by another node while the cleaning waits for its own write.
    world.store.touch(world.msal.store_key(&id).as_str()).await;
    gate.add_permits(100);
    assert_eq!(cleaning.await.unwrap().removed, 0);
    assert!(world.msal.load_session(&id).await.unwrap().is_some());
}

#[tokio::test]
async fn a_repair_removes_what_cannot_be_read_and_mends_what_python_spoiled() {
    let world = world(SessionLayout::Aiohttp).await;
    let key = |digit: &str| format!("{NAME}_{}", digit.repeat(32));
    for (digit, text) in
        [("1", "nonsense"), ("2", "null"), ("3", r#"{"created": 1, "session": 5}"#), ("4", "{}")]
    {
        world.store.plant(&key(digit), text).await;
    }
    let spoiled = world.signed_in_by_python(CLEO, |record| record["created"] = "1800000000".into()).await;
    let spoiled = world.msal.store_key(&spoiled);
    let report = last(world.msal.repair(RepairOptions::new())).await;
    assert_eq!(report.removed.values().sum::<u64>(), 3, "{report:?}");
    assert_eq!((report.mended, report.indexed, report.scanned), (1, 1, 5));
    assert!(world.store.holds(&key("4")).await, "a signed-out record says so until it ends");
    let record: serde_json::Value =
        serde_json::from_slice(&world.store.peek(spoiled.as_str()).await).unwrap();
    assert_eq!(record["created"], 1_800_000_000);
    assert!(world.msal.for_user(&Find::mail(CLEO)).await.unwrap().is_some());
    let again = last(world.msal.repair(RepairOptions::new())).await;
    assert_eq!((again.removed.len(), again.mended, again.indexed), (0, 0, 0));
}

#[tokio::test]
async fn no_key_of_another_application_or_purpose_is_touched() {
    let world = world(SessionLayout::Aiohttp).await;
    let id = "0".repeat(32);
    let foreign = [
        format!("{NAME}_app_{id}"),
        format!("{NAME}2_{id}"),
        format!("{NAME}_{}", &id[1..]),
        format!("{NAME}_{}", "0".repeat(40)),
        format!("{NAME}_{}", "A".repeat(32)),
        format!("async-msal:lease:{{{NAME}_{id}}}"),
        NAME.to_owned(),
    ];
    for key in &foreign {
        world.store.plant(key, "nonsense").await;
    }
    assert_eq!(last(world.msal.repair(RepairOptions::new())).await.scanned, 0);
    assert_eq!(last(world.msal.clean(Duration::ZERO)).await.scanned, 0);
    assert_eq!(last(world.msal.stats()).await.scanned, 0);
    for key in &foreign {
        assert_eq!(world.store.peek(key).await, "nonsense", "{key}");
    }
}

#[tokio::test]
async fn a_repair_with_the_wrong_keys_signs_nobody_out() {
    let world = world(SessionLayout::Sealed).await;
    let id = world.sign_in(ADA).await;
    let store = Arc::clone(&world.store);
    let wrong = support::builder(&world.emulator, &world.clock, store)
        .cookie_name(NAME)
        .keys_from_secrets([ClientSecret::new("another secret")])
        .build()
        .unwrap();
    let report = last(wrong.repair(RepairOptions::new())).await;
    assert_eq!((report.left["unknown_key"], report.removed.len()), (1, 0));
    assert!(world.msal.load_session(&id).await.unwrap().is_some());
    let told = RepairOptions::new().remove_unknown_keys(true);
    assert_eq!(last(wrong.repair(told)).await.removed["unknown_key"], 1);
    assert!(world.msal.load_session(&id).await.unwrap().is_none());
}

#[tokio::test]
async fn statistics_tell_every_kind_of_record_apart() {
    let world = world(SessionLayout::Aiohttp).await;
    world.sign_in(ADA).await;
    world.clock.advance(10);
    world.sign_in(ADA).await;
    world.signed_in_by_python(CLEO, |_| ()).await;
    let visitor = world.msal.new_session();
    visitor.set_item("a", &1).unwrap();
    visitor.save().await.unwrap();
    world.store.plant(&format!("{NAME}_{}", "1".repeat(32)), "{}").await;
    world.store.plant(&format!("{NAME}_{}", "2".repeat(32)), "{").await;
    world.store.plant(&format!("{NAME}_{}", "3".repeat(64)), "{}").await;
    let stats = last(world.msal.stats()).await;
    assert_eq!((stats.scanned, stats.sealed, stats.aiohttp), (7, 1, 6));
    assert_eq!((stats.live, stats.anonymous, stats.users), (4, 1, 2));
    assert_eq!((stats.signed_out, stats.without_index, stats.expired), (1, 1, 0));
    assert_eq!(stats.unreadable["not_json"], 1);
    assert_eq!((stats.oldest, stats.newest), (Some(1_800_000_000), Some(1_800_000_010)));
    assert_eq!(world.msal.sessions_total_hint().await.unwrap(), Some(7));
}

#[tokio::test]
async fn a_store_that_fails_ends_a_walk_with_its_error() {
    let world = world(SessionLayout::Sealed).await;
    world.sign_in(ADA).await;
    world.store.fail("scan", 1);
    let steps: Result<Vec<_>, Error> = world.msal.sessions().try_collect().await;
    assert!(matches!(steps, Err(Error::Store(_))));
}
