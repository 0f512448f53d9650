//! The emulator, an application on a store, and what the processes of a measurement tell each other.

use std::sync::Arc;
use std::time::Duration;

use async_msal_axum::Msal;
use async_msal_axum::async_msal::{AuthResponse, Authority, ClientSecret, ConfidentialClient};
use async_msal_axum::async_msal_session::store::{
    MemoryStore, RedisOptions, RedisStore, SessionStore, SqliteStore,
};
use async_msal_axum::async_msal_session::{SessionId, SignInHooks, SignInOutcome, SignInRequest};
use async_msal_emulator::Emulator;
use serde::{Deserialize, Serialize};

use crate::{Anything, Layout};

const PUBLIC_URL: &str = "https://app.example";
/// The environment variable by which a process hands a [`Plan`] to the next.
const PLAN: &str = "ASYNC_MSAL_BENCH_PLAN";
/// One name in both layouts, so that records can be taken over from one to the other.
pub(crate) const COOKIE: &str = "bench";

/// An application on a store, as text.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) client_id: String,
    pub(crate) client_secret: String,
    pub(crate) authority: String,
    pub(crate) graph: String,
    /// `sqlite:` and a path, or the address of a Redis server.
    pub(crate) store: String,
    pub(crate) layout: Layout,
    /// STORE_CACHE.
    pub(crate) read_cache: bool,
}

impl Plan {
    pub(crate) fn new(emulator: &Emulator, store: String, layout: Layout) -> Self {
        Self {
            client_id: emulator.client_id(),
            client_secret: emulator.client_secret(),
            authority: emulator.authority_url(),
            graph: emulator.graph_url(),
            store,
            layout,
            read_cache: false,
        }
    }

    pub(crate) fn from_env() -> Result<Self, Anything> {
        Ok(serde_json::from_str(&std::env::var(PLAN)?)?)
    }

    /// This program again, with a command and this plan.
    pub(crate) fn command(&self, arguments: &[&str]) -> Result<std::process::Command, Anything> {
        let mut command = std::process::Command::new(std::env::current_exe()?);
        command.args(arguments).env(PLAN, serde_json::to_string(self)?);
        Ok(command)
    }

    pub(crate) fn open_store(&self, limit: Duration) -> Result<Arc<dyn SessionStore>, Anything> {
        if let Some(path) = self.store.strip_prefix("sqlite:") {
            return Ok(Arc::new(SqliteStore::open_lazy(path)));
        }
        let options = RedisOptions::new(self.store.as_str()).timeout(limit).read_cache(self.read_cache);
        Ok(Arc::new(RedisStore::open_lazy(&options)?))
    }

    pub(crate) fn msal(&self, store: Arc<dyn SessionStore>, limit: Duration) -> Result<Msal, Anything> {
        let secret = ClientSecret::new(self.client_secret.clone());
        let client = ConfidentialClient::builder(&self.client_id)
            .authority(Authority::parse(&self.authority)?)
            .client_secret(secret.clone())
            .dangerous_allow_loopback_authority()
            .build()?;
        let msal = Msal::builder(client, store)
            .public_url(PUBLIC_URL)
            .keys_from_secrets([secret])
            .graph_url(&self.graph)
            .layout(self.layout.into())
            .cookie_name(COOKIE)
            .store_timeout(limit);
        Ok(msal.build()?)
    }

    /// The environment of the command line tool on this store.
    pub(crate) fn settings(&self) -> String {
        let Self { client_id, client_secret, authority, graph, store, layout, read_cache: _ } = self;
        let layout = format!("{layout:?}").to_lowercase();
        format!(
            "SP_APP_ID={client_id} SP_APP_PW={client_secret} SP_AUTHORITY={authority} GRAPH_URL={graph} \
             PUBLIC_URL={PUBLIC_URL} STORE_URL={store} SESSION_LAYOUT={layout} COOKIE_NAME={COOKIE} \
             DANGEROUS_ALLOW_LOOPBACK_AUTHORITY=true"
        )
    }

    /// An application as it is deployed: STORE_TIMEOUT is the default.
    pub(crate) fn deployed(&self) -> Result<Msal, Anything> {
        let limit = Duration::from_millis(500);
        self.msal(self.open_store(limit)?, limit)
    }
}

pub(crate) async fn emulator() -> Result<Emulator, Anything> {
    let started = Emulator::builder().redirect_uri(format!("{PUBLIC_URL}/user/authorized")).start();
    Ok(started.await?)
}

pub(crate) async fn sign_in(emulator: &Emulator, msal: &Msal) -> Result<SessionId, Anything> {
    let request = SignInRequest::new(format!("{PUBLIC_URL}/user/authorized").parse()?);
    let started = msal.initiate_sign_in(request).await?;
    let answer = emulator.authorize(started.auth_uri.as_str(), "ada@contoso.example").await?;
    let response = AuthResponse::parse(&answer.body())?;
    match msal.complete_sign_in(&started.sealed, response, &SignInHooks::new()).await? {
        SignInOutcome::SignedIn(signed_in) => Ok(signed_in.session_id),
        _ => Err("nobody was signed in".into()),
    }
}

/// The text of a record as a real sign-in leaves it.
pub(crate) async fn record_of_a_sign_in(emulator: &Emulator) -> Result<String, Anything> {
    let store = Arc::new(MemoryStore::new());
    let plan = Plan::new(emulator, String::new(), Layout::Aiohttp);
    let msal = plan.msal(Arc::clone(&store) as Arc<dyn SessionStore>, Duration::from_secs(5))?;
    let id = sign_in(emulator, &msal).await?;
    let stored = store.load(&msal.store_key(&id)).await?.ok_or("no record")?;
    Ok(String::from_utf8(stored.value.to_vec())?)
}
