//! What could send a browser round in circles, and does not.

use crate::app::{ADA, App};

#[tokio::test]
async fn a_missing_consent_is_asked_for_once_and_then_explained() {
    let app = App::start().await;
    app.emulator.admin().set_policy(|policy| policy.withheld_scopes.extend(["Mail.Read".to_owned()]));
    let mut browser = app.signed_in(ADA).await;
    let first = browser.get("/mail").await;
    assert_eq!(first.status, 303, "{}", first.body);
    assert!(first.location().starts_with("/user/login/mail?ask="), "{}", first.location());
    let login = browser.get(first.location()).await;
    assert!(login.location().contains("Mail.Read"), "{}", login.location());
    let form = app.answer_of(&login, ADA).await;
    let back = browser.cross_site_post("/user/authorized", &form).await;
    assert_eq!(back.location(), "/mail", "{}", back.body);
    let second = browser.get("/mail").await;
    assert_eq!(second.status, 403);
    assert!(second.body.contains("A permission is still missing"), "{}", second.body);
}

#[tokio::test]
async fn a_consent_that_is_given_opens_the_page() {
    let app = App::start().await;
    let mut browser = app.signed_in(ADA).await;
    let first = browser.get("/mail").await;
    assert_eq!(first.status, 303, "{}", first.body);
    let login = browser.get(first.location()).await;
    let form = app.answer_of(&login, ADA).await;
    browser.cross_site_post("/user/authorized", &form).await;
    let opened = browser.get("/mail").await;
    assert_eq!(opened.status, 200, "{} {}", opened.location(), opened.body);
}

#[tokio::test]
async fn what_the_application_asks_for_cannot_be_asked_by_anothers_link() {
    let app = App::start().await;
    let mut attacker = app.signed_in(ADA).await;
    let link = attacker.get("/mail").await.location().to_owned();
    let mut victim = app.signed_in(crate::app::BEN).await;
    let login = victim.get(&link).await;
    assert_eq!(login.status, 303);
    assert!(!login.location().contains("Mail.Read"), "{}", login.location());
}

#[tokio::test]
async fn a_program_is_told_where_to_ask() {
    let app = App::start().await;
    let answer = app.signed_in(ADA).await.fetch("/mail").await;
    assert_eq!(answer.status, 401);
    assert_eq!(answer.json()["error"], "interaction_required");
    assert!(answer.json()["login"].as_str().is_some_and(|login| login.starts_with("/user/login/mail?ask=")));
}

#[tokio::test]
async fn a_browser_that_keeps_no_session_cookie_is_stopped() {
    let app = App::start().await;
    let mut browser = app.browser();
    for _ in 0..3 {
        let answer = app.sign_in(&mut browser, ADA).await;
        assert_eq!(answer.status, 303);
        browser.set_cookie("__Host-async_msal", "");
    }
    let stopped = browser.get("/user/login").await;
    assert_eq!(stopped.status, 429, "{}", stopped.location());
    assert_eq!(stopped.header("retry-after"), "60");
}

#[tokio::test]
async fn signing_out_and_in_again_and_again_is_no_loop() {
    let app = App::start().await;
    let mut browser = app.browser();
    for _ in 0..5 {
        assert_eq!(app.sign_in(&mut browser, ADA).await.status, 303);
        browser.post("/user/logout", "").await;
    }
}
