//! Canaries: no Debug or Display of any type shows a secret.

use async_msal::{AuthResponse, ClientSecret, TokenCache};
use async_msal_emulator::{Endpoint, Fault, FaultRule};

use crate::support::{ADA, World};

#[tokio::test]
async fn nothing_printed_of_a_whole_sign_in_holds_a_secret() {
    let mut world = World::new().await;
    let (flow, body) = world.start(ADA).await;
    let response = AuthResponse::parse(&body).unwrap();
    let mut printed = format!("{flow:?}{response:?}{:?}", world.client);
    let signed_in = world.finish(&flow, &body).await.unwrap();
    printed += &format!("{signed_in:?}{:?}", world.cache);
    let lookup = world.client.find_access_token(&world.cache, &signed_in.account, &crate::support::scopes());
    printed += &format!("{lookup:?}");
    let code =
        form_urlencoded::parse(body.as_bytes()).find(|(name, _)| name == "code").unwrap().1.into_owned();
    let cache: serde_json::Value = serde_json::from_str(&world.cache.to_json()).unwrap();
    let refresh_token = cache["RefreshToken"].as_object().unwrap().values().next().unwrap()["secret"].clone();
    for secret in [
        code.as_str(),
        flow.state().expose_secret(),
        flow.nonce().expose_secret(),
        flow.code_verifier().expose_secret(),
        signed_in.token.access_token.expose_secret(),
        signed_in.id_token.raw().expose_secret(),
        refresh_token.as_str().unwrap(),
        &world.emulator.client_secret(),
    ] {
        assert!(!printed.contains(secret));
    }
}

#[tokio::test]
async fn errors_show_neither_secrets_nor_the_servers_text_of_them() {
    for fault in [Fault::NotJson, Fault::answer(400, "canary"), Fault::CloseConnection] {
        let mut world = World::with(|builder| builder.client_secret(ClientSecret::new("canary"))).await;
        world.fault(FaultRule::new(Endpoint::Token, fault));
        let error = world.try_sign_in(ADA).await.unwrap_err();
        assert!(!format!("{error} {error:?} {}", error.hint()).contains("canary"));
        assert!(!format!("{error:?}").contains("/token"), "the address is in {error:?}");
    }
}

#[test]
fn unreadable_cache_is_not_quoted() {
    let error = TokenCache::parse(r#"{"AccessToken": {"k": {"secret": "canary"}"#).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("canary"));
}

/// What a subscriber at TRACE writes, of this library and of everything below it.
#[derive(Clone, Default)]
struct Log(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn log_at_trace_level_holds_no_secret_of_a_sign_in_and_a_renewal() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    let guard = tracing::subscriber::set_default(subscriber);
    let mut world = World::new().await;
    let (flow, body) = world.start(ADA).await;
    let signed_in = world.finish(&flow, &body).await.unwrap();
    let cache: serde_json::Value = serde_json::from_str(&world.cache.to_json()).unwrap();
    let refresh_token = cache["RefreshToken"].as_object().unwrap().values().next().unwrap()["secret"].clone();
    world.advance(3_700);
    world.silent(&signed_in.account).await.unwrap();
    drop(guard);
    let text = String::from_utf8_lossy(&log.0.lock().unwrap()).into_owned();
    assert!(text.contains("async_msal"), "nothing of this library was logged");
    let code =
        form_urlencoded::parse(body.as_bytes()).find(|(name, _)| name == "code").unwrap().1.into_owned();
    for secret in [
        code.as_str(),
        flow.nonce().expose_secret(),
        flow.code_verifier().expose_secret(),
        signed_in.token.access_token.expose_secret(),
        signed_in.id_token.raw().expose_secret(),
        refresh_token.as_str().unwrap(),
        &world.emulator.client_secret(),
    ] {
        assert!(!text.contains(secret));
    }
}
