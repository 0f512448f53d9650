//! The health route: the application's own, for a load balancer or an operator.

use async_msal::ComponentHealth;
use async_msal_session::{Health, Msal};
use axum::Json;
use axum::response::IntoResponse;
use axum::routing::{MethodRouter, get};
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};

/// A route that tells how the session store, the authority and its signing keys are, each with since when and why.
///
/// 503 where the store is down (two seconds after its last answer, at the latest), since then nobody's session can be read; else 200, because signed-in users need no
/// authority until their token ends. It asks the store once and the authority never, holds no secret, and needs no
/// sign-in.
///
/// ```
/// # fn build(msal: async_msal_axum::Msal) -> axum::Router {
/// use async_msal_axum::routes;
///
/// axum::Router::new().route("/health", routes::health(&msal))
/// # }
/// ```
pub fn health<S: Clone + Send + Sync + 'static>(msal: &Msal) -> MethodRouter<S> {
    let msal = msal.clone();
    get(move || {
        let msal = msal.clone();
        async move {
            // What the answer shows is noted with all other calls: a store that fails in part is up, or a load balancer
            // would take away every node at once.
            drop(msal.ping_store().await);
            let health = msal.health();
            let status = if health.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            let headers = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
            (status, headers, Json(describe(&health))).into_response()
        }
    })
}

pub(super) fn describe(health: &Health) -> Value {
    json!({
        "status": if health.is_ready() { "up" } else { "down" },
        "store": component(&health.store),
        "authority": component(&health.authority),
        "keys": component(&health.keys),
    })
}

fn component(health: &ComponentHealth) -> Value {
    json!({
        "status": format!("{:?}", health.status).to_lowercase(),
        "since": health.since,
        "reason": health.reason,
    })
}
