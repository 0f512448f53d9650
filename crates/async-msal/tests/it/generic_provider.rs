//! Providers that are none of Microsoft's: the emulator as one, and one of the tests' own for what the emulator cannot
//! be, with its own algorithms, keys and ways to prove the client.

use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use async_msal::{
    AuthCodeRequest, AuthResponse, Authority, ClaimsChallenge, ClientCertificate, ClientCredential,
    ClientSecret, ClientTokenOptions, ConfidentialClient, Error, Scopes, SignInResult, SigningAlgorithm,
    TokenCache, TokenSource,
};
use async_msal_emulator::{ClientRegistration, Endpoint, Fault, FaultRule};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::support::{ADA, REDIRECT, World};

/// What the provider does next.
struct Script {
    issuer: String,
    methods: Vec<&'static str>,
    /// Published keys and the name in the token's header.
    keys: Vec<EcdsaKeyPair>,
    kid: Option<&'static str>,
    signer: usize,
    nonce: String,
    extra: Value,
    /// The last token request.
    seen: Option<(HeaderMap, String)>,
}

type Shared = Arc<Mutex<Script>>;

pub(crate) struct Provider {
    script: Shared,
    issuer: String,
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn new_key() -> EcdsaKeyPair {
    EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap()
}

impl Provider {
    async fn start(change: impl FnOnce(&mut Script)) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let mut script = Script {
            issuer: issuer.clone(),
            methods: vec!["client_secret_post"],
            keys: vec![new_key()],
            kid: Some("key-0"),
            signer: 0,
            nonce: String::new(),
            extra: json!({}),
            seen: None,
        };
        change(&mut script);
        let script = Arc::new(Mutex::new(script));
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(metadata))
            .route("/keys", get(keys))
            .route("/token", post(token))
            .with_state(Arc::clone(&script));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { script, issuer }
    }

    async fn sign_in(&self, cache: &mut TokenCache) -> Result<SignInResult, Error> {
        self.sign_in_by(ClientSecret::new("a:b%c d").into(), cache).await
    }

    fn client(&self, credential: ClientCredential) -> ConfidentialClient {
        ConfidentialClient::builder("my client")
            .authority(Authority::oidc(&self.issuer).unwrap())
            .credential(credential)
            .signing_algorithms([SigningAlgorithm::Es256])
            .client_capabilities(["cp1"])
            .dangerous_allow_loopback_authority()
            .build()
            .unwrap()
    }

    async fn sign_in_by(
        &self,
        credential: ClientCredential,
        cache: &mut TokenCache,
    ) -> Result<SignInResult, Error> {
        let client = self.client(credential);
        let claims = ClaimsChallenge::parse(r#"{"access_token":{"nbf":{"essential":true}}}"#)?;
        let request =
            AuthCodeRequest::new("http://localhost:9/cb".parse().unwrap(), "api").with_claims(claims);
        let flow = client.initiate_auth_code_flow(request).await?;
        let nonce =
            flow.auth_uri().unwrap().query_pairs().find(|(name, _)| name == "nonce").unwrap().1.into_owned();
        self.script.lock().unwrap().nonce = nonce;
        let response = AuthResponse::parse(&format!("code=c&state={}", flow.state().expose_secret()))?;
        client.acquire_token_by_auth_code_flow(cache, &flow, response).await
    }

    fn seen(&self) -> (HeaderMap, String) {
        self.script.lock().unwrap().seen.clone().unwrap()
    }
}

async fn metadata(State(script): State<Shared>) -> String {
    let script = script.lock().unwrap();
    let issuer = &script.issuer;
    json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "jwks_uri": format!("{issuer}/keys"),
        "token_endpoint_auth_methods_supported": script.methods,
    })
    .to_string()
}

async fn keys(State(script): State<Shared>) -> String {
    let script = script.lock().unwrap();
    let jwk = |(index, key): (usize, &EcdsaKeyPair)| {
        let point = key.public_key().as_ref().to_vec();
        let (x, y) = (encode(&point[1..33]), encode(&point[33..]));
        json!({"kty": "EC", "crv": "P-256", "kid": format!("key-{index}"), "x": x, "y": y})
    };
    json!({ "keys": script.keys.iter().enumerate().map(jwk).collect::<Vec<_>>() }).to_string()
}

