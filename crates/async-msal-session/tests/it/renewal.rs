//! One renewal per session, whoever asks, whoever gives up, whatever the store does.

use std::sync::Arc;
use std::time::Duration;

use async_msal_emulator::{Endpoint, Fault, FaultRule, IdTokenFault, IdTokenFaultRule, Policy};
use async_msal_session::async_msal::TokenSource;
use async_msal_session::store::SqliteStore;
use async_msal_session::{Error, Find, SignInHooks};
use tokio::task::JoinSet;

use crate::support::{self, ADA, World, mail_scopes, request, signed_in, user_scopes};

fn strict() -> Policy {
    let mut policy = Policy::default();
    policy.single_use_refresh_tokens = true;
    policy
}

async fn strict_world() -> Arc<World> {
    Arc::new(World::with(strict(), |builder| builder).await)
}

#[tokio::test]
async fn a_token_that_lives_long_enough_costs_no_io() {
    let world = World::new().await;
    let session = world.load(&world.sign_in(ADA).await).await;
    let (loads, tokens) = (world.store.calls("load"), world.emulator.admin().counters().token());
    for _ in 0..10 {
        let token = session.get_token(&user_scopes()).await.unwrap();
        assert_eq!(token.source, TokenSource::Cache);
    }
    assert_eq!((world.store.calls("load"), world.emulator.admin().counters().token()), (loads, tokens));
}

#[tokio::test]
async fn fifty_requests_on_an_expired_token_make_one_refresh_and_nobody_fails() {
    let world = strict_world().await;
    let id = world.expired(ADA).await;
    let mut requests = JoinSet::new();
    for _ in 0..50 {
        let (world, id) = (Arc::clone(&world), id.clone());
        requests.spawn(async move { world.load(&id).await.get_token(&user_scopes()).await });
    }
    let tokens = requests.join_all().await;
    let first = tokens[0].as_ref().unwrap().access_token.clone();
    assert!(tokens.iter().all(|token| token.as_ref().unwrap().access_token.ct_eq(&first)));
    assert_eq!(world.refreshes(), 1);
}

#[tokio::test]
async fn two_scope_sets_are_renewed_one_after_the_other_each_getting_its_own() {
    let world = strict_world().await;
    let id = world.expired(ADA).await;
    let mut requests = JoinSet::new();
    for number in 0..20 {
        let (world, id) = (Arc::clone(&world), id.clone());
        let scopes = if number % 2 == 0 { user_scopes() } else { api_scopes(&world) };
        requests.spawn(async move { (world.load(&id).await.get_token(&scopes).await, scopes) });
    }
    for (token, scopes) in requests.join_all().await {
        let token = token.unwrap();
        assert!(scopes.is_subset(&token.scopes), "{scopes} of {}", token.scopes);
    }
    assert_eq!(world.refreshes(), 2);
}

/// A scope of another resource than Graph: the application's own.
fn api_scopes(world: &World) -> async_msal_session::async_msal::Scopes {
    async_msal_session::async_msal::Scopes::parse(&format!("api://{}/.default", world.emulator.client_id()))
}

#[tokio::test]
async fn a_renewed_token_is_saved_before_it_is_handed_out() {
    let world = World::new().await;
    let id = world.expired(ADA).await;
    let token = world.load(&id).await.get_token(&user_scopes()).await.unwrap();
    let again = world.load(&id).await.get_token(&user_scopes()).await.unwrap();
    assert!(again.access_token.ct_eq(&token.access_token));
    assert_eq!(world.refreshes(), 1);
}

#[tokio::test]
async fn a_dropped_caller_loses_no_renewal() {
    let world = strict_world().await;
    let id = world.expired(ADA).await;
    let slow = FaultRule::new(Endpoint::Token, Fault::delay(Duration::from_millis(300)));
    world.emulator.admin().fail_next(slow).unwrap();
    let session = world.load(&id).await;
    let scopes = user_scopes();
    let caller = tokio::time::timeout(Duration::from_millis(50), session.get_token(&scopes));
    assert!(caller.await.is_err(), "the token came too early for this test");
    let token = world.load(&id).await.get_token(&user_scopes()).await.unwrap();
    assert_eq!(world.refreshes(), 1);
    assert!(token.expires_on > 1_800_000_000 + 3601);
}

