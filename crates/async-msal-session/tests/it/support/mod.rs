//! The bench: an emulator, a clock of our own, a store that fails on command, and an [`Msal`] between them.

mod faulty_store;
pub(crate) mod telemetry;

use std::sync::Arc;
use std::time::Duration;

use async_msal_emulator::{Emulator, Endpoint, Fault, FaultRule, Policy};
use async_msal_session::async_msal::{
    AuthResponse, Authority, ClientSecret, ConfidentialClient, ManualClock, Scopes,
};
use async_msal_session::store::{MemoryStore, SessionStore};
use async_msal_session::{
    AsyncMsal, Error, Msal, MsalBuilder, SessionId, SignInHooks, SignInOutcome, SignInRequest, SignedIn,
    StartedSignIn,
};

pub(crate) use self::faulty_store::FaultyStore;

pub(crate) const PUBLIC_URL: &str = "https://app.example";
pub(crate) const ADA: &str = "ada@contoso.example";
pub(crate) const BEN: &str = "ben@contoso.example";
pub(crate) const CLEO: &str = "cleo@contoso.example";
pub(crate) const GIL: &str = "gil@fabrikam.example";

/// Two scopes of Graph: another set than the sign-in's, and tokens of it are in no fresh session.
pub(crate) fn mail_scopes() -> Scopes {
    Scopes::from(["Mail.Read"])
}

pub(crate) fn user_scopes() -> Scopes {
    Scopes::from(["User.Read"])
}

/// When tests begin, unix seconds.
pub(crate) const START: i64 = 1_800_000_000;

