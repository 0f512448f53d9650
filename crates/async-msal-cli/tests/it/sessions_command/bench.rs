//! An emulator, a real store, an application of the library on both, and the command beside it as a process of its own.

use std::collections::BTreeSet;
use std::process::{Output, Stdio};

use async_msal_axum::Msal;
use async_msal_axum::async_msal::AuthResponse;
use async_msal_axum::async_msal_session::settings::SettingsSource;
use async_msal_axum::async_msal_session::{AsyncMsal, SessionId, SignInHooks, SignInOutcome, SignInRequest};
use async_msal_emulator::Emulator;
use async_msal_test_servers::{PostgresServer, RedisServer};
use serde_json::Value;
use tempfile::TempDir;

use crate::browser::install_crypto_provider;
use crate::demo_process::{command, text};

pub(super) const ADA: &str = "ada@contoso.example";
pub(super) const BEN: &str = "ben@contoso.example";
const PUBLIC_URL: &str = "http://localhost:8000";

/// What the sessions are kept in, as long as the value lives.
#[derive(Debug)]
pub(super) enum Store {
    Sqlite(TempDir),
    Redis(RedisServer),
    Postgres(PostgresServer),
}

impl Store {
    pub(super) fn sqlite() -> Self {
        Self::Sqlite(TempDir::new().unwrap())
    }

    fn url(&self) -> String {
        match self {
            Self::Sqlite(folder) => format!("sqlite:{}", folder.path().join("sessions.db").display()),
            Self::Redis(server) => server.url(),
            Self::Postgres(server) => server.url(),
        }
    }
}

pub(super) struct Bench {
    pub(super) emulator: Emulator,
    pub(super) msal: Msal,
    settings: Vec<(&'static str, String)>,
    _store: Store,
}

impl Bench {
    pub(super) async fn new(store: Store, layout: &str) -> Self {
        install_crypto_provider();
        let emulator = Emulator::builder()
            .redirect_uri(format!("{PUBLIC_URL}/user/authorized"))
            .start()
            .await
            .expect("the emulator starts");
        let settings = vec![
            ("SP_APP_ID", emulator.client_id()),
            ("SP_APP_PW", emulator.client_secret()),
            ("SP_AUTHORITY", emulator.authority_url()),
            ("GRAPH_URL", emulator.graph_url()),
            ("PUBLIC_URL", PUBLIC_URL.to_owned()),
            ("DANGEROUS_ALLOW_LOOPBACK_AUTHORITY", "on".to_owned()),
            ("SESSION_LAYOUT", layout.to_owned()),
            ("STORE_URL", store.url()),
            ("STORE_TIMEOUT", "20s".to_owned()),
        ];
        let source = SettingsSource::new();
        let source = settings.iter().fold(source, |source, (name, value)| source.value(name, value));
        let msal = Msal::from_settings(source.read().unwrap()).unwrap();
        Self { emulator, msal, settings, _store: store }
    }

    pub(super) async fn sign_in(&self, person: &str) -> SessionId {
        let request = SignInRequest::new(format!("{PUBLIC_URL}/user/authorized").parse().unwrap());
        let started = self.msal.initiate_sign_in(request).await.unwrap();
        let answer = self.emulator.authorize(started.auth_uri.as_str(), person).await.unwrap();
        let response = AuthResponse::parse(&answer.body()).unwrap();
        let hooks = SignInHooks::new();
        match self.msal.complete_sign_in(&started.sealed, response, &hooks).await.unwrap() {
            SignInOutcome::SignedIn(signed_in) => signed_in.session_id,
            other => panic!("not signed in: {other:?}"),
        }
    }

    pub(super) async fn session(&self, id: &SessionId) -> Option<AsyncMsal> {
        self.msal.load_session(id).await.unwrap()
    }

    /// Lets the access tokens of a session expire.
    pub(super) async fn expire(&self, id: &SessionId) {
        let session = self.session(id).await.expect("a live session");
        let before = self.msal.clock().now() - 1;
        session.update_token_cache(|cache| cache.expire_access_tokens(before)).await.unwrap();
    }

    /// Everything about a session that must not be seen: its id, the key of its record, its tokens.
    pub(super) async fn secrets(&self, id: &SessionId) -> Vec<String> {
        let session = self.session(id).await.expect("a live session");
        let mut cache = String::new();
        session.update_token_cache(|tokens| cache = tokens.to_json()).await.unwrap();
        let mut found = BTreeSet::new();
        collect(&serde_json::from_str(&cache).unwrap(), &mut found);
        assert!(found.len() >= 3, "an access token, a refresh token and an id token");
        found.insert(id.expose_secret().to_owned());
        found.insert(self.msal.store_key(id).as_str().rsplit('_').next().unwrap().to_owned());
        found.into_iter().collect()
    }

    /// Runs the command with the settings in its environment.
    pub(super) fn run(&self, arguments: &[&str]) -> Output {
        self.run_with(&self.settings, arguments)
    }

    pub(super) fn run_with(&self, settings: &[(&str, String)], arguments: &[&str]) -> Output {
        let settings = settings.iter().map(|(name, value)| (*name, value.as_str()));
        let mut command = command();
        command.envs(settings).args(arguments).stdin(Stdio::null());
        // The emulator answers on this runtime.
        tokio::task::block_in_place(|| command.output()).expect("the command runs")
    }

    pub(super) fn settings(&self) -> Vec<(&'static str, String)> {
        self.settings.clone()
    }

    /// Runs the command, which must succeed, and reads the JSON it prints.
    pub(super) fn json(&self, arguments: &[&str]) -> Value {
        let output = self.run(&[arguments, &["--json"]].concat());
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("JSON on standard output")
    }

    /// The command's exit code, with nothing on standard output, and what it said.
    pub(super) fn refused(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.run(arguments);
        assert_eq!(text(&output.stdout), "", "{arguments:?}");
        (output.status.code().expect("an exit code"), text(&output.stderr))
    }
}

/// The values of all members called `secret`.
fn collect(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match member {
                    Value::String(secret) if name == "secret" => {
                        found.insert(secret.clone());
                    }
                    other => collect(other, found),
                }
            }
        }
        Value::Array(parts) => parts.iter().for_each(|part| collect(part, found)),
        _ => {}
    }
}
