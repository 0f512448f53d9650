//! An application on a real port, with an emulator, a store and a clock of its own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_msal_axum::async_msal::{
    Authority, ClaimsChallenge, ClientSecret, Clock, ConfidentialClient, ManualClock, SystemClock,
};
use async_msal_axum::async_msal_session::MsalBuilder;
use async_msal_axum::async_msal_session::store::{MemoryStore, SessionStore};
use async_msal_axum::{AsyncMsal, Interaction, Msal, MsalLayer, Rejection, SignedIn, guard, routes};
use async_msal_emulator::Emulator;
use axum::Router;
use axum::extract::RawQuery;
use axum::routing::{get, post};
use tokio::net::TcpListener;

use crate::browser::{Answer, Browser};
use crate::store::WatchedStore;

pub(crate) const HTTPS: &str = "https://app.example";
pub(crate) const ADA: &str = "ada@contoso.example";
pub(crate) const BEN: &str = "ben@contoso.example";
pub(crate) const CLEO: &str = "cleo@contoso.example";
pub(crate) const GIL: &str = "gil@fabrikam.example";

pub(crate) struct App {
    pub(crate) address: SocketAddr,
    pub(crate) emulator: Arc<Emulator>,
    pub(crate) msal: Msal,
    pub(crate) store: Arc<WatchedStore>,
    pub(crate) clock: ManualClock,
}

/// What a test wants different.
pub(crate) struct Setup {
    public_url: &'static str,
    layer: Box<dyn FnOnce(MsalLayer) -> MsalLayer + Send>,
    msal: Box<dyn FnOnce(MsalBuilder) -> MsalBuilder + Send>,
    request_timeout: Duration,
    store: Option<Arc<dyn SessionStore>>,
}

impl Setup {
    pub(crate) fn new() -> Self {
        Self {
            public_url: HTTPS,
            layer: Box::new(|layer| layer),
            msal: Box::new(|msal| msal),
            request_timeout: Duration::from_secs(10),
            store: None,
        }
    }

    /// Plain http means response mode query.
    pub(crate) fn public_url(mut self, url: &'static str) -> Self {
        self.public_url = url;
        self
    }

    pub(crate) fn layer(mut self, change: impl FnOnce(MsalLayer) -> MsalLayer + Send + 'static) -> Self {
        self.layer = Box::new(change);
        self
    }

    pub(crate) fn msal(mut self, change: impl FnOnce(MsalBuilder) -> MsalBuilder + Send + 'static) -> Self {
        self.msal = Box::new(change);
        self
    }

    pub(crate) fn request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout;
        self
    }

    /// In place of one in memory.
    pub(crate) fn store(mut self, store: impl SessionStore) -> Self {
        self.store = Some(Arc::new(store));
        self
    }

    pub(crate) async fn start(self) -> App {
        let emulator = Emulator::builder().shared_signing_key().start().await.expect("an emulator");
        self.start_at(Arc::new(emulator)).await
    }

    /// Another node of an application that has an emulator already.
    pub(crate) async fn start_at(self, emulator: Arc<Emulator>) -> App {
        let clock = ManualClock::new(SystemClock::default().now());
        let client = ConfidentialClient::builder(emulator.client_id())
            .authority(Authority::parse(&emulator.authority_url()).expect("an authority"))
            .client_secret(ClientSecret::new(emulator.client_secret()))
            .clock(Arc::new(clock.clone()))
            .request_timeout(self.request_timeout)
            .dangerous_allow_loopback_authority()
            .build()
            .expect("a client");
        let store = self.store.unwrap_or_else(|| Arc::new(MemoryStore::with_clock(Arc::new(clock.clone()))));
        let store = Arc::new(WatchedStore::new(store));
        let builder = Msal::builder(client, store.clone())
            .keys_from_secrets([ClientSecret::new(emulator.client_secret())])
            .graph_url(&emulator.graph_url())
            .public_url(self.public_url);
        let msal = (self.msal)(builder).build().expect("an application");
        let layer = (self.layer)(MsalLayer::new(msal.clone()));
        for address in [layer.redirect_uri(), layer.post_logout_redirect_uri()] {
            emulator.register_redirect_uri(address.as_str()).expect("a redirect address");
        }
        let address = serve(router(layer)).await;
        App { address, emulator, msal, store, clock }
    }
}

