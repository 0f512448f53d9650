//! API calls: where the token goes, what is retried, what a claims challenge does.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_msal_emulator::{Endpoint, Fault, FaultRule, Policy};
use async_msal_session::api_client::ApiError;
use async_msal_session::async_msal::TokenCache;
use async_msal_session::{AsyncMsal, Error};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::response::Response;

use crate::support::{ADA, START, World, user_scopes};

/// A server of somebody else: answers by a function, and remembers what came.
struct Stranger {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<(String, axum::http::HeaderMap, Bytes)>>>,
}

impl Stranger {
    async fn new(answer: impl Fn(usize) -> Response + Clone + Send + Sync + 'static) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        let app = Router::new().fallback(move |request: Request| {
            let (log, answer) = (Arc::clone(&log), answer.clone());
            async move {
                let (parts, body) = request.into_parts();
                let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
                let mut log = log.lock().unwrap();
                log.push((parts.uri.to_string(), parts.headers, body));
                answer(log.len())
            }
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { address, seen }
    }

    fn url(&self, host: &str) -> String {
        format!("http://{host}:{}/thing", self.address.port())
    }

    fn requests(&self) -> usize {
        self.seen.lock().unwrap().len()
    }
}

fn answer(status: u16, headers: &[(&str, &str)], body: &'static str) -> Response {
    let mut builder = Response::builder().status(status);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(Body::from(body)).unwrap()
}

async fn world_allowing(host: &str) -> World {
    let host = host.to_owned();
    World::with(Policy::default(), move |builder| builder.allowed_hosts([host.as_str()])).await
}

#[tokio::test]
async fn the_token_goes_to_no_host_that_was_not_allowed() {
    let stranger = Stranger::new(|_| answer(200, &[], "{}")).await;
    let world = World::new().await;
    let session = world.load(&world.sign_in(ADA).await).await;
    for url in [stranger.url("127.0.0.1"), "https://graph.microsoft.com.evil.example/v1.0/me".to_owned()] {
        let refused = session.get(&url).scopes(user_scopes()).send().await.unwrap_err();
        assert!(matches!(refused, Error::Api(ApiError::HostNotAllowed { .. })), "{refused:?}");
    }
    let insecure = session.get("http://example.org/x").scopes(user_scopes()).send().await.unwrap_err();
    assert!(matches!(insecure, Error::Api(ApiError::Insecure { .. })), "{insecure:?}");
    let userinfo =
        session.get("https://graph.microsoft.com@evil.example/").scopes(user_scopes()).send().await;
    assert!(matches!(userinfo, Err(Error::Api(ApiError::InvalidUrl))));
    assert_eq!(stranger.requests(), 0);
}

#[tokio::test]
async fn a_redirect_to_another_host_leaves_the_token_behind() {
    let stranger = Stranger::new(|_| answer(200, &[], "picture")).await;
    let world = world_allowing("localhost").await;
    let session = world.load(&world.sign_in(ADA).await).await;
    let there = stranger.url("127.0.0.1");
    let allowed = Stranger::new(move |_| answer(302, &[("location", &there)], "")).await;
    let call = session.get(&allowed.url("localhost")).scopes(user_scopes()).send().await;
    // Plain http to a host that is not allowed is refused; over https it would be followed without the token.
    assert!(matches!(call, Err(Error::Api(ApiError::HostNotAllowed { .. }))), "{call:?}");
    assert_eq!(stranger.requests(), 0);
    assert!(allowed.seen.lock().unwrap()[0].1.contains_key("authorization"));
}

#[tokio::test]
async fn a_redirect_on_an_allowed_host_is_followed_with_the_token_and_loops_end() {
    let world = world_allowing("localhost").await;
    let session = world.load(&world.sign_in(ADA).await).await;
    let once = Stranger::new(|n| {
        if n == 1 { answer(307, &[("location", "/next")], "") } else { answer(200, &[], "ok") }
    })
    .await;
    let response = session.get(&once.url("localhost")).scopes(user_scopes()).send().await.unwrap();
    assert_eq!(response.text().await.unwrap(), "ok");
    assert!(once.seen.lock().unwrap()[1].1.contains_key("authorization"));
    let forever = Stranger::new(|_| answer(302, &[("location", "/again")], "")).await;
    let looped = session.get(&forever.url("localhost")).scopes(user_scopes()).send().await;
    assert!(matches!(looped, Err(Error::Api(ApiError::TooManyRedirects))));
    assert_eq!(forever.requests(), 6);
}

