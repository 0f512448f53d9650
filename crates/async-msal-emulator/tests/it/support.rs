//! What every test needs: an emulator, an HTTP client that follows nothing, and a sign-in.

use async_msal_emulator::{Emulator, EmulatorBuilder};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::{Client, StatusCode};
use serde_json::Value;

pub(crate) const REDIRECT: &str = "http://localhost:9/user/authorized";
pub(crate) const SIGNED_OUT: &str = "http://localhost:9/user/signed-out";
pub(crate) const SCOPE: &str = "openid profile offline_access User.Read";
/// RFC 7636 appendix B.
pub(crate) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
pub(crate) const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
pub(crate) const ADA: &str = "ada@contoso.example";
pub(crate) const BEN: &str = "ben@contoso.example";
pub(crate) const CLEO: &str = "cleo@contoso.example";
pub(crate) const GIL: &str = "gil@fabrikam.example";

pub(crate) fn builder() -> EmulatorBuilder {
    Emulator::builder().shared_signing_key().redirect_uri(REDIRECT).redirect_uri(SIGNED_OUT)
}

pub(crate) async fn emulator() -> Emulator {
    builder().start().await.unwrap()
}

/// A client that follows no redirect and takes no proxy from the environment.
pub(crate) fn http() -> Client {
    // A second install in the same process is refused, which is as good.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

/// The authorization request of a usual client; `changes` replace or add fields, an empty value removes one.
pub(crate) fn auth_uri(emulator: &Emulator, changes: &[(&str, &str)]) -> String {
    let client_id = emulator.client_id();
    let mut fields = vec![
        ("client_id", client_id.as_str()),
        ("response_type", "code"),
        ("redirect_uri", REDIRECT),
        ("scope", SCOPE),
        ("state", "the-state"),
        ("response_mode", "form_post"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
        ("nonce", "the-nonce"),
        ("client_info", "1"),
    ];
    apply(&mut fields, changes);
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    format!("{}/oauth2/v2.0/authorize?{query}", emulator.authority_url())
}

/// A code for `person`, by the authorization request with `changes`.
pub(crate) async fn code_with(emulator: &Emulator, person: &str, changes: &[(&str, &str)]) -> String {
    let answer = emulator.authorize(&auth_uri(emulator, changes), person).await.unwrap();
    answer.field("code").expect("a code").to_owned()
}

pub(crate) async fn code(emulator: &Emulator, person: &str) -> String {
    code_with(emulator, person, &[]).await
}

/// Posts to the token endpoint as the usual client; `changes` as in [`auth_uri`].
pub(crate) async fn post_token(emulator: &Emulator, changes: &[(&str, &str)]) -> (StatusCode, Value) {
    let (client_id, secret) = (emulator.client_id(), emulator.client_secret());
    let mut fields =
        vec![("client_id", client_id.as_str()), ("client_secret", secret.as_str()), ("client_info", "1")];
    apply(&mut fields, changes);
    let url = format!("{}/oauth2/v2.0/token", emulator.authority_url());
    let answer = http().post(url).form(&fields).send().await.unwrap();
    (answer.status(), answer.json().await.unwrap())
}

pub(crate) async fn redeem(emulator: &Emulator, code: &str, changes: &[(&str, &str)]) -> (StatusCode, Value) {
    let mut fields = vec![
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", REDIRECT),
        ("code_verifier", VERIFIER),
        ("scope", SCOPE),
    ];
    apply(&mut fields, changes);
    post_token(emulator, &fields).await
}

pub(crate) async fn refresh(
    emulator: &Emulator,
    token: &str,
    changes: &[(&str, &str)],
) -> (StatusCode, Value) {
    let mut fields = vec![("grant_type", "refresh_token"), ("refresh_token", token), ("scope", SCOPE)];
    apply(&mut fields, changes);
    post_token(emulator, &fields).await
}

/// A whole sign-in: the token answer.
pub(crate) async fn sign_in(emulator: &Emulator, person: &str) -> Value {
    let (status, answer) = redeem(emulator, &code(emulator, person).await, &[]).await;
    assert_eq!(status, 200, "{answer}");
    answer
}

pub(crate) fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("no {name} in {value}"))
}

/// The AADSTS number of an error answer.
pub(crate) fn aadsts(value: &Value) -> u64 {
    value["error_codes"][0].as_u64().unwrap_or_else(|| panic!("no error code in {value}"))
}

/// The claims of a token, unchecked.
pub(crate) fn claims(token: &str) -> Value {
    part(token, 1)
}

/// The header of a token.
pub(crate) fn header(token: &str) -> Value {
    part(token, 0)
}

fn part(token: &str, index: usize) -> Value {
    let part = token.split('.').nth(index).expect("a JWT");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

fn apply<'a>(fields: &mut Vec<(&'a str, &'a str)>, changes: &[(&'a str, &'a str)]) {
    for (name, value) in changes {
        fields.retain(|(known, _)| known != name);
        if !value.is_empty() {
            fields.push((name, value));
        }
    }
}
