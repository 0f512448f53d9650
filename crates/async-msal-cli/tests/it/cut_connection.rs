//! The connection between browser and application, cut at each step of the callback; then the callback is submitted
//! again, as a browser does on reload. It must end signed in, with one token request in all.

use std::time::{Duration, Instant};

use async_msal_emulator::{Endpoint, Fault, FaultRule};
use futures_util::stream;
use reqwest::{Body, Response, header, redirect};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::site::Site;

/// A sign-in that has come as far as the callback.
struct Callback {
    site: Site,
    client: reqwest::Client,
    flow_cookie: String,
    address: String,
    body: Option<String>,
}

impl Callback {
    async fn reached(site: Site) -> Callback {
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .tls_danger_accept_invalid_certs(true)
            .build()
            .unwrap();
        let login = client.get(format!("{}/user/login", site.url)).send().await.unwrap();
        let location = login.headers()[header::LOCATION].to_str().unwrap().to_owned();
        let answer = site.emulator.authorize(&location, "ada@contoso.example").await.unwrap();
        let body = answer.is_form_post().then(|| answer.body());
        Callback { flow_cookie: cookies(&login), address: answer.location(), body, site, client }
    }

    /// The request's bytes, for plain http in response mode query.
    fn raw(&self) -> Vec<u8> {
        let url = url::Url::parse(&self.address).unwrap();
        let target = &url[url::Position::BeforePath..];
        let host = &url[url::Position::BeforeHost..url::Position::AfterPort];
        let cookie = &self.flow_cookie;
        format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\n\r\n").into_bytes()
    }

    async fn connect(&self) -> TcpStream {
        let port = url::Url::parse(&self.site.url).unwrap().port().unwrap();
        TcpStream::connect(("127.0.0.1", port)).await.unwrap()
    }

    /// Submits the callback as a browser does, whole, and checks where it ends.
    async fn ends_signed_in(&self) {
        let request = match &self.body {
            None => self.client.get(&self.address),
            Some(body) => {
                self.client.post(&self.address).header(header::CONTENT_TYPE, FORM).body(body.clone())
            }
        };
        let answer = request.header(header::COOKIE, &self.flow_cookie).send().await.unwrap();
        assert_eq!(answer.status(), 303, "{}", answer.text().await.unwrap());
        let page =
            self.client.get(&self.site.url).header(header::COOKIE, cookies(&answer)).send().await.unwrap();
        assert!(page.text().await.unwrap().contains("Ada Marsh"));
        assert_eq!(self.site.redemptions(), 1, "one token request in all");
    }
}

const FORM: &str = "application/x-www-form-urlencoded";

/// The cookies an answer sets, as they are sent back.
fn cookies(answer: &Response) -> String {
    let lines = answer.headers().get_all(header::SET_COOKIE).iter();
    let pairs = lines.map(|line| line.to_str().unwrap().split(';').next().unwrap().to_owned());
    pairs.filter(|pair| !pair.ends_with('=')).collect::<Vec<_>>().join("; ")
}

#[tokio::test]
async fn cut_before_the_request_was_whole() {
    let callback = Callback::reached(Site::http().await).await;
    let mut connection = callback.connect().await;
    let raw = callback.raw();
    connection.write_all(&raw[..raw.len() / 2]).await.unwrap();
    drop(connection);
    callback.ends_signed_in().await;
}

#[tokio::test]
async fn cut_when_the_request_was_sent() {
    let callback = Callback::reached(Site::http().await).await;
    let mut connection = callback.connect().await;
    connection.write_all(&callback.raw()).await.unwrap();
    drop(connection);
    callback.ends_signed_in().await;
}

#[tokio::test]
async fn cut_while_the_code_is_being_redeemed() {
    let callback = Callback::reached(Site::http().await).await;
    let slow = FaultRule::new(Endpoint::Token, Fault::delay(Duration::from_millis(500)));
    callback.site.emulator.admin().fail_next(slow).unwrap();
    let mut connection = callback.connect().await;
    connection.write_all(&callback.raw()).await.unwrap();
    // The token request is on its way: the connection is cut now, and the answer comes later.
    let deadline = Instant::now() + Duration::from_secs(10);
    while callback.site.redemptions() == 0 {
        assert!(Instant::now() < deadline, "the code is not redeemed");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop(connection);
    callback.ends_signed_in().await;
}

#[tokio::test]
async fn cut_inside_the_answer() {
    let callback = Callback::reached(Site::http().await).await;
    let mut connection = callback.connect().await;
    connection.write_all(&callback.raw()).await.unwrap();
    let mut first_bytes = [0; 20];
    connection.read_exact(&mut first_bytes).await.unwrap();
    drop(connection);
    callback.ends_signed_in().await;
}

#[tokio::test]
async fn cut_inside_the_body_of_a_form_post() {
    let callback = Callback::reached(Site::https().await).await;
    let body = callback.body.clone().expect("https uses form_post");
    let half = body[..body.len() / 2].to_owned();
    let chunks = stream::iter([Ok(half), Err(std::io::Error::other("cut"))]);
    let cut = callback
        .client
        .post(&callback.address)
        .header(header::COOKIE, &callback.flow_cookie)
        .header(header::CONTENT_TYPE, FORM)
        .header(header::CONTENT_LENGTH, body.len())
        .body(Body::wrap_stream(chunks))
        .send()
        .await;
    assert!(cut.is_err(), "the request was cut");
    callback.ends_signed_in().await;
}

#[tokio::test]
async fn a_form_post_whose_answer_never_arrived_is_submitted_again() {
    let callback = Callback::reached(Site::https().await).await;
    callback.ends_signed_in().await;
    callback.ends_signed_in().await;
}

#[tokio::test]
async fn cut_between_application_and_graph() {
    let callback = Callback::reached(Site::http().await).await;
    let cut = FaultRule::new(Endpoint::GraphMe, Fault::CloseConnection).times(10);
    callback.site.emulator.admin().fail_next(cut).unwrap();
    callback.ends_signed_in().await;
}
