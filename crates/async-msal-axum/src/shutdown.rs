//! Stopping without losing a sign-in.

use std::io;
use std::time::{Duration, Instant};

use async_msal_session::Msal;
use axum::Router;
use tokio::net::TcpListener;

use crate::server::Server;

/// What requests and token answers in flight may still take, all together: one token request.
pub const GRACE: Duration = Duration::from_secs(10);

/// Serves until `signal` comes, then stops well: no new connection, requests in flight (a callback among them) finish,
/// then the renewals and redemptions that go on without a request, all of it within one [`GRACE`]. What takes longer,
/// such as a WebSocket that stays open, is no longer waited for: its task ends with the runtime, which is when `main`
/// returns. Clients have the deadlines of [`Server`].
///
/// ```no_run
/// // Not run: it serves until Ctrl-C.
/// # async fn run(msal: async_msal_axum::Msal, app: axum::Router) -> std::io::Result<()> {
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:8400").await?;
/// let stop = async { drop(tokio::signal::ctrl_c().await) };
/// async_msal_axum::serve_until(listener, app, &msal, stop).await
/// # }
/// ```
///
/// # Errors
/// None at present: a connection that cannot be accepted is logged, and the next one is tried.
///
/// # Cancel safety
/// Dropped, the server stops at once, and requests in flight with it; redemptions and renewals go on in tasks of
/// their own as long as the runtime lives.
pub async fn serve_until(
    listener: TcpListener,
    app: Router,
    msal: &Msal,
    signal: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let server = Server::start(listener, app);
    signal.await;
    let end = Instant::now() + GRACE;
    server.stop().await;
    if !msal.shutdown(end.saturating_duration_since(Instant::now())).await {
        tracing::warn!("renewals or sign-ins still in flight after {} s were given up", GRACE.as_secs());
    }
    Ok(())
}