#[tokio::test]
async fn a_sign_out_during_a_renewal_stays_signed_out() {
    let world = strict_world().await;
    let id = world.expired(ADA).await;
    let session = world.load(&id).await;
    let gate = world.store.gate("compare_and_set");
    let renewing = tokio::spawn(async move { session.get_token(&user_scopes()).await });
    while world.store.calls("compare_and_set") == 0 {
        tokio::task::yield_now().await;
    }
    let page = "https://app.example/user/signed-out".parse().unwrap();
    world.msal.sign_out(&id, &page, None).await.unwrap();
    gate.add_permits(100);
    let renewed = renewing.await.unwrap();
    assert!(matches!(renewed, Err(Error::SessionEnded)), "{renewed:?}");
    assert!(world.msal.load_session(&id).await.unwrap().is_none());
    assert!(world.msal.for_user(&Find::mail(ADA)).await.unwrap().is_none());
}

#[tokio::test]
async fn a_token_due_ahead_of_time_is_handed_out_at_once_and_renewed_behind() {
    let mut policy = strict();
    policy.refresh_in = Some(1800);
    let world = Arc::new(World::with(policy, |builder| builder).await);
    let id = world.sign_in(ADA).await;
    let first = world.load(&id).await.get_token(&user_scopes()).await.unwrap();
    world.clock.advance(1801);
    world.emulator.admin().reset_counters();
    let session = world.load(&id).await;
    for _ in 0..20 {
        let token = session.get_token(&user_scopes()).await.unwrap();
        assert_eq!(token.source, TokenSource::Cache);
    }
    world.settle().await;
    assert_eq!(world.refreshes(), 1);
    let renewed = world.load(&id).await.get_token(&user_scopes()).await.unwrap();
    assert!(!renewed.access_token.ct_eq(&first.access_token));
}

#[tokio::test]
async fn a_failed_renewal_ahead_of_time_fails_nobody_who_holds_a_valid_token() {
    let mut policy = Policy::default();
    policy.refresh_in = Some(1800);
    let world = World::with(policy, |builder| builder).await;
    let id = world.sign_in(ADA).await;
    world.clock.advance(1801);
    world
        .emulator
        .admin()
        .fail_next(FaultRule::new(Endpoint::Token, Fault::answer(503, "{}")).times(9))
        .unwrap();
    let session = world.load(&id).await;
    for _ in 0..5 {
        session.get_token(&user_scopes()).await.unwrap();
    }
    world.settle().await;
    session.get_token(&user_scopes()).await.unwrap();
}

#[tokio::test]
async fn within_the_leeway_a_failed_renewal_gives_the_old_token() {
    let world = World::new().await;
    let id = world.sign_in(ADA).await;
    world.clock.advance(3600 - 100);
    world
        .emulator
        .admin()
        .fail_next(FaultRule::new(Endpoint::Token, Fault::answer(500, "{}")).times(9))
        .unwrap();
    let token = world.load(&id).await.get_token(&user_scopes()).await.unwrap();
    assert_eq!(token.source, TokenSource::Cache);
}

#[tokio::test]
async fn a_failing_renewal_is_not_tried_again_within_its_back_off() {
    let world = World::new().await;
    let id = world.expired(ADA).await;
    let dead = FaultRule::new(Endpoint::Token, Fault::oauth_error("invalid_grant", 700_082)).times(50);
    world.emulator.admin().fail_next(dead).unwrap();
    for _ in 0..10 {
        let failed = world.load(&id).await.get_token(&user_scopes()).await.unwrap_err();
        assert!(failed.is_interaction_required(), "{failed:?}");
        assert_eq!(failed.code(), "interaction_required");
    }
    assert_eq!(world.refreshes(), 1);
}

