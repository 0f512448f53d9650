//! A store that does not answer is not a signed-out user.

use crate::app::{ADA, App};

#[tokio::test]
async fn pages_answer_503_and_leave_the_cookie_alone() {
    let app = App::start().await;
    let mut browser = app.signed_in(ADA).await;
    app.store.set_down(true);
    for path in ["/", "/private", "/admin", "/user/info", "/user/photo", "/private?a=1&b=2"] {
        let answer = browser.get(path).await;
        assert_eq!(answer.status, 503, "{path}");
        assert!(!answer.header("retry-after").is_empty(), "{path}");
        assert!(answer.set_cookies().is_empty(), "{path}");
        assert_eq!(answer.location(), "", "{path}");
        assert!(answer.body.contains("You have not been signed out"), "{path}: {}", answer.body);
        let again = format!("href=\"{}\">Try again", path.replace('&', "&#38;"));
        assert!(answer.body.contains(&again), "{path}: {}", answer.body);
    }
    assert_eq!(browser.fetch("/private").await.json()["error"], "store_unavailable");
    app.store.set_down(false);
    assert_eq!(browser.get("/").await.body, "Hello Ada Marsh");
}

#[tokio::test]
async fn routes_without_a_session_go_on() {
    let app = App::start().await;
    let mut browser = app.signed_in(ADA).await;
    app.store.set_down(true);
    assert_eq!(browser.get("/plain").await.status, 200);
    assert_eq!(browser.get("/user/login").await.status, 303);
}

#[tokio::test]
async fn a_callback_at_the_mark_keeps_the_flow_and_works_later() {
    let app = App::start().await;
    let mut browser = app.browser();
    let login = browser.get("/user/login").await;
    let form = app.answer_of(&login, ADA).await;
    app.store.set_down(true);
    let answer = browser.cross_site_post("/user/authorized", &form).await;
    assert_eq!(answer.status, 503, "{}", answer.body);
    assert!(!answer.header("retry-after").is_empty());
    assert!(browser.cookie("__Host-async_msal_flow_").is_some(), "the flow is lost");
    assert_eq!(app.code_redemptions(), 0);
    app.store.set_down(false);
    let answer = browser.cross_site_post("/user/authorized", &form).await;
    assert_eq!((answer.status.as_u16(), answer.location()), (303, "/"), "{}", answer.body);
}

#[tokio::test]
async fn a_sign_out_while_the_store_is_down_ends_the_session_when_it_is_back() {
    let app = App::start().await;
    let mut browser = app.signed_in(ADA).await;
    let mut copy = browser.clone();
    app.store.set_down(true);
    let answer = browser.post("/user/logout", "").await;
    assert_eq!(answer.status, 202, "{}", answer.body);
    assert!(
        answer.body.contains("Other copies of this session end when the storage is back"),
        "{}",
        answer.body
    );
    assert!(answer.body.contains("/oauth2/v2.0/logout?"), "no way to the authority: {}", answer.body);
    assert_eq!(browser.cookie("__Host-async_msal"), None);
    app.store.set_down(false);
    assert_eq!(copy.get("/").await.body, "Hello stranger", "the copy, at once");
    app.until(async || app.store.records().await == 0).await;
    assert_eq!(copy.get("/").await.body, "Hello stranger", "the copy, after the deletion");
}

#[tokio::test]
async fn a_sign_out_that_the_store_reads_and_does_not_write_is_told_and_done_later() {
    let app = App::start().await;
    let mut browser = app.signed_in(ADA).await;
    app.store.fail_writes(true);
    assert_eq!(browser.post("/user/logout", "").await.status, 202);
    assert_eq!(app.store.records().await, 1);
    app.store.fail_writes(false);
    app.until(async || app.store.records().await == 0).await;
}

#[tokio::test]
async fn a_sign_out_without_a_cookie_needs_no_store() {
    let app = App::start().await;
    app.store.set_down(true);
    assert_eq!(app.browser().post("/user/logout", "").await.status, 303);
}

#[tokio::test]
async fn a_change_that_cannot_be_saved_is_not_reported_as_done() {
    let app = App::start().await;
    let mut browser = app.signed_in(ADA).await;
    browser.post("/count", "").await;
    let loads = app.store.loads();
    app.store.fail_writes(true);
    let answer = browser.post("/count", "").await;
    assert_eq!(answer.status, 503, "{}", answer.body);
    assert!(app.store.loads() > loads, "the session was read");
    app.store.fail_writes(false);
    assert_eq!(browser.get("/counted").await.body, "1");
}
