//! The id token: judged by another JWT library, and wrong in the planned way when a fault says so.

use async_msal_emulator::{Emulator, IdTokenFault, IdTokenFaultRule};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::Value;

use crate::support::{ADA, CLEO, claims, code_with, emulator, header, http, redeem, refresh, sign_in, text};

async fn keys(emulator: &Emulator, tenant: &str) -> Vec<Value> {
    let url = format!("{}/{tenant}/discovery/v2.0/keys", emulator.base_url());
    let body: Value = http().get(url).send().await.unwrap().json().await.unwrap();
    body["keys"].as_array().unwrap().clone()
}

/// Verifies with the published keys alone.
async fn verify(emulator: &Emulator, token: &str) -> Result<Value, jsonwebtoken::errors::Error> {
    let kid = header(token)["kid"].clone();
    let keys = keys(emulator, emulator.tenant_id()).await;
    let key = keys.iter().find(|k| k["kid"] == kid).unwrap_or(&keys[0]);
    let key = DecodingKey::from_rsa_components(text(key, "n"), text(key, "e"))?;
    let mut validation = Validation::new(Algorithm::RS256);
    validation.set_audience(&[emulator.client_id()]);
    validation.set_issuer(&[format!("{}/v2.0", emulator.authority_url())]);
    jsonwebtoken::decode::<Value>(token, &key, &validation).map(|data| data.claims)
}

async fn faulty(emulator: &Emulator, fault: IdTokenFault) -> String {
    emulator.admin().fail_next_id_token(IdTokenFaultRule::new(fault)).unwrap();
    text(&sign_in(emulator, ADA).await, "id_token").to_owned()
}

#[tokio::test]
async fn another_library_verifies_it() {
    let emulator = emulator().await;
    let token = text(&sign_in(&emulator, ADA).await, "id_token").to_owned();
    let claims = verify(&emulator, &token).await.unwrap();
    assert_eq!(claims["nonce"], "the-nonce");
    assert_eq!(claims["ver"], "2.0");
    assert_eq!(claims["preferred_username"], ADA);
    assert_eq!(claims["tid"], emulator.tenant_id());
    assert_eq!(claims["oid"], emulator.users()[0].object_id);
    for name in ["sub", "sid", "uti", "login_hint", "name", "rh", "aio"] {
        assert!(claims[name].is_string(), "{name}");
    }
}

/// Tests all over the workspace look for this beginning where no token may be.
#[tokio::test]
async fn tokens_begin_with_their_type() {
    let emulator = emulator().await;
    let answer = sign_in(&emulator, ADA).await;
    for token in ["id_token", "access_token"] {
        assert!(text(&answer, token).starts_with("eyJ0eXAi"), "{token}");
    }
}

#[tokio::test]
async fn keys_carry_thumbprint_certificate_and_issuer() {
    let emulator = emulator().await;
    let key = &keys(&emulator, emulator.tenant_id()).await[0];
    assert_eq!(key["kid"], key["x5t"]);
    assert!(key["x5c"][0].is_string());
    assert_eq!(key["issuer"], format!("{}/v2.0", emulator.authority_url()));
    assert_eq!(key["alg"], Value::Null);
    let common = &keys(&emulator, "common").await[0];
    assert_eq!(common["issuer"], format!("{}/{{tenantid}}/v2.0", emulator.base_url()));
}

#[tokio::test]
async fn email_is_a_claim_only_where_asked_and_where_there_is_one() {
    let emulator = emulator().await;
    assert_eq!(claims(text(&sign_in(&emulator, ADA).await, "id_token"))["email"], Value::Null);
    let with_email = [("scope", "openid profile email offline_access User.Read")];
    for (person, expected) in [(ADA, Value::from(ADA)), (CLEO, Value::Null)] {
        let code = code_with(&emulator, person, &with_email).await;
        let (_, answer) = redeem(&emulator, &code, &with_email).await;
        assert_eq!(claims(text(&answer, "id_token"))["email"], expected);
    }
}

#[tokio::test]
async fn roles_are_a_claim_where_registered() {
    let emulator = emulator().await;
    emulator.admin().set_roles(CLEO, &["Reader", "Writer"]).unwrap();
    let token = text(&sign_in(&emulator, CLEO).await, "id_token").to_owned();
    assert_eq!(claims(&token)["roles"], serde_json::json!(["Reader", "Writer"]));
}

#[tokio::test]
async fn a_refreshed_one_has_the_same_subject_and_no_nonce() {
    let emulator = emulator().await;
    let first = sign_in(&emulator, ADA).await;
    let (_, second) = refresh(&emulator, text(&first, "refresh_token"), &[]).await;
    let (first, second) = (claims(text(&first, "id_token")), claims(text(&second, "id_token")));
    assert_eq!(first["sub"], second["sub"]);
    assert_eq!(second["nonce"], Value::Null);
}

