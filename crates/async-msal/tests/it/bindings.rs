//! What bindings for other languages stand on: words of the authority as they came, requests that can be given up,
//! questions that never use the network.

use std::sync::Arc;

use async_msal::{
    Account, Authority, ClaimsChallenge, ClientTokenOptions, Error, Lookup, RefreshOptions, SendGate,
    TokenCache, TokenSource,
};
use async_msal_emulator::{Endpoint, Fault, FaultRule};
use serde_json::{Value, json};

use crate::support::{World, builder, request, scopes};

#[tokio::test]
async fn answers_are_there_as_they_came_and_debug_shows_none_of_them() {
    let mut world = World::new().await;
    let account = world.sign_in().await;
    let options = RefreshOptions::default();
    let token = world.client.refresh(&mut world.cache, &account, &scopes(), options.clone()).await.unwrap();
    let raw = token.raw_answer.as_ref().unwrap();
    assert_eq!(
        (raw.status(), &raw.members()["access_token"]),
        (200, &token.access_token.expose_secret().into())
    );
    assert!(!format!("{raw:?}").contains(token.access_token.expose_secret()));
    world.fault(FaultRule::new(Endpoint::Token, Fault::oauth_error("invalid_grant", 50173)));
    let error = world.client.refresh(&mut world.cache, &account, &scopes(), options).await.unwrap_err();
    let raw = error.server().unwrap().raw_answer().unwrap();
    assert_eq!(raw.members()["error_codes"], json!([50173]));
}

#[tokio::test]
async fn closed_gate_lets_no_token_request_out_and_a_passed_one_cannot_be_closed() {
    let mut world = World::new().await;
    let account = world.sign_in().await;
    let before = world.emulator.admin().counters().token();
    let (closed, open) = (Arc::new(SendGate::new()), Arc::new(SendGate::new()));
    assert!(closed.close());
    let client = world.client.with_send_gate(closed);
    let refused = client.refresh(&mut world.cache, &account, &scopes(), RefreshOptions::default()).await;
    assert!(matches!(refused, Err(Error::Unreachable(_))));
    assert_eq!(world.emulator.admin().counters().token(), before);
    let client = world.client.with_send_gate(Arc::clone(&open));
    client.refresh(&mut world.cache, &account, &scopes(), RefreshOptions::default()).await.unwrap();
    assert!(!open.close());
}

#[tokio::test]
async fn sign_in_starts_without_the_network_and_ends_as_any_other() {
    let mut world = World::new().await;
    let flow = world.client.initiate_without_network(request()).unwrap().unwrap();
    assert_eq!(world.emulator.admin().counters().discovery, 0);
    assert!(flow.issuer().is_none());
    let answer =
        world.emulator.authorize(flow.auth_uri().unwrap().as_str(), "ada@contoso.example").await.unwrap();
    world.finish(&flow, &answer.body()).await.unwrap();
    // With the metadata at hand the issuer is noted too.
    let flow = world.client.initiate_without_network(request()).unwrap().unwrap();
    assert!(flow.issuer().is_some());
}

#[tokio::test]
async fn another_provider_s_page_is_known_from_its_metadata_only() {
    let world = World::new().await;
    let issuer = format!("{}/v2.0", world.emulator.authority_url());
    let client = builder(&world.emulator, &world.emulator.authority_url());
    let client = client.authority(Authority::oidc(&issuer).unwrap()).build().unwrap();
    assert!(client.initiate_without_network(request()).unwrap().is_none());
    assert!(client.realm_at_hand().is_none());
    client.metadata().await.unwrap();
    assert!(client.initiate_without_network(request()).unwrap().is_some());
    assert!(client.realm_at_hand().is_some());
}

#[tokio::test]
async fn application_s_own_token_is_found_without_asking() {
    let mut world = World::new().await;
    let scopes = async_msal::Scopes::from(["https://graph.microsoft.com/.default"]);
    let options = ClientTokenOptions::default;
    assert!(matches!(world.client.find_client_token(&world.cache, &scopes, &options()), Lookup::Miss(_)));
    world.client.acquire_token_for_client(&mut world.cache, &scopes, options()).await.unwrap();
    assert!(matches!(world.client.find_client_token(&world.cache, &scopes, &options()), Lookup::Hit(_)));
    let other = options().with_fmi_path("a/b");
    assert!(matches!(world.client.find_client_token(&world.cache, &scopes, &other), Lookup::Miss(_)));
}

#[tokio::test]
async fn token_that_was_had_with_claims_of_the_caller_s_own_stands_apart() {
    let mut world = World::new().await;
    let account = world.sign_in().await;
    let claims = ClaimsChallenge::parse(r#"{"access_token":{"x":null}}"#).unwrap();
    let options = RefreshOptions::default().with_client_claims(claims.clone());
    let token = world.client.refresh(&mut world.cache, &account, &scopes(), options).await.unwrap();
    assert_eq!(token.source, TokenSource::IdentityProvider);
    let find = |claims| world.client.find_first_access_token(&world.cache, &account, &scopes(), claims);
    let Lookup::Hit(with) = find(Some(&claims)) else { panic!("not found") };
    assert!(with.token.access_token.ct_eq(&token.access_token));
    let Lookup::Hit(without) = find(None) else { panic!("not found") };
    assert!(!without.token.access_token.ct_eq(&token.access_token));
}

#[tokio::test]
async fn token_of_exactly_these_scopes_comes_first_then_the_cache_s_order() {
    let world = World::new().await;
    let now = world.client.clock().now();
    let realm = world.client.realm_at_hand().unwrap();
    let entry = |secret: &str, target: &str, left: i64| {
        json!({"credential_type": "AccessToken", "secret": secret, "home_account_id": "u.t", "realm": realm,
            "environment": world.client.environment(), "client_id": world.client.client_id(), "target": target,
            "cached_at": (now - 3_600).to_string(), "expires_on": (now + left).to_string()})
    };
    let found = |entries: Value| {
        let cache = TokenCache::parse(&json!({ "AccessToken": entries }).to_string()).unwrap();
        let account = Account::new("u.t", world.client.environment(), realm.clone());
        match world.client.find_first_access_token(&cache, &account, &scopes(), None) {
            Lookup::Hit(hit) => hit.token.access_token.expose_secret().to_owned(),
            _ => "none".to_owned(),
        }
    };
    let wide = entry("wide", "Mail.Read User.Read", 9_000);
    assert_eq!(found(json!({"1": wide, "2": entry("exact", "User.Read", 4_000)})), "exact");
    assert_eq!(found(json!({"1": entry("first", "A User.Read", 4_000), "2": wide})), "first");
    assert_eq!(found(json!({"1": entry("exact", "User.Read", 10), "2": wide})), "wide");
}

#[tokio::test]
async fn expired_access_tokens_go_and_the_cache_counts_as_changed() {
    let mut world = World::new().await;
    world.sign_in().await;
    world.cache.mark_unchanged();
    let now = world.client.clock().now();
    world.cache.remove_expired_access_tokens(now);
    assert!(!world.cache.has_changed());
    world.cache.remove_expired_access_tokens(now + 9_999);
    assert!(world.cache.has_changed());
}
