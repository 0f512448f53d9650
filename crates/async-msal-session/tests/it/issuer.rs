//! Signed in at a provider that is known by its issuer alone.

use async_msal_emulator::Emulator;
use async_msal_session::async_msal::{AuthResponse, AuthorityKind, TokenSource};
use async_msal_session::settings::SettingsSource;
use async_msal_session::{Msal, SignInHooks};

use crate::support::{ADA, PUBLIC_URL, request, signed_in};

async fn provider() -> Emulator {
    Emulator::builder().redirect_uri(format!("{PUBLIC_URL}/user/authorized")).start().await.unwrap()
}

fn at(emulator: &Emulator, issuer: &str) -> Msal {
    let settings = SettingsSource::new()
        .value("SP_APP_ID", emulator.client_id())
        .value("SP_APP_PW", emulator.client_secret())
        .value("SP_ISSUER", issuer)
        .value("PUBLIC_URL", PUBLIC_URL)
        .value("STORE_URL", "memory:")
        .value("DANGEROUS_ALLOW_LOOPBACK_AUTHORITY", "on")
        .read()
        .unwrap();
    Msal::from_settings(settings).unwrap()
}

#[tokio::test]
async fn whole_sign_in_at_a_generic_provider_that_the_settings_name() {
    let emulator = provider().await;
    let issuer = format!("{}/v2.0", emulator.authority_url());
    let msal = at(&emulator, &issuer);
    assert_eq!(msal.client().authority().kind(), AuthorityKind::Oidc);
    let started = msal.initiate_sign_in(request()).await.unwrap();
    let asked = started.auth_uri.query_pairs().find(|(name, _)| name == "scope").unwrap().1.into_owned();
    assert_eq!(asked, "offline_access openid profile", "no scope of Microsoft Graph");
    let answer = emulator.authorize(started.auth_uri.as_str(), ADA).await.unwrap();
    let response = AuthResponse::parse(&answer.body()).unwrap();
    let outcome = msal.complete_sign_in(&started.sealed, response, &SignInHooks::new()).await.unwrap();
    let session = msal.load_session(&signed_in(outcome).session_id).await.unwrap().unwrap();
    assert_eq!(session.identity().unwrap().iss, issuer);
    assert_eq!(session.get_token(msal.settings().scopes()).await.unwrap().source, TokenSource::Cache);
    assert_eq!(emulator.admin().counters().graph_me, 0);
}

#[tokio::test]
async fn provider_that_names_another_issuer_is_refused() {
    let emulator = provider().await;
    let msal = at(&emulator, &emulator.authority_url());
    assert!(msal.initiate_sign_in(request()).await.is_err());
}
