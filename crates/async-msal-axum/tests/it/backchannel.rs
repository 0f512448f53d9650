//! Sessions that the provider ends by a signed token, server to server.

use async_msal_axum::async_msal::{AuthCodeRequest, AuthResponse, Scopes, TokenCache};
use async_msal_emulator::{LogoutTokenFault, LogoutTokenRequest};
use futures_util::future::join_all;
use reqwest::Method;

use crate::app::{ADA, App, BEN, HTTPS};
use crate::browser::{Answer, Browser};
use crate::logout::session_sid;

const ROUTE: &str = "/user/backchannel-logout";
const FORM: &str = "application/x-www-form-urlencoded";

/// A provider's server: no cookie, no origin.
async fn send(app: &App, content_type: &str, body: String) -> Answer {
    let mut server = app.browser();
    let request = server.request(Method::POST, ROUTE).header("content-type", content_type).body(body);
    server.send(request, false).await
}

async fn send_token(app: &App, token: &str) -> Answer {
    send(app, FORM, format!("logout_token={token}")).await
}

fn token(app: &App, request: LogoutTokenRequest) -> String {
    app.emulator.admin().logout_token(&request).expect("a token")
}

async fn is_signed_in(browser: &mut Browser) -> bool {
    browser.get("/").await.body != "Hello stranger"
}

#[tokio::test]
async fn a_token_with_a_sid_ends_the_sessions_of_it_and_no_other() {
    let app = App::start().await;
    let (mut one, mut other) = (app.signed_in(ADA).await, app.signed_in(ADA).await);
    let request = LogoutTokenRequest::of_session(session_sid(&app, &one).await);
    let answer = send_token(&app, &token(&app, request)).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("cache-control")),
        (200, "no-store"),
        "{}",
        answer.body
    );
    assert!(!is_signed_in(&mut one).await && is_signed_in(&mut other).await);
}

#[tokio::test]
async fn a_token_with_a_sub_alone_ends_all_sessions_of_the_user_and_of_nobody_else() {
    let app = App::start().await;
    let (mut one, mut two) = (app.signed_in(ADA).await, app.signed_in(ADA).await);
    let mut ben = app.signed_in(BEN).await;
    assert_eq!(send_token(&app, &token(&app, LogoutTokenRequest::of_person(ADA))).await.status, 200);
    assert!(!is_signed_in(&mut one).await && !is_signed_in(&mut two).await);
    assert!(is_signed_in(&mut ben).await);
}

#[tokio::test]
async fn a_token_for_a_session_that_is_gone_is_a_success() {
    let app = App::start().await;
    let request = LogoutTokenRequest::of_session("gone");
    assert_eq!(send_token(&app, &token(&app, request)).await.status, 200);
}

#[tokio::test]
async fn a_wrong_token_ends_nothing_and_asks_nothing_of_the_store() {
    let app = App::start().await;
    let mut browser = app.signed_in(ADA).await;
    let before = (app.store.loads(), app.store.marks(), app.store.writes());
    for fault in [
        LogoutTokenFault::WrongAudience,
        LogoutTokenFault::WrongIssuer,
        LogoutTokenFault::MissingEvents,
        LogoutTokenFault::OtherEvent,
        LogoutTokenFault::NoncePresent,
        LogoutTokenFault::MissingTokenId,
        LogoutTokenFault::MissingIssuedAt,
        LogoutTokenFault::NobodyNamed,
        LogoutTokenFault::Expired,
        LogoutTokenFault::IssuedAhead,
        LogoutTokenFault::AccessTokenType,
        LogoutTokenFault::AlgorithmNone,
        LogoutTokenFault::Hs256WithPublicKey,
        LogoutTokenFault::UnknownKeyId,
        LogoutTokenFault::BadSignature,
    ] {
        let request = LogoutTokenRequest::of_person(ADA).with_fault(fault);
        let answer = send_token(&app, &token(&app, request)).await;
        assert_eq!((answer.status.as_u16(), answer.header("cache-control")), (400, "no-store"), "{fault:?}");
        assert_eq!(answer.json()["error"], "invalid_request", "{fault:?}");
    }
    assert_eq!((app.store.loads(), app.store.marks(), app.store.writes()), before);
    assert!(is_signed_in(&mut browser).await);
}

