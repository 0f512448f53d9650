//! Runs every example as its first lines say, with the emulator in place of Azure, and signs in.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::Duration;

use async_msal_emulator::Emulator;
use reqwest::header::{ACCEPT, COOKIE, LOCATION, SET_COOKIE};
use reqwest::{Client, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const ADA: &str = "ada@contoso.example";
const PATIENCE: Duration = Duration::from_secs(60);

struct Example {
    process: Child,
    address: SocketAddr,
    emulator: Emulator,
    http: Client,
    _folder: tempfile::TempDir,
}

impl Drop for Example {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

impl Example {
    async fn start(name: &str) -> Self {
        let address = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port");
        let public_url = format!("http://localhost:{}", address.port());
        let builder = Emulator::builder().redirect_uri(format!("{public_url}/user/authorized"));
        let emulator = builder.start().await.expect("an emulator");
        let folder = tempfile::tempdir().expect("a folder");
        let process = Command::new(program(name))
            .env_clear()
            .env("LISTEN", address.to_string())
            .env("PUBLIC_URL", public_url)
            .env("SP_APP_ID", emulator.client_id())
            .env("SP_APP_PW", emulator.client_secret())
            .env("SP_AUTHORITY", emulator.authority_url())
            .env("GRAPH_URL", emulator.graph_url())
            .env("DANGEROUS_ALLOW_LOOPBACK_AUTHORITY", "on")
            .env("DATA_DIR", folder.path())
            .spawn()
            .expect("the example starts");
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        let http = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .expect("a client");
        let example = Self { process, address, emulator, http, _folder: folder };
        tokio::time::timeout(PATIENCE, example.listening()).await.expect("the example listens");
        example
    }

    async fn listening(&self) {
        while TcpStream::connect(self.address).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn get(&self, path: &str, cookie: &str) -> Response {
        let request = self.http.get(format!("http://{}{path}", self.address));
        request.header(ACCEPT, "text/html").header(COOKIE, cookie).send().await.expect("an answer")
    }

    async fn body(&self, path: &str, cookie: &str) -> String {
        self.get(path, cookie).await.text().await.expect("a body")
    }

    /// The session cookie of Ada, by the way a browser takes.
    async fn sign_in(&self) -> String {
        let login = self.get("/user/login", "").await;
        let answer =
            self.emulator.authorize(&header(&login, LOCATION.as_str()), ADA).await.expect("Ada signs in");
        let flow = pair(&login, "async_msal_flow_");
        let back = self.get(&format!("/user/authorized?{}", answer.body()), &flow).await;
        assert_eq!((back.status().as_u16(), header(&back, LOCATION.as_str()).as_str()), (303, "/"));
        pair(&back, "async_msal=")
    }
}

/// Cargo puts examples beside the folder of the tests that it builds with them.
fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("this test");
    let folder = test.parent().and_then(|deps| deps.parent()).expect("the target folder");
    folder.join("examples").join(name)
}

fn header(response: &Response, name: &str) -> String {
    response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

fn pair(response: &Response, name: &str) -> String {
    let lines = response.headers().get_all(SET_COOKIE).iter().filter_map(|line| line.to_str().ok());
    let line = lines.into_iter().find(|line| line.starts_with(name)).expect("a cookie");
    line.split(';').next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn sign_in_greets_whoever_signs_in() {
    let example = Example::start("sign_in").await;
    assert_eq!(header(&example.get("/", "").await, LOCATION.as_str()), "/user/login");
    let cookie = example.sign_in().await;
    assert_eq!(example.body("/", &cookie).await, "Hello Ada Marsh");
}

#[tokio::test]
async fn nested_guards_let_in_whom_they_should() {
    let example = Example::start("nested_guards").await;
    assert!(example.body("/", "").await.contains("/user/login"));
    assert_eq!(example.get("/health", "").await.status(), 200);
    let cookie = example.sign_in().await;
    assert_eq!(example.body("/admin", &cookie).await, "for administrators");
    assert_eq!(example.get("/reports", &cookie).await.status(), 403, "Ada has a manager and is no reader");
    let calendar = example.get("/calendar", &cookie).await;
    assert!(header(&calendar, LOCATION.as_str()).starts_with("/user/login/calendar?ask="), "{calendar:?}");
    assert!(example.body("/user/info", &cookie).await.contains("\"roles\":[\"Admin\"]"));
}

#[tokio::test]
async fn websocket_renews_a_token_after_the_headers_went_out() {
    let example = Example::start("websocket").await;
    example.emulator.admin().set_policy(|policy| policy.access_token_lifetime = 8);
    let cookie = example.sign_in().await;
    assert!(example.body("/", &cookie).await.contains("new WebSocket"));

    let mut socket = TcpStream::connect(example.address).await.expect("a connection");
    let request = format!(
        "GET /token HTTP/1.1\r\nHost: {0}\r\nCookie: {cookie}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        example.address
    );
    socket.write_all(request.as_bytes()).await.expect("a handshake");
    let mut seen = Vec::new();
    let renewed = async {
        while !String::from_utf8_lossy(&seen).contains("IdentityProvider") {
            assert_ne!(socket.read_buf(&mut seen).await.expect("a frame"), 0, "the connection ended");
        }
    };
    tokio::time::timeout(PATIENCE, renewed).await.expect("the token is renewed");
    assert!(seen.starts_with(b"HTTP/1.1 101"));
    assert_eq!(example.emulator.admin().counters().token_refresh_token, 1);
}
