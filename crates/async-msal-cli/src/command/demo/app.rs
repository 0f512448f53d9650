//! The demo's web application: one page, two actions, and the library's own routes under `/user`.

use std::path::Path;
use std::sync::Arc;

use async_msal_axum::async_msal_session::Error;
use async_msal_axum::{Msal, MsalLayer, SignedIn};
use async_msal_emulator::Emulator;
use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use http::header;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::page::{self, Outcome};

/// What every request of the demo shares.
#[derive(Debug)]
pub(super) struct Demo {
    pub(super) msal: Msal,
    pub(super) emulator: String,
    pub(super) folder: String,
}

/// What the page tells of the silent renewals of this session; kept as an item of the session itself, so it outlives
/// a restart as the session does.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Renewals {
    pub(super) count: u32,
    /// When the last token that was let expire did so; seconds since 1970, as all times here.
    pub(super) before: i64,
    /// When the token that replaced it expires.
    pub(super) after: i64,
    /// When it was renewed.
    pub(super) at: i64,
}

/// The session item that holds [`Renewals`].
pub(super) const RENEWALS: &str = "demo_renewals";

/// The application as it is served.
pub(super) fn router(msal: &Msal, emulator: &Emulator, folder: &Path) -> Router {
    let demo = Arc::new(Demo {
        msal: msal.clone(),
        emulator: emulator.base_url(),
        folder: folder.display().to_string(),
    });
    // Each action here changes something or spends a token: no page of another site may trigger one.
    let auth = MsalLayer::new(msal.clone()).same_origin_only();
    Router::new()
        .route("/", get(home))
        .route("/expire", post(expire))
        .route("/graph/me", post(graph_me))
        .route("/demo.css", get(stylesheet))
        .route("/demo.svg", get(icon))
        .with_state(demo)
        .merge(auth.routes())
        .layer(auth)
}

async fn home(State(demo): State<Arc<Demo>>, user: Option<SignedIn>) -> Response {
    match user {
        None => page::signed_out(&demo),
        Some(user) => page::signed_in(&demo, &user, Outcome::None).await,
    }
}

/// Ages the cached access tokens, then asks for one as any handler does: the session renews it.
async fn expire(State(demo): State<Arc<Demo>>, user: SignedIn) -> Response {
    match age_and_renew(&demo, &user).await {
        Ok(()) => Redirect::to("/#renewal").into_response(),
        Err(error) => page::signed_in(&demo, &user, Outcome::Trouble(error)).await,
    }
}

async fn graph_me(State(demo): State<Arc<Demo>>, user: SignedIn) -> Response {
    let outcome = match ask_graph(&user).await {
        Ok(json) => Outcome::Graph(json),
        Err(error) => Outcome::Trouble(error),
    };
    page::signed_in(&demo, &user, outcome).await
}

async fn age_and_renew(demo: &Demo, user: &SignedIn) -> Result<(), Error> {
    let before = demo.msal.clock().now() - 1;
    user.update_token_cache(|cache| cache.expire_access_tokens(before)).await?;
    let token = user.get_token(demo.msal.settings().scopes()).await?;
    let count = user.item::<Renewals>(RENEWALS)?.map_or(1, |renewals| renewals.count.saturating_add(1));
    user.set_item(
        RENEWALS,
        &Renewals { count, before, after: token.expires_on, at: demo.msal.clock().now() },
    )?;
    user.save().await
}

async fn ask_graph(user: &SignedIn) -> Result<String, Error> {
    let json: Value = user.get("/me").send().await?.success().await?.json().await?;
    Ok(format!("{json:#}"))
}

async fn stylesheet() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], include_str!("../../../templates/demo.css"))
}

async fn icon() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "image/svg+xml")], include_str!("../../../templates/demo.svg"))
}
