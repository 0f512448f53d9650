//! Adds to `sign_in`: a connection that outlives the token. The headers of a WebSocket went out long ago when its token
//! has to be renewed; the renewal is saved all the same, because the session's handle saves it itself, not the answer.
//!
//! The environment is that of `sign_in`. Open the page, and watch the token's end move when it is renewed.

use std::time::Duration;

use async_msal_axum::{AsyncMsal, Msal, MsalLayer, Scopes, SignedIn};
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::{Html, Response};
use axum::{Router, routing::get};

const PAGE: &str = "<!doctype html><title>Token</title><pre id=log></pre><script>
const socket = new WebSocket(location.href.replace('http', 'ws') + 'token');
socket.onmessage = message => log.textContent += message.data + '\\n';
</script>";

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // A page of another origin could open a WebSocket with this browser's cookie: it is refused.
    let auth = MsalLayer::new(Msal::from_env()?).same_origin_only();
    let app = Router::new()
        .route("/", get(async |_: SignedIn| Html(PAGE)))
        .route("/token", get(token))
        .merge(auth.routes())
        .layer(auth);
    let address = std::env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:8400".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    Ok(axum::serve(listener, app).await?)
}

async fn token(user: SignedIn, upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(move |socket| report(socket, user.into_inner()))
}

/// Ends with the connection, or with the session: a user who signed out in another tab gets no token here either.
async fn report(mut socket: WebSocket, session: AsyncMsal) {
    let scopes = Scopes::from("User.Read");
    loop {
        let line = match session.get_token(&scopes).await {
            Ok(token) => format!("a token valid until {} ({:?})", token.expires_on, token.source),
            Err(error) => format!("no token: {error}"),
        };
        if socket.send(Message::from(line)).await.is_err() {
            return;
        }
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
}
