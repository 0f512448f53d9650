//! The routes at other places: another prefix, below a path, behind a proxy that cuts the path off.

use async_msal_axum::{MsalLayer, SignedIn, testing};
use axum::Router;
use axum::routing::get;

use crate::app::{ADA, Setup, serve};
use crate::browser::Browser;

#[tokio::test]
async fn another_prefix_moves_every_route() {
    let app = Setup::new().layer(|layer| layer.prefix("/account/ms")).start().await;
    let mut browser = app.browser();
    let login = browser.get("/account/ms/login").await;
    let form = app.answer_of(&login, ADA).await;
    let answer = browser.cross_site_post("/account/ms/authorized", &form).await;
    assert_eq!((answer.status.as_u16(), answer.location()), (303, "/"), "{}", answer.body);
    assert_eq!(browser.get("/user/login").await.status, 404);
}

/// Signs in below `/app`, at addresses as the browser sees them; `cut` is what a proxy takes off.
async fn sign_in_below_a_path(app: impl FnOnce(Router) -> Router, cut: &str) {
    let msal = testing::builder("https://app.example/app").await.build().expect("an application");
    let emulator = testing::emulator(&msal);
    let auth = MsalLayer::new(msal);
    let inner = Router::new()
        .route("/page", get(async |user: SignedIn| user.name().unwrap_or_default()))
        .merge(auth.routes())
        .layer(auth);
    let mut browser = Browser::new(serve(app(inner)).await);
    let seen = |path: &str| path.strip_prefix(cut).unwrap_or(path).to_owned();

    let sent = browser.get(&seen("/app/page")).await;
    assert_eq!((sent.status.as_u16(), sent.location()), (303, "/app/user/login/app/page"));
    let login = browser.get(&seen(sent.location())).await;
    assert!(login.location().contains("app.example%2Fapp%2Fuser%2Fauthorized"), "{}", login.location());
    let form = emulator.authorize(login.location(), ADA).await.expect("a sign-in").body();
    let back = browser.cross_site_post(&seen("/app/user/authorized"), &form).await;
    assert_eq!((back.status.as_u16(), back.location()), (303, "/app/page"), "{}", back.body);
    assert_eq!(browser.follow(&seen("/app/page")).await.body, "Ada Marsh");
}

#[tokio::test]
async fn an_application_nested_below_a_path_signs_in() {
    sign_in_below_a_path(|inner| Router::new().nest("/app", inner), "").await;
}

#[tokio::test]
async fn an_application_behind_a_proxy_that_cuts_its_path_off_signs_in() {
    sign_in_below_a_path(|inner| inner, "/app").await;
}
