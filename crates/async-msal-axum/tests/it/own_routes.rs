//! `info`, `photo`, `debug`, `health` and the stylesheet.

use async_msal_axum::routes;
use async_msal_emulator::{Endpoint, Fault, FaultRule};
use serde_json::{Map, json};

use crate::app::{ADA, App, BEN, CLEO, Setup, serve};
use crate::browser::Browser;

#[tokio::test]
async fn info_tells_a_stranger_nothing() {
    let app = App::start().await;
    let answer = app.browser().fetch("/user/info").await;
    assert_eq!(answer.json(), json!({ "authenticated": false }));
    assert_eq!(answer.header("cache-control"), "no-store");
}

#[tokio::test]
async fn info_has_the_fields_python_pages_know() {
    let scopes = async_msal_axum::Scopes::from(["User.Read", "User.Read.All"]);
    let app = Setup::new().msal(move |msal| msal.scopes(scopes)).start().await;
    let info = app.signed_in(ADA).await.fetch("/user/info").await.json();
    assert_eq!((&info["mail"], &info["name"]), (&json!(ADA), &json!("Ada Marsh")));
    assert_eq!((&info["manager_mail"], &info["manager_name"]), (&json!(BEN), &json!("Ben Okoye")));
    assert_eq!(info["authenticated"], true);
}

#[tokio::test]
async fn a_user_without_mail_or_manager_has_info_all_the_same() {
    let app = App::start().await;
    let info = app.signed_in(CLEO).await.fetch("/user/info").await.json();
    assert_eq!((&info["mail"], &info["authenticated"]), (&json!(CLEO), &json!(true)));
    let info = app.signed_in(BEN).await.fetch("/user/info").await.json();
    assert_eq!((&info["manager_mail"], &info["authenticated"]), (&json!(null), &json!(true)));
}

#[tokio::test]
async fn an_info_provider_adds_fields_and_cannot_replace_ours() {
    let provider = |layer: async_msal_axum::MsalLayer| {
        layer.info_provider(|user| async move {
            let mut fields = Map::new();
            fields.insert("roles".to_owned(), json!(user.roles()));
            fields.insert("authenticated".to_owned(), json!("forged"));
            fields
        })
    };
    let app = Setup::new().layer(provider).start().await;
    let info = app.signed_in(ADA).await.fetch("/user/info").await.json();
    assert_eq!((&info["roles"], &info["authenticated"]), (&json!(["Admin"]), &json!(true)));
}

#[tokio::test]
async fn the_photo_comes_under_headers_of_our_own() {
    let app = App::start().await;
    let mut browser = app.signed_in(ADA).await;
    let fault = Fault::Answer {
        status: 200,
        body: "<script>alert(1)</script>".to_owned(),
        content_type: Some("text/html".to_owned()),
        headers: vec![
            ("cache-control".to_owned(), "max-age:".to_owned()),
            ("set-cookie".to_owned(), "x=1".to_owned()),
        ],
    };
    let answer = browser.get("/user/photo").await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "image/png"));
    app.emulator.admin().fail_next(FaultRule::new(Endpoint::GraphPhoto, fault)).expect("a fault");
    let answer = browser.get("/user/photo").await;
    assert!(
        answer.status != 200 || answer.header("content-type") == "application/octet-stream",
        "{answer:?}"
    );
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("set-cookie"), "");
    assert_eq!(answer.headers.get_all("content-type").iter().count(), 1);
}

#[tokio::test]
async fn a_user_without_photo_gets_404() {
    let app = App::start().await;
    assert_eq!(app.signed_in(CLEO).await.get("/user/photo").await.status, 404);
}

#[tokio::test]
async fn the_debug_route_does_not_exist_unless_switched_on() {
    let app = App::start().await;
    assert_eq!(app.browser().get("/user/debug").await.status, 404);
    assert_eq!(app.signed_in(ADA).await.get("/user/debug").await.status, 404);
}

#[tokio::test]
async fn the_debug_route_wants_a_user_and_makes_no_record() {
    let app = Setup::new().msal(|msal| msal.debug_route(true)).start().await;
    assert_eq!(app.browser().fetch("/user/debug").await.status, 401);
    assert_eq!(app.store.records().await, 0);
}

#[tokio::test]
async fn the_debug_route_shows_no_token_cookie_or_secret() {
    let app = Setup::new().msal(|msal| msal.debug_route(true)).start().await;
    let mut browser = app.signed_in(ADA).await;
    let answer = browser.get("/user/debug").await;
    assert_eq!(answer.status, 200);
    assert!(answer.body.contains("User.Read"), "{}", answer.body);
    let (_, cookie) = browser.cookie("__Host-async_msal").expect("a session");
    for secret in ["eyJ0eXAi", cookie, &app.emulator.client_secret()] {
        assert!(!answer.body.contains(secret), "{secret}");
    }
    assert_eq!(answer.header("cache-control"), "no-store");
}

#[tokio::test]
async fn health_tells_store_and_authority_apart() {
    let app = App::start().await;
    app.signed_in(ADA).await;
    let router = axum::Router::new().route("/health", routes::health(&app.msal));
    let address = serve(router).await;
    let up = Browser::new(address).get("/health").await;
    assert_eq!(up.status, 200);
    assert_eq!(
        (&up.json()["store"]["status"], &up.json()["authority"]["status"]),
        (&json!("up"), &json!("up"))
    );
    app.store.set_down(true);
    let down = Browser::new(address).get("/health").await;
    assert_eq!((down.status.as_u16(), &down.json()["store"]["status"]), (503, &json!("down")));
    assert_eq!(down.json()["authority"]["status"], "up");
    assert!(down.json()["store"]["since"].is_number(), "{}", down.body);
}

#[tokio::test]
async fn the_stylesheet_is_served_as_what_it_is() {
    let app = App::start().await;
    let answer = app.browser().get("/user/style.css").await;
    assert_eq!(answer.header("content-type"), "text/css; charset=utf-8");
    assert_eq!(answer.body, async_msal_axum::STYLESHEET);
}
