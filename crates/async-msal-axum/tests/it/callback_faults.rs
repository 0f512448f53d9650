//! The authority or Graph is down, slow or answers nonsense during a sign-in.

use std::time::{Duration, Instant};

use async_msal_emulator::{Endpoint, Fault, FaultRule};

use crate::app::{ADA, App, Setup};

async fn with_token_fault(app: &App, fault: Fault) -> crate::browser::Answer {
    let rule = FaultRule::new(Endpoint::Token, fault).times(5);
    app.emulator.admin().fail_next(rule).expect("a fault");
    let mut browser = app.browser();
    let answer = app.sign_in(&mut browser, ADA).await;
    assert_eq!(app.store.records().await, 0, "a record was stored");
    assert_eq!(browser.cookie("__Host-async_msal_flow_"), None, "the flow cookie stays");
    assert!(answer.body.contains("href=\"/user/login"), "no retry link: {}", answer.body);
    app.emulator.admin().clear_faults();
    app.sign_in(&mut browser, ADA).await;
    assert_eq!(browser.get("/").await.body, "Hello Ada Marsh", "the next sign-in fails too");
    answer
}

#[tokio::test]
async fn a_token_endpoint_that_hangs_up_is_a_503() {
    let answer = with_token_fault(&App::start().await, Fault::CloseConnection).await;
    assert_eq!(answer.status, 503);
    assert!(!answer.header("retry-after").is_empty());
}

#[tokio::test]
async fn a_slow_token_endpoint_is_a_503_within_the_deadline() {
    let app = Setup::new().request_timeout(Duration::from_secs(1)).start().await;
    let before = Instant::now();
    let answer = with_token_fault(&app, Fault::delay(Duration::from_secs(30))).await;
    assert_eq!(answer.status, 503);
    assert!(before.elapsed() < Duration::from_secs(10), "{:?}", before.elapsed());
}

#[tokio::test]
async fn a_500_of_the_token_endpoint_is_a_503() {
    let answer = with_token_fault(&App::start().await, Fault::answer(500, "<h1>oops</h1>")).await;
    assert_eq!(answer.status, 503, "{}", answer.body);
    assert!(!answer.body.contains("oops"));
}

#[tokio::test]
async fn a_token_answer_that_is_no_json_is_a_502() {
    assert_eq!(with_token_fault(&App::start().await, Fault::NotJson).await.status, 502);
}

#[tokio::test]
async fn a_truncated_token_answer_fails_the_sign_in() {
    let status = with_token_fault(&App::start().await, Fault::TruncatedBody).await.status;
    assert!(status == 502 || status == 503, "{status}");
}

#[tokio::test]
async fn a_token_answer_of_ten_megabytes_is_a_502() {
    assert_eq!(with_token_fault(&App::start().await, Fault::ten_megabytes()).await.status, 502);
}

#[tokio::test]
async fn a_redirect_of_the_token_endpoint_is_not_followed() {
    let thief = App::start().await;
    let target = format!("http://{}/count", thief.address);
    let answer = with_token_fault(&App::start().await, Fault::Redirect(target)).await;
    assert_eq!(answer.status, 502);
    assert_eq!(thief.store.writes(), 0, "the code was sent on");
}

#[tokio::test]
async fn a_throttled_token_endpoint_passes_its_wait_on() {
    let fault = Fault::answer_with_header(429, "retry-after", "17");
    let app = App::start().await;
    app.emulator.admin().fail_next(FaultRule::new(Endpoint::Token, fault)).expect("a fault");
    let answer = app.sign_in(&mut app.browser(), ADA).await;
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, "17"), "{}", answer.body);
}

#[tokio::test]
async fn an_expired_client_secret_calls_for_the_operator() {
    let fault = Fault::OAuthError {
        status: 401,
        error: "invalid_client".to_owned(),
        code: 7_000_222,
        suberror: None,
        claims: None,
    };
    let answer = with_token_fault(&App::start().await, fault).await;
    assert_eq!(answer.status, 500);
    assert!(answer.body.contains("This application is not set up correctly"), "{}", answer.body);
    assert!(answer.body.contains("AADSTS7000222"), "{}", answer.body);
    assert!(answer.body.contains("<dt>Reference</dt>") && answer.body.contains("<dt>Correlation id</dt>"));
}

