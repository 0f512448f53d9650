//! Renewals over several nodes that share one store, and people who sign out or in meanwhile.

use std::sync::Arc;
use std::time::Duration;

use async_msal_emulator::{Endpoint, Fault, FaultRule, Policy};
use async_msal_session::async_msal::{Clock as _, ManualClock, Scopes};
use async_msal_session::{Error, Msal, MsalBuilder, SessionId, SessionLayout};
use futures_util::future::join_all;
use serde_json::Value;

use crate::support::{ADA, BEN, World, user_scopes};

fn strict() -> Policy {
    let mut policy = Policy::default();
    policy.single_use_refresh_tokens = true;
    policy
}

fn same(builder: MsalBuilder) -> MsalBuilder {
    builder
}

fn aiohttp(builder: MsalBuilder) -> MsalBuilder {
    builder.layout(SessionLayout::Aiohttp)
}

async fn token(msal: &Msal, id: &SessionId, scopes: &Scopes) -> Result<(), Error> {
    let session = msal.load_session(id).await?.ok_or(Error::NotSignedIn)?;
    session.get_token(scopes).await.map(drop)
}

fn api(world: &World) -> Scopes {
    Scopes::parse(&format!("api://{}/.default", world.emulator.client_id()))
}

/// Requests of three nodes at once, half of them for a second scope set where one is given; answers in order.
async fn all_at_once(world: &World, id: &SessionId, second: Option<&Scopes>) -> Vec<Result<(), Error>> {
    let nodes = [world.msal.clone(), world.node(same), world.node(same)];
    let asking = (0..60).map(|number| {
        let (msal, id) = (nodes[number % 3].clone(), id.clone());
        let scopes = second.filter(|_| number % 2 == 0).cloned().unwrap_or_else(user_scopes);
        async move { token(&msal, &id, &scopes).await }
    });
    join_all(asking).await
}

#[tokio::test]
async fn tokens_of_sixty_seconds_are_renewed_once_and_the_winners_is_taken() {
    let mut policy = strict();
    policy.access_token_lifetime = 60;
    let world = World::with(policy, same).await;
    let id = world.sign_in(ADA).await;
    // Half its life is the leeway: with 31 s left it is handed out, with 29 s it is renewed.
    world.clock.advance(29);
    world.emulator.admin().reset_counters();
    token(&world.msal, &id, &user_scopes()).await.unwrap();
    assert_eq!(world.refreshes(), 0);
    world.clock.advance(2);
    assert!(all_at_once(&world, &id, None).await.iter().all(Result::is_ok));
    assert_eq!(world.refreshes(), 1);
}

#[tokio::test]
async fn two_scope_sets_over_three_nodes_are_two_refreshes_and_no_refresh_token_is_sent_twice() {
    let world = World::with(strict(), same).await;
    let id = world.expired(ADA).await;
    let api = api(&world);
    assert!(all_at_once(&world, &id, Some(&api)).await.iter().all(Result::is_ok));
    assert_eq!(world.refreshes(), 2);
    assert_eq!(world.emulator.admin().counters().refresh_token_reuses, 0);
}

#[tokio::test]
async fn a_failure_for_one_scope_set_fails_that_alone() {
    let world = World::with(strict(), same).await;
    let id = world.expired(ADA).await;
    let never = Scopes::from(["Mail.Read"]);
    let answers = all_at_once(&world, &id, Some(&never)).await;
    let (failed, served): (Vec<_>, Vec<_>) =
        answers.iter().enumerate().partition(|(_, answer)| answer.is_err());
    assert_eq!((failed.len(), served.len()), (30, 30));
    assert!(failed.iter().all(|(number, _)| number % 2 == 0));
}

#[tokio::test]
async fn a_refresh_that_fails_is_sent_once_per_back_off_by_all_nodes_together() {
    for fault in [Fault::oauth_error("invalid_grant", 700_082), Fault::answer(503, "{}")] {
        let world = World::with(strict(), same).await;
        let id = world.expired(ADA).await;
        world.emulator.admin().fail_next(FaultRule::new(Endpoint::Token, fault).times(500)).unwrap();
        let first = token(&world.msal, &id, &user_scopes()).await.unwrap_err();
        let sent_by_one = world.refreshes();
        for answer in all_at_once(&world, &id, None).await {
            assert_eq!(answer.unwrap_err().code(), first.code());
        }
        assert_eq!(world.refreshes(), sent_by_one, "{first}");
    }
}

/// Renews on one node, which is held before it saves, while `meanwhile` happens to the record.
async fn held(world: &Arc<World>, id: &SessionId, meanwhile: impl AsyncFnOnce()) -> Result<(), Error> {
    let gate = world.store.gate("compare_and_set");
    let renewing = {
        let (world, id) = (Arc::clone(world), id.clone());
        tokio::spawn(async move { token(&world.msal, &id, &user_scopes()).await })
    };
    while world.store.calls("compare_and_set") == 0 {
        tokio::task::yield_now().await;
    }
    meanwhile().await;
    gate.add_permits(1000);
    renewing.await.unwrap()
}

#[tokio::test]
async fn a_python_sign_out_during_a_renewal_stays_signed_out() {
    let world = Arc::new(World::with(strict(), aiohttp).await);
    let id = world.expired(ADA).await;
    let key = world.msal.store_key(&id);
    let renewed = held(&world, &id, async || world.store.overwrite(key.as_str(), "{}").await).await;
    assert!(matches!(renewed, Err(Error::SessionEnded)), "{renewed:?}");
    assert_eq!(world.store.peek(key.as_str()).await, "{}");
}

