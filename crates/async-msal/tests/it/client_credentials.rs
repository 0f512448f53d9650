//! The application's own tokens: from the cache first, never a refresh token, no account.

use async_msal::{ClaimsChallenge, ClientTokenOptions, Error, Scopes, TokenResult, TokenSource};
use async_msal_emulator::{Endpoint, Fault, FaultRule};

use crate::support::World;

fn graph() -> Scopes {
    Scopes::from(["https://graph.microsoft.com/.default"])
}

async fn ask(world: &mut World, options: ClientTokenOptions) -> Result<TokenResult, Error> {
    world.client.acquire_token_for_client(&mut world.cache, &graph(), options).await
}

async fn token(world: &mut World) -> TokenResult {
    ask(world, ClientTokenOptions::default()).await.unwrap()
}

fn requests(world: &World) -> u64 {
    world.emulator.admin().counters().token()
}

#[tokio::test]
async fn second_token_comes_from_the_cache() {
    let mut world = World::new().await;
    assert_eq!(token(&mut world).await.source, TokenSource::IdentityProvider);
    let second = token(&mut world).await;
    assert_eq!(second.source, TokenSource::Cache);
    assert_eq!(second.scopes, graph());
    assert_eq!(requests(&world), 1);
}

#[tokio::test]
async fn entry_is_nobodys_as_msal_writes_it() {
    let mut world = World::new().await;
    token(&mut world).await;
    let json: serde_json::Value = serde_json::from_str(&world.cache.to_json()).unwrap();
    let (key, entry) = json["AccessToken"].as_object().unwrap().iter().next().unwrap();
    assert!(key.starts_with('-') && key.contains("-accesstoken-"), "{key}");
    assert!(entry["home_account_id"].is_null());
    assert_eq!(entry["target"], "https://graph.microsoft.com/.default");
    for section in ["Account", "RefreshToken", "IdToken"] {
        assert!(json.get(section).is_none(), "{section}");
    }
}

#[tokio::test]
async fn expired_token_is_asked_again() {
    let mut world = World::new().await;
    token(&mut world).await;
    world.advance(3_700);
    assert_eq!(token(&mut world).await.source, TokenSource::IdentityProvider);
    assert_eq!(requests(&world), 2);
}

#[tokio::test]
async fn claims_challenge_is_not_answered_by_the_cache() {
    let mut world = World::new().await;
    token(&mut world).await;
    let claims = ClaimsChallenge::parse(r#"{"access_token":{"nbf":{"essential":true}}}"#).unwrap();
    ask(&mut world, ClientTokenOptions::default().with_claims(claims)).await.unwrap();
    assert_eq!(requests(&world), 2);
}

#[tokio::test]
async fn token_past_its_refresh_in_is_given_with_renew_due_until_it_is_renewed() {
    let mut world = World::new().await;
    world.emulator.admin().set_policy(|policy| policy.refresh_in = Some(1_000));
    token(&mut world).await;
    world.advance(900);
    let fresh = token(&mut world).await;
    assert!(fresh.source == TokenSource::Cache && !fresh.renew_due);
    world.advance(200);
    let due = token(&mut world).await;
    assert!(due.source == TokenSource::Cache && due.renew_due);
    assert_eq!(requests(&world), 1);
    let renewed = ask(&mut world, ClientTokenOptions::default().renewing()).await.unwrap();
    assert!(renewed.source == TokenSource::IdentityProvider && !renewed.renew_due);
    assert!(!token(&mut world).await.renew_due);
    assert_eq!(requests(&world), 2);
}

#[tokio::test]
async fn failed_renewal_gives_the_token_in_hand() {
    let mut world = World::new().await;
    token(&mut world).await;
    world.advance(3_400);
    world.fault(FaultRule::new(Endpoint::Token, Fault::answer(503, "{}")).times(2));
    let token = token(&mut world).await;
    assert!(token.source == TokenSource::Cache && token.renew_due);
}

#[tokio::test]
async fn token_in_hand_is_given_without_one_more_request_each_time() {
    let mut world = World::new().await;
    token(&mut world).await;
    world.advance(3_400);
    world.fault(FaultRule::new(Endpoint::Token, Fault::CloseAfterServing).times(2));
    token(&mut world).await;
    let sent = requests(&world);
    for _ in 0..3 {
        let again = token(&mut world).await;
        assert!(again.source == TokenSource::Cache && again.renew_due);
    }
    assert_eq!(requests(&world), sent);
    world.advance(5);
    assert_eq!(token(&mut world).await.source, TokenSource::IdentityProvider);
}

#[tokio::test]
async fn overloaded_authority_is_left_alone_for_the_scopes_that_were_asked() {
    let mut world = World::new().await;
    world.fault(FaultRule::new(Endpoint::Token, Fault::answer(429, "")));
    assert_eq!(ask(&mut world, ClientTokenOptions::default()).await.unwrap_err().code(), "throttled");
    let waiting = ask(&mut world, ClientTokenOptions::default().renewing()).await.unwrap_err();
    assert_eq!((waiting.retry_after(), requests(&world)), (Some(std::time::Duration::from_secs(5)), 1));
    let fmi = ClientTokenOptions::default().with_fmi_path("a/b");
    ask(&mut world, fmi).await.unwrap();
    world.advance(5);
    token(&mut world).await;
}

#[tokio::test]
async fn refusal_is_remembered_for_a_minute() {
    let mut world = World::new().await;
    let refusal = Fault::answer(400, r#"{"error":"invalid_scope","error_description":"no"}"#);
    world.fault(FaultRule::new(Endpoint::Token, refusal));
    for _ in 0..2 {
        assert_eq!(ask(&mut world, ClientTokenOptions::default()).await.unwrap_err().code(), "server");
    }
    assert_eq!(requests(&world), 1);
    world.advance(60);
    token(&mut world).await;
}

#[tokio::test]
async fn fmi_paths_do_not_share_tokens() {
    let mut world = World::new().await;
    token(&mut world).await;
    let fmi = || ClientTokenOptions::default().with_fmi_path("a/b");
    ask(&mut world, fmi()).await.unwrap();
    assert_eq!(ask(&mut world, fmi()).await.unwrap().source, TokenSource::Cache);
    assert_eq!(requests(&world), 2);
    assert!(world.cache.to_json().contains("ov4rzjppsoorvfirec6knwpq_ewdthx-s92gexiklps"));
}

#[tokio::test]
async fn reserved_and_missing_scopes_are_refused_before_anything_is_sent() {
    let mut world = World::new().await;
    for scopes in [Scopes::new(), Scopes::from(["openid"]), Scopes::from(["offline_access", "a/.default"])] {
        let options = ClientTokenOptions::default();
        let error = world.client.acquire_token_for_client(&mut world.cache, &scopes, options).await;
        assert_eq!(error.unwrap_err().code(), "config");
    }
    assert_eq!(requests(&world), 0);
}
