//! The smallest application: a page that knows who is there.
//!
//! With Azure, register `http://localhost:8400/user/authorized` and `http://localhost:8400/user/signed-out` as redirect
//! addresses of an application and set its id, secret and tenant:
//! ```text
//! SP_APP_ID=… SP_APP_PW=… SP_AUTHORITY=https://login.microsoftonline.com/<tenant> PUBLIC_URL=http://localhost:8400 \
//!     cargo run -p async-msal-examples --example sign_in
//! ```
//! Without Azure, the emulator prints the environment for it (one terminal), and the example uses that (another):
//! ```text
//! cargo run -- emulator --public-url http://localhost:8400 | tee /tmp/emulator.env
//! set -a; . /tmp/emulator.env; cargo run -p async-msal-examples --example sign_in
//! ```
//! Then open <http://localhost:8400>.

use async_msal_axum::{Msal, MsalLayer, SignedIn};
use axum::{Router, routing::get};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let auth = MsalLayer::new(Msal::from_env()?);
    let app = Router::new().route("/", get(home)).merge(auth.routes()).layer(auth);
    let address = std::env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:8400".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    Ok(axum::serve(listener, app).await?)
}

async fn home(user: SignedIn) -> String {
    format!("Hello {}", user.name().unwrap_or_default())
}