#[tokio::test]
async fn a_renewal_for_one_person_is_dropped_where_another_has_signed_in_to_the_record() {
    let world = Arc::new(World::with(Policy::default(), aiohttp).await);
    let ben = world.sign_in(BEN).await;
    let id = world.expired(ADA).await;
    let key = world.msal.store_key(&id);
    let mut bens: Value =
        serde_json::from_slice(&world.store.peek(world.msal.store_key(&ben).as_str()).await).unwrap();
    bens["session"].as_object_mut().unwrap().remove("async_msal");
    let renewed =
        held(&world, &id, async || world.store.overwrite(key.as_str(), &bens.to_string()).await).await;
    assert!(matches!(renewed, Err(Error::SessionEnded)), "{renewed:?}");
    let stored: Value = serde_json::from_slice(&world.store.peek(key.as_str()).await).unwrap();
    assert_eq!(
        stored["session"]["token_cache"], bens["session"]["token_cache"],
        "Ada's tokens got into Ben's record"
    );
    assert_eq!(world.load(&id).await.mail().as_deref(), Some(BEN));
}

#[tokio::test]
async fn a_node_paused_beyond_its_lease_overwrites_nothing_that_another_renewed() {
    let world = Arc::new(World::with(Policy::default(), same).await);
    let id = world.expired(ADA).await;
    let other = world.node(same);
    let gate = world.store.gate_once("compare_and_set");
    let paused = {
        let (world, id) = (Arc::clone(&world), id.clone());
        tokio::spawn(async move { world.load(&id).await.get_token(&user_scopes()).await })
    };
    while world.store.calls("compare_and_set") == 0 {
        tokio::task::yield_now().await;
    }
    // Its lease has ended, and another node renews and saves; later, so that its token is the newer one.
    world.clock.advance(20);
    let theirs = other.load_session(&id).await.unwrap().unwrap();
    let theirs = theirs.get_token(&user_scopes()).await.unwrap();
    gate.add_permits(1);
    paused.await.unwrap().unwrap();
    let stored = world.load(&id).await.get_token(&user_scopes()).await.unwrap();
    assert!(stored.access_token.ct_eq(&theirs.access_token), "the late save won");
    world.clock.advance(3601);
    world.load(&id).await.get_token(&user_scopes()).await.unwrap();
}

#[tokio::test]
async fn a_holder_whose_lease_was_taken_over_saves_nothing_over_the_newer_tokens() {
    let world = Arc::new(World::with(Policy::default(), aiohttp).await);
    let id = world.expired(ADA).await;
    let key = world.msal.store_key(&id);
    // Its clock is ahead: by their times alone, its tokens are newer than those of whoever renews after it.
    let holder = world.node_at(&ManualClock::new(world.clock.now() + 300), aiohttp);
    let gate = world.store.gate_once("compare_and_set");
    let late = {
        let id = id.clone();
        tokio::spawn(async move {
            let session = holder.load_session(&id).await?.ok_or(Error::NotSignedIn)?;
            session.get_token(&user_scopes()).await
        })
    };
    while world.store.calls("compare_and_set") == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.refreshes(), 1, "it is held before it has renewed");
    world.clock.advance(20);
    let theirs = world.load(&id).await.get_token(&user_scopes()).await.unwrap();
    let tokens = async || {
        let record: Value = serde_json::from_slice(&world.store.peek(key.as_str()).await).unwrap();
        record["session"]["token_cache"].clone()
    };
    let newer = tokens().await;
    gate.add_permits(1);
    let late = late.await.unwrap().unwrap();
    assert_eq!(world.refreshes(), 2);
    assert_eq!(tokens().await, newer, "the late save won");
    assert!(late.access_token.ct_eq(&theirs.access_token), "its caller got a token that nobody kept");
}

#[tokio::test]
async fn a_session_used_every_hour_for_a_month_ends_at_its_absolute_end_all_the_same() {
    let hours = 30 * 24;
    let world = World::with(Policy::default(), |builder| {
        builder
            .session_idle(Duration::from_secs(3 * 3600))
            .session_absolute(Duration::from_secs(hours * 3600))
    })
    .await;
    let id = world.sign_in(ADA).await;
    for hour in 1..hours {
        world.clock.advance(3600);
        let session = world.msal.load_session(&id).await.unwrap();
        let session = session.unwrap_or_else(|| panic!("it ended after {hour} hours"));
        if hour % 24 == 0 {
            session.get_token(&user_scopes()).await.unwrap();
        } else {
            session.set_item("hour", &hour).unwrap();
            session.save().await.unwrap();
        }
        world.slid_to_now().await;
    }
    world.clock.advance(3600);
    assert!(world.msal.load_session(&id).await.unwrap().is_none());
}

#[tokio::test]
async fn a_node_that_stood_still_with_its_lease_sends_no_spent_refresh_token() {
    let world = Arc::new(World::with(strict(), same).await);
    let id = world.expired(ADA).await;
    // It has the lease and has read the record, and stands still before it sends.
    let gate = world.store.gate_once("extend_lease");
    let late = {
        let (world, id) = (Arc::clone(&world), id.clone());
        tokio::spawn(async move { token(&world.msal, &id, &user_scopes()).await })
    };
    while world.store.calls("extend_lease") == 0 {
        tokio::task::yield_now().await;
    }
    world.clock.advance(16);
    token(&world.node(same), &id, &user_scopes()).await.unwrap();
    gate.add_permits(1);
    late.await.unwrap().unwrap();
    assert_eq!(world.refreshes(), 1);
    assert_eq!(world.emulator.admin().counters().refresh_token_reuses, 0);
}