#[tokio::test]
async fn another_api_needs_scopes_of_its_own() {
    let world = world_allowing("localhost").await;
    let session = world.load(&world.sign_in(ADA).await).await;
    let refused = session.get("http://localhost:1/x").send().await.unwrap_err();
    assert!(matches!(refused, Error::Api(ApiError::ScopesNeeded { .. })));
}

#[tokio::test]
async fn a_throttled_get_waits_as_long_as_it_was_told() {
    let world = World::new().await;
    let session = world.load(&world.sign_in(ADA).await).await;
    let throttled = Fault::answer_with_header(429, "Retry-After", "1");
    world.emulator.admin().fail_next(FaultRule::new(Endpoint::GraphMe, throttled)).unwrap();
    let asked = Instant::now();
    session.me().await.unwrap();
    assert!(asked.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn a_wait_longer_than_the_deadline_is_the_answer() {
    let world = World::new().await;
    let session = world.load(&world.sign_in(ADA).await).await;
    let throttled = Fault::answer_with_header(429, "Retry-After", "120");
    world.emulator.admin().fail_next(FaultRule::new(Endpoint::GraphMe, throttled)).unwrap();
    let refused = session.me().await.unwrap_err();
    assert_eq!(refused.retry_after(), Some(Duration::from_secs(120)));
    assert!(refused.is_retryable());
}

#[tokio::test]
async fn a_first_retry_comes_soon_and_a_client_error_is_not_retried() {
    let world = World::new().await;
    let session = world.load(&world.sign_in(ADA).await).await;
    world.emulator.admin().fail_next(FaultRule::new(Endpoint::GraphMe, Fault::answer(503, "{}"))).unwrap();
    let asked = Instant::now();
    session.me().await.unwrap();
    assert!(asked.elapsed() < Duration::from_secs(2));
    world.emulator.admin().reset_counters();
    world.emulator.admin().fail_next(FaultRule::new(Endpoint::GraphMe, Fault::answer(403, "{}"))).unwrap();
    assert!(matches!(session.me().await, Err(Error::Api(ApiError::Status { status: 403, .. }))));
    assert_eq!(world.emulator.admin().counters().graph_me, 1);
}

#[tokio::test]
async fn a_post_is_not_repeated_on_a_server_failure() {
    let world = world_allowing("localhost").await;
    let session = world.load(&world.sign_in(ADA).await).await;
    let server = Stranger::new(|_| answer(503, &[], "")).await;
    let response =
        session.post(&server.url("localhost")).scopes(user_scopes()).json(&1).send().await.unwrap();
    assert_eq!(response.status(), 503);
    assert_eq!(server.requests(), 1);
}

#[tokio::test]
async fn a_binary_upload_arrives_whole_with_one_content_type() {
    let world = world_allowing("localhost").await;
    let session = world.load(&world.sign_in(ADA).await).await;
    let server = Stranger::new(|_| answer(201, &[], "")).await;
    let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let upload = session.put(&server.url("localhost")).scopes(user_scopes());
    upload.header("content-type", "image/png").body(bytes.clone()).send().await.unwrap();
    let json =
        session.post(&server.url("localhost")).scopes(user_scopes()).header("content-type", "text/plain");
    json.json(&[1]).send().await.unwrap();
    let seen = server.seen.lock().unwrap();
    assert_eq!(seen[0].2, bytes);
    let types: Vec<Vec<_>> =
        seen.iter().map(|(_, headers, _)| headers.get_all("content-type").iter().collect()).collect();
    assert_eq!(types, [["image/png"], ["application/json"]]);
}

#[tokio::test]
async fn headers_of_the_library_are_not_the_applications_to_set() {
    let world = World::new().await;
    let session = world.load(&world.sign_in(ADA).await).await;
    for name in ["authorization", "Cookie", "host", "bad name", "x\r\ny"] {
        let refused = session.get("me").header(name, "x").send().await;
        assert!(matches!(refused, Err(Error::Api(ApiError::InvalidHeader { .. }))), "{name:?}");
    }
}

/// `{"access_token":{"nbf":{"essential":true,"value":"1"}}}` in base64.
const CHALLENGE: &str = r#"Bearer realm="", error="insufficient_claims", claims="eyJhY2Nlc3NfdG9rZW4iOnsibmJmIjp7ImVzc2VudGlhbCI6dHJ1ZSwidmFsdWUiOiIxIn19fQ==""#;

#[tokio::test]
async fn a_claims_challenge_is_met_by_one_renewal_and_the_call_repeated() {
    let world = World::new().await;
    let session = world.load(&world.sign_in(ADA).await).await;
    world.emulator.admin().reset_counters();
    let challenged = Fault::answer_with_header(401, "WWW-Authenticate", CHALLENGE);
    world.emulator.admin().fail_next(FaultRule::new(Endpoint::GraphMe, challenged)).unwrap();
    session.me().await.unwrap();
    assert_eq!(world.refreshes(), 1);
    assert_eq!(world.emulator.admin().counters().graph_me, 2);
}

#[tokio::test]
async fn a_challenge_that_renewal_does_not_meet_is_for_the_user_with_its_claims() {
    let world = World::new().await;
    let session = world.load(&world.sign_in(ADA).await).await;
    world.emulator.admin().reset_counters();
    let challenged = Fault::answer_with_header(401, "WWW-Authenticate", CHALLENGE);
    world.emulator.admin().fail_next(FaultRule::new(Endpoint::GraphMe, challenged).times(2)).unwrap();
    let refused = session.me().await.unwrap_err();
    assert!(refused.is_interaction_required());
    assert!(refused.claims().unwrap().as_str().contains("nbf"));
    assert_eq!(world.refreshes(), 1);
}

/// The session's only access token, granted for one scope more, so that a renewal writes its own beside it.
async fn widen(session: &AsyncMsal, expires_on: i64) {
    let wider = |cache: &mut TokenCache| {
        let mut text: serde_json::Value = serde_json::from_str(&cache.to_json()).unwrap();
        let entries = text["AccessToken"].as_object_mut().unwrap();
        let mut entry = entries.values().next().unwrap().clone();
        entry["target"] = "Calendars.Read User.Read".into();
        entry["expires_on"] = expires_on.to_string().into();
        // Under a key of its own: the renewal's would else replace it.
        entries.clear();
        entries.insert("wider".to_owned(), entry);
        *cache = TokenCache::parse(&text.to_string()).unwrap();
    };
    session.update_token_cache(wider).await.unwrap();
}

fn access_token(token: &async_msal_session::async_msal::TokenResult) -> String {
    token.access_token.expose_secret().to_owned()
}

#[tokio::test]
async fn a_token_that_was_refused_is_not_handed_out_again_however_long_it_would_live() {
    let world = World::new().await;
    let id = world.sign_in(ADA).await;
    let session = world.load(&id).await;
    widen(&session, START + 86_400).await;
    let refused = access_token(&session.get_token(&user_scopes()).await.unwrap());
    let challenged = Fault::answer_with_header(401, "WWW-Authenticate", CHALLENGE);
    world.emulator.admin().fail_next(FaultRule::new(Endpoint::GraphMe, challenged)).unwrap();
    session.me().await.unwrap();
    for session in [&session, &world.load(&id).await] {
        let token = access_token(&session.get_token(&user_scopes()).await.unwrap());
        assert_ne!(token, refused);
    }
}

#[tokio::test]
async fn a_token_that_was_refused_is_kept_while_the_authority_cannot_say_more() {
    let world = World::new().await;
    let id = world.sign_in(ADA).await;
    let session = world.load(&id).await;
    let refused = access_token(&session.get_token(&user_scopes()).await.unwrap());
    let challenged = Fault::answer_with_header(401, "WWW-Authenticate", CHALLENGE);
    world.emulator.admin().fail_next(FaultRule::new(Endpoint::GraphMe, challenged)).unwrap();
    let down = Fault::answer(503, "");
    world.emulator.admin().fail_next(FaultRule::new(Endpoint::Token, down).times(2)).unwrap();
    session.me().await.unwrap_err();
    let token = access_token(&world.load(&id).await.get_token(&user_scopes()).await.unwrap());
    assert_eq!(token, refused);
}

#[tokio::test]
async fn a_token_that_was_refused_is_gone_where_only_the_user_can_help() {
    let world = World::new().await;
    let id = world.sign_in(ADA).await;
    let session = world.load(&id).await;
    let refused = access_token(&session.get_token(&user_scopes()).await.unwrap());
    let challenged = Fault::answer_with_header(401, "WWW-Authenticate", CHALLENGE);
    world.emulator.admin().fail_next(FaultRule::new(Endpoint::GraphMe, challenged)).unwrap();
    let wanted = Fault::answer(400, r#"{"error":"interaction_required","error_description":"AADSTS50076"}"#);
    world.emulator.admin().fail_next(FaultRule::new(Endpoint::Token, wanted)).unwrap();
    assert!(session.me().await.unwrap_err().is_interaction_required());
    let token = access_token(&world.load(&id).await.get_token(&user_scopes()).await.unwrap());
    assert_ne!(token, refused);
}
