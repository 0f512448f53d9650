//! `POST {prefix}/backchannel-logout`: a provider ends sessions by a signed token, server to server (OpenID Connect
//! Back-Channel Logout 1.0).
//!
//! There is no cookie and no browser: the token alone is the proof, and whoever can reach this address can send one. The
//! store is asked nothing before the signature has verified.

use std::time::Duration;

use async_msal::Error as ProtocolError;
use async_msal_session::Error;
use axum::Json;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::json;

use super::form;
use crate::headers;
use crate::visit::Visit;

const TARGET: &str = "async_msal::sign_out";
/// Tokens that are verified at a time; more wait.
pub(crate) const AT_A_TIME: usize = 64;
/// Longest wait for that.
const TURN: Duration = Duration::from_secs(5);

pub(crate) async fn backchannel_logout(visit: Visit, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    if !form::is_form(&parts.headers) {
        return refuse(StatusCode::BAD_REQUEST, "a form with a logout token is wanted");
    }
    let form = match form::read(body).await {
        Ok(form) => form,
        Err(text) => return refuse(text.status, text.title),
    };
    let mut tokens = form_urlencoded::parse(form.as_bytes()).filter(|(name, _)| name == "logout_token");
    let (Some((_, token)), None) = (tokens.next(), tokens.next()) else {
        return refuse(StatusCode::BAD_REQUEST, "one logout token is wanted");
    };
    let Ok(Ok(_turn)) = tokio::time::timeout(TURN, visit.shared().logout_turns.acquire()).await else {
        return later("too many at a time");
    };
    match visit.shared().msal.sign_out_by_logout_token(&token).await {
        Ok(ended) => {
            tracing::info!(target: TARGET, ended, "back-channel logout");
            let mut response = StatusCode::OK.into_response();
            headers::forbid_storing(response.headers_mut());
            response
        }
        Err(error) => {
            let client = visit.client_address();
            tracing::warn!(target: TARGET, code = %error.code(), %error, ?client, "back-channel logout refused");
            match error.root() {
                // The protocol's 400 tells a provider that its token is wrong, so it is kept for that: these will pass.
                Error::Store(_) => later("the session store does not answer"),
                Error::Protocol(ProtocolError::IdToken(_)) => {
                    refuse(StatusCode::BAD_REQUEST, "the logout token is refused")
                }
                error if error.is_retryable() => later("the keys cannot be had"),
                _ => refuse(StatusCode::BAD_REQUEST, "the logout token cannot be checked"),
            }
        }
    }
}

/// Section 2.8, with a body in the form of RFC 6749 5.2. Which check failed stands in the log alone.
fn refuse(status: StatusCode, description: &str) -> Response {
    let body = json!({"error": "invalid_request", "error_description": description});
    let mut response = (status, Json(body)).into_response();
    headers::forbid_storing(response.headers_mut());
    response
}

fn later(description: &str) -> Response {
    let body = json!({"error": "temporarily_unavailable", "error_description": description});
    let mut response = (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response();
    headers::forbid_storing(response.headers_mut());
    headers::retry_after(response.headers_mut(), headers::RETRY_AFTER);
    response
}