pub(crate) struct World {
    pub(crate) emulator: Emulator,
    pub(crate) clock: ManualClock,
    pub(crate) store: Arc<FaultyStore>,
    pub(crate) msal: Msal,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(Policy::default(), |builder| builder).await
    }

    pub(crate) async fn with(policy: Policy, change: impl FnOnce(MsalBuilder) -> MsalBuilder) -> Self {
        let clock = ManualClock::new(START);
        let store = MemoryStore::with_clock(Arc::new(clock.clone()));
        Self::put_together(clock, Arc::new(store), policy, change).await
    }

    /// On another store, which has a clock of its own.
    pub(crate) async fn on(
        store: Arc<dyn SessionStore>,
        policy: Policy,
        change: impl FnOnce(MsalBuilder) -> MsalBuilder,
    ) -> Self {
        Self::put_together(ManualClock::new(START), store, policy, change).await
    }

    async fn put_together(
        clock: ManualClock,
        store: Arc<dyn SessionStore>,
        policy: Policy,
        change: impl FnOnce(MsalBuilder) -> MsalBuilder,
    ) -> Self {
        let store = Arc::new(FaultyStore::new(store));
        let emulator = emulator(&clock, policy).await;
        let msal =
            change(builder(&emulator, &clock, Arc::clone(&store) as Arc<dyn SessionStore>)).build().unwrap();
        Self { emulator, clock, store, msal }
    }

    /// A sign-in that was started, and the authority's answer to it.
    pub(crate) async fn answered(&self, person: &str) -> (StartedSignIn, AuthResponse) {
        self.answered_to(request(), person).await
    }

    pub(crate) async fn answered_to(
        &self,
        request: SignInRequest,
        person: &str,
    ) -> (StartedSignIn, AuthResponse) {
        let started = self.msal.initiate_sign_in(request).await.unwrap();
        let answer = self.emulator.authorize(started.auth_uri.as_str(), person).await.unwrap();
        (started, AuthResponse::parse(&answer.body()).unwrap())
    }

    pub(crate) async fn sign_in_as(&self, request: SignInRequest, person: &str) -> Result<SignedIn, Error> {
        let (started, response) = self.answered_to(request, person).await;
        let hooks = SignInHooks::new();
        self.msal.complete_sign_in(&started.sealed, response, &hooks).await.map(signed_in)
    }

    pub(crate) async fn sign_in(&self, person: &str) -> SessionId {
        self.sign_in_as(request(), person).await.unwrap().session_id
    }

    /// A handle as another request of the same browser gets it.
    pub(crate) async fn load(&self, id: &SessionId) -> AsyncMsal {
        self.msal.load_session(id).await.unwrap().expect("a live session")
    }

    /// Signed in, with an access token that has expired.
    pub(crate) async fn expired(&self, person: &str) -> SessionId {
        let id = self.sign_in(person).await;
        self.clock.advance(3601);
        self.emulator.admin().reset_counters();
        id
    }

    pub(crate) fn refreshes(&self) -> u64 {
        self.emulator.admin().counters().token_refresh_token
    }

    /// Makes a session claim a mail address, as its owner's administrator could at the provider.
    pub(crate) async fn pretend_mail(&self, id: &SessionId, mail: &str) {
        let fault = Fault::answer(200, format!(r#"{{"id":"x","mail":"{mail}"}}"#));
        self.emulator.admin().fail_next(FaultRule::new(Endpoint::GraphMe, fault)).unwrap();
        let person = self.load(id).await.mail().unwrap();
        self.sign_in_as(request().with_present_session(id), &person).await.unwrap();
    }

    /// A session that a Python service has made in the shared store: its record holds no item of ours, and no index knows
    /// it. For layout aiohttp.
    pub(crate) async fn signed_in_by_python(
        &self,
        person: &str,
        change: impl FnOnce(&mut serde_json::Value),
    ) -> SessionId {
        let id = self.sign_in(person).await;
        let key = self.msal.store_key(&id);
        let mut record: serde_json::Value =
            serde_json::from_slice(&self.store.peek(key.as_str()).await).unwrap();
        self.msal.end_session(&key).await.unwrap();
        record["session"].as_object_mut().unwrap().remove("async_msal");
        change(&mut record);
        self.store.plant(key.as_str(), &record.to_string()).await;
        id
    }

    /// Another node, whose clock goes wrong.
    pub(crate) fn node_at(
        &self,
        clock: &ManualClock,
        change: impl FnOnce(MsalBuilder) -> MsalBuilder,
    ) -> Msal {
        let store = Arc::clone(&self.store) as Arc<dyn SessionStore>;
        change(builder(&self.emulator, clock, store)).build().unwrap()
    }

    /// Another node on the same store, with the same settings.
    pub(crate) fn node(&self, change: impl FnOnce(MsalBuilder) -> MsalBuilder) -> Msal {
        let store = Arc::clone(&self.store) as Arc<dyn SessionStore>;
        change(builder(&self.emulator, &self.clock, store)).build().unwrap()
    }

    /// Waits until the one session there is was lengthened at this moment.
    pub(crate) async fn slid_to_now(&self) {
        use async_msal_session::async_msal::Clock as _;
        use futures_util::TryStreamExt as _;
        loop {
            let sessions: Vec<_> = self.msal.sessions().try_collect().await.unwrap();
            if sessions[0].created == self.clock.now() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Waits for tasks in flight.
    pub(crate) async fn settle(&self) {
        assert!(self.msal.shutdown(Duration::from_secs(20)).await, "tasks end");
    }
}

pub(crate) async fn emulator(clock: &ManualClock, policy: Policy) -> Emulator {
    use async_msal_session::async_msal::Clock as _;
    let clock = clock.clone();
    Emulator::builder()
        .shared_signing_key()
        .redirect_uri(format!("{PUBLIC_URL}/user/authorized"))
        .redirect_uri(format!("{PUBLIC_URL}/user/signed-out"))
        .clock(move || clock.now())
        .policy(policy)
        .start()
        .await
        .unwrap()
}

pub(crate) fn builder(emulator: &Emulator, clock: &ManualClock, store: Arc<dyn SessionStore>) -> MsalBuilder {
    let client = ConfidentialClient::builder(emulator.client_id())
        .authority(Authority::parse(&emulator.authority_url()).unwrap())
        .client_secret(ClientSecret::new(emulator.client_secret()))
        .clock(Arc::new(clock.clone()))
        .dangerous_allow_loopback_authority()
        .build()
        .unwrap();
    Msal::builder(client, store)
        .public_url(PUBLIC_URL)
        .keys_from_secrets([ClientSecret::new(emulator.client_secret())])
        .graph_url(&emulator.graph_url())
        .store_timeout(Duration::from_secs(5))
}

/// Signs in on this node.
pub(crate) async fn signed_in_on(msal: &Msal, emulator: &Emulator, person: &str) -> SessionId {
    let started = msal.initiate_sign_in(request()).await.unwrap();
    let answer = emulator.authorize(started.auth_uri.as_str(), person).await.unwrap();
    let response = AuthResponse::parse(&answer.body()).unwrap();
    let hooks = SignInHooks::new();
    signed_in(msal.complete_sign_in(&started.sealed, response, &hooks).await.unwrap()).session_id
}

pub(crate) fn request() -> SignInRequest {
    SignInRequest::new(format!("{PUBLIC_URL}/user/authorized").parse().unwrap())
}

pub(crate) fn signed_in(outcome: SignInOutcome) -> SignedIn {
    match outcome {
        SignInOutcome::SignedIn(signed_in) => signed_in,
        other => panic!("not signed in: {other:?}"),
    }
}
