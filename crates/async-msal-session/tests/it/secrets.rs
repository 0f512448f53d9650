//! Nothing secret in logs, errors or Debug: a whole sign-in, renewal and failure at TRACE.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use async_msal_emulator::{Endpoint, Fault, FaultRule, Policy};
use async_msal_session::async_msal::ManualClock;
use async_msal_session::store::{Cursor, MemoryStore, SessionStore};
use async_msal_session::{SessionLayout, SignInHooks};
use tracing::field::{Field, Visit};
use tracing::span;

use crate::support::{ADA, START, World, signed_in, user_scopes};

/// Writes every span and event of every crate into one text.
#[derive(Clone, Default)]
struct Everything(Arc<Mutex<String>>);

struct Writer<'a>(&'a mut String);

impl Visit for Writer<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let _ = write!(self.0, " {field}={value:?}");
    }
}

impl tracing::Subscriber for Everything {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        // What the HTTP stack itself traces is its own; ours must not hand it anything in a field.
        metadata.target().starts_with("async_msal") && !metadata.target().starts_with("async_msal_emulator")
    }

    fn new_span(&self, attributes: &span::Attributes<'_>) -> span::Id {
        let mut text = self.0.lock().unwrap();
        let _ = write!(text, "\nspan {}", attributes.metadata().name());
        attributes.record(&mut Writer(&mut text));
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, values: &span::Record<'_>) {
        values.record(&mut Writer(&mut self.0.lock().unwrap()));
    }

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut text = self.0.lock().unwrap();
        let _ = write!(text, "\nevent {}", event.metadata().target());
        event.record(&mut Writer(&mut text));
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

#[tokio::test]
async fn a_trace_of_sign_in_renewal_and_failure_holds_no_secret() {
    let log = Everything::default();
    // For the whole process: what other tests trace meanwhile must not hold this trip's secrets either.
    tracing::subscriber::set_global_default(log.clone()).unwrap();
    let world = World::new().await;
    let (started, response) = world.answered(ADA).await;
    let shown = format!("{started:?} {response:?} {:?} {:?}", world.msal, world.store);
    let outcome = world.msal.complete_sign_in(&started.sealed, response.clone(), &SignInHooks::new()).await;
    let repeated = world.msal.complete_sign_in(&started.sealed, response, &SignInHooks::new()).await;
    let shown = format!("{shown} {outcome:?} {repeated:?}");
    let id = signed_in(outcome.unwrap()).session_id;
    let session = world.load(&id).await;
    let first = session.get_token(&user_scopes()).await.unwrap();
    world.clock.advance(3601);
    let second = world.load(&id).await.get_token(&user_scopes()).await.unwrap();
    world.clock.advance(3601);
    world
        .emulator
        .admin()
        .fail_next(FaultRule::new(Endpoint::Token, Fault::oauth_error("invalid_grant", 700_082)))
        .unwrap();
    let failed = world.load(&id).await.get_token(&user_scopes()).await.unwrap_err();
    let shown = format!("{shown} {session:?} {first:?} {second:?} {failed:?} {failed}");
    let query: Vec<(String, String)> = started.auth_uri.query_pairs().into_owned().collect();
    let of = |name: &str| query.iter().find(|(n, _)| n == name).unwrap().1.clone();
    let text = log.0.lock().unwrap().clone();
    let handle = session.handle().unwrap().to_string();
    assert!(text.contains(&format!("session={handle}")), "this sign-in was not traced");
    let secrets = [
        world.emulator.client_secret(),
        id.expose_secret().to_owned(),
        first.access_token.expose_secret().to_owned(),
        second.access_token.expose_secret().to_owned(),
        started.sealed.clone(),
        of("state"),
        of("nonce"),
        "eyJ0eXAi".to_owned(),
    ];
    for secret in secrets {
        let start = &secret[..secret.len().min(6)];
        assert!(!text.contains(&secret), "in the log: {start}...");
        assert!(!shown.contains(&secret), "in Debug: {start}...");
    }
}

#[tokio::test]
async fn a_memory_store_shows_neither_cookies_nor_mail_addresses() {
    for layout in [SessionLayout::Sealed, SessionLayout::Aiohttp] {
        let clock = ManualClock::new(START);
        let store = Arc::new(MemoryStore::with_clock(Arc::new(clock)));
        let inner = Arc::clone(&store) as Arc<dyn SessionStore>;
        let world = World::on(inner, Policy::default(), |builder| builder.layout(layout)).await;
        let id = world.sign_in(ADA).await;
        let session = world.load(&id).await;
        let key = session.store_key().unwrap();
        let page = store.scan(&format!("{}_", world.msal.settings().cookie_name()), None, 1).await.unwrap();
        assert_eq!(page.records[0].0, key.as_str());
        let cursor = Cursor::new(key.as_str());
        let shown = format!("{store:?} {store:#?} {page:?} {cursor:?} {session:?}");
        for secret in [id.expose_secret(), key.as_str(), ADA, "contoso.example"] {
            assert!(!shown.contains(secret), "{layout:?}: {shown}");
        }
    }
}