#[tokio::test]
async fn a_store_that_cannot_save_does_not_keep_the_token_from_its_caller_and_saves_later() {
    let world = strict_world().await;
    let id = world.expired(ADA).await;
    world.store.fail("compare_and_set", 3);
    let token = world.load(&id).await.get_token(&user_scopes()).await.unwrap();
    // Meanwhile nobody here sends the used refresh token again.
    let again = world.load(&id).await.get_token(&user_scopes()).await.unwrap();
    assert!(again.access_token.ct_eq(&token.access_token));
    world.settle().await;
    let other =
        support::builder(&world.emulator, &world.clock, Arc::clone(&world.store) as _).build().unwrap();
    let stored = other.load_session(&id).await.unwrap().unwrap().get_token(&user_scopes()).await.unwrap();
    assert!(stored.access_token.ct_eq(&token.access_token), "it was never saved");
    assert_eq!(world.refreshes(), 1);
}

#[tokio::test]
async fn two_renewals_that_the_store_would_not_take_are_both_kept_and_both_saved_later() {
    let world = strict_world().await;
    let id = world.expired(ADA).await;
    // Reads work, writes do not.
    world.store.refuse("acquire_lease");
    world.store.fail("compare_and_set", 10_000);
    let one = world.load(&id).await.get_token(&user_scopes()).await.unwrap();
    let two = world.load(&id).await.get_token(&api_scopes(&world)).await.unwrap();
    let again = world.load(&id).await.get_token(&user_scopes()).await.unwrap();
    assert_eq!(again.source, TokenSource::Cache, "the first renewal is forgotten");
    assert!(again.access_token.ct_eq(&one.access_token));
    world.store.fail("compare_and_set", 0);
    world.settle().await;
    let other =
        support::builder(&world.emulator, &world.clock, Arc::clone(&world.store) as _).build().unwrap();
    let stored = other.load_session(&id).await.unwrap().unwrap();
    let tokens = (stored.get_token(&user_scopes()).await, stored.get_token(&api_scopes(&world)).await);
    assert!(tokens.0.unwrap().access_token.ct_eq(&one.access_token), "the first was never saved");
    assert!(tokens.1.unwrap().access_token.ct_eq(&two.access_token), "the second was never saved");
    assert_eq!(world.refreshes(), 2);
}

#[tokio::test]
async fn a_store_without_leases_still_renews() {
    let world = strict_world().await;
    let id = world.expired(ADA).await;
    world.store.refuse("acquire_lease");
    assert!(world.load(&id).await.get_token(&user_scopes()).await.is_ok());
    assert_eq!(world.refreshes(), 1);
}

#[tokio::test]
async fn a_lease_that_could_not_be_asked_for_is_not_gone_without() {
    let world = strict_world().await;
    let id = world.expired(ADA).await;
    // Another node may hold it: its refresh token works once.
    world.store.fail("acquire_lease", 1);
    let failed = world.load(&id).await.get_token(&user_scopes()).await.unwrap_err();
    assert_eq!((failed.code().as_ref(), world.refreshes()), ("store_unavailable", 0));
    assert!(world.load(&id).await.get_token(&user_scopes()).await.is_ok());
    assert_eq!(world.refreshes(), 1);
}

#[tokio::test]
async fn a_lease_that_cannot_be_had_gives_the_old_token_while_it_lives() {
    let world = strict_world().await;
    let id = world.sign_in(ADA).await;
    let old = world.load(&id).await.get_token(&user_scopes()).await.unwrap();
    world.clock.advance(3500);
    world.store.fail("acquire_lease", 1);
    let kept = world.load(&id).await.get_token(&user_scopes()).await.unwrap();
    assert!(kept.access_token.ct_eq(&old.access_token));
}

#[tokio::test]
async fn a_lease_left_by_a_dead_node_costs_no_more_than_its_life() {
    let world = strict_world().await;
    let id = world.expired(ADA).await;
    let key = world.msal.store_key(&id);
    world.store.hold_lease(&key, Duration::from_secs(15)).await;
    let (session, scopes) = (world.load(&id).await, user_scopes());
    let waiting = tokio::spawn(async move { session.get_token(&scopes).await });
    while world.store.calls("acquire_lease") < 3 {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.refreshes(), 0, "it did not wait for the lease");
    world.clock.advance(16);
    assert!(waiting.await.unwrap().is_ok());
    assert_eq!(world.refreshes(), 1);
}

