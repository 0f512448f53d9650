//! `GET {prefix}/debug`: what the session holds, for a developer. Off unless `DEBUG_ROUTE` is on; then only for a
//! signed-in user, about that user's own session, and without a token, a cookie or a secret.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::{Value, json};

use super::health;
use crate::extract::AsyncMsal;
use crate::headers;
use crate::rejection::Rejection;
use crate::visit::Visit;

pub(crate) async fn debug(visit: Visit) -> Result<Response, Rejection> {
    let shared = visit.shared();
    let settings = shared.msal.settings();
    if !settings.debug_route() {
        return Ok(StatusCode::NOT_FOUND.into_response());
    }
    let session = visit.signed_in().await?;
    let mut response = Json(json!({
        "session": describe(&session),
        // Settings hide their secrets in `Debug`, by a list that a new field has to be added to.
        "settings": format!("{settings:?}"),
        "health": health::describe(&shared.msal.health()),
        "client_address": visit.client_address(),
    }))
    .into_response();
    headers::forbid_storing(response.headers_mut());
    Ok(response)
}

fn describe(session: &AsyncMsal) -> Value {
    let identity = session.identity().map(|identity| {
        json!({
            "tid": identity.tid,
            "oid": identity.oid,
            "sub": identity.sub,
            "iss": identity.iss,
            "roles": identity.roles,
            "signed_in_at": identity.signed_in_at,
        })
    });
    let token = session.token_info(session.msal().settings().scopes()).map(|token| {
        json!({ "access_token": "hidden", "expires_on": token.expires_on, "scopes": token.scopes.to_string() })
    });
    json!({
        "handle": session.handle().map(|handle| handle.to_string()),
        "mail": session.mail(),
        "name": session.name(),
        "manager_mail": session.manager_mail(),
        "manager_name": session.manager_name(),
        "identity": identity,
        "token": token,
        "items": session.item_names(),
    })
}
