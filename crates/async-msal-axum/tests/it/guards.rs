//! Guards: who may, and how a refusal looks.

use std::sync::Arc;

use async_msal_axum::{AsyncMsal, MsalLayer, guard, testing};
use axum::routing::get;
use axum::{Router, body::Body};
use http::{Request, StatusCode, header};
use tower::ServiceExt;

use crate::app::{ADA, App, BEN};

/// The status of a page behind `guard` for `person`.
async fn status_behind(guard: guard::Guard, person: &str) -> StatusCode {
    let msal = testing::msal().await;
    let cookie = testing::signed_in_cookie(&msal, person).await;
    let auth = MsalLayer::new(msal);
    let app: Router = Router::new().route("/", get(async || "open")).route_layer(guard).layer(auth);
    let request = Request::get("/").header(header::COOKIE, cookie).body(Body::empty()).expect("a request");
    app.oneshot(request).await.expect("an answer").status()
}

#[tokio::test]
async fn a_role_opens_and_its_absence_shows_a_403_page() {
    let app = App::start().await;
    assert_eq!(app.signed_in(ADA).await.get("/admin").await.body, "administrators only");
    let answer = app.signed_in(BEN).await.get("/admin").await;
    assert_eq!(answer.status, 403);
    assert!(answer.body.contains("You may not open this page"), "{}", answer.body);
}

#[tokio::test]
async fn a_program_that_is_refused_gets_403_as_json() {
    let app = App::start().await;
    let answer = app.signed_in(BEN).await.fetch("/admin").await;
    assert_eq!((answer.status.as_u16(), answer.json()["error"].as_str()), (403, Some("forbidden")));
}

#[tokio::test]
async fn a_guard_sends_strangers_to_login_and_programs_away() {
    let app = App::start().await;
    assert_eq!(app.browser().get("/admin").await.location(), "/user/login/admin");
    assert_eq!(app.browser().fetch("/admin").await.status, 401);
    assert_eq!(app.browser().post("/admin", "").await.status, 401);
}

#[tokio::test]
async fn other_spellings_of_a_guarded_address_open_nothing() {
    let app = App::start().await;
    let mut browser = app.signed_in(BEN).await;
    for path in ["/%61dmin", "//admin", "/admin;x", "/./admin", "/admin?path=/plain", "/admin/"] {
        let answer = browser.get(path).await;
        assert!(!answer.body.contains("administrators"), "{path}");
    }
}

#[tokio::test]
async fn conditions_may_be_functions() {
    let is_ada = || guard::check(|user: &AsyncMsal| user.mail().as_deref() == Some(ADA));
    assert_eq!(status_behind(is_ada(), ADA).await, 200);
    assert_eq!(status_behind(is_ada(), BEN).await, 403);
}

#[tokio::test]
async fn conditions_may_be_asynchronous() {
    let list = Arc::new(tokio::sync::Mutex::new(vec![BEN.to_owned()]));
    let listed = move || {
        let list = Arc::clone(&list);
        guard::check_async(move |user| {
            let list = Arc::clone(&list);
            async move { list.lock().await.iter().any(|mail| user.mail().as_ref() == Some(mail)) }
        })
    };
    assert_eq!(status_behind(listed(), BEN).await, 200);
    assert_eq!(status_behind(listed(), ADA).await, 403);
}

#[tokio::test]
async fn all_wants_every_condition() {
    let yes = || guard::check(|_| true);
    let no = || guard::check(|_| false);
    assert_eq!(status_behind(guard::all([yes(), yes()]), ADA).await, 200);
    assert_eq!(status_behind(guard::all([yes(), no()]), ADA).await, 403);
    assert_eq!(status_behind(guard::all([]), ADA).await, 200);
}

#[tokio::test]
async fn any_wants_one_condition() {
    let yes = || guard::check(|_| true);
    let no = || guard::check(|_| false);
    assert_eq!(status_behind(guard::any([no(), yes()]), ADA).await, 200);
    assert_eq!(status_behind(guard::any([no(), no()]), ADA).await, 403);
    assert_eq!(status_behind(guard::any([]), ADA).await, 403);
}

#[tokio::test]
async fn granted_scopes_open() {
    assert_eq!(status_behind(guard::scopes(["User.Read"]), ADA).await, 200);
    assert_eq!(status_behind(guard::signed_in(), ADA).await, 200);
}
