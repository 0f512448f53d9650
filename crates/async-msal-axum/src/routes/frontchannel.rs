//! `GET {prefix}/frontchannel-logout?sid=…`: the authority ends a session in a hidden frame of its own page.
//!
//! The session cookie does not come along (third-party), so the session is found by the `sid` claim it signed in
//! with. Knowing a `sid` ends that session and does nothing else; not knowing one ends nothing
//! (OpenID Connect Front-Channel Logout 2 and 4).

use std::time::Duration;

use axum::extract::RawQuery;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use url::Url;

use crate::headers;
use crate::rejection::Rejection;
use crate::visit::Visit;

/// Entra's are 36 characters; longer than this is none.
const MAX_SID: usize = 255;
/// Sign-outs at a time. Anybody may ask for one, and one of nobody's session may have the store walked through.
pub(crate) const AT_A_TIME: usize = 64;
/// No frame waits longer; a walk goes on, and what it finds ends by the next request.
const LONGEST: Duration = Duration::from_secs(10);

pub(crate) async fn frontchannel_logout(
    visit: Visit,
    RawQuery(query): RawQuery,
) -> Result<Response, Rejection> {
    let shared = visit.shared();
    let query = query.unwrap_or_default();
    let parameter = |wanted: &str| -> Option<String> {
        let mut found = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == wanted);
        let first = found.next().map(|(_, value)| value.into_owned());
        // A parameter given twice says nothing.
        first.filter(|value| found.next().is_none() && !value.is_empty() && value.len() <= MAX_SID)
    };
    if let Some(sid) = parameter("sid") {
        // Entra leaves `iss` out; where it stands it has to match.
        let iss = parameter("iss");
        let ending = async {
            // Never closed, so this is a turn.
            let _turn = shared.frame_turns.acquire().await;
            shared.msal.sign_out_by_sid(&sid, iss.as_deref()).await
        };
        let Ok(ended) = tokio::time::timeout(LONGEST, ending).await else {
            return Err(Rejection::StoreUnavailable);
        };
        let ended = ended?;
        tracing::info!(target: "async_msal::sign_out", ended, "front-channel logout");
    }
    // `frame-ancestors` wants an origin; an address that is none allows nobody.
    let authority = Url::parse(shared.msal.client().authority().url());
    let ancestor = authority.map_or_else(|_| "'none'".to_owned(), |url| url.origin().ascii_serialization());
    Ok(framed_answer(&ancestor))
}

/// The only answer that may be framed, and only by the authority.
fn framed_answer(ancestor: &str) -> Response {
    let mut response = (StatusCode::OK, "").into_response();
    let map = response.headers_mut();
    headers::forbid_storing(map);
    let policy = format!("default-src 'none'; frame-ancestors {ancestor}");
    map.extend(HeaderValue::from_str(&policy).ok().map(|value| (header::CONTENT_SECURITY_POLICY, value)));
    response
}
