//! `GET {prefix}/photo`: the signed-in user's picture, streamed from Graph under headers of our own.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};

use crate::headers;
use crate::rejection::Rejection;
use crate::visit::Visit;

/// Nothing of Graph's headers is copied but the type, and that from a closed list.
pub(crate) async fn photo(visit: Visit) -> Result<Response, Rejection> {
    let session = visit.signed_in().await?;
    let mut response = match session.photo().await? {
        Some(photo) => {
            let content_type = HeaderValue::from_static(photo.content_type);
            ([(header::CONTENT_TYPE, content_type)], Body::from_stream(photo.stream)).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    };
    let map = response.headers_mut();
    map.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    map.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox"));
    headers::forbid_storing(map);
    Ok(response)
}
