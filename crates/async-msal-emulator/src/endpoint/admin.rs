//! `/_admin`: the admin API as JSON, for other languages. ADMIN.md describes it.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::{HeaderMap, Method, StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::admin::Admin;
use crate::client::ClientRegistration;
use crate::error::EmulatorError;
use crate::fault::{FaultRule, IdTokenFaultRule};
use crate::logout_token::LogoutTokenRequest;
use crate::policy::Policy;
use crate::server::host;
use crate::state::Shared;

type Answer = Result<Json<Value>, AdminError>;

pub(crate) fn router(shared: &Arc<Shared>) -> Router<Arc<Shared>> {
    Router::new()
        .route("/", get(overview))
        .route("/policy", get(policy).patch(change_policy))
        .route("/counters", get(counters).delete(reset_counters))
        .route("/faults", get(faults).post(add_fault).delete(clear_faults))
        .route("/id-token-faults", post(add_id_token_fault))
        .route("/keys/rotate", post(rotate))
        .route("/keys/publish", post(publish))
        .route("/keys/switch", post(switch))
        .route("/keys/remove-old", post(remove_old))
        .route("/clients", get(clients).post(register_client))
        .route("/revoke", post(revoke))
        .route("/logout-token", post(logout_token))
        .route("/consents", axum::routing::delete(forget_consents))
        .route("/roles", post(set_roles))
        .route("/clock", post(advance_clock))
        .layer(from_fn_with_state(Arc::clone(shared), guard))
}

/// Only this machine's own programs: a web page whose name was rebound to 127.0.0.1 sends a foreign `Host`, one of
/// another site sends a foreign `Origin` or `Sec-Fetch-Site`, and cannot send JSON without asking first.
async fn guard(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    let text = |name| headers.get(name).map(|v| v.to_str().unwrap_or("?"));
    let own_host = host(headers).is_some_and(|h| h.contains(':') && shared.is_own_host(h));
    let base_url = shared.base_url_for(host(headers));
    let own_origin = text(header::ORIGIN).is_none_or(|o| o == base_url);
    let own_site = headers.get("sec-fetch-site").is_none_or(|v| v == "same-origin" || v == "none");
    if !(own_host && own_origin && own_site) {
        return refuse(StatusCode::FORBIDDEN, "the admin API answers programs of this machine only");
    }
    let writes = matches!(*request.method(), Method::POST | Method::PATCH | Method::PUT);
    if writes && !is_json(headers) {
        return refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, "send Content-Type: application/json");
    }
    let mut response = next.run(request).await;
    response.headers_mut().insert(header::CACHE_CONTROL, http::HeaderValue::from_static("no-store"));
    response
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    kind.split(';').next().is_some_and(|k| k.trim().eq_ignore_ascii_case("application/json"))
}

fn refuse(status: StatusCode, reason: &str) -> Response {
    (status, Json(json!({ "error": reason }))).into_response()
}

/// A refused change, with the reason as JSON.
struct AdminError(EmulatorError);

impl From<EmulatorError> for AdminError {
    fn from(error: EmulatorError) -> Self {
        Self(error)
    }
}