async fn token(State(script): State<Shared>, headers: HeaderMap, body: String) -> String {
    let mut script = script.lock().unwrap();
    script.seen = Some((headers, body));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let mut claims = json!({"iss": script.issuer, "sub": "somebody", "aud": "my client", "exp": now + 600, "iat": now,
        "nonce": script.nonce});
    for (name, value) in script.extra.as_object().unwrap() {
        claims[name] = value.clone();
    }
    let mut header = json!({"alg": "ES256"});
    if let Some(kid) = script.kid {
        header["kid"] = kid.into();
    }
    let signed = format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
    let signature = script.keys[script.signer].sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
    let id_token = format!("{signed}.{}", encode(signature));
    json!({"access_token": "at", "token_type": "bearer", "expires_in": "600", "id_token": id_token})
        .to_string()
}

#[tokio::test]
async fn sign_in_without_client_info_keys_the_account_by_sub() {
    let provider = Provider::start(|_| ()).await;
    let mut cache = TokenCache::new();
    let signed_in = provider.sign_in(&mut cache).await.unwrap();
    assert_eq!(signed_in.account.home_account_id(), "somebody");
    assert_eq!(cache.accounts("127.0.0.1").len(), 1);
}

#[tokio::test]
async fn answer_without_scope_grants_what_was_asked() {
    let provider = Provider::start(|_| ()).await;
    let signed_in = provider.sign_in(&mut TokenCache::new()).await.unwrap();
    assert_eq!(signed_in.token.scopes.to_string(), "api offline_access openid profile");
}

#[tokio::test]
async fn oidcc_client_test_client_secret_basic() {
    let provider = Provider::start(|script| script.methods = vec!["client_secret_basic"]).await;
    provider.sign_in(&mut TokenCache::new()).await.unwrap();
    let (headers, body) = provider.seen();
    let expected = format!("Basic {}", STANDARD.encode("my+client:a%3Ab%25c+d"));
    assert_eq!(headers["authorization"], expected);
    assert!(!body.contains("client_secret"));
}

#[tokio::test]
async fn secret_stays_in_the_body_where_the_provider_takes_it_there() {
    let provider =
        Provider::start(|script| script.methods = vec!["client_secret_basic", "client_secret_post"]).await;
    provider.sign_in(&mut TokenCache::new()).await.unwrap();
    let (headers, body) = provider.seen();
    assert!(!headers.contains_key("authorization"));
    assert!(body.contains("client_secret=a%3Ab%25c+d"));
}

const CERTIFICATE: &str = include_str!("../fixtures/client-certificate/client.crt");

fn certificate_credential() -> ClientCredential {
    let key = include_bytes!("../fixtures/client-certificate/client.key");
    ClientCertificate::from_pem(key, None, CERTIFICATE.as_bytes()).unwrap().into()
}

/// The emulator as a provider, whose client has a certificate and no secret.
async fn emulated() -> World {
    let mut world = World::new().await;
    let registration = ClientRegistration::new(world.emulator.client_id(), "").with_redirect_uri(REDIRECT);
    world.emulator.admin().register_client(registration.with_certificate_pem(CERTIFICATE)).unwrap();
    world.client = ConfidentialClient::builder(world.emulator.client_id())
        .authority(Authority::oidc(&world.emulator.base_url()).unwrap())
        .credential(certificate_credential())
        .clock(Arc::new(world.clock.clone()))
        .dangerous_allow_loopback_authority()
        .build()
        .unwrap();
    world
}

#[tokio::test]
async fn session_at_the_emulated_provider_is_renewed() {
    let mut world = emulated().await;
    let signed_in = world.try_sign_in(ADA).await.unwrap();
    let claims = signed_in.id_token.claims();
    assert_eq!((&claims.iss, &claims.tid), (&world.emulator.base_url(), &None));
    let account = signed_in.account;
    assert_eq!(account.home_account_id(), claims.sub);
    assert_eq!(world.silent(&account).await.unwrap().source, TokenSource::Cache);
    for _ in 0..2 {
        world.advance(3_700);
        assert_eq!(world.silent(&account).await.unwrap().source, TokenSource::IdentityProvider);
    }
}

/// What the request's assertion says, if it has one.
fn assertion_claims(body: &str) -> Option<Value> {
    let claims = URL_SAFE_NO_PAD.decode(field(body, "client_assertion")?.split('.').nth(1)?).ok()?;
    serde_json::from_slice(&claims).ok()
}

