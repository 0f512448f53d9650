//! Tokens on behalf of a caller: by the hash of what it presented, never another's.

use async_msal::error::UserAssertionError;
use async_msal::{
    AccessToken, Advice, AuthCodeRequest, Error, OnBehalfOfOptions, RefreshToken, Scopes, TokenCache,
    TokenResult, TokenSource,
};
use async_msal_emulator::{Endpoint, Fault, FaultRule};
use serde_json::Value;

use crate::support::{ADA, REDIRECT, World, scopes};

/// An access token for this very client's API, from somebody who has consented to what the API will ask.
async fn incoming(world: &mut World, person: &str) -> AccessToken {
    sign_in(world, person, "User.Read").await;
    let scope = format!("api://{}/access_as_user", world.emulator.client_id());
    sign_in(world, person, &scope).await
}

async fn sign_in(world: &mut World, person: &str, scope: &str) -> AccessToken {
    let request = AuthCodeRequest::new(REDIRECT.parse().unwrap(), Scopes::from([scope]));
    let (flow, body) = world.start_with(request, person).await;
    world.finish(&flow, &body).await.unwrap().token.access_token
}

/// As an API would: in a cache of its own.
async fn exchange(
    world: &World,
    cache: &mut TokenCache,
    assertion: &AccessToken,
    scopes: &Scopes,
) -> Result<TokenResult, Error> {
    let options = OnBehalfOfOptions::default();
    world.client.acquire_token_on_behalf_of(cache, assertion, scopes, options).await
}

fn requests(world: &World) -> u64 {
    world.emulator.admin().counters().token_on_behalf_of
}

#[tokio::test]
async fn second_exchange_comes_from_the_cache() {
    let mut world = World::new().await;
    let assertion = incoming(&mut world, ADA).await;
    let mut cache = TokenCache::new();
    let first = exchange(&world, &mut cache, &assertion, &scopes()).await.unwrap();
    assert_eq!(first.id_token.unwrap().claims().preferred_username.as_deref(), Some(ADA));
    let mut cache = TokenCache::parse(&cache.to_json()).unwrap();
    let second = exchange(&world, &mut cache, &assertion, &scopes()).await.unwrap();
    assert_eq!(second.source, TokenSource::Cache);
    assert!(second.access_token.ct_eq(&first.access_token));
    assert_eq!(requests(&world), 1);
}

#[tokio::test]
async fn entry_is_kept_apart_and_the_account_has_no_source() {
    let mut world = World::new().await;
    let assertion = incoming(&mut world, ADA).await;
    let mut cache = TokenCache::new();
    exchange(&world, &mut cache, &assertion, &scopes()).await.unwrap();
    let json: Value = serde_json::from_str(&cache.to_json()).unwrap();
    let (key, entry) = json["AccessToken"].as_object().unwrap().iter().next().unwrap();
    assert!(key.contains("-atext-") && key.ends_with(entry["ext_cache_key"].as_str().unwrap()), "{key}");
    let account = json["Account"].as_object().unwrap().values().next().unwrap();
    assert!(account.get("account_source").is_none() && account["username"] == ADA);
    assert!(!cache.to_json().contains(assertion.expose_secret()));
}

#[tokio::test]
async fn nobody_gets_what_anothers_token_was_exchanged_for() {
    let mut world = World::new().await;
    let (adas, bens) = (incoming(&mut world, ADA).await, incoming(&mut world, "ben@contoso.example").await);
    let mut cache = TokenCache::new();
    let ada = exchange(&world, &mut cache, &adas, &scopes()).await.unwrap();
    let ben = exchange(&world, &mut cache, &bens, &scopes()).await.unwrap();
    assert!(!ada.access_token.ct_eq(&ben.access_token));
    let again = exchange(&world, &mut cache, &adas, &scopes()).await.unwrap();
    assert!(again.source == TokenSource::Cache && again.access_token.ct_eq(&ada.access_token));
    assert_eq!(requests(&world), 2);
}

#[tokio::test]
async fn expired_incoming_token_is_refused_whatever_the_cache_holds() {
    let mut world = World::new().await;
    world.emulator.admin().set_policy(|policy| policy.access_token_lifetime = 900);
    let assertion = incoming(&mut world, ADA).await;
    let mut cache = TokenCache::new();
    world.emulator.admin().set_policy(|policy| policy.access_token_lifetime = 7_200);
    exchange(&world, &mut cache, &assertion, &scopes()).await.unwrap();
    world.advance(901);
    let error = exchange(&world, &mut cache, &assertion, &scopes()).await.unwrap_err();
    assert!(matches!(error, Error::UserAssertion(UserAssertionError::Expired)));
    assert_eq!((requests(&world), error.advice()), (1, Advice::RefuseCaller));
}

#[tokio::test]
async fn pause_of_one_callers_user_holds_up_no_other() {
    let mut world = World::new().await;
    let (adas, bens) = (incoming(&mut world, ADA).await, incoming(&mut world, "ben@contoso.example").await);
    let mut cache = TokenCache::new();
    world.fault(FaultRule::new(Endpoint::Token, Fault::answer_with_header(503, "Retry-After", "30")));
    for _ in 0..2 {
        let error = exchange(&world, &mut cache, &adas, &scopes()).await.unwrap_err();
        assert_eq!(error.code(), "throttled");
    }
    assert_eq!(requests(&world), 1);
    exchange(&world, &mut cache, &bens, &scopes()).await.unwrap();
    world.advance(30);
    exchange(&world, &mut cache, &adas, &scopes()).await.unwrap();
}

