//! A provider that is none of Microsoft's: the emulator's own address is its issuer, and no path names a tenant.

use serde_json::Value;

use crate::support::{ADA, REDIRECT, SCOPE, VERIFIER, auth_uri, claims, emulator, http, text};

#[tokio::test]
async fn the_issuer_is_the_address_and_endpoints_name_no_tenant() {
    let emulator = emulator().await;
    let base = emulator.base_url();
    let url = format!("{base}/.well-known/openid-configuration");
    let document: Value = http().get(url).send().await.unwrap().json().await.unwrap();
    assert_eq!(text(&document, "issuer"), base);
    for (member, path) in [
        ("authorization_endpoint", "/authorize"),
        ("token_endpoint", "/token"),
        ("jwks_uri", "/keys"),
        ("end_session_endpoint", "/logout"),
    ] {
        assert_eq!(text(&document, member), format!("{base}{path}"));
    }
    for member in ["tenant_region_scope", "cloud_instance_name", "msgraph_host", "rbac_url"] {
        assert!(document.get(member).is_none(), "{member}");
    }
    let keys: Value = http().get(format!("{base}/keys")).send().await.unwrap().json().await.unwrap();
    assert_eq!(keys["keys"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_sign_in_gives_claims_of_openid_connect_alone_and_no_client_info() {
    let emulator = emulator().await;
    let query = auth_uri(&emulator, &[]).split_once('?').unwrap().1.to_owned();
    let uri = format!("{}/authorize?{query}", emulator.base_url());
    let code = emulator.authorize(&uri, ADA).await.unwrap().field("code").unwrap().to_owned();
    let (client_id, secret) = (emulator.client_id(), emulator.client_secret());
    let fields = [
        ("client_id", client_id.as_str()),
        ("client_secret", secret.as_str()),
        ("client_info", "1"),
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", REDIRECT),
        ("code_verifier", VERIFIER),
        ("scope", SCOPE),
    ];
    let url = format!("{}/token", emulator.base_url());
    let answer: Value = http().post(url).form(&fields).send().await.unwrap().json().await.unwrap();
    assert!(answer.get("client_info").is_none() && answer["refresh_token"].is_string(), "{answer}");
    let claims = claims(text(&answer, "id_token"));
    assert_eq!(
        (text(&claims, "iss"), text(&claims, "aud")),
        (emulator.base_url().as_str(), client_id.as_str())
    );
    assert_eq!((text(&claims, "nonce"), text(&claims, "preferred_username")), ("the-nonce", ADA));
    for name in ["tid", "oid", "ver", "idp", "login_hint"] {
        assert!(claims.get(name).is_none(), "{name}");
    }
}

#[tokio::test]
async fn a_code_of_a_tenant_is_not_taken_at_the_provider() {
    let emulator = emulator().await;
    let code = crate::support::code(&emulator, ADA).await;
    let (client_id, secret) = (emulator.client_id(), emulator.client_secret());
    let fields = [
        ("client_id", client_id.as_str()),
        ("client_secret", secret.as_str()),
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", REDIRECT),
        ("code_verifier", VERIFIER),
    ];
    let url = format!("{}/token", emulator.base_url());
    assert_eq!(http().post(url).form(&fields).send().await.unwrap().status(), 400);
}
