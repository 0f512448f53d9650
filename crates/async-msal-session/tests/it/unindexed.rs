//! Records of Python services in a shared store: found though no index knows them, mended where they were spoiled.

use std::sync::Arc;

use async_msal_emulator::Policy;
use async_msal_session::{Find, MsalBuilder, SessionLayout};
use futures_util::future::join_all;
use serde_json::Value;

use crate::support::{ADA, BEN, CLEO, World};

fn aiohttp(builder: MsalBuilder) -> MsalBuilder {
    builder.layout(SessionLayout::Aiohttp)
}

async fn shared() -> World {
    World::with(Policy::default(), aiohttp).await
}

async fn read(world: &World, key: &str) -> Value {
    serde_json::from_slice(&world.store.peek(key).await).unwrap()
}

#[tokio::test]
async fn a_user_whom_python_signed_in_is_found_and_from_then_on_by_the_index() {
    let world = shared().await;
    let id = world.signed_in_by_python(ADA, |_| ()).await;
    let found = world.msal.for_user(&Find::mail(ADA)).await.unwrap().expect("found by a walk");
    assert_eq!(found.handle(), Some(id.handle()));
    let (ada, tenant) = (&world.emulator.users()[0], world.emulator.tenant_id());
    let walks = world.store.calls("scan");
    for find in [Find::mail(ADA), Find::user(tenant, &ada.object_id), Find::Handle(id.handle())] {
        assert!(world.msal.for_user(&find).await.unwrap().is_some(), "{find:?}");
    }
    assert_eq!(world.store.calls("scan"), walks);
    let key = world.msal.store_key(&id);
    assert_eq!(read(&world, key.as_str()).await["session"]["async_msal"]["oid"], ada.object_id.as_str());
}

#[tokio::test]
async fn misses_walk_at_most_once_a_minute_over_all_nodes() {
    let world = shared().await;
    world.sign_in(ADA).await;
    let nodes = [world.node(aiohttp), world.node(aiohttp), world.node(aiohttp)];
    let nobody = Find::mail("nobody@contoso.example");
    let misses = nodes.iter().flat_map(|node| (0..10).map(|_| node.for_user(&nobody)));
    for miss in join_all(misses).await {
        assert!(miss.unwrap().is_none());
    }
    assert_eq!(world.store.calls("scan"), 1);
    // A miss soon after is remembered, even of somebody who has come meanwhile; a minute later it is not.
    world.signed_in_by_python(BEN, |_| ()).await;
    assert!(nodes[0].for_user(&Find::mail(BEN)).await.unwrap().is_none());
    assert_eq!(world.store.calls("scan"), 1);
    world.clock.advance(61);
    assert!(nodes[1].for_user(&Find::mail(BEN)).await.unwrap().is_some());
    assert_eq!(world.store.calls("scan"), 2);
}

#[tokio::test]
async fn a_fresh_look_up_meets_a_newer_session_that_python_made() {
    let world = shared().await;
    world.sign_in(ADA).await;
    world.clock.advance(10);
    let newer = world.signed_in_by_python(ADA, |_| ()).await;
    assert!(world.msal.refresh_index().await.unwrap());
    let found = world.msal.for_user(&Find::mail(ADA)).await.unwrap().unwrap();
    assert_eq!(found.handle(), Some(newer.handle()));
}

#[tokio::test]
async fn a_walk_that_fails_is_an_error_and_no_remembered_miss() {
    let world = shared().await;
    world.signed_in_by_python(ADA, |_| ()).await;
    world.store.fail("scan", 1);
    let failed = world.msal.for_user(&Find::mail(ADA)).await.unwrap_err();
    assert_eq!(failed.code(), "store_unavailable");
    assert!(world.msal.for_user(&Find::mail(ADA)).await.unwrap().is_some());
}

#[tokio::test]
async fn a_walk_goes_on_when_its_caller_is_gone_and_the_next_one_waits_for_it() {
    let world = Arc::new(shared().await);
    world.signed_in_by_python(ADA, |_| ()).await;
    let gate = world.store.gate("scan");
    let caller = {
        let world = Arc::clone(&world);
        tokio::spawn(async move { world.msal.for_user(&Find::mail(ADA)).await })
    };
    while world.store.calls("scan") == 0 {
        tokio::task::yield_now().await;
    }
    caller.abort();
    let next = {
        let world = Arc::clone(&world);
        tokio::spawn(async move { world.msal.for_user(&Find::mail(ADA)).await })
    };
    gate.add_permits(1);
    assert!(next.await.unwrap().unwrap().is_some());
    assert_eq!(world.store.calls("scan"), 1);
}

