//! The authorization code flow.

use async_msal::error::AuthResponseError;
use async_msal::{ClaimsChallenge, Error, Prompt, ResponseMode, Scopes, State, TokenSource};

use crate::support::{ADA, GIL, REDIRECT, World, request};

fn query(url: &url::Url) -> Vec<(String, String)> {
    url.query_pairs().into_owned().collect()
}

#[tokio::test]
async fn sign_in_gives_a_token_an_account_and_a_verified_identity() {
    let mut world = World::new().await;
    let signed_in = world.try_sign_in(ADA).await.unwrap();
    assert_eq!(signed_in.token.source, TokenSource::IdentityProvider);
    assert!(signed_in.token.scopes.contains("User.Read"));
    let claims = signed_in.id_token.claims();
    assert_eq!(claims.oid.as_deref(), signed_in.account.local_account_id());
    assert_eq!(claims.tid.as_deref(), Some(world.emulator.tenant_id()));
    assert_eq!(signed_in.account.username(), ADA);
}

#[tokio::test]
async fn guest_is_identified_by_the_ids_of_this_tenant() {
    let mut world = World::new().await;
    let signed_in = world.try_sign_in(GIL).await.unwrap();
    let gil = world.emulator.users().into_iter().find(|person| person.username == GIL).unwrap();
    assert_eq!(signed_in.id_token.claims().oid.as_deref(), Some(gil.object_id.as_str()));
    assert_eq!(signed_in.account.home_account_id(), format!("{}.{}", gil.home_object_id, gil.home_tenant_id));
    let found = world.cache.account_by_local_id("127.0.0.1", &gil.object_id, world.emulator.tenant_id());
    assert_eq!(found, Some(signed_in.account));
}

#[tokio::test]
async fn parameters_stand_in_msals_order() {
    let world = World::new().await;
    let request = request()
        .with_login_hint("ada@contoso.example")
        .with_prompt(Prompt::Login)
        .with_domain_hint("contoso.example")
        .with_max_age(60)
        .with_claims(ClaimsChallenge::parse("{}").unwrap())
        .with_extra_query_parameter("ui_locales", "de");
    let flow = world.client.initiate_auth_code_flow(request).await.unwrap();
    let names: Vec<String> = query(flow.auth_uri().unwrap()).into_iter().map(|(name, _)| name).collect();
    let expected = [
        "client_id",
        "response_type",
        "redirect_uri",
        "scope",
        "state",
        "response_mode",
        "code_challenge",
        "code_challenge_method",
        "nonce",
        "client_info",
        "login_hint",
        "prompt",
        "domain_hint",
        "claims",
        "max_age",
        "X-AnchorMailbox",
        "ui_locales",
    ];
    assert_eq!(names, expected);
}

#[tokio::test]
async fn pkce_is_s256_and_the_response_type_is_code() {
    let world = World::new().await;
    let flow = world.client.initiate_auth_code_flow(request()).await.unwrap();
    let query = query(flow.auth_uri().unwrap());
    assert!(query.contains(&("code_challenge_method".into(), "S256".into())));
    assert!(query.contains(&("response_type".into(), "code".into())));
}

#[tokio::test]
async fn hint_cannot_smuggle_a_parameter() {
    let world = World::new().await;
    let request = request().with_login_hint("a&redirect_uri=https://evil.example\r\n");
    let flow = world.client.initiate_auth_code_flow(request).await.unwrap();
    let redirects = query(flow.auth_uri().unwrap()).into_iter().filter(|(name, _)| name == "redirect_uri");
    assert_eq!(redirects.map(|(_, value)| value).collect::<Vec<_>>(), [REDIRECT]);
}

#[tokio::test]
async fn extra_parameter_cannot_replace_the_protocols() {
    let world = World::new().await;
    for name in ["state", "Response_Type", "redirect_uri", "nonce", "code_challenge", "request"] {
        let refused = request().with_extra_query_parameter(name, "x");
        assert_eq!(
            world.client.initiate_auth_code_flow(refused).await.unwrap_err().code(),
            "config",
            "{name}"
        );
    }
}

#[tokio::test]
async fn reserved_scope_is_refused() {
    let world = World::new().await;
    let request = async_msal::AuthCodeRequest::new(REDIRECT.parse().unwrap(), Scopes::from(["openid"]));
    assert_eq!(world.client.initiate_auth_code_flow(request).await.unwrap_err().code(), "config");
}