#[tokio::test]
async fn under_common_a_guest_signs_in_at_home() {
    let emulator = emulator().await;
    let guest = emulator.users()[3].clone();
    let uri = crate::support::auth_uri(&emulator, &[]).replace(emulator.tenant_id(), "common");
    let answer = emulator.authorize(&uri, &guest.username).await.unwrap();
    let url = format!("{}/common/oauth2/v2.0/token", emulator.base_url());
    let form = [
        ("grant_type", "authorization_code"),
        ("client_id", &emulator.client_id()),
        ("client_secret", &emulator.client_secret()),
        ("code", answer.field("code").unwrap()),
        ("redirect_uri", crate::support::REDIRECT),
        ("code_verifier", crate::support::VERIFIER),
    ];
    let body: Value = http().post(url).form(&form).send().await.unwrap().json().await.unwrap();
    let claims = claims(text(&body, "id_token"));
    assert_eq!(claims["tid"], guest.home_tenant_id);
    assert_eq!(claims["oid"], guest.home_object_id);
    assert_eq!(claims["iss"], format!("{}/{}/v2.0", emulator.base_url(), guest.home_tenant_id));
}

#[tokio::test]
async fn each_spoilt_claim_is_spoilt() {
    let emulator = emulator().await;
    let good = claims(text(&sign_in(&emulator, ADA).await, "id_token"));
    let cases = [
        (IdTokenFault::WrongAudience, "aud"),
        (IdTokenFault::SeveralAudiences, "aud"),
        (IdTokenFault::MissingAudience, "aud"),
        (IdTokenFault::WrongIssuer, "iss"),
        (IdTokenFault::WrongTenant, "tid"),
        (IdTokenFault::WrongNonce, "nonce"),
        (IdTokenFault::MissingNonce, "nonce"),
        (IdTokenFault::MissingIssuedAt, "iat"),
        (IdTokenFault::MissingSubject, "sub"),
        (IdTokenFault::OtherSubject, "sub"),
        (IdTokenFault::OldAuthenticationTime, "auth_time"),
    ];
    for (fault, claim) in cases {
        let token = faulty(&emulator, fault).await;
        assert_ne!(claims(&token)[claim], good[claim], "{fault:?}");
    }
    let now = good["exp"].as_i64().unwrap() - 3600;
    assert!(claims(&faulty(&emulator, IdTokenFault::Expired).await)["exp"].as_i64().unwrap() < now);
    assert!(claims(&faulty(&emulator, IdTokenFault::NotYetValid).await)["nbf"].as_i64().unwrap() > now);
}

#[tokio::test]
async fn each_spoilt_header_or_signature_is_refused_by_another_library() {
    let emulator = emulator().await;
    let cases = [
        (IdTokenFault::AlgorithmNone, "none"),
        (IdTokenFault::Hs256WithPublicKey, "HS256"),
        (IdTokenFault::BadSignature, "RS256"),
    ];
    for (fault, alg) in cases {
        let token = faulty(&emulator, fault).await;
        assert_eq!(header(&token)["alg"], alg);
        assert!(verify(&emulator, &token).await.is_err(), "{fault:?}");
    }
    assert_eq!(header(&faulty(&emulator, IdTokenFault::UnknownKeyId).await)["kid"], "unknown-key");
    let no_kid = faulty(&emulator, IdTokenFault::MissingKeyId).await;
    assert_eq!(header(&no_kid)["kid"], Value::Null);
    assert!(verify(&emulator, &no_kid).await.is_ok(), "the one published key verifies it");
}

#[tokio::test]
async fn a_fault_on_refresh_spares_the_sign_in() {
    let emulator = emulator().await;
    emulator
        .admin()
        .fail_next_id_token(IdTokenFaultRule::new(IdTokenFault::OtherSubject).on_refresh())
        .unwrap();
    let first = sign_in(&emulator, ADA).await;
    let (_, second) = refresh(&emulator, text(&first, "refresh_token"), &[]).await;
    assert_ne!(claims(text(&first, "id_token"))["sub"], "another-subject");
    assert_eq!(claims(text(&second, "id_token"))["sub"], "another-subject");
}

#[tokio::test]
async fn keys_rotate_in_three_steps() {
    let emulator = emulator().await;
    let admin = emulator.admin();
    let old = admin.published_keys();
    admin.publish_new_key().await.unwrap();
    assert_eq!(admin.published_keys().len(), 2);
    let token = text(&sign_in(&emulator, ADA).await, "id_token").to_owned();
    assert_eq!(header(&token)["kid"], old[0].as_str());
    admin.switch_signer().await.unwrap();
    let token = text(&sign_in(&emulator, ADA).await, "id_token").to_owned();
    assert_ne!(header(&token)["kid"], old[0].as_str());
    assert!(verify(&emulator, &token).await.is_ok());
    admin.remove_old_keys().await.unwrap();
    assert_eq!(admin.published_keys(), [header(&token)["kid"].as_str().unwrap()]);
}