#[tokio::test]
async fn the_sealed_layout_never_walks_for_a_look_up() {
    let world = World::new().await;
    world.sign_in(ADA).await;
    assert!(world.msal.for_user(&Find::mail(BEN)).await.unwrap().is_none());
    assert!(!world.msal.refresh_index().await.unwrap());
    assert_eq!(world.store.calls("scan"), 0);
}

#[tokio::test]
async fn a_request_indexes_the_record_it_meets_once() {
    let world = shared().await;
    let id = world.signed_in_by_python(CLEO, |_| ()).await;
    for _ in 0..3 {
        world.load(&id).await;
    }
    world.settle().await;
    assert_eq!(
        world.store.calls("compare_and_set"),
        2,
        "one blanks the sign-in's record, one indexes this one"
    );
    assert!(world.msal.for_user(&Find::mail(CLEO)).await.unwrap().is_some());
    assert_eq!(world.store.calls("scan"), 0);
}

#[tokio::test]
async fn a_sign_out_everywhere_and_one_by_sid_end_sessions_no_index_knows() {
    let world = shared().await;
    let (one, two) = (world.sign_in(ADA).await, world.signed_in_by_python(ADA, |_| ()).await);
    assert_eq!(world.msal.sign_out_everywhere(&Find::mail(ADA)).await.unwrap(), 2);
    for id in [one, two] {
        assert!(world.msal.load_session(&id).await.unwrap().is_none());
    }
    let ben = world.signed_in_by_python(BEN, |_| ()).await;
    let sid = world.load(&ben).await.identity().unwrap().sid.expect("a sid");
    world.settle().await;
    assert_eq!(world.msal.sign_out_by_sid(&sid, None).await.unwrap(), 1);
    assert!(world.msal.load_session(&ben).await.unwrap().is_none());
}

#[tokio::test]
async fn a_request_mends_a_record_whose_created_python_cannot_read() {
    let world = shared().await;
    let id = world.signed_in_by_python(ADA, |record| record["created"] = "1800000000".into()).await;
    world.load(&id).await;
    world.settle().await;
    assert_eq!(read(&world, world.msal.store_key(&id).as_str()).await["created"], 1_800_000_000);
}

#[tokio::test]
async fn a_sign_out_leaves_an_empty_object_for_python_and_nothing_brings_it_back() {
    let world = shared().await;
    let id = world.sign_in(ADA).await;
    let session = world.load(&id).await;
    session.set_item("a", &1).unwrap();
    let page = "https://app.example/user/signed-out".parse().unwrap();
    world.msal.sign_out(&id, &page, None).await.unwrap();
    assert_eq!(session.save().await.unwrap_err().code(), "session_ended");
    assert_eq!(world.store.peek(world.msal.store_key(&id).as_str()).await, "{}");
    world.msal.sign_out(&id, &page, None).await.unwrap();
    assert_eq!(world.store.peek(world.msal.store_key(&id).as_str()).await, "{}");
}

#[tokio::test]
async fn one_record_that_its_application_filled_keeps_nobody_from_being_found() {
    let world = shared().await;
    // Over half of what a record may hold, so that an application of ours could not add to it.
    let full = world
        .signed_in_by_python(ADA, |record| record["session"]["report"] = "x".repeat(600 * 1024).into())
        .await;
    world.signed_in_by_python(BEN, |_| ()).await;
    world.signed_in_by_python(CLEO, |_| ()).await;
    for mail in [ADA, BEN] {
        assert!(world.msal.for_user(&Find::mail(mail)).await.unwrap().is_some(), "{mail}");
    }
    assert_eq!(world.store.calls("scan"), 1, "the walk began anew");
    assert!(world.load(&full).await.is_authenticated());
}

#[tokio::test]
async fn a_sign_out_everywhere_ends_what_it_knows_before_its_walk_fails() {
    let world = shared().await;
    let id = world.sign_in(ADA).await;
    world.store.fail("scan", 1);
    let failed = world.msal.sign_out_everywhere(&Find::mail(ADA)).await.unwrap_err();
    assert_eq!(failed.code(), "store_unavailable");
    assert!(world.msal.load_session(&id).await.unwrap().is_none(), "nothing was ended");
}
