//! The managed identity of an Azure machine (Instance Metadata Service) and of App Service.

use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use crate::endpoint::params::Params;
use crate::error::EmulatorError;
use crate::random::seeded_guid;
use crate::state::{Shared, lock};
use crate::token::exchange_token;

pub(crate) const IMDS: &str = "/metadata/identity/oauth2/token";
pub(crate) const APP_SERVICE: &str = "/msi/token";
/// Tokens of managed identities are good for a day.
const LIFETIME: i64 = 86_400;

/// `GET /metadata/identity/oauth2/token`: the header keeps requests out that a browser or a proxy was tricked into.
pub(crate) async fn imds(
    State(shared): State<Arc<Shared>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let sent = headers.get("metadata").and_then(|value| value.to_str().ok());
    if sent != Some("true") || headers.contains_key("x-forwarded-for") {
        return refuse(StatusCode::BAD_REQUEST, "invalid_request", "Required metadata header not specified");
    }
    answer(&shared, &query.unwrap_or_default(), "2018-02-01", |token| {
        json!({
            "access_token": token.text, "client_id": token.client_id, "expires_in": LIFETIME.to_string(),
            "expires_on": token.expires_on.to_string(), "ext_expires_in": LIFETIME.to_string(),
            "not_before": token.now.to_string(), "resource": token.resource, "token_type": "Bearer",
        })
    })
}

/// `GET /msi/token`: the secret header is known to the application alone.
pub(crate) async fn app_service(
    State(shared): State<Arc<Shared>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let sent = headers.get("x-identity-header").and_then(|value| value.to_str().ok());
    if sent != Some(identity_header(&shared).as_str()) {
        return refuse(StatusCode::UNAUTHORIZED, "unauthorized", "Invalid identity header");
    }
    answer(&shared, &query.unwrap_or_default(), "2019-08-01", |token| {
        json!({
            "access_token": token.text, "client_id": token.client_id,
            "expires_on": token.expires_on.to_string(), "resource": token.resource, "token_type": "Bearer",
        })
    })
}

/// The value of App Service's header.
pub(crate) fn identity_header(shared: &Shared) -> String {
    seeded(shared, "identity header")
}

/// Client id and object id of the machine's own identity; the latter is the subject of its tokens.
pub(crate) fn system_assigned(shared: &Shared) -> (String, String) {
    (seeded(shared, "system-assigned client"), seeded(shared, "system-assigned identity"))
}

/// The same of the one user-assigned identity.
pub(crate) fn user_assigned(shared: &Shared) -> (String, String) {
    (seeded(shared, "user-assigned client"), seeded(shared, "user-assigned identity"))
}

fn seeded(shared: &Shared, what: &str) -> String {
    let seed = lock(&shared.directory).seed;
    seeded_guid(seed, what)
}

struct Token {
    text: String,
    client_id: String,
    resource: String,
    now: i64,
    expires_on: i64,
}

fn answer(shared: &Shared, query: &str, version: &str, body: impl FnOnce(&Token) -> Value) -> Response {
    let params = Params::parse(query).unwrap_or_default();
    if params.get("api-version") != Some(version) {
        return refuse(StatusCode::BAD_REQUEST, "invalid_request", "Invalid api-version");
    }
    let Some(resource) = params.get("resource") else {
        return refuse(
            StatusCode::BAD_REQUEST,
            "invalid_request",
            "Required query variable 'resource' is missing",
        );
    };
    let assigned = user_assigned(shared);
    let (client_id, subject) = match params.get("client_id") {
        None => system_assigned(shared),
        Some(id) if id == assigned.0 => assigned,
        Some(_) => return refuse(StatusCode::BAD_REQUEST, "invalid_request", "Identity not found"),
    };
    match token(shared, &subject, resource) {
        Ok(text) => {
            let now = shared.now();
            let token =
                Token { text, client_id, resource: resource.to_owned(), now, expires_on: now + LIFETIME };
            Json(body(&token)).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "the emulator could not answer");
            refuse(StatusCode::INTERNAL_SERVER_ERROR, "unknown", "internal error")
        }
    }
}

fn token(shared: &Shared, subject: &str, resource: &str) -> Result<String, EmulatorError> {
    let issuer = format!("{}/{}/v2.0", shared.base_url(), shared.tenant_id);
    exchange_token(shared, (&issuer, subject, resource), LIFETIME)
}

fn refuse(status: StatusCode, error: &str, text: &str) -> Response {
    (status, Json(json!({"error": error, "error_description": text}))).into_response()
}
