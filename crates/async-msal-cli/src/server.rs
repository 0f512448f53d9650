//! The HTTP server of the command's own applications, with a deadline for everything a client could hold open.

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// A request's header block must arrive within this time; an idle connection is closed after it too.
const HEADER_DEADLINE: Duration = Duration::from_secs(15);
/// A request's body must arrive within this time.
const BODY_DEADLINE: Duration = Duration::from_secs(15);
/// No page here takes a larger body; a callback's bound is 64 KiB.
const BODY_LIMIT: usize = 64 * 1024;
/// How many connections are served at once; more wait in the listener's queue.
const CONNECTIONS: usize = 1024;
/// How long requests in flight may take to end once a stop was asked for.
pub(crate) const GRACE: Duration = Duration::from_secs(10);

/// A router being served. Dropping it closes every connection at once; [`Server::stop`] lets them end.
#[derive(Debug)]
pub(crate) struct Server {
    stop: watch::Sender<bool>,
    accepting: tokio::task::JoinHandle<()>,
}

impl Server {
    /// Serves the router on the listener, from now on, in a task of its own.
    pub(crate) fn start(listener: TcpListener, router: Router) -> Server {
        let (stop, stopping) = watch::channel(false);
        let router = router.layer(middleware::from_fn(read_body_in_time));
        Server { stop, accepting: tokio::spawn(accept(listener, router, stopping)) }
    }

    /// Takes no more connections, lets the requests in flight end within [`GRACE`], and frees the port.
    ///
    /// # Cancel safety
    /// The stop has begun with the first poll and goes on when the caller is dropped.
    pub(crate) async fn stop(mut self) {
        self.stop.send_replace(true);
        // The task ends by itself within the grace period; it has no other result.
        let _ = (&mut self.accepting).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !*self.stop.borrow() {
            self.accepting.abort();
        }
    }
}

async fn accept(listener: TcpListener, router: Router, mut stopping: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop_requested(&mut stopping) => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < CONNECTIONS => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve(stream, router.clone(), stopping.clone()));
                }
                // Out of file descriptors, or a client that left while queued: neither ends the server.
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
        }
    }
    drop(listener);
    let ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(GRACE, ended).await.is_err() {
        tracing::warn!("requests were still running when the grace period ended");
    }
}

async fn serve(stream: TcpStream, router: Router, mut stopping: watch::Receiver<bool>) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_DEADLINE)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = std::pin::pin!(connection);
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = stop_requested(&mut stopping) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// Becomes ready once a stop was asked for, or the server was dropped.
async fn stop_requested(stopping: &mut watch::Receiver<bool>) {
    // The value's guard must not live on into a caller's await.
    drop(stopping.wait_for(|stop| *stop).await);
}

/// Reads the whole body before the router sees the request, so that no handler waits for a slow client.
async fn read_body_in_time(request: Request, next: Next) -> Result<Response, Infallible> {
    let (parts, body) = request.into_parts();
    let refusal = match tokio::time::timeout(BODY_DEADLINE, axum::body::to_bytes(body, BODY_LIMIT)).await {
        Ok(Ok(bytes)) => return Ok(next.run(Request::from_parts(parts, Body::from(bytes))).await),
        Ok(Err(_)) => (StatusCode::PAYLOAD_TOO_LARGE, "The request is too large.\n"),
        Err(_) => (StatusCode::REQUEST_TIMEOUT, "The request did not arrive in time.\n"),
    };
    Ok(([(http::header::CONNECTION, "close")], refusal).into_response())
}
