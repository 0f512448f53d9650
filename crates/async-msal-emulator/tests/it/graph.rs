//! Microsoft Graph.

use async_msal_emulator::Emulator;
use reqwest::Response;
use serde_json::Value;

use crate::support::{ADA, BEN, CLEO, GIL, builder, emulator, http, post_token, sign_in, text};

async fn get(emulator: &Emulator, path: &str, token: &str) -> Response {
    http().get(format!("{}{path}", emulator.graph_url())).bearer_auth(token).send().await.unwrap()
}

async fn token_of(emulator: &Emulator, person: &str) -> String {
    text(&sign_in(emulator, person).await, "access_token").to_owned()
}

async fn error(answer: Response) -> (u16, String) {
    let status = answer.status().as_u16();
    let body: Value = answer.json().await.unwrap();
    assert!(body["error"]["innerError"]["request-id"].is_string());
    (status, text(&body["error"], "code").to_owned())
}

#[tokio::test]
async fn me_is_the_signed_in_person() {
    let emulator = emulator().await;
    let body: Value = get(&emulator, "/me", &token_of(&emulator, ADA).await).await.json().await.unwrap();
    assert_eq!(body["displayName"], "Ada Marsh");
    assert_eq!(body["mail"], ADA);
    assert_eq!(body["id"], emulator.users()[0].object_id);
}

#[tokio::test]
async fn a_person_without_mail_has_null() {
    let emulator = emulator().await;
    let body: Value = get(&emulator, "/me", &token_of(&emulator, CLEO).await).await.json().await.unwrap();
    assert!(body.as_object().unwrap().contains_key("mail"));
    assert_eq!(body["mail"], Value::Null);
}

#[tokio::test]
async fn a_guest_has_the_id_of_this_tenant() {
    let emulator = emulator().await;
    let body: Value = get(&emulator, "/me", &token_of(&emulator, GIL).await).await.json().await.unwrap();
    assert_eq!(body["id"], emulator.users()[3].object_id);
    assert!(text(&body, "userPrincipalName").contains("#EXT#"));
}

#[tokio::test]
async fn select_leaves_only_what_was_named() {
    let emulator = emulator().await;
    let token = token_of(&emulator, ADA).await;
    let body: Value = get(&emulator, "/me?$select=displayName,mail", &token).await.json().await.unwrap();
    let names: Vec<&String> = body.as_object().unwrap().keys().filter(|k| !k.starts_with('@')).collect();
    assert_eq!(names, ["displayName", "mail"]);
}

#[tokio::test]
async fn the_manager_is_another_person() {
    let emulator = emulator().await;
    let body: Value =
        get(&emulator, "/me/manager", &token_of(&emulator, ADA).await).await.json().await.unwrap();
    assert_eq!(body["mail"], BEN);
    assert_eq!(body["@odata.type"], "#microsoft.graph.user");
}

#[tokio::test]
async fn no_manager_is_404_request_resource_not_found() {
    let emulator = emulator().await;
    let answer = get(&emulator, "/me/manager", &token_of(&emulator, BEN).await).await;
    assert_eq!(error(answer).await, (404, "Request_ResourceNotFound".into()));
}

#[tokio::test]
async fn the_manager_needs_more_than_user_read() {
    let emulator = builder().without_admin_consent().start().await.unwrap();
    let answer = get(&emulator, "/me/manager", &token_of(&emulator, ADA).await).await;
    assert_eq!(error(answer).await, (403, "Authorization_RequestDenied".into()));
}

#[tokio::test]
async fn the_photo_is_an_image() {
    let emulator = emulator().await;
    let answer = get(&emulator, "/me/photo/$value", &token_of(&emulator, ADA).await).await;
    assert_eq!(answer.headers()["content-type"], "image/png");
    assert!(answer.bytes().await.unwrap().starts_with(b"\x89PNG"));
}

#[tokio::test]
async fn no_photo_is_404_image_not_found() {
    let emulator = emulator().await;
    let answer = get(&emulator, "/me/photo/$value", &token_of(&emulator, CLEO).await).await;
    assert_eq!(error(answer).await, (404, "ImageNotFound".into()));
}

#[tokio::test]
async fn without_a_token_it_is_401_with_a_challenge() {
    let emulator = emulator().await;
    let answer = http().get(format!("{}/me", emulator.graph_url())).send().await.unwrap();
    assert!(answer.headers()["www-authenticate"].to_str().unwrap().starts_with("Bearer realm=\"\""));
    assert_eq!(error(answer).await, (401, "InvalidAuthenticationToken".into()));
}

#[tokio::test]
async fn an_expired_altered_or_foreign_token_is_401() {
    let emulator = emulator().await;
    let answer = sign_in(&emulator, ADA).await;
    let good = text(&answer, "access_token");
    let (input, _) = good.rsplit_once('.').unwrap();
    let altered = format!("{input}.{}", "A".repeat(342));
    for token in [altered.as_str(), text(&answer, "id_token"), "opaque"] {
        assert_eq!(get(&emulator, "/me", token).await.status(), 401);
    }
    emulator.admin().advance_clock(3601);
    assert_eq!(get(&emulator, "/me", good).await.status(), 401);
}

#[tokio::test]
async fn an_applications_own_token_has_no_me() {
    let emulator = emulator().await;
    let scope = "https://graph.microsoft.com/.default";
    let (_, body) = post_token(&emulator, &[("grant_type", "client_credentials"), ("scope", scope)]).await;
    assert_eq!(get(&emulator, "/me", text(&body, "access_token")).await.status(), 400);
}

#[tokio::test]
async fn userinfo_names_the_person() {
    let emulator = emulator().await;
    let url = format!("{}/oidc/userinfo", emulator.base_url());
    let answer = http().get(url).bearer_auth(token_of(&emulator, ADA).await).send().await.unwrap();
    let body: Value = answer.json().await.unwrap();
    assert_eq!((text(&body, "name"), text(&body, "email")), ("Ada Marsh", ADA));
}
