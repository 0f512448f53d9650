//! The kit that applications test themselves with.

use async_msal_axum::{MsalLayer, SignedIn, testing};
use axum::body::{Body, to_bytes};
use axum::routing::get;
use axum::{Router, http};
use http::{Request, header};
use tower::ServiceExt;

async fn body_for(person: &str) -> String {
    let msal = testing::msal().await;
    let cookie = testing::signed_in_cookie(&msal, person).await;
    let auth = MsalLayer::new(msal);
    let app: Router =
        Router::new().route("/", get(async |user: SignedIn| user.name().unwrap_or_default())).layer(auth);
    let request = Request::get("/").header(header::COOKIE, cookie).body(Body::empty()).expect("a request");
    let body = app.oneshot(request).await.expect("an answer").into_body();
    String::from_utf8(to_bytes(body, 1_000).await.expect("a body").to_vec()).expect("text")
}

#[tokio::test]
async fn a_test_is_signed_in_as_whom_it_names() {
    assert_eq!(body_for("ada@contoso.example").await, "Ada Marsh");
    assert_eq!(body_for("gil@fabrikam.example").await, "Gil Torres");
}

#[tokio::test]
async fn two_applications_of_a_test_share_nothing() {
    let (one, other) = (testing::msal().await, testing::msal().await);
    let cookie = testing::signed_in_cookie(&one, "ada@contoso.example").await;
    let value = cookie.split('=').nth(1).expect("a value");
    let id = async_msal_axum::async_msal_session::SessionId::parse(value).expect("an id");
    assert!(one.load_session(&id).await.expect("a store").is_some());
    assert!(other.load_session(&id).await.expect("a store").is_none());
}