pub(crate) async fn serve(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let service = app.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, service).await });
    address
}

fn router(auth: MsalLayer) -> Router {
    let admin = Router::new().route("/admin", get(async || "administrators only").post(async || "done"));
    Router::new()
        .route("/", get(home))
        .route("/plain", get(async || "nothing asked"))
        .route("/private", get(private).post(private))
        .route("/private/{*rest}", get(private))
        .route("/count", post(count))
        .route("/counted", get(counted))
        .route("/leave", post(leave))
        .route("/token", get(token))
        .route("/mail", get(mail))
        .route("/files", get(files))
        .route("/step-up", get(step_up))
        .route("/health", routes::health(auth.msal()))
        .merge(admin.route_layer(guard::roles(["Admin"])))
        .merge(auth.routes())
        .layer(auth)
}

async fn home(user: Option<SignedIn>) -> String {
    user.map_or_else(
        || "Hello stranger".to_owned(),
        |user| format!("Hello {}", user.name().unwrap_or_default()),
    )
}

async fn private(user: SignedIn) -> String {
    format!("Private for {}", user.name().unwrap_or_default())
}

async fn count(session: AsyncMsal) -> Result<String, Rejection> {
    let next = session.item::<u32>("count")?.unwrap_or_default() + 1;
    session.set_item("count", &next)?;
    Ok(next.to_string())
}

async fn counted(session: AsyncMsal) -> Result<String, Rejection> {
    Ok(session.item::<u32>("count")?.unwrap_or_default().to_string())
}

async fn leave(session: AsyncMsal) -> Result<&'static str, Rejection> {
    session.clear().await?;
    Ok("gone")
}

async fn token(user: SignedIn) -> Result<String, Rejection> {
    Ok(user.get_token(&"User.Read".into()).await?.expires_on.to_string())
}

async fn mail(user: SignedIn) -> Result<String, Rejection> {
    Ok(user.get_token(&"Mail.Read".into()).await?.expires_on.to_string())
}

async fn files(user: SignedIn) -> Result<String, Rejection> {
    Ok(user.get_token(&"Files.Read".into()).await?.expires_on.to_string())
}

/// As after an API's claims challenge, a long one.
async fn step_up(_user: SignedIn, RawQuery(query): RawQuery) -> Rejection {
    let value = format!("{}{}", query.unwrap_or_default(), "c".repeat(1_000));
    let claims = format!(r#"{{"access_token":{{"acrs":{{"essential":true,"value":"{value}"}}}}}}"#);
    let mut interaction = Interaction::default();
    interaction.claims = Some(ClaimsChallenge::parse(&claims).expect("a challenge"));
    Rejection::InteractionRequired(Box::new(interaction))
}

impl App {
    pub(crate) async fn start() -> Self {
        Setup::new().start().await
    }

    pub(crate) fn browser(&self) -> Browser {
        Browser::new(self.address)
    }

    /// The form the authority has the browser post back, after `person` chose to sign in.
    pub(crate) async fn answer_of(&self, login: &Answer, person: &str) -> String {
        self.emulator.authorize(login.location(), person).await.expect("the person signs in").body()
    }

    /// From the login route to the callback's answer.
    pub(crate) async fn sign_in(&self, browser: &mut Browser, person: &str) -> Answer {
        let login = browser.get("/user/login").await;
        let form = self.answer_of(&login, person).await;
        browser.cross_site_post("/user/authorized", &form).await
    }

    /// A browser in which `person` is signed in.
    pub(crate) async fn signed_in(&self, person: &str) -> Browser {
        let mut browser = self.browser();
        let answer = self.sign_in(&mut browser, person).await;
        assert_eq!(answer.status, 303, "{}", answer.body);
        assert_eq!(answer.location(), "/", "{}", answer.body);
        browser
    }

    /// Waits for what happens in the background, within 20 s.
    pub(crate) async fn until(&self, condition: impl AsyncFn() -> bool) {
        let wait = async {
            while !condition().await {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), wait).await.expect("it does not happen");
    }

    pub(crate) fn code_redemptions(&self) -> u64 {
        self.emulator.admin().counters().token_authorization_code
    }
}
