//! Later requests: cache hits, renewals, rotation.

use std::time::Duration;

use async_msal::{AuthCodeRequest, Error, Lookup, MissReason, RefreshOptions, Scopes, TokenSource};
use async_msal_emulator::{Endpoint, Fault, FaultRule, IdTokenFault, IdTokenFaultRule};

use crate::support::{ADA, REDIRECT, World, builder, scopes};

#[tokio::test]
async fn fresh_token_comes_from_the_cache_without_a_request() {
    let mut world = World::new().await;
    let account = world.sign_in().await;
    let before = world.emulator.admin().counters();
    assert_eq!(world.silent(&account).await.unwrap().source, TokenSource::Cache);
    assert_eq!(world.emulator.admin().counters(), before);
}

#[tokio::test]
async fn token_inside_the_leeway_is_renewed() {
    let mut world = World::new().await;
    let account = world.sign_in().await;
    world.advance(3_600 - 300);
    assert!(matches!(world.client.find_access_token(&world.cache, &account, &scopes()), Lookup::Hit(_)));
    world.advance(1);
    let lookup = world.client.find_access_token(&world.cache, &account, &scopes());
    assert!(matches!(lookup, Lookup::Miss(MissReason::Expired)));
    assert_eq!(world.silent(&account).await.unwrap().source, TokenSource::IdentityProvider);
    assert_eq!(world.emulator.admin().counters().token_refresh_token, 1);
}

#[tokio::test]
async fn short_lived_token_gives_hits_for_half_its_life() {
    let mut world = World::new().await;
    world.emulator.admin().set_policy(|policy| policy.access_token_lifetime = 100);
    let account = world.sign_in().await;
    world.advance(50);
    assert!(matches!(world.client.find_access_token(&world.cache, &account, &scopes()), Lookup::Hit(_)));
    world.advance(1);
    assert!(matches!(world.client.find_access_token(&world.cache, &account, &scopes()), Lookup::Miss(_)));
}

#[tokio::test]
async fn aging_token_is_returned_at_once_and_says_so() {
    let mut world = World::new().await;
    world.emulator.admin().set_policy(|policy| policy.refresh_in = Some(60));
    let account = world.sign_in().await;
    world.advance(61);
    world.fault(FaultRule::new(Endpoint::Token, Fault::answer(500, "{}")));
    let token = world.silent(&account).await.unwrap();
    assert!(token.renew_due && token.source == TokenSource::Cache);
    assert_eq!(world.emulator.admin().counters().token_refresh_token, 0);
}

#[tokio::test]
async fn failed_renewal_gives_the_token_that_has_not_expired() {
    let mut world = World::new().await;
    let account = world.sign_in().await;
    world.advance(3_600 - 100);
    world.fault(FaultRule::new(Endpoint::Token, Fault::answer(500, "{}")).times(2));
    let token = world.silent(&account).await.unwrap();
    assert!(token.renew_due && token.source == TokenSource::Cache);
}

#[tokio::test]
async fn failed_renewal_of_an_expired_token_is_the_error() {
    let mut world = World::new().await;
    let account = world.sign_in().await;
    world.advance(4_000);
    world.fault(FaultRule::new(Endpoint::Token, Fault::answer(500, "{}")).times(2));
    assert!(world.silent(&account).await.unwrap_err().is_retryable());
}

#[tokio::test]
async fn rotated_refresh_token_overwrites_the_same_entry() {
    let mut world = World::new().await;
    world.emulator.admin().strict_single_use_refresh(true);
    let account = world.sign_in().await;
    for _ in 0..3 {
        world.advance(3_700);
        world.silent(&account).await.unwrap();
    }
    let cache: serde_json::Value = serde_json::from_str(&world.cache.to_json()).unwrap();
    assert_eq!(cache["RefreshToken"].as_object().unwrap().len(), 1);
    assert_eq!(cache["AccessToken"].as_object().unwrap().len(), 1);
}