impl IntoResponse for AdminError {
    fn into_response(self) -> Response {
        let status = match &self.0 {
            EmulatorError::UnknownPerson(_) | EmulatorError::UnknownClient(_) => StatusCode::NOT_FOUND,
            EmulatorError::TooMany(_) => StatusCode::CONFLICT,
            EmulatorError::InvalidAddress(_) => StatusCode::BAD_REQUEST,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        refuse(status, &self.0.to_string())
    }
}

fn done() -> Json<Value> {
    Json(json!({}))
}

async fn overview(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let base = shared.base_url();
    Json(json!({
        "base_url": base,
        "authority": format!("{base}/{}", shared.tenant_id),
        "graph_url": format!("{base}/v1.0"),
        "tenant_id": shared.tenant_id,
        "ca_pem": shared.authority.certificate_pem,
        "users": shared.directory().people,
        "keys": Admin::new(Arc::clone(&shared)).published_keys(),
        "now": shared.now(),
    }))
}

async fn policy(State(shared): State<Arc<Shared>>) -> Json<Policy> {
    Json(shared.policy())
}

/// Fields that are named change, the others stay.
async fn change_policy(State(shared): State<Arc<Shared>>, Json(change): Json<Value>) -> Response {
    let Value::Object(change) = change else {
        return refuse(StatusCode::BAD_REQUEST, "send an object with the fields to change");
    };
    let mut merged = json!(shared.policy());
    if let Value::Object(merged) = &mut merged {
        merged.extend(change);
    }
    match serde_json::from_value::<Policy>(merged) {
        Ok(new) => {
            Admin::new(shared).set_policy(|policy| *policy = new.clone());
            Json(new).into_response()
        }
        Err(error) => refuse(StatusCode::UNPROCESSABLE_ENTITY, &error.to_string()),
    }
}

async fn counters(State(shared): State<Arc<Shared>>) -> Json<Value> {
    Json(json!(Admin::new(shared).counters()))
}

async fn reset_counters(State(shared): State<Arc<Shared>>) -> Json<Value> {
    Admin::new(shared).reset_counters();
    done()
}

async fn faults(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let (rules, id_token_rules) = Admin::new(shared).faults();
    Json(json!({ "faults": rules, "id_token_faults": id_token_rules }))
}

async fn add_fault(State(shared): State<Arc<Shared>>, Json(rule): Json<FaultRule>) -> Answer {
    Admin::new(shared).fail_next(rule)?;
    Ok(done())
}

async fn add_id_token_fault(State(shared): State<Arc<Shared>>, Json(rule): Json<IdTokenFaultRule>) -> Answer {
    Admin::new(shared).fail_next_id_token(rule)?;
    Ok(done())
}

async fn clear_faults(State(shared): State<Arc<Shared>>) -> Json<Value> {
    Admin::new(shared).clear_faults();
    done()
}

async fn rotate(State(shared): State<Arc<Shared>>) -> Answer {
    keys_after(Admin::new(shared), |admin| async move { admin.rotate_keys().await }).await
}

async fn publish(State(shared): State<Arc<Shared>>) -> Answer {
    keys_after(Admin::new(shared), |admin| async move { admin.publish_new_key().await }).await
}

async fn switch(State(shared): State<Arc<Shared>>) -> Answer {
    keys_after(Admin::new(shared), |admin| async move { admin.switch_signer().await }).await
}

async fn remove_old(State(shared): State<Arc<Shared>>) -> Answer {
    keys_after(Admin::new(shared), |admin| async move { admin.remove_old_keys().await }).await
}

async fn keys_after<F>(admin: Admin, change: impl FnOnce(Admin) -> F) -> Answer
where
    F: Future<Output = Result<(), EmulatorError>>,
{
    change(admin.clone()).await?;
    Ok(Json(json!({ "keys": admin.published_keys() })))
}

async fn clients(State(shared): State<Arc<Shared>>) -> Json<Value> {
    Json(json!(Admin::new(shared).clients()))
}

async fn register_client(
    State(shared): State<Arc<Shared>>,
    Json(client): Json<ClientRegistration>,
) -> Answer {
    Admin::new(shared).register_client(client)?;
    Ok(done())
}

#[derive(Deserialize)]
struct Revoke {
    person: String,
}

async fn revoke(State(shared): State<Arc<Shared>>, Json(revoke): Json<Revoke>) -> Answer {
    let count = Admin::new(shared).revoke_refresh_tokens(&revoke.person).await?;
    Ok(Json(json!({ "revoked": count })))
}

async fn logout_token(State(shared): State<Arc<Shared>>, Json(wanted): Json<LogoutTokenRequest>) -> Answer {
    let token = Admin::new(shared).logout_token(&wanted)?;
    Ok(Json(json!({ "logout_token": token })))
}

async fn forget_consents(State(shared): State<Arc<Shared>>) -> Answer {
    Admin::new(shared).forget_consents().await?;
    Ok(done())
}

#[derive(Deserialize)]
struct SetRoles {
    person: String,
    roles: Vec<String>,
}

async fn set_roles(State(shared): State<Arc<Shared>>, Json(change): Json<SetRoles>) -> Answer {
    let roles: Vec<&str> = change.roles.iter().map(String::as_str).collect();
    Admin::new(shared).set_roles(&change.person, &roles)?;
    Ok(done())
}

#[derive(Deserialize)]
struct AdvanceClock {
    seconds: i64,
}

async fn advance_clock(State(shared): State<Arc<Shared>>, Json(change): Json<AdvanceClock>) -> Json<Value> {
    Admin::new(Arc::clone(&shared)).advance_clock(change.seconds);
    Json(json!({ "now": shared.now() }))
}