#[tokio::test]
async fn a_failing_profile_does_not_fail_the_sign_in() {
    for endpoint in [Endpoint::GraphMe, Endpoint::GraphManager] {
        for fault in [Fault::answer(500, "{}"), Fault::CloseConnection, Fault::NotJson] {
            let app = App::start().await;
            app.emulator.admin().fail_next(FaultRule::new(endpoint, fault).times(20)).expect("a fault");
            app.signed_in(ADA).await;
        }
    }
}

#[tokio::test]
async fn a_slow_profile_delays_the_sign_in_by_three_seconds_at_most() {
    let app = App::start().await;
    for endpoint in [Endpoint::GraphMe, Endpoint::GraphManager] {
        let rule = FaultRule::new(endpoint, Fault::delay(Duration::from_secs(60))).times(20);
        app.emulator.admin().fail_next(rule).expect("a fault");
    }
    let before = Instant::now();
    let mut browser = app.signed_in(ADA).await;
    assert!(before.elapsed() < Duration::from_secs(6), "{:?}", before.elapsed());
    assert!(browser.get("/").await.body.starts_with("Hello "));
}

#[tokio::test]
async fn a_profile_that_failed_at_the_sign_in_is_fetched_by_the_next_request_for_it() {
    let app = App::start().await;
    let rule = FaultRule::new(Endpoint::GraphManager, Fault::CloseConnection).times(20);
    app.emulator.admin().fail_next(rule).expect("a fault");
    let mut browser = app.signed_in(ADA).await;
    let while_down = browser.fetch("/user/info").await.json();
    app.emulator.admin().clear_faults();
    // What failed is asked again a minute later.
    app.clock.advance(61);
    let after = browser.fetch("/user/info").await.json();
    assert_eq!(while_down["manager_mail"], serde_json::Value::Null, "{while_down}");
    assert_eq!(after["manager_mail"], "ben@contoso.example", "{after}");
}

#[tokio::test]
async fn an_unreachable_authority_makes_login_a_503_and_recovers() {
    let app = App::start().await;
    let rule = FaultRule::new(Endpoint::Discovery, Fault::answer(503, "{}")).times(20);
    app.emulator.admin().fail_next(rule).expect("a fault");
    let mut browser = app.browser();
    let answer = browser.get("/user/login").await;
    assert_eq!(answer.status, 503, "{}", answer.body);
    assert!(!answer.header("retry-after").is_empty());
    assert_eq!(browser.get("/").await.body, "Hello stranger", "pages without a token go on");
    app.emulator.admin().clear_faults();
}

#[tokio::test]
async fn a_failed_callback_submitted_again_fails_again_without_a_token_request() {
    let app = App::start().await;
    app.emulator.admin().fail_next(FaultRule::new(Endpoint::Token, Fault::NotJson)).expect("a fault");
    let mut browser = app.browser();
    let login = browser.get("/user/login").await;
    let form = app.answer_of(&login, ADA).await;
    let mut again = browser.clone();
    assert_eq!(browser.cross_site_post("/user/authorized", &form).await.status, 502);
    assert_eq!(again.cross_site_post("/user/authorized", &form).await.status, 502);
    assert_eq!(app.code_redemptions(), 1);
}

#[tokio::test]
async fn a_callback_whose_connection_was_cut_is_answered_when_submitted_again() {
    let app = App::start().await;
    let slow = FaultRule::new(Endpoint::Token, Fault::delay(Duration::from_millis(500)));
    app.emulator.admin().fail_next(slow).expect("a fault");
    let mut browser = app.browser();
    let login = browser.get("/user/login").await;
    let form = app.answer_of(&login, ADA).await;
    let (mut cut, body) = (browser.clone(), form.clone());
    let submit = tokio::spawn(async move { cut.cross_site_post("/user/authorized", &body).await });
    while app.code_redemptions() == 0 {
        tokio::task::yield_now().await;
    }
    submit.abort();
    let answer = browser.cross_site_post("/user/authorized", &form).await;
    assert_eq!((answer.status.as_u16(), answer.location()), (303, "/"), "{}", answer.body);
    assert_eq!(browser.get("/").await.body, "Hello Ada Marsh");
    assert_eq!(app.code_redemptions(), 1);
}