fn field(body: &str, name: &str) -> Option<String> {
    form_urlencoded::parse(body.as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

#[tokio::test]
async fn assertion_is_for_the_configured_issuer_and_goes_into_the_body() {
    let provider =
        Provider::start(|script| script.methods = vec!["client_secret_basic", "private_key_jwt"]).await;
    let credential = certificate_credential();
    provider.sign_in_by(credential, &mut TokenCache::new()).await.unwrap();
    let (headers, body) = provider.seen();
    assert!(!headers.contains_key("authorization"));
    assert_eq!(assertion_claims(&body).unwrap()["aud"], provider.issuer);
    assert_eq!(field(&body, "client_secret"), None);
}

#[tokio::test]
async fn each_attempt_to_send_a_request_has_an_assertion_of_its_own() {
    let mut world = emulated().await;
    // Served, so that the assertion is spent, and never answered.
    world.fault(FaultRule::new(Endpoint::Token, Fault::CloseAfterServing));
    let scopes = Scopes::from(["https://graph.microsoft.com/.default"]);
    for _ in 0..2 {
        let options = ClientTokenOptions::default().renewing();
        world.client.acquire_token_for_client(&mut world.cache, &scopes, options).await.unwrap();
    }
    assert_eq!(world.emulator.admin().counters().token_client_credentials, 3);
}

#[tokio::test]
async fn claims_go_with_the_code_as_they_went_with_the_browser() {
    let provider = Provider::start(|_| ()).await;
    provider.sign_in(&mut TokenCache::new()).await.unwrap();
    let expected = r#"{"access_token":{"nbf":{"essential":true},"xms_cc":{"values":["cp1"]}}}"#;
    assert_eq!(field(&provider.seen().1, "claims").as_deref(), Some(expected));
}

#[tokio::test]
async fn request_names_this_library_and_a_correlation_id() {
    let provider = Provider::start(|_| ()).await;
    let signed_in = provider.sign_in(&mut TokenCache::new()).await.unwrap();
    let (headers, _) = provider.seen();
    assert_eq!(headers["accept"], "application/json");
    assert_eq!(headers["x-client-sku"], "async-msal.Rust");
    assert_eq!(headers["client-request-id"].to_str().ok(), signed_in.token.correlation_id.as_deref());
}

#[tokio::test]
async fn oidcc_client_test_kid_absent_single_jwks() {
    let provider = Provider::start(|script| script.kid = None).await;
    provider.sign_in(&mut TokenCache::new()).await.unwrap();
}

#[tokio::test]
async fn oidcc_client_test_kid_absent_multiple_jwks() {
    let provider = Provider::start(|script| {
        script.kid = None;
        script.keys.push(new_key());
        script.signer = 1;
    });
    // Accepted, since one of the published keys verifies.
    provider.await.sign_in(&mut TokenCache::new()).await.unwrap();
}

#[tokio::test]
async fn oidcc_client_test_invalid_at_hash() {
    let provider = Provider::start(|script| script.extra = json!({"at_hash": "wrong"})).await;
    let mut cache = TokenCache::new();
    assert_eq!(provider.sign_in(&mut cache).await.unwrap_err().code(), "id_token");
    assert!(cache.is_empty());
}

#[tokio::test]
async fn nonce_of_another_sign_in_is_refused() {
    let provider = Provider::start(|script| script.extra = json!({"nonce": "of another"})).await;
    assert_eq!(provider.sign_in(&mut TokenCache::new()).await.unwrap_err().code(), "id_token");
}

#[tokio::test]
async fn issuer_must_equal_the_configured_one() {
    let provider = Provider::start(|script| script.issuer.push_str("/other")).await;
    assert_eq!(provider.sign_in(&mut TokenCache::new()).await.unwrap_err().code(), "config");
}

#[tokio::test]
async fn algorithm_that_was_not_configured_is_refused() {
    let provider = Provider::start(|_| ()).await;
    let client = ConfidentialClient::builder("my client")
        .authority(Authority::oidc(&provider.issuer).unwrap())
        .client_secret(ClientSecret::new("s"))
        .dangerous_allow_loopback_authority()
        .build()
        .unwrap();
    let request = AuthCodeRequest::new("http://localhost:9/cb".parse().unwrap(), "api");
    let flow = client.initiate_auth_code_flow(request).await.unwrap();
    let body = format!("code=c&state={}", flow.state().expose_secret());
    let response = AuthResponse::parse(&body).unwrap();
    let refused = client.acquire_token_by_auth_code_flow(&mut TokenCache::new(), &flow, response).await;
    assert!(matches!(refused, Err(Error::IdToken(async_msal::IdTokenError::Algorithm))));
}
