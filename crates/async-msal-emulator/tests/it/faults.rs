//! Planned faults: each does what its name says, to whom it is meant for, as often as planned.

use std::time::{Duration, Instant};

use async_msal_emulator::{Emulator, Endpoint, Fault, FaultRule, MetadataFault};
use reqwest::Response;
use serde_json::Value;

use crate::support::{ADA, code, emulator, http, redeem, refresh, sign_in, text};

async fn discovery(emulator: &Emulator) -> Result<Response, reqwest::Error> {
    http().get(format!("{}/v2.0/.well-known/openid-configuration", emulator.authority_url())).send().await
}

fn plan(emulator: &Emulator, fault: Fault) {
    emulator.admin().fail_next(FaultRule::new(Endpoint::Discovery, fault)).unwrap();
}

#[tokio::test]
async fn an_answer_is_given_as_often_as_planned() {
    let emulator = emulator().await;
    let rule =
        FaultRule::new(Endpoint::Discovery, Fault::answer_with_header(429, "Retry-After", "7")).times(2);
    emulator.admin().fail_next(rule).unwrap();
    let statuses = [
        discovery(&emulator).await.unwrap().status().as_u16(),
        discovery(&emulator).await.unwrap().status().as_u16(),
        discovery(&emulator).await.unwrap().status().as_u16(),
    ];
    assert_eq!(statuses, [429, 429, 200]);
    assert_eq!(emulator.admin().counters().discovery, 3);
}

#[tokio::test]
async fn a_fault_for_another_client_is_not_taken() {
    let emulator = emulator().await;
    let rule = FaultRule::new(Endpoint::Token, Fault::answer(500, "")).for_client("another");
    emulator.admin().fail_next(rule).unwrap();
    sign_in(&emulator, ADA).await;
    assert_eq!(emulator.admin().faults().0.len(), 1);
}

#[tokio::test]
async fn a_fault_for_this_client_is_taken_at_graph_too() {
    let emulator = emulator().await;
    let token = text(&sign_in(&emulator, ADA).await, "access_token").to_owned();
    let rule = FaultRule::new(Endpoint::GraphMe, Fault::answer(503, "{}")).for_client(emulator.client_id());
    emulator.admin().fail_next(rule).unwrap();
    let me = http().get(format!("{}/me", emulator.graph_url())).bearer_auth(token).send().await.unwrap();
    assert_eq!(me.status(), 503);
}

#[tokio::test]
async fn an_oauth_error_has_entras_shape() {
    let emulator = emulator().await;
    let first = sign_in(&emulator, ADA).await;
    let fault = Fault::OAuthError {
        status: 400,
        error: "interaction_required".into(),
        code: 50_076,
        suberror: Some("basic_action".into()),
        claims: Some("{\"access_token\":{}}".into()),
    };
    emulator.admin().fail_next(FaultRule::new(Endpoint::Token, fault)).unwrap();
    let (_, body) = refresh(&emulator, text(&first, "refresh_token"), &[]).await;
    assert_eq!((text(&body, "error"), text(&body, "suberror")), ("interaction_required", "basic_action"));
    assert!(body["claims"].is_string());
    assert_eq!(body["error_codes"][0], 50_076);
}

#[tokio::test]
async fn a_delayed_request_is_served_late() {
    let emulator = emulator().await;
    plan(&emulator, Fault::delay(Duration::from_millis(200)));
    let start = Instant::now();
    assert_eq!(discovery(&emulator).await.unwrap().status(), 200);
    assert!(start.elapsed() >= Duration::from_millis(200));
}

#[tokio::test]
async fn a_truncated_body_breaks_off() {
    let emulator = emulator().await;
    plan(&emulator, Fault::TruncatedBody);
    let answer = discovery(&emulator).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(answer.bytes().await.is_err());
}

#[tokio::test]
async fn a_closed_connection_gives_no_answer() {
    let emulator = emulator().await;
    plan(&emulator, Fault::CloseConnection);
    assert!(discovery(&emulator).await.is_err());
}

#[tokio::test]
async fn closed_after_serving_the_code_is_used() {
    let emulator = emulator().await;
    let code = code(&emulator, ADA).await;
    emulator.admin().fail_next(FaultRule::new(Endpoint::Token, Fault::CloseAfterServing)).unwrap();
    let url = format!("{}/oauth2/v2.0/token", emulator.authority_url());
    let form = [
        ("grant_type", "authorization_code"),
        ("client_id", &emulator.client_id()),
        ("client_secret", &emulator.client_secret()),
        ("code", &code),
        ("redirect_uri", crate::support::REDIRECT),
        ("code_verifier", crate::support::VERIFIER),
    ];
    assert!(http().post(url).form(&form).send().await.is_err());
    assert_eq!(crate::support::aadsts(&redeem(&emulator, &code, &[]).await.1), 54_005);
}

#[tokio::test]
async fn a_body_is_not_json_or_ten_megabytes() {
    let emulator = emulator().await;
    plan(&emulator, Fault::NotJson);
    assert!(discovery(&emulator).await.unwrap().json::<Value>().await.is_err());
    plan(&emulator, Fault::ten_megabytes());
    assert!(discovery(&emulator).await.unwrap().bytes().await.unwrap().len() > 10_000_000);
}

#[tokio::test]
async fn a_redirect_is_307_to_the_address_given() {
    let emulator = emulator().await;
    plan(&emulator, Fault::Redirect("http://elsewhere.example/".into()));
    let answer = discovery(&emulator).await.unwrap();
    assert_eq!(answer.status(), 307);
    assert_eq!(answer.headers()["location"], "http://elsewhere.example/");
}

#[tokio::test]
async fn metadata_can_name_another_issuer_or_plain_http() {
    let emulator = emulator().await;
    let issuer = format!("{}/v2.0", emulator.authority_url());
    emulator.admin().set_policy(|p| p.metadata_fault = Some(MetadataFault::IssuerMismatch));
    let body: Value = discovery(&emulator).await.unwrap().json().await.unwrap();
    assert_ne!(body["issuer"], issuer);
    emulator.admin().set_policy(|p| p.metadata_fault = Some(MetadataFault::HttpTokenEndpoint));
    let body: Value = discovery(&emulator).await.unwrap().json().await.unwrap();
    assert!(text(&body, "token_endpoint").starts_with("http://login.example/"));
}

#[tokio::test]
async fn counters_tell_grants_and_graph_routes_apart() {
    let emulator = emulator().await;
    let first = sign_in(&emulator, ADA).await;
    refresh(&emulator, text(&first, "refresh_token"), &[]).await;
    let me = http().get(format!("{}/me", emulator.graph_url()));
    me.bearer_auth(text(&first, "access_token")).send().await.unwrap();
    let counters = emulator.admin().counters();
    assert_eq!(counters.token_authorization_code, 1);
    assert_eq!(counters.token_refresh_token, 1);
    assert_eq!(counters.token(), 2);
    assert_eq!((counters.graph_me, counters.graph_manager), (1, 0));
}
