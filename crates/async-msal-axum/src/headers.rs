//! Headers that every answer about a sign-in or a session carries.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};

/// When a client should come back where nobody said how long it takes.
pub(crate) const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Nothing about one user may come out of a cache for another, nor from the history after a sign-out
/// (RFC 6749 5.1). `Vary` is appended: the application may vary on more.
pub(crate) fn forbid_storing(headers: &mut HeaderMap) {
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    vary_on_cookie(headers);
}

pub(crate) fn vary_on_cookie(headers: &mut HeaderMap) {
    let values = headers.get_all(header::VARY).iter().filter_map(|value| value.to_str().ok());
    let known = values
        .flat_map(|value| value.split(','))
        .any(|name| matches!(name.trim(), "*" | "Cookie" | "cookie"));
    if !known {
        headers.append(header::VARY, HeaderValue::from_static("Cookie"));
    }
}

/// 303 and nothing else: the browser continues with GET, so neither a code nor a form is sent on (RFC 9700 4.12).
pub(crate) fn see_other(location: &str) -> Response {
    // A location is built by the `url` crate or from checked parts; a value that is no header never leaves.
    let Ok(location) = HeaderValue::from_str(location) else {
        tracing::error!("a redirect target was no valid header value");
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let mut response = StatusCode::SEE_OTHER.into_response();
    let headers = response.headers_mut();
    headers.insert(header::LOCATION, location);
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    forbid_storing(headers);
    response
}

/// An application's page that looked at the session: stored nowhere unless the application said how.
pub(crate) fn keep_private(headers: &mut HeaderMap) {
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    vary_on_cookie(headers);
}

pub(crate) fn retry_after(headers: &mut HeaderMap, wait: Duration) {
    headers.insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
}
