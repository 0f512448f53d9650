//! A page that needs more than was agreed to at sign-in.

use crate::app::{ADA, App, BEN};
use crate::browser::{Answer, Browser};

const COOKIE: &str = "__Host-async_msal";

/// Opens a page that sends the browser away to agree, and lets `person` do so there: the authorization address, and the
/// callback's answer.
async fn agree(app: &App, browser: &mut Browser, page: &str, person: &str) -> (String, Answer) {
    let sent = browser.get(page).await;
    assert_eq!(sent.status, 303, "{}", sent.body);
    let login = browser.get(sent.location()).await;
    let form = app.answer_of(&login, person).await;
    (login.location().to_owned(), browser.cross_site_post("/user/authorized", &form).await)
}

fn parameter(address: &str, name: &str) -> Option<String> {
    let address = url::Url::parse(address).expect("an address");
    address.query_pairs().find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
}

#[tokio::test]
async fn exactly_the_missing_scopes_are_asked_of_this_user() {
    let app = App::start().await;
    let mut browser = app.signed_in(ADA).await;
    let (address, _) = agree(&app, &mut browser, "/mail", ADA).await;
    let scopes = parameter(&address, "scope").unwrap_or_default();
    let mut scopes: Vec<&str> = scopes.split(' ').collect();
    scopes.sort_unstable();
    assert_eq!(scopes, ["Mail.Read", "offline_access", "openid", "profile"]);
    // The id token's `login_hint`, which says nothing of the user to whoever reads the address.
    assert!(parameter(&address, "login_hint").is_some_and(|hint| hint.starts_with("O.")), "{address}");
    assert_eq!(parameter(&address, "prompt"), None);
}

#[tokio::test]
async fn the_same_person_keeps_items_tokens_and_profile() {
    let app = App::start().await;
    let mut browser = app.signed_in(ADA).await;
    browser.post("/count", "").await;
    let profile = browser.get("/user/info").await.body;
    let (_, back) = agree(&app, &mut browser, "/mail", ADA).await;
    assert_eq!(back.location(), "/mail", "{}", back.body);
    assert_eq!(browser.get("/counted").await.body, "1");
    assert_eq!(browser.get("/user/info").await.body, profile);
    let token_requests = app.emulator.admin().counters().token_refresh_token;
    assert_eq!(browser.get("/token").await.status, 200);
    assert_eq!(browser.get("/mail").await.status, 200);
    assert_eq!(app.emulator.admin().counters().token_refresh_token, token_requests, "both tokens are there");
}

#[tokio::test]
async fn another_person_gets_nothing_of_it() {
    let app = App::start().await;
    let mut browser = app.signed_in(ADA).await;
    browser.post("/count", "").await;
    let (name, value) = browser.cookie(COOKIE).expect("a session");
    let mut adas = app.browser();
    adas.set_cookie(name, value);
    let (_, back) = agree(&app, &mut browser, "/mail", BEN).await;
    assert_eq!(back.status, 303, "{}", back.body);
    assert_eq!(browser.get("/counted").await.body, "0");
    assert_eq!(browser.get("/").await.body, "Hello Ben Okoye");
    assert_eq!(adas.get("/").await.body, "Hello stranger", "Ada's session has ended");
}

#[tokio::test]
async fn two_pages_that_each_miss_something_send_nobody_in_circles() {
    let app = App::start().await;
    let withheld = ["Mail.Read".to_owned(), "Files.Read".to_owned()];
    app.emulator.admin().set_policy(|policy| policy.withheld_scopes.extend(withheld));
    let mut browser = app.signed_in(ADA).await;
    for page in ["/mail", "/files"] {
        agree(&app, &mut browser, page, ADA).await;
    }
    for page in ["/mail", "/files", "/mail"] {
        let answer = browser.get(page).await;
        assert_eq!(answer.status, 403, "{page} {}", answer.location());
        assert!(answer.body.contains("A permission is still missing"), "{}", answer.body);
    }
}

#[tokio::test]
async fn an_api_that_demands_other_claims_each_time_sends_nobody_in_circles() {
    let app = App::start().await;
    let mut browser = app.signed_in(ADA).await;
    agree(&app, &mut browser, "/step-up?value=1", ADA).await;
    assert_eq!(browser.get("/step-up?value=2").await.status, 403);
}

#[tokio::test]
async fn what_one_person_was_asked_for_another_may_be_asked_too() {
    let app = App::start().await;
    app.emulator.admin().set_policy(|policy| policy.withheld_scopes.extend(["Mail.Read".to_owned()]));
    let mut browser = app.signed_in(ADA).await;
    agree(&app, &mut browser, "/mail", ADA).await;
    app.sign_in(&mut browser, BEN).await;
    assert_eq!(browser.get("/mail").await.status, 303);
}

#[tokio::test]
async fn after_ten_minutes_the_user_may_be_asked_again() {
    let app = App::start().await;
    app.emulator.admin().set_policy(|policy| policy.withheld_scopes.extend(["Mail.Read".to_owned()]));
    let mut browser = app.signed_in(ADA).await;
    agree(&app, &mut browser, "/mail", ADA).await;
    assert_eq!(browser.get("/mail").await.status, 403);
    app.clock.advance(601);
    assert_eq!(browser.get("/mail").await.status, 303);
}
