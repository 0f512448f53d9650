//! What a handler's signature means for browsers and for programs.

use reqwest::{Method, header};

use crate::app::{ADA, App, serve};
use crate::browser::{Browser, NAVIGATION_ACCEPT};

#[tokio::test]
async fn a_page_sends_the_browser_to_login_and_back() {
    let app = App::start().await;
    let mut browser = app.browser();
    let answer = browser.get("/private/a%20b?x=1&y=%2F").await;
    assert_eq!(answer.status, 303);
    assert_eq!(answer.location(), "/user/login/private/a%2520b%3Fx=1&y=%252F");
    let login = browser.get(answer.location()).await;
    let form = app.answer_of(&login, ADA).await;
    let back = browser.cross_site_post("/user/authorized", &form).await;
    assert_eq!(back.location(), "/private/a%20b?x=1&y=%2F");
}

#[tokio::test]
async fn fetch_gets_401_with_a_challenge_and_no_redirect() {
    let app = App::start().await;
    let answer = app.browser().fetch("/private").await;
    assert_eq!(answer.status, 401);
    assert!(answer.header("www-authenticate").starts_with("Cookie realm="));
    assert_eq!(answer.json()["error"], "sign_in_required");
    assert_eq!(answer.json()["login"], "/user/login");
    assert_eq!(answer.header("cache-control"), "no-store");
}

#[tokio::test]
async fn programs_and_scripts_get_401() {
    let app = App::start().await;
    let cases = [
        vec![("accept", "application/json")],
        vec![("accept", "*/*")],
        vec![("accept", NAVIGATION_ACCEPT), ("x-requested-with", "XMLHttpRequest")],
        vec![("accept", "text/html"), ("sec-fetch-mode", "cors")],
        vec![("accept", "text/html"), ("sec-fetch-mode", "websocket")],
        vec![],
    ];
    for case in cases {
        let mut request = app.browser().request(Method::GET, "/private");
        for (name, value) in &case {
            request = request.header(*name, *value);
        }
        let answer = app.browser().send(request, false).await;
        assert_eq!(answer.status, 401, "{case:?}");
        assert!(!answer.header(header::WWW_AUTHENTICATE).is_empty(), "{case:?}");
    }
}

#[tokio::test]
async fn a_post_without_session_is_a_page_with_401_never_a_redirect() {
    let app = App::start().await;
    let answer = app.browser().post("/private", "secret=1").await;
    assert_eq!(answer.status, 401);
    assert!(answer.body.contains("You are not signed in any more"), "{}", answer.body);
    assert!(!answer.body.contains("Private for"));
}

#[tokio::test]
async fn an_optional_user_lets_everybody_in() {
    let app = App::start().await;
    assert_eq!(app.browser().get("/").await.body, "Hello stranger");
    assert_eq!(app.signed_in(ADA).await.get("/").await.body, "Hello Ada Marsh");
}

#[tokio::test]
async fn a_route_that_asks_nothing_costs_no_store_read() {
    let app = App::start().await;
    let mut browser = app.signed_in(ADA).await;
    let before = app.store.loads();
    let answer = browser.get("/plain").await;
    assert_eq!(answer.body, "nothing asked");
    assert_eq!(app.store.loads(), before);
    assert_eq!(answer.header("vary"), "", "an answer that asked nothing depends on no cookie");
}

#[tokio::test]
async fn a_route_that_asks_costs_one_store_read() {
    let app = App::start().await;
    let mut browser = app.signed_in(ADA).await;
    let before = app.store.loads();
    browser.get("/admin").await;
    assert_eq!(app.store.loads(), before + 1);
}

#[tokio::test]
async fn an_answer_about_a_session_is_for_no_cache() {
    let app = App::start().await;
    let answer = app.signed_in(ADA).await.get("/private").await;
    assert_eq!((answer.header("cache-control"), answer.header("vary")), ("no-store", "Cookie"));
}

#[tokio::test]
async fn a_valid_token_costs_no_request_to_the_authority() {
    let app = App::start().await;
    let mut browser = app.signed_in(ADA).await;
    let before = app.emulator.admin().counters().token();
    for _ in 0..3 {
        assert_eq!(browser.get("/token").await.status, 200);
    }
    assert_eq!(app.emulator.admin().counters().token(), before);
}

#[tokio::test]
async fn without_the_layer_the_answer_is_500_and_says_what_to_do() {
    async fn private(_user: async_msal_axum::SignedIn) -> &'static str {
        "never"
    }
    let address = serve(axum::Router::new().route("/private", axum::routing::get(private))).await;
    let answer = Browser::new(address).get("/private").await;
    assert_eq!(answer.status, 500);
    assert!(answer.body.contains(".layer(auth)"), "{}", answer.body);
}

#[tokio::test]
async fn extractors_work_under_any_application_state() {
    #[derive(Clone)]
    struct State(&'static str);
    async fn home(
        axum::extract::State(state): axum::extract::State<State>,
        user: Option<async_msal_axum::SignedIn>,
    ) -> String {
        format!("{} {}", state.0, user.is_some())
    }
    let msal = async_msal_axum::testing::msal().await;
    let auth = async_msal_axum::MsalLayer::new(msal);
    let app = axum::Router::new().route("/", axum::routing::get(home)).merge(auth.routes()).layer(auth);
    let address = serve(app.with_state(State("state"))).await;
    assert_eq!(Browser::new(address).get("/").await.body, "state false");
    assert_eq!(Browser::new(address).get("/user/info").await.json()["authenticated"], false);
}