#[tokio::test]
async fn an_id_token_is_no_logout_token() {
    let app = App::start().await;
    let mut browser = app.signed_in(ADA).await;
    let client = app.msal.client();
    let address = format!("{HTTPS}/user/authorized").parse().expect("an address");
    let request = AuthCodeRequest::new(address, Scopes::from(["User.Read"]));
    let flow = client.initiate_auth_code_flow(request).await.expect("a flow");
    let auth_uri = flow.auth_uri().expect("an address").as_str();
    let answer = app.emulator.authorize(auth_uri, ADA).await.expect("an answer").body();
    let response = AuthResponse::parse(&answer).expect("a response");
    let mut cache = TokenCache::new();
    let signed_in = client.acquire_token_by_auth_code_flow(&mut cache, &flow, response);
    let signed_in = signed_in.await.expect("a sign-in");
    let id_token = signed_in.id_token.raw();
    assert_eq!(send_token(&app, id_token.expose_secret()).await.status, 400);
    assert!(is_signed_in(&mut browser).await);
}

#[tokio::test]
async fn a_token_works_once() {
    let app = App::start().await;
    app.signed_in(ADA).await;
    let token = token(&app, LogoutTokenRequest::of_person(ADA));
    assert_eq!(send_token(&app, &token).await.status, 200);
    let mut later = app.signed_in(ADA).await;
    assert_eq!(send_token(&app, &token).await.status, 400);
    assert!(is_signed_in(&mut later).await);
}

#[tokio::test]
async fn a_token_that_met_a_store_that_was_down_may_be_sent_again() {
    let app = App::start().await;
    let mut browser = app.signed_in(ADA).await;
    let token = token(&app, LogoutTokenRequest::of_person(ADA));
    app.store.set_down(true);
    let answer = send_token(&app, &token).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("cache-control")),
        (503, "no-store"),
        "{}",
        answer.body
    );
    assert!(!answer.header("retry-after").is_empty());
    app.store.set_down(false);
    app.store.fail_writes(true);
    assert_eq!(send_token(&app, &token).await.status, 503, "marked, and not yet done");
    app.store.fail_writes(false);
    assert_eq!(send_token(&app, &token).await.status, 200);
    assert!(!is_signed_in(&mut browser).await);
}

#[tokio::test]
async fn anything_but_one_token_in_a_form_is_refused() {
    let app = App::start().await;
    let mut browser = app.signed_in(ADA).await;
    let token = token(&app, LogoutTokenRequest::of_person(ADA));
    for (content_type, body, status) in [
        ("application/json", format!(r#"{{"logout_token":"{token}"}}"#), 400),
        ("text/plain", format!("logout_token={token}"), 400),
        (FORM, String::new(), 400),
        (FORM, "logout_token=".to_owned(), 400),
        (FORM, "logout_token=a.b.c".to_owned(), 400),
        (FORM, format!("logout_token={token}&logout_token={token}"), 400),
        (FORM, format!("logout_token={token}&x={}", "x".repeat(70_000)), 413),
    ] {
        let answer = send(&app, content_type, body).await;
        assert_eq!((answer.status.as_u16(), answer.header("cache-control")), (status, "no-store"));
        assert_eq!(answer.json()["error"], "invalid_request");
    }
    assert_eq!(app.browser().get(&format!("{ROUTE}?logout_token={token}")).await.status, 405);
    assert!(is_signed_in(&mut browser).await);
    assert_eq!(
        send(&app, &format!("{FORM}; charset=utf-8"), format!("x=1&logout_token={token}")).await.status,
        200
    );
}

#[tokio::test]
async fn fifty_at_once_are_all_served() {
    let app = App::start().await;
    let mut tokens = Vec::new();
    for _ in 0..5 {
        let sid = session_sid(&app, &app.signed_in(ADA).await).await;
        tokens.extend((0..10).map(|_| token(&app, LogoutTokenRequest::of_session(sid.clone()))));
    }
    let answers = join_all(tokens.iter().map(|token| send_token(&app, token))).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
    assert_eq!(app.store.records().await, 0);
}
