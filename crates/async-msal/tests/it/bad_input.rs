//! What callers and authorities must not get away with: a typed error each, and the cache untouched.

use std::sync::{Arc, Mutex};

use async_msal::error::{ConfigError, InvalidResponse};
use async_msal::{
    Authority, ClientAssertion, ClientCertificate, ClientCredential, ClientSecret, ClientTokenOptions,
    ConfidentialClient, Error, ManualClock, Scopes,
};
use async_msal_emulator::{Endpoint, Fault, FaultRule};
use tracing_subscriber::fmt::MakeWriter;

use crate::support::World;

const KEY: &[u8] = include_bytes!("../fixtures/client-certificate/client.key");
const CERTIFICATE: &[u8] = include_bytes!("../fixtures/client-certificate/client.crt");

#[tokio::test]
async fn malformed_token_answers_are_typed_for_every_grant() {
    let member = |name| InvalidResponse::Member(name);
    for (answer, expected) in [
        (r#"{"token_type":"Bearer","expires_in":3600}"#, member("access_token")),
        (r#"{"token_type":"Bearer","expires_in":3600,"access_token":""}"#, member("access_token")),
        (r#"{"token_type":"Bearer","expires_in":3600,"access_token":7}"#, member("access_token")),
        (r#"{"token_type":"Bearer","expires_in":-1,"access_token":"a"}"#, member("expires_in")),
        (r#"{"token_type":"Bearer","expires_in":"-3600","access_token":"a"}"#, member("expires_in")),
        (r#"{"token_type":"Bearer","expires_in":"soon","access_token":"a"}"#, member("expires_in")),
        (r#"{"token_type":"pop","expires_in":3600,"access_token":"a"}"#, InvalidResponse::TokenType),
        (r#"{"expires_in":3600,"access_token":"a"}"#, InvalidResponse::TokenType),
    ] {
        let mut world = World::new().await;
        let account = world.sign_in().await;
        world.advance(3_700);
        world.cache.mark_unchanged();
        let before = world.cache.to_json();
        world.fault(FaultRule::new(Endpoint::Token, Fault::answer(200, answer)).times(2));
        let scopes = Scopes::from(["https://graph.microsoft.com/.default"]);
        let options = ClientTokenOptions::default();
        let silent = world.silent(&account).await.unwrap_err();
        let app =
            world.client.acquire_token_for_client(&mut world.cache, &scopes, options).await.unwrap_err();
        for error in [silent, app] {
            assert!(
                matches!(&error, Error::InvalidResponse(found) if *found == expected),
                "{answer}: {error:?}"
            );
        }
        assert!(!world.cache.has_changed() && world.cache.to_json() == before, "{answer}");
    }
}

#[test]
fn http_authority_must_be_loopback() {
    for text in [
        "http://login.microsoftonline.com/common",
        "http://10.0.0.1/common",
        "http://localhost.evil.example/t",
    ] {
        let error = Authority::parse(text).unwrap_err();
        assert!(matches!(error, Error::Config(ConfigError::Authority(_))), "{text}");
    }
    let loopback = Authority::parse("http://127.0.0.1:8401/common").unwrap();
    let builder =
        ConfidentialClient::builder("cid").authority(loopback).client_secret(ClientSecret::new("s"));
    let error = builder.build().unwrap_err();
    assert!(matches!(error, Error::Config(ConfigError::LoopbackAuthority)));
}

#[test]
fn client_without_an_id_is_refused() {
    for id in ["", "  "] {
        let builder = ConfidentialClient::builder(id).authority(Authority::common().unwrap());
        let error = builder.client_secret(ClientSecret::new("s")).build().unwrap_err();
        assert!(matches!(error, Error::Config(ConfigError::Missing("the client id"))));
    }
}

#[test]
fn empty_client_secret_is_refused() {
    let builder = ConfidentialClient::builder("cid").authority(Authority::common().unwrap());
    let error = builder.client_secret(ClientSecret::new("")).build().unwrap_err();
    assert!(matches!(error, Error::Config(ConfigError::Missing("the client secret"))));
}

/// Keeps what is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// What building a client logs on this day.
fn logged_at(now: i64) -> String {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_writer(log.clone()).finish();
    tracing::subscriber::with_default(subscriber, || {
        let certificate = ClientCertificate::from_pem(KEY, None, CERTIFICATE).unwrap();
        let builder = ConfidentialClient::builder("cid").authority(Authority::common().unwrap());
        builder.credential(certificate).clock(Arc::new(ManualClock::new(now))).build().unwrap();
    });
    let bytes = log.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn expired_certificate_is_a_warning() {
    let end = ClientCertificate::from_pem(KEY, None, CERTIFICATE).unwrap().not_after().unwrap();
    assert!(logged_at(end).contains("WARN") && logged_at(end).contains("the client certificate has expired"));
    assert!(logged_at(end - 10 * 86_400).contains("expires soon"));
    assert_eq!(logged_at(end - 31 * 86_400), "");
}

#[tokio::test]
async fn hanging_callback_holds_nobody_beyond_the_time_limit() {
    let hanging = ClientCredential::assertion(|_| std::future::pending::<Result<ClientAssertion, _>>());
    let limit = std::time::Duration::from_millis(300);
    let mut world = World::with(|builder| builder.credential(hanging).request_timeout(limit)).await;
    let scopes = Scopes::from(["https://graph.microsoft.com/.default"]);
    let started = std::time::Instant::now();
    let options = ClientTokenOptions::default();
    let error = world.client.acquire_token_for_client(&mut world.cache, &scopes, options).await.unwrap_err();
    assert!(error.code() == "client_assertion" && error.is_retryable());
    assert!(started.elapsed() < std::time::Duration::from_secs(5) && !world.cache.has_changed());
}