#[tokio::test]
async fn token_that_names_no_expiry_is_exchanged_again_after_five_minutes() {
    let world = World::new().await;
    let assertion = AccessToken::new("opaque");
    let mut cache = TokenCache::new();
    let exchanged = |text: &str| {
        let token = format!(r#"{{"access_token":"{text}","token_type":"Bearer","expires_in":3600}}"#);
        world.fault(FaultRule::new(Endpoint::Token, Fault::answer(200, token)));
    };
    exchanged("first");
    exchange(&world, &mut cache, &assertion, &scopes()).await.unwrap();
    world.advance(300);
    let kept = exchange(&world, &mut cache, &assertion, &scopes()).await.unwrap();
    assert_eq!((kept.source, kept.access_token.expose_secret()), (TokenSource::Cache, "first"));
    world.advance(1);
    exchanged("second");
    let again = exchange(&world, &mut cache, &assertion, &scopes()).await.unwrap();
    assert_eq!(again.access_token.expose_secret(), "second");
    world.advance(301);
    // Nor while the authority is down.
    world.fault(FaultRule::new(Endpoint::Token, Fault::answer(503, "")).times(2));
    exchange(&world, &mut cache, &assertion, &scopes()).await.unwrap_err();
}

#[tokio::test]
async fn token_for_another_api_is_refused_and_nothing_stored() {
    let mut world = World::new().await;
    let graphs = sign_in(&mut world, ADA, "User.Read").await;
    let mut cache = TokenCache::new();
    for assertion in [graphs, AccessToken::new("opaque")] {
        let error = exchange(&world, &mut cache, &assertion, &scopes()).await.unwrap_err();
        assert_eq!((error.code(), error.advice()), ("interaction_required", Advice::RefuseCaller));
        let text = error.to_string();
        assert!(text.contains("caller must bring another") && !text.contains("the user must"), "{text}");
        assert!(!cache.has_changed());
    }
}

#[tokio::test]
async fn scopes_that_were_not_granted_are_named_and_the_others_kept() {
    let mut world = World::new().await;
    sign_in(&mut world, ADA, "Mail.Read").await;
    let assertion = incoming(&mut world, ADA).await;
    world.emulator.admin().set_policy(|policy| policy.withheld_scopes = ["Mail.Read".to_owned()].into());
    let mut cache = TokenCache::new();
    let asked = Scopes::from(["Mail.Read", "User.Read"]);
    let result = exchange(&world, &mut cache, &assertion, &asked).await.unwrap();
    assert_eq!(result.missing_scopes, Scopes::from(["Mail.Read"]));
    assert!(result.scopes.contains("User.Read") && result.scopes.len() > 1, "{}", result.scopes);
    let kept = exchange(&world, &mut cache, &assertion, &scopes()).await.unwrap();
    assert_eq!(kept.source, TokenSource::Cache);
}

#[tokio::test]
async fn consent_that_is_missing_is_for_the_callers_user() {
    let mut world = World::new().await;
    let assertion = incoming(&mut world, ADA).await;
    let mut cache = TokenCache::new();
    let error = exchange(&world, &mut cache, &assertion, &Scopes::from(["Mail.Send"])).await.unwrap_err();
    assert_eq!((error.code(), error.advice()), ("interaction_required", Advice::Consent));
    assert!(!cache.has_changed());
}

fn refresh_token(cache: &TokenCache) -> RefreshToken {
    let json: Value = serde_json::from_str(&cache.to_json()).unwrap();
    let entry = json["RefreshToken"].as_object().unwrap().values().next().unwrap().clone();
    RefreshToken::new(entry["secret"].as_str().unwrap())
}

#[tokio::test]
async fn refresh_token_from_elsewhere_becomes_an_account() {
    let mut world = World::new().await;
    let before = world.sign_in().await;
    let token = refresh_token(&world.cache);
    let mut cache = TokenCache::new();
    let moved = world.client.acquire_token_by_refresh_token(&mut cache, &token, &scopes()).await.unwrap();
    assert_eq!(moved.account.home_account_id(), before.home_account_id());
    assert!(!cache.to_json().contains("account_source"));
    world.cache = cache;
    world.advance(3_700);
    assert_eq!(world.silent(&moved.account).await.unwrap().source, TokenSource::IdentityProvider);
}

#[tokio::test]
async fn dead_refresh_token_leaves_the_cache() {
    let world = World::new().await;
    let mut cache = TokenCache::new();
    for (text, code) in [("dead", "interaction_required"), ("", "config")] {
        let token = RefreshToken::new(text);
        let error =
            world.client.acquire_token_by_refresh_token(&mut cache, &token, &scopes()).await.unwrap_err();
        assert_eq!(error.code(), code);
        assert!(!cache.has_changed());
    }
}
