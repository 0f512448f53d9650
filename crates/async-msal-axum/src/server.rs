//! The HTTP server behind [`crate::serve_until`], with a deadline for everything a client could hold open.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::ConnectInfo;
use futures_util::future::FutureExt as _;
use http::Request;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, Sleep};
use tower::ServiceExt as _;

use crate::shutdown::GRACE;

/// How long a client may take.
#[derive(Clone, Copy, Debug)]
struct Deadlines {
    /// For a request's header block; an idle connection is closed after it too.
    header: Duration,
    /// Between two pieces of a body that somebody reads.
    body: Duration,
}

const DEADLINES: Deadlines = Deadlines { header: Duration::from_secs(15), body: Duration::from_secs(30) };
/// How many connections are served at once; more wait in the listener's queue.
const CONNECTIONS: usize = 10_000;
/// Pause after a connection that could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A router being served over HTTP/1.1, WebSockets included, with the client's address as `ConnectInfo<SocketAddr>`.
///
/// A client has 15 s for a request's headers and may keep an idle connection as long; a body whose next piece takes longer
/// than 30 s ends with an error. 10,000 connections are served at a time. Dropping it closes them at once;
/// [`Server::stop`] lets requests end.
#[derive(Debug)]
#[must_use = "a dropped server stops"]
pub struct Server {
    stop: watch::Sender<bool>,
    accepting: tokio::task::JoinHandle<()>,
}

impl Server {
    /// Serves the router on the listener, from now on, in a task of its own.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    pub fn start(listener: TcpListener, app: Router) -> Self {
        Self::start_within(listener, app, DEADLINES)
    }

    fn start_within(listener: TcpListener, app: Router, deadlines: Deadlines) -> Self {
        let (stop, stopping) = watch::channel(false);
        Self { stop, accepting: tokio::spawn(accept(listener, app, deadlines, stopping)) }
    }

    /// Takes no more connections, lets the requests in flight end within [`GRACE`], and frees the port. A WebSocket is not
    /// waited for: its task ends with the runtime.
    ///
    /// # Cancel safety
    /// The stop has begun with the first poll and goes on when the caller is dropped.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        // The task ends by itself within the grace period; it has no other result.
        drop((&mut self.accepting).await);
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
    app: Router,
    deadlines: Deadlines,
    mut stopping: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop_requested(&mut stopping) => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < CONNECTIONS => match accepted {
                Ok((stream, peer)) => {
                    connections.spawn(serve(stream, peer, app.clone(), deadlines, stopping.clone()));
                }
                // Out of file descriptors, or a client that left while queued: neither ends the server.
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    let ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(GRACE, ended).await.is_err() {
        tracing::warn!("connections still open after {} s are no longer waited for", GRACE.as_secs());
    }
}

async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    app: Router,
    deadlines: Deadlines,
    mut stopping: watch::Receiver<bool>,
) {
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(|body| Body::new(Unhurried::new(body, deadlines.body)));
        request.extensions_mut().insert(ConnectInfo(peer));
        app.clone().oneshot(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(deadlines.header)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
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

/// A body whose sender may not pause for longer than a while. The time runs only while somebody waits for a piece.
struct Unhurried {
    body: Incoming,
    longest: Duration,
    deadline: Option<Pin<Box<Sleep>>>,
}

impl Unhurried {
    fn new(body: Incoming, longest: Duration) -> Self {
        Self { body, longest, deadline: None }
    }
}

impl HttpBody for Unhurried {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            self.deadline = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let longest = self.longest;
        let deadline =
            self.deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + longest)));
        ready!(deadline.poll_unpin(context));
        self.deadline = None;
        Poll::Ready(Some(Err(io::Error::from(io::ErrorKind::TimedOut).into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::routing::{get, post};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::sync::Notify;

    use super::*;

    const SHORT: Deadlines =
        Deadlines { header: Duration::from_millis(200), body: Duration::from_millis(200) };

    async fn server(app: Router) -> (Server, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        (Server::start_within(listener, app, SHORT), address)
    }

    /// Sends the text and reads until the server closes the connection.
    async fn exchange(address: SocketAddr, text: &str) -> String {
        let mut stream = TcpStream::connect(address).await.expect("a connection");
        stream.write_all(text.as_bytes()).await.expect("it is sent");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.expect("an answer");
        String::from_utf8(answer).expect("text")
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
    async fn a_body_that_does_not_go_on_ends_the_request_and_the_connection() {
        let (_server, address) = server(echo()).await;
        let answer =
            exchange(address, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhalf").await;
        assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    }

    #[tokio::test]
    async fn a_body_that_goes_on_slowly_arrives() {
        let (_server, address) = server(echo()).await;
        let mut stream = TcpStream::connect(address).await.expect("a connection");
        let head = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 6\r\nConnection: close\r\n\r\n";
        stream.write_all(head.as_bytes()).await.expect("it is sent");
        for piece in ["sl", "ow", "ly"] {
            tokio::time::sleep(SHORT.body / 2).await;
            stream.write_all(piece.as_bytes()).await.expect("it is sent");
        }
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        assert!(answer.ends_with("slowly"), "{answer}");
    }

    #[tokio::test]
    async fn a_slow_client_does_not_hold_up_another() {
        let (_server, address) = server(echo()).await;
        let mut slow = TcpStream::connect(address).await.expect("a connection");
        slow.write_all(b"GET / HTTP/1.1\r\nHost").await.expect("it is sent");
        let answer =
            exchange(address, "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
        assert!(answer.ends_with("hello"), "{answer}");
    }

    #[tokio::test]
    async fn handlers_see_the_clients_address() {
        let handler = async |ConnectInfo(peer): ConnectInfo<SocketAddr>| peer.ip().to_string();
        let (_server, address) = server(Router::new().route("/", get(handler))).await;
        let answer =
            exchange(address, "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
        assert!(answer.ends_with("127.0.0.1"), "{answer}");
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
        assert!(request.await.expect("an answer").ends_with("done"));
        stopping.await.expect("the server stops");
    }
}
