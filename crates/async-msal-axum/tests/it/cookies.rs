//! Session cookies that are none of ours, and cookies within their bounds.

use async_msal_axum::async_msal_session::SessionLayout;
use reqwest::Method;

use crate::app::{ADA, App, Setup};

const SESSION: &str = "__Host-async_msal";
const UNKNOWN: &str = "0123456789abcdef0123456789abcdef";

#[tokio::test]
async fn a_malformed_session_cookie_is_signed_out_and_asks_no_store() {
    let app = App::start().await;
    let mut browser = app.browser();
    for value in
        ["", "x", "ABCDEF", &UNKNOWN.to_uppercase(), &format!("{UNKNOWN}0"), "*", "../../x", "{\"a\":1}"]
    {
        browser.set_cookie(SESSION, value);
        assert_eq!(browser.get("/").await.body, "Hello stranger", "{value}");
    }
    assert_eq!(app.store.loads(), 0);
}

#[tokio::test]
async fn an_unknown_session_cookie_is_signed_out_and_makes_no_record() {
    let app = App::start().await;
    let mut browser = app.browser();
    browser.set_cookie(SESSION, UNKNOWN);
    assert_eq!(browser.get("/").await.body, "Hello stranger");
    assert_eq!(app.store.records().await, 0);
}

#[tokio::test]
async fn two_session_cookies_of_different_people_are_nobody() {
    let app = App::start().await;
    let browser = app.signed_in(ADA).await;
    let (_, value) = browser.cookie(SESSION).expect("a session");
    let both = format!("{SESSION}={UNKNOWN}; {SESSION}={value}");
    let request = app.browser().request(Method::GET, "/").header("cookie", both);
    assert_eq!(app.browser().send(request, false).await.body, "Hello stranger");
}

#[tokio::test]
async fn a_flow_cookie_is_no_session_and_a_session_no_flow() {
    let app = App::start().await;
    let mut browser = app.browser();
    let login = browser.get("/user/login").await;
    let (name, sealed) = browser.cookie("__Host-async_msal_flow_").expect("a flow");
    let (name, sealed) = (name.to_owned(), sealed.to_owned());
    let mut other = app.browser();
    other.set_cookie(SESSION, &sealed);
    assert_eq!(other.get("/").await.body, "Hello stranger");
    let form = app.answer_of(&login, ADA).await;
    browser.set_cookie(&name, UNKNOWN);
    assert_eq!(browser.cross_site_post("/user/authorized", &form).await.status, 400);
}

#[tokio::test]
async fn more_cookies_than_fifty_are_refused_where_the_session_is_asked_for() {
    let app = App::start().await;
    let mut browser = app.browser();
    for number in 0..60 {
        browser.set_cookie(&format!("other{number}"), "x");
    }
    for path in ["/", "/private", "/user/login", "/user/info"] {
        assert_eq!(browser.get(path).await.status, 431, "{path}");
    }
    assert_eq!(browser.get("/plain").await.status, 200);
}

#[tokio::test]
async fn a_sixth_sign_in_at_once_drops_the_oldest_flow() {
    let app = App::start().await;
    let mut browser = app.browser();
    for _ in 0..12 {
        browser.get("/user/login").await;
    }
    let flows = browser.cookie_names().into_iter().filter(|name| name.contains("_flow_")).count();
    assert_eq!(flows, 5);
    let bytes: usize = browser.cookie_header().len();
    assert!(bytes < 4_096, "{bytes}");
}

#[tokio::test]
async fn forty_scopes_leave_the_flow_cookie_within_its_bound() {
    let scopes =
        (0..40).map(|number| format!("https://graph.example/Some.Long.Permission.{number}.ReadWrite.All"));
    let scopes: async_msal_axum::Scopes = scopes.collect();
    let app = Setup::new().msal(move |msal| msal.scopes(scopes)).start().await;
    let mut browser = app.browser();
    let login = browser.get(&format!("/user/login/{}", "a".repeat(900))).await;
    assert_eq!(login.status, 303);
    let line = login.set_cookie("__Host-async_msal_flow_").expect("a flow");
    let pair = line.split(';').next().expect("a pair");
    assert!(pair.len() <= 1_536, "{} bytes", pair.len());
}

#[tokio::test]
async fn a_claims_challenge_travels_without_growing_the_flow_cookie() {
    let app = App::start().await;
    let mut browser = app.signed_in(ADA).await;
    let sent = browser.get("/step-up").await;
    assert_eq!(sent.status, 303);
    let login = browser.get(sent.location()).await;
    assert!(login.location().contains(&"c".repeat(1_000)), "the challenge is lost");
    let line = login.set_cookie("__Host-async_msal_flow_").expect("a flow");
    assert!(line.len() < 760, "{} bytes", line.len());
    let form = app.answer_of(&login, ADA).await;
    assert_eq!(browser.cross_site_post("/user/authorized", &form).await.location(), "/step-up");
}

#[tokio::test]
async fn layout_aiohttp_writes_the_cookie_python_writes() {
    let change = |msal: async_msal_axum::async_msal_session::MsalBuilder| {
        msal.layout(SessionLayout::Aiohttp).domain("example")
    };
    let app = Setup::new().msal(change).start().await;
    let mut browser = app.browser();
    let answer = app.sign_in(&mut browser, ADA).await;
    let line = answer.set_cookie("AIOHTTP_SESSION=").expect("a session cookie");
    let (_, attributes) = line.split_once("; ").expect("attributes");
    assert_eq!(attributes, "HttpOnly; SameSite=None; Secure; Path=/; Domain=example; Max-Age=7776000");
}

#[tokio::test]
async fn an_anonymous_visitor_gets_a_session_with_the_first_change() {
    let app = App::start().await;
    let mut browser = app.browser();
    assert!(browser.get("/counted").await.set_cookies().is_empty());
    let answer = browser.post("/count", "").await;
    assert!(answer.set_cookie("__Host-async_msal=").is_some());
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(browser.get("/counted").await.body, "1");
}

#[tokio::test]
async fn a_handler_that_ends_the_session_takes_the_cookie_away() {
    let app = App::start().await;
    let mut browser = app.signed_in(ADA).await;
    let answer = browser.post("/leave", "").await;
    let removal = "__Host-async_msal=; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT";
    assert_eq!(answer.set_cookie("__Host-async_msal="), Some(removal));
}