#[tokio::test]
async fn own_state_is_used() {
    let world = World::new().await;
    let request = request().with_state(State::new("my-state")).with_response_mode(ResponseMode::Query);
    let flow = world.client.initiate_auth_code_flow(request).await.unwrap();
    assert!(query(flow.auth_uri().unwrap()).contains(&("state".into(), "my-state".into())));
}

#[tokio::test]
async fn stored_flow_finishes_after_a_trip_through_json() {
    let mut world = World::new().await;
    let (flow, body) = world.start(ADA).await;
    let flow = serde_json::from_str(&serde_json::to_string(&flow).unwrap()).unwrap();
    world.finish(&flow, &body).await.unwrap();
}

#[tokio::test]
async fn flow_restored_from_a_cookie_without_scopes_finishes() {
    let mut world = World::new().await;
    let (flow, body) = world.start(ADA).await;
    let restored = async_msal::AuthCodeFlow::restore(
        flow.state().clone(),
        flow.nonce().clone(),
        flow.code_verifier().clone(),
        flow.redirect_uri().unwrap().clone(),
    );
    world.finish(&restored.with_issuer(flow.issuer().unwrap()), &body).await.unwrap();
}

#[tokio::test]
async fn another_sign_ins_state_is_refused_before_any_token_request() {
    let mut world = World::new().await;
    let (_, body) = world.start(ADA).await;
    let (other, _) = world.start(ADA).await;
    let error = world.finish(&other, &body).await.unwrap_err();
    assert!(matches!(error, Error::AuthResponse(AuthResponseError::StateMismatch)));
    assert_eq!(world.emulator.admin().counters().token(), 0);
}

#[tokio::test]
async fn state_error_wins_over_the_servers_error() {
    let mut world = World::new().await;
    let (flow, _) = world.start(ADA).await;
    let error = world.finish(&flow, "error=access_denied&state=x").await.unwrap_err();
    assert!(matches!(error, Error::AuthResponse(AuthResponseError::StateMismatch)));
}

#[tokio::test]
async fn code_and_error_together_are_an_error() {
    let mut world = World::new().await;
    let (flow, body) = world.start(ADA).await;
    let error =
        world.finish(&flow, &format!("{body}&error=access_denied&error_subcode=cancel")).await.unwrap_err();
    assert!(matches!(error, Error::AuthResponse(AuthResponseError::Refused(server)) if server.is_declined()));
    assert_eq!(world.emulator.admin().counters().token(), 0);
}

#[tokio::test]
async fn response_without_code_is_refused() {
    let mut world = World::new().await;
    let (flow, _) = world.start(ADA).await;
    let error = world.finish(&flow, &format!("state={}", flow.state().expose_secret())).await.unwrap_err();
    assert!(matches!(error, Error::AuthResponse(AuthResponseError::CodeMissing)));
}

#[tokio::test]
async fn flow_of_another_issuer_is_refused() {
    let mut world = World::new().await;
    let (flow, body) = world.start(ADA).await;
    let error = world.finish(&flow.with_issuer("https://other.example"), &body).await.unwrap_err();
    assert!(matches!(error, Error::AuthResponse(AuthResponseError::IssuerMismatch)));
    assert_eq!(world.emulator.admin().counters().token(), 0);
}

#[tokio::test]
async fn code_redeemed_twice_asks_for_a_new_sign_in() {
    let mut world = World::new().await;
    let (flow, body) = world.start(ADA).await;
    world.finish(&flow, &body).await.unwrap();
    let error = world.finish(&flow, &body).await.unwrap_err();
    assert_eq!(error.code(), "interaction_required");
    assert_eq!(error.server().unwrap().codes, [54005]);
}

#[tokio::test]
async fn loopback_authority_needs_to_be_allowed_by_name() {
    use async_msal::{Authority, ClientSecret, ConfidentialClient};
    let builder = ConfidentialClient::builder("c").client_secret(ClientSecret::new("s"));
    let authority = Authority::parse("https://localhost:1/contoso.example").unwrap();
    assert_eq!(builder.authority(authority).build().unwrap_err().code(), "config");
}

#[tokio::test]
async fn sign_out_leads_to_the_discovered_page() {
    let world = World::new().await;
    let back = "http://localhost:9/user/signed-out".parse().unwrap();
    let request = async_msal::SignOutRequest::default()
        .with_post_logout_redirect_uri(back)
        .with_state("s t")
        .with_logout_hint("hint");
    let url = world.client.sign_out_url(request).await.unwrap().unwrap();
    assert!(url.path().ends_with("/oauth2/v2.0/logout"));
    let query = query(&url);
    assert!(query.contains(&("state".into(), "s t".into())));
    assert!(query.contains(&("logout_hint".into(), "hint".into())));
}
