//! Forms that strangers send: bounded in size and time.

use std::time::Duration;

use axum::body::Body;
use http::{HeaderMap, header};
use http_body_util::{BodyExt, Limited};

use crate::pages::{texts, texts::PageText};

/// Entra's codes are about 2 KiB; a form of this size is none of its.
const MAX_BODY: usize = 64 * 1_024;
/// Whoever sends a form of ours sends it at once.
const BODY_DEADLINE: Duration = Duration::from_secs(10);

pub(super) fn is_form(headers: &HeaderMap) -> bool {
    let text = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let parsed = text.and_then(|text| text.parse::<mime::Mime>().ok());
    parsed.is_some_and(|mime| mime.essence_str() == mime::APPLICATION_WWW_FORM_URLENCODED.essence_str())
}

pub(super) async fn read(body: Body) -> Result<String, PageText> {
    let collected = tokio::time::timeout(BODY_DEADLINE, Limited::new(body, MAX_BODY).collect()).await;
    let bytes = match collected {
        Err(_elapsed) => return Err(texts::TOO_SLOW),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => return Err(texts::TOO_LARGE),
        Ok(Err(_)) => return Err(texts::BAD_REQUEST),
        Ok(Ok(collected)) => collected.to_bytes(),
    };
    String::from_utf8(bytes.into()).map_err(|_| texts::BAD_REQUEST)
}