#[tokio::test]
async fn time_of_sign_in_outlives_renewals() {
    let mut world = World::new().await;
    let account = world.sign_in().await;
    let signed_in_at = world.cache.account_extra(&account, "async_msal_signed_in_at");
    assert!(signed_in_at.is_some());
    world.advance(3_700);
    world.silent(&account).await.unwrap();
    assert_eq!(world.cache.account_extra(&account, "async_msal_signed_in_at"), signed_in_at);
}

#[tokio::test]
async fn scope_asked_in_long_form_is_found_in_a_reopened_cache() {
    let mut world = World::new().await;
    let account = world.sign_in().await;
    let long = Scopes::from(["https://graph.microsoft.com/User.Read"]);
    world.client.refresh(&mut world.cache, &account, &long, RefreshOptions::default()).await.unwrap();
    let reopened = async_msal::TokenCache::parse(&world.cache.to_json()).unwrap();
    assert!(matches!(world.client.find_access_token(&reopened, &account, &long), Lookup::Hit(_)));
}

#[tokio::test]
async fn scope_asked_in_another_letter_case_is_renewed_once_and_found_then() {
    let mut world = World::new().await;
    let account = world.sign_in().await;
    let lower = Scopes::from(["user.read"]);
    for source in [TokenSource::IdentityProvider, TokenSource::Cache, TokenSource::Cache] {
        world.cache = async_msal::TokenCache::parse(&world.cache.to_json()).unwrap();
        let token = world.client.acquire_token_silent(&mut world.cache, &account, &lower).await.unwrap();
        assert_eq!(token.source, source);
    }
    assert_eq!(world.silent(&account).await.unwrap().source, TokenSource::Cache);
}

#[tokio::test]
async fn fewer_scopes_than_asked_are_stored_and_the_missing_one_is_named() {
    let mut world = World::new().await;
    let asked = Scopes::from(["User.Read", "Mail.Read"]);
    let request = AuthCodeRequest::new(REDIRECT.parse().unwrap(), asked.clone());
    let (flow, body) = world.start_with(request, ADA).await;
    let account = world.finish(&flow, &body).await.unwrap().account;
    world.advance(3_500);
    world.cache.mark_unchanged();
    world.emulator.admin().set_policy(|policy| {
        policy.withheld_scopes.insert("Mail.Read".into());
    });

    let refreshed = world.client.refresh(&mut world.cache, &account, &asked, RefreshOptions::default()).await;

    let Err(Error::InteractionRequired(interaction)) = refreshed else { panic!("{refreshed:?}") };
    assert_eq!(interaction.missing_scopes, Scopes::from(["Mail.Read"]));
    assert!(world.cache.has_changed(), "what was granted is kept");
    let granted = world.client.find_access_token(&world.cache, &account, &Scopes::from(["User.Read"]));
    assert!(matches!(granted, Lookup::Hit(_)), "{granted:?}");
}

#[tokio::test]
async fn cache_without_a_refresh_token_asks_for_interaction() {
    let mut world = World::new().await;
    let account = world.sign_in().await;
    world.cache.remove_account(&account, world.client.client_id());
    assert_eq!(world.silent(&account).await.unwrap_err().code(), "interaction_required");
}

#[tokio::test]
async fn refresh_whose_id_token_names_somebody_else_stores_nothing_and_ends_the_session() {
    let mut world = World::new().await;
    let account = world.sign_in().await;
    world.advance(3_500);
    world.cache.mark_unchanged();
    let rule = IdTokenFaultRule::new(IdTokenFault::OtherSubject).on_refresh();
    world.emulator.admin().fail_next_id_token(rule).unwrap();
    let error = world.silent(&account).await.unwrap_err();
    assert!(error.ends_session(), "{error:?}");
    assert!(!world.cache.has_changed());
}

