//! Bodies of the command's own applications: read whole, within bounds, before a handler sees the request.

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use http::StatusCode;

/// No page here takes a larger body; a callback's bound is 64 KiB.
const LIMIT: usize = 64 * 1024;
/// How long a client may take for it.
const DEADLINE: Duration = Duration::from_secs(15);

/// Bounds what the router's routes are sent, so that no handler waits for a slow client.
pub(crate) fn bounded(router: Router) -> Router {
    bounded_by(router, DEADLINE)
}

fn bounded_by(router: Router, deadline: Duration) -> Router {
    router.layer(middleware::from_fn_with_state(deadline, read_in_time))
}

async fn read_in_time(
    State(deadline): State<Duration>,
    request: Request,
    next: Next,
) -> Result<Response, Infallible> {
    let (parts, body) = request.into_parts();
    let refusal = match tokio::time::timeout(deadline, axum::body::to_bytes(body, LIMIT)).await {
        Ok(Ok(bytes)) => return Ok(next.run(Request::from_parts(parts, Body::from(bytes))).await),
        Ok(Err(_)) => (StatusCode::PAYLOAD_TOO_LARGE, "The request is too large.\n"),
        Err(_) => (StatusCode::REQUEST_TIMEOUT, "The request did not arrive in time.\n"),
    };
    Ok(([(http::header::CONNECTION, "close")], refusal).into_response())
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use async_msal_axum::Server;
    use axum::routing::post;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    async fn server() -> (Server, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let echo = Router::new().route("/", post(async |body: String| body));
        (Server::start(listener, bounded_by(echo, Duration::from_millis(200))), address)
    }

    /// Sends the text and reads until the server closes the connection.
    async fn exchange(address: SocketAddr, text: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        String::from_utf8(answer).unwrap()
    }

    #[tokio::test]
    async fn a_body_that_does_not_arrive_is_answered_408() {
        let (_server, address) = server().await;
        let answer =
            exchange(address, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhalf").await;
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    }

    #[tokio::test]
    async fn a_body_over_64_kibibytes_is_answered_413() {
        let (_server, address) = server().await;
        let head = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 65537\r\nConnection: close\r\n\r\n";
        let answer = exchange(address, &format!("{head}{}", "x".repeat(65_537))).await;
        assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    }
}
