//! The HTTP server of the command's own applications, with a deadline for everything a client could hold open.

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How long a client may take.
#[derive(Clone, Copy, Debug)]
struct Deadlines {
    /// For a request's header block; an idle connection is closed after it too.
    header: Duration,
    /// For a request's body.
    body: Duration,
}

const DEADLINES: Deadlines = Deadlines { header: Duration::from_secs(15), body: Duration::from_secs(15) };
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
        Server::start_within(listener, router, DEADLINES)
    }

    fn start_within(listener: TcpListener, router: Router, deadlines: Deadlines) -> Server {
        let (stop, stopping) = watch::channel(false);
        let router = router.layer(middleware::from_fn_with_state(deadlines.body, read_body_in_time));
        Server { stop, accepting: tokio::spawn(accept(listener, router, deadlines.header, stopping)) }
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

async fn accept(
    listener: TcpListener,
    router: Router,
    header_deadline: Duration,
    mut stopping: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop_requested(&mut stopping) => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < CONNECTIONS => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve(stream, router.clone(), header_deadline, stopping.clone()));
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

async fn serve(
    stream: TcpStream,
    router: Router,
    header_deadline: Duration,
    mut stopping: watch::Receiver<bool>,
) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(header_deadline)
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
async fn read_body_in_time(
    State(deadline): State<Duration>,
    request: Request,
    next: Next,
) -> Result<Response, Infallible> {
    let (parts, body) = request.into_parts();
    let refusal = match tokio::time::timeout(deadline, axum::body::to_bytes(body, BODY_LIMIT)).await {
        Ok(Ok(bytes)) => return Ok(next.run(Request::from_parts(parts, Body::from(bytes))).await),
        Ok(Err(_)) => (StatusCode::PAYLOAD_TOO_LARGE, "The request is too large.\n"),
        Err(_) => (StatusCode::REQUEST_TIMEOUT, "The request did not arrive in time.\n"),
    };
    Ok(([(http::header::CONNECTION, "close")], refusal).into_response())
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::Arc;

    use axum::routing::{get, post};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::sync::Notify;

    use super::*;

    const SHORT: Deadlines =
        Deadlines { header: Duration::from_millis(200), body: Duration::from_millis(200) };

    async fn server(router: Router) -> (Server, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (Server::start_within(listener, router, SHORT), address)
    }

    /// Sends the text and reads until the server closes the connection.
    async fn exchange(address: SocketAddr, text: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        String::from_utf8(answer).unwrap()
    }

    fn echo() -> Router {
        Router::new().route("/", post(async |body: String| body).get(async || "hello"))
    }

    #[tokio::test]
    async fn a_header_that_never_ends_closes_the_connection() {
        let (_server, address) = server(echo()).await;
        let answer = exchange(address, "GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ").await;
        assert!(!answer.contains("200"), "{answer}");
    }

    #[tokio::test]
    async fn a_body_that_does_not_arrive_is_answered_408() {
        let (_server, address) = server(echo()).await;
        let answer =
            exchange(address, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhalf").await;
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    }

    #[tokio::test]
    async fn a_body_over_64_kibibytes_is_answered_413() {
        let (_server, address) = server(echo()).await;
        let head = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 65537\r\nConnection: close\r\n\r\n";
        let answer = exchange(address, &format!("{head}{}", "x".repeat(65_537))).await;
        assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    }

    #[tokio::test]
    async fn a_slow_client_does_not_hold_up_another() {
        let (_server, address) = server(echo()).await;
        let mut slow = TcpStream::connect(address).await.unwrap();
        slow.write_all(b"GET / HTTP/1.1\r\nHost").await.unwrap();
        let answer =
            exchange(address, "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
        assert!(answer.ends_with("hello"), "{answer}");
    }

    #[tokio::test]
    async fn a_request_in_flight_is_answered_before_the_server_stops() {
        let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (inner_begun, inner_go_on) = (Arc::clone(&begun), Arc::clone(&go_on));
        let handler = move || async move {
            inner_begun.notify_one();
            inner_go_on.notified().await;
            "done"
        };
        let (server, address) = server(Router::new().route("/", get(handler))).await;
        let request = tokio::spawn(exchange(address, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        begun.notified().await;
        let stopping = tokio::spawn(server.stop());
        // The port is free as soon as the stop was seen; the request goes on.
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
        go_on.notify_one();
        assert!(request.await.unwrap().ends_with("done"));
        stopping.await.unwrap();
    }
}