#[tokio::test]
async fn two_processes_on_one_sqlite_file_renew_once() {
    let folder = tempfile::tempdir().unwrap();
    let clock = async_msal_session::async_msal::ManualClock::new(1_800_000_000);
    let emulator = support::emulator(&clock, strict()).await;
    let node = || {
        let store = SqliteStore::open_lazy(folder.path().join("s.db")).with_clock(Arc::new(clock.clone()));
        support::builder(&emulator, &clock, Arc::new(store)).build().unwrap()
    };
    let nodes = [node(), node()];
    let started = nodes[0].initiate_sign_in(request()).await.unwrap();
    let answer = emulator.authorize(started.auth_uri.as_str(), ADA).await.unwrap();
    let response = async_msal_session::async_msal::AuthResponse::parse(&answer.body()).unwrap();
    let outcome = nodes[1].complete_sign_in(&started.sealed, response, &SignInHooks::new()).await.unwrap();
    let id = signed_in(outcome).session_id;
    clock.advance(3601);
    emulator.admin().reset_counters();
    let mut requests = JoinSet::new();
    for number in 0..40 {
        let (msal, id) = (nodes[number % 2].clone(), id.clone());
        requests.spawn(async move {
            msal.load_session(&id).await.unwrap().unwrap().get_token(&user_scopes()).await
        });
    }
    let tokens = requests.join_all().await;
    let first = tokens[0].as_ref().unwrap().access_token.clone();
    assert!(tokens.iter().all(|token| token.as_ref().unwrap().access_token.ct_eq(&first)));
    assert_eq!(emulator.admin().counters().token_refresh_token, 1);
}

#[tokio::test]
async fn a_token_of_the_winner_is_taken_however_short_it_lives() {
    let mut policy = strict();
    policy.access_token_lifetime = 2;
    let world = Arc::new(World::with(policy, |builder| builder).await);
    let id = world.sign_in(ADA).await;
    world.clock.advance(3);
    world.emulator.admin().reset_counters();
    let mut requests = JoinSet::new();
    for _ in 0..20 {
        let (world, id) = (Arc::clone(&world), id.clone());
        requests.spawn(async move { world.load(&id).await.get_token(&user_scopes()).await.map(drop) });
    }
    assert!(requests.join_all().await.into_iter().all(|answer| answer.is_ok()));
    assert_eq!(world.refreshes(), 1);
}

#[tokio::test]
async fn an_id_token_of_somebody_else_at_renewal_ends_the_session() {
    let world = World::new().await;
    let id = world.expired(ADA).await;
    let other = IdTokenFaultRule::new(IdTokenFault::OtherSubject).on_refresh();
    world.emulator.admin().fail_next_id_token(other).unwrap();
    let refused = world.load(&id).await.get_token(&user_scopes()).await.unwrap_err();
    assert_eq!(refused.code(), "refresh_refused");
    assert!(refused.is_interaction_required());
    assert!(world.msal.load_session(&id).await.unwrap().is_none());
}

#[tokio::test]
async fn a_renewal_leaves_person_and_time_of_sign_in_alone() {
    let world = World::new().await;
    let id = world.expired(ADA).await;
    let before = world.load(&id).await.identity().unwrap();
    let session = world.load(&id).await;
    session.get_token(&user_scopes()).await.unwrap();
    let after = world.load(&id).await.identity().unwrap();
    assert!(after.is_same_person(&before));
    assert_eq!(after.signed_in_at, before.signed_in_at);
}

#[tokio::test]
async fn scopes_never_consented_need_the_user() {
    let world = World::new().await;
    let session = world.load(&world.sign_in(ADA).await).await;
    let refused = session.get_token(&mail_scopes()).await.unwrap_err();
    assert!(refused.is_interaction_required(), "{refused:?}");
}

#[tokio::test]
async fn a_store_that_stumbles_after_the_lease_costs_nobody_the_token_that_still_lives() {
    let world = World::new().await;
    let id = world.sign_in(ADA).await;
    world.clock.advance(3400);
    let session = world.load(&id).await;
    let gate = world.store.gate_once("acquire_lease");
    let asking = tokio::spawn(async move { session.get_token(&user_scopes()).await });
    while world.store.calls("acquire_lease") == 0 {
        tokio::task::yield_now().await;
    }
    world.store.fail("load", 1);
    gate.add_permits(1);
    asking.await.unwrap().expect("200 seconds are left");
}
