//! The library's own routes, one file each, in the order of a visit.

pub(crate) mod ask;
mod authorized;
pub(crate) mod backchannel;
mod debug;
mod failure;
mod form;
pub(crate) mod frontchannel;
mod health;
mod info;
mod login;
mod logout;
mod photo;
mod resume;
pub(crate) mod signed_out;

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::{HeaderValue, StatusCode, header};

pub use health::health;

use crate::pages::STYLESHEET;

/// Every route under `prefix`, which is empty or begins with a slash.
pub(crate) fn router<S: Clone + Send + Sync + 'static>(prefix: &str) -> Router<S> {
    let at = |name: &str| format!("{prefix}/{name}");
    // axum sends HEAD to the handler of GET; where a GET changes something, HEAD has an answer of its own.
    Router::new()
        .route(&at("login"), get(login::login).head(get_only))
        .route(&at("login/"), get(login::login).head(get_only))
        .route(&at("login/resume"), get(resume::resume))
        .route(&at("login/{*to}"), get(login::login_returning).head(get_only))
        .route(
            &at("authorized"),
            get(authorized::by_query).post(authorized::by_form).head(authorized::by_head),
        )
        .route(&at("info"), get(info::info))
        .route(&at("photo"), get(photo::photo))
        .route(&at("debug"), get(debug::debug))
        .route(&at("logout"), get(logout::by_link).post(logout::by_form))
        .route(&at("logout/"), get(logout::by_link).post(logout::by_form))
        .route(&at("logout/{*to}"), get(logout::by_link_returning).post(logout::by_form_returning))
        .route(&at("signed-out"), get(signed_out::signed_out).head(get_only))
        .route(&at("frontchannel-logout"), get(frontchannel::frontchannel_logout).head(get_only))
        .route(&at("backchannel-logout"), post(backchannel::backchannel_logout))
        .route(&at("style.css"), get(stylesheet))
}

/// HEAD is safe (RFC 9110 9.2.1): a program that only looks neither starts nor ends a session.
async fn get_only() -> Response {
    let headers = [
        (header::ALLOW, HeaderValue::from_static("GET")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (StatusCode::METHOD_NOT_ALLOWED, headers).into_response()
}

async fn stylesheet() -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/css; charset=utf-8")),
        (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    (headers, STYLESHEET).into_response()
}
