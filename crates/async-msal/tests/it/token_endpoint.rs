//! The token endpoint misbehaves: one typed error each, nothing stored.

use std::time::Duration;

use async_msal::Error;
use async_msal_emulator::{Endpoint, Fault, FaultRule};

use crate::support::{ADA, World};

async fn code_of(fault: Fault) -> &'static str {
    let mut world = World::new().await;
    world.fault(FaultRule::new(Endpoint::Token, fault));
    let error = world.try_sign_in(ADA).await.unwrap_err();
    assert!(world.cache.is_empty() && !world.cache.has_changed());
    assert_eq!(world.emulator.admin().counters().token(), 1, "a code was redeemed twice");
    error.code()
}

#[tokio::test]
async fn html_is_an_invalid_response() {
    assert_eq!(code_of(Fault::NotJson).await, "invalid_response");
}

#[tokio::test]
async fn ten_megabytes_are_cut_off() {
    assert_eq!(code_of(Fault::ten_megabytes()).await, "invalid_response");
}

#[tokio::test]
async fn truncated_body_is_typed() {
    assert!(["unreachable", "invalid_response"].contains(&code_of(Fault::TruncatedBody).await));
}

#[tokio::test]
async fn redirect_never_sends_the_secret_elsewhere() {
    assert_eq!(code_of(Fault::Redirect("http://127.0.0.1:9/token".into())).await, "invalid_response");
}

#[tokio::test]
async fn connection_closed_after_serving_is_not_retried() {
    assert_eq!(code_of(Fault::CloseAfterServing).await, "unreachable");
}

#[tokio::test]
async fn server_failure_is_not_retried_with_a_code() {
    assert_eq!(code_of(Fault::answer(500, "{}")).await, "invalid_response");
}

#[tokio::test]
async fn odd_bodies_are_typed() {
    for body in ["", "null", "[]", "{", "\u{feff}{}", r#"{"access_token":"a","access_token":"b"}"#, "{}"] {
        assert_eq!(code_of(Fault::answer(200, body)).await, "invalid_response", "{body}");
    }
}

#[tokio::test]
async fn error_with_status_200_is_an_error() {
    let fault = Fault::answer(200, r#"{"error":"invalid_client","access_token":"a","token_type":"Bearer"}"#);
    assert_eq!(code_of(fault).await, "credential");
}

#[tokio::test]
async fn success_body_with_status_400_is_an_error() {
    let fault = Fault::answer(400, r#"{"access_token":"a","token_type":"Bearer","expires_in":60}"#);
    assert_eq!(code_of(fault).await, "invalid_response");
}

#[tokio::test]
async fn slow_answer_ends_at_the_time_limit() {
    let mut world = World::with(|builder| builder.request_timeout(Duration::from_millis(300))).await;
    let (flow, body) = world.start(ADA).await;
    world.fault(FaultRule::new(Endpoint::Token, Fault::delay(Duration::from_secs(30))));
    let started = std::time::Instant::now();
    let error = world.finish(&flow, &body).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable(unreachable) if unreachable.reason == "timeout"));
    assert!(started.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn wrong_secret_is_for_the_operator() {
    let mut world =
        World::with(|builder| builder.client_secret(async_msal::ClientSecret::new("wrong"))).await;
    let error = world.try_sign_in(ADA).await.unwrap_err();
    assert_eq!(error.code(), "credential");
    assert_eq!(error.server().unwrap().codes, [7_000_215]);
    assert!(error.correlation_id().is_some());
}

#[tokio::test]
async fn refresh_is_tried_twice_after_a_server_failure() {
    let mut world = World::new().await;
    let account = world.sign_in().await;
    world.advance(3_700);
    world.fault(FaultRule::new(Endpoint::Token, Fault::answer(500, "{}")));
    world.silent(&account).await.unwrap();
    assert_eq!(world.emulator.admin().counters().token_refresh_token, 2);
}