#[tokio::test]
async fn refused_refresh_token_asks_for_interaction() {
    let mut world = World::new().await;
    let account = world.sign_in().await;
    world.emulator.admin().revoke_refresh_tokens(crate::support::ADA).await.unwrap();
    world.advance(3_700);
    let error = world.silent(&account).await.unwrap_err();
    assert_eq!(error.code(), "interaction_required");
    assert!(error.server().is_some());
}

#[tokio::test]
async fn retry_after_holds_back_the_next_request() {
    let mut world = World::new().await;
    let account = world.sign_in().await;
    world.advance(3_700);
    world.fault(FaultRule::new(Endpoint::Token, Fault::answer_with_header(429, "Retry-After", "30")));
    let error = world.silent(&account).await.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(30)));
    let sent = world.emulator.admin().counters().token_refresh_token;
    assert_eq!(world.silent(&account).await.unwrap_err().code(), "throttled");
    assert_eq!(world.emulator.admin().counters().token_refresh_token, sent);
    world.advance(31);
    world.silent(&account).await.unwrap();
}

#[tokio::test]
async fn claims_of_a_policy_travel_with_the_error() {
    let mut world = World::new().await;
    let account = world.sign_in().await;
    world.advance(3_700);
    let claims = r#"{"access_token":{"acrs":{"essential":true,"value":"c1"}}}"#;
    world.fault(FaultRule::new(
        Endpoint::Token,
        Fault::OAuthError {
            status: 400,
            error: "interaction_required".into(),
            code: 50076,
            suberror: Some("basic_action".into()),
            claims: Some(claims.into()),
        },
    ));
    assert_eq!(world.silent(&account).await.unwrap_err().claims().unwrap().as_str(), claims);
}

#[tokio::test]
async fn refresh_token_is_not_spent_while_the_keys_cannot_be_had() {
    let mut world = World::new().await;
    let account = world.sign_in().await;
    // Another node of the application, which has met the authority's keys never yet.
    let other = builder(&world.emulator, &world.emulator.authority_url()).build().unwrap();
    world.fault(FaultRule::new(Endpoint::Keys, Fault::answer(503, "")).times(10));

    let refreshed = other.refresh(&mut world.cache, &account, &scopes(), RefreshOptions::default()).await;

    assert!(refreshed.unwrap_err().is_retryable());
    assert_eq!(world.emulator.admin().counters().token_refresh_token, 0);
}

#[tokio::test]
async fn refresh_whose_id_token_cannot_be_checked_is_refused_and_leaves_session_and_cache() {
    let faults = [
        IdTokenFault::UnknownKeyId,
        IdTokenFault::BadSignature,
        IdTokenFault::NotYetValid,
        IdTokenFault::Expired,
        IdTokenFault::MissingIssuedAt,
    ];
    for fault in faults {
        let mut world = World::new().await;
        let account = world.sign_in().await;
        world.advance(3_700);
        world.cache.mark_unchanged();
        world.emulator.admin().fail_next_id_token(IdTokenFaultRule::new(fault).on_refresh()).unwrap();
        let error = world.silent(&account).await.unwrap_err();
        assert_eq!((error.code(), error.ends_session()), ("id_token", false), "{fault:?}");
        assert!(!world.cache.has_changed(), "{fault:?}");
        world.silent(&account).await.unwrap();
    }
}

#[tokio::test]
async fn rotated_key_that_cannot_be_had_yet_is_a_passing_failure() {
    let mut world = World::new().await;
    let account = world.sign_in().await;
    world.advance(3_700);
    world.emulator.admin().rotate_keys().await.unwrap();
    world.fault(FaultRule::new(Endpoint::Keys, Fault::answer(503, "")).times(10));
    let error = world.silent(&account).await.unwrap_err();
    assert!(error.is_retryable() && !error.ends_session(), "{error:?}");
    world.emulator.admin().clear_faults();
    world.advance(31);
    world.silent(&account).await.unwrap();
}
