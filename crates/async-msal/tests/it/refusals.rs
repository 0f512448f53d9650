//! What a refresh was answered is remembered for that refresh token, scopes and claims, and for nobody else.

use std::time::Duration;

use async_msal::{Account, ClaimsChallenge, Error, RefreshOptions, RefreshToken, Scopes, TokenSource};
use async_msal_emulator::{Endpoint, Fault, FaultRule};

use crate::support::{ADA, World, scopes};

const BEN: &str = "ben@contoso.example";

fn refusal() -> Fault {
    Fault::OAuthError {
        status: 400,
        error: "invalid_grant".into(),
        code: 50_173,
        suberror: None,
        claims: None,
    }
}

/// Somebody signed in whose access token has expired.
async fn expired() -> (World, Account) {
    let mut world = World::new().await;
    let account = world.sign_in().await;
    world.advance(3_700);
    (world, account)
}

fn requests(world: &World) -> u64 {
    world.emulator.admin().counters().token_refresh_token
}

async fn refresh(world: &mut World, account: &Account, options: RefreshOptions) -> Result<(), Error> {
    world.client.refresh(&mut world.cache, account, &scopes(), options).await.map(drop)
}

#[tokio::test]
async fn refused_refresh_is_not_asked_again_for_a_minute() {
    let (mut world, account) = expired().await;
    world.fault(FaultRule::new(Endpoint::Token, refusal()));
    let first = world.silent(&account).await.unwrap_err();
    world.advance(59);
    let second = world.silent(&account).await.unwrap_err();
    assert_eq!(
        (second.code(), &second.server().unwrap().codes),
        (first.code(), &first.server().unwrap().codes)
    );
    assert_eq!(requests(&world), 1);
    world.advance(1);
    world.silent(&account).await.unwrap();
}

#[tokio::test]
async fn failing_authority_is_left_alone_for_five_seconds() {
    let (mut world, account) = expired().await;
    world.fault(FaultRule::new(Endpoint::Token, Fault::answer(503, "{}")).times(2));
    for _ in 0..3 {
        let error = world.silent(&account).await.unwrap_err();
        assert!(error.code() == "invalid_response" && error.is_retryable());
    }
    assert_eq!(requests(&world), 2, "one refresh, sent twice");
    world.advance(5);
    world.silent(&account).await.unwrap();
}

#[tokio::test]
async fn refusal_of_one_user_concerns_no_other() {
    let mut world = World::new().await;
    let ada = world.sign_in().await;
    let ben = world.try_sign_in(BEN).await.unwrap().account;
    world.advance(3_700);
    world.fault(FaultRule::new(Endpoint::Token, refusal()));
    world.silent(&ada).await.unwrap_err();
    assert_eq!(world.silent(&ben).await.unwrap().source, TokenSource::IdentityProvider);
}

#[tokio::test]
async fn new_sign_in_after_a_refusal_is_asked_with_at_once() {
    let (mut world, account) = expired().await;
    world.emulator.admin().revoke_refresh_tokens(ADA).await.unwrap();
    world.silent(&account).await.unwrap_err();
    world.sign_in().await;
    refresh(&mut world, &account, RefreshOptions::default()).await.unwrap();
}

#[tokio::test]
async fn refusal_holds_for_the_scopes_and_claims_that_were_refused() {
    let (mut world, account) = expired().await;
    let claims = ClaimsChallenge::parse(r#"{"access_token":{"nbf":{"essential":true}}}"#).unwrap();
    let challenged = || RefreshOptions::default().with_claims(claims.clone());
    world.fault(FaultRule::new(Endpoint::Token, refusal()));
    refresh(&mut world, &account, challenged()).await.unwrap_err();
    refresh(&mut world, &account, challenged()).await.unwrap_err();
    assert_eq!(requests(&world), 1);
    world.fault(FaultRule::new(Endpoint::Token, refusal()).times(2));
    let own = RefreshOptions::default().with_client_claims(claims.clone());
    refresh(&mut world, &account, own).await.unwrap_err();
    refresh(&mut world, &account, RefreshOptions::default()).await.unwrap_err();
    let others = Scopes::from(["Mail.Read"]);
    let result = world.client.refresh(&mut world.cache, &account, &others, RefreshOptions::default()).await;
    assert_ne!(
        result.err().and_then(|error| error.server().map(|server| server.codes.clone())),
        Some(vec![50_173])
    );
    assert_eq!(requests(&world), 4);
}

#[tokio::test]
async fn pause_says_how_long_a_refresh_would_be_answered_from_memory() {
    let (mut world, account) = expired().await;
    let options = RefreshOptions::default();
    let pause = |world: &World| world.client.refresh_pause(&world.cache, &account, &scopes(), &options);
    assert_eq!(pause(&world), None);
    world.fault(FaultRule::new(Endpoint::Token, refusal()));
    world.silent(&account).await.unwrap_err();
    world.advance(20);
    assert_eq!(pause(&world), Some(Duration::from_secs(40)));
    world.advance(40);
    assert_eq!(pause(&world), None);
}

#[tokio::test]
async fn token_in_hand_is_given_without_one_more_request_each_time() {
    let mut world = World::new().await;
    let account = world.sign_in().await;
    world.advance(3_400);
    world.fault(FaultRule::new(Endpoint::Token, Fault::CloseAfterServing).times(2));
    world.silent(&account).await.unwrap();
    let sent = requests(&world);
    for _ in 0..3 {
        assert!(world.silent(&account).await.unwrap().renew_due);
    }
    assert_eq!(requests(&world), sent);
    world.advance(5);
    assert_eq!(world.silent(&account).await.unwrap().source, TokenSource::IdentityProvider);
}

#[tokio::test]
async fn refresh_token_from_elsewhere_that_was_refused_is_not_asked_with_again() {
    let mut world = World::new().await;
    for _ in 0..2 {
        let token = RefreshToken::new("dead");
        let error = world.client.acquire_token_by_refresh_token(&mut world.cache, &token, &scopes()).await;
        assert_eq!(error.unwrap_err().code(), "interaction_required");
    }
    assert_eq!(requests(&world), 1);
}
