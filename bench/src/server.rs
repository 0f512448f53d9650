//! The two servers that are compared: this library's extractor, and a handler that does the least by hand.

use async_msal_axum::{Error, MsalLayer, Scopes, SignedIn};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Router, routing::get};
use clap::ValueEnum;
use redis::aio::MultiplexedConnection;
use serde_json::Value;

use crate::Anything;
use crate::world::{COOKIE, Plan};

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Kind {
    /// GETs the plain record from Redis, parses it and the cache in it.
    Bare,
    /// `SignedIn` and `get_token`.
    Ours,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Ours => "ours",
        }
    }
}

/// Serves until it is killed; the port stands on the first line of the output.
pub(crate) async fn run(kind: Kind) -> Result<(), Anything> {
    let plan = Plan::from_env()?;
    let router = match kind {
        Kind::Bare => {
            let client = redis::Client::open(plan.store.as_str())?;
            let connection = client.get_multiplexed_async_connection().await?;
            Router::new().route("/", get(bare)).with_state(connection)
        }
        Kind::Ours => Router::new().route("/", get(ours)).layer(MsalLayer::new(plan.deployed()?)),
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?.port());
    Ok(axum::serve(listener, router).await?)
}

async fn ours(user: SignedIn) -> Result<String, Refused> {
    let token = user.get_token(&Scopes::from(["User.Read"])).await?;
    Ok(answer(&user.name().unwrap_or_default(), token.access_token.expose_secret()))
}

async fn bare(
    State(mut connection): State<MultiplexedConnection>,
    headers: HeaderMap,
) -> Result<String, StatusCode> {
    let cookies = headers.get(header::COOKIE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let id = cookies.split("; ").find_map(|pair| pair.strip_prefix(COOKIE)?.strip_prefix('='));
    let key = format!("{COOKIE}_{}", id.ok_or(StatusCode::UNAUTHORIZED)?);
    let record: Option<Vec<u8>> = redis::cmd("GET")
        .arg(key)
        .query_async(&mut connection)
        .await
        .map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    let record = record.ok_or(StatusCode::UNAUTHORIZED)?;
    let unreadable = |_| StatusCode::INTERNAL_SERVER_ERROR;
    let record: Value = serde_json::from_slice(&record).map_err(unreadable)?;
    let cache = record["session"]["token_cache"].as_str().unwrap_or_default();
    let cache: Value = serde_json::from_str(cache).map_err(unreadable)?;
    let token = cache["AccessToken"].as_object().and_then(|tokens| tokens.values().next());
    let token = token.and_then(|token| token["secret"].as_str()).unwrap_or_default();
    Ok(answer(record["session"]["name"].as_str().unwrap_or_default(), token))
}

fn answer(name: &str, token: &str) -> String {
    format!("Hello {name}, your token has {} bytes", token.len())
}

struct Refused(Error);

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (StatusCode::INTERNAL_SERVER_ERROR, self.0.code().into_owned()).into_response()
    }
}
