//! [`MsalLayer`]: one value that an application makes at start, puts around its router, and takes the routes from.

use std::fmt;
use std::sync::Arc;

use async_msal::ResponseMode;
use async_msal_session::{AsyncMsal as Session, Msal, Refused, SignInCallback, SignInHooks, SignInRequest};
use async_trait::async_trait;
use axum::Router;
use futures_util::future::BoxFuture;
use serde_json::{Map, Value};
use tokio::sync::Semaphore;
use tower::Layer;
use url::Url;

use crate::extract::AsyncMsal;
use crate::flow_cookie::FlowCookies;
use crate::return_to::ReturnTo;
use crate::routes;
use crate::routes::signed_out::SignOutCookie;
use crate::routes::{backchannel, frontchannel};
use crate::service::MsalService;
use crate::session_cookie::SessionCookie;
use crate::site::Site;
use crate::tries::TriesCookie;
use crate::trusted_proxy::TrustedProxies;

pub(crate) const DEFAULT_PREFIX: &str = "/user";

pub(crate) type InfoProvider = dyn Fn(AsyncMsal) -> BoxFuture<'static, Map<String, Value>> + Send + Sync;

/// Sign-in for an axum application: a tower layer that gives requests their session, and the routes that sign in and
/// out.
///
/// Making one does no I/O. Clones are cheap and mean the same application.
///
/// ```
/// # async fn tour() -> Result<(), Box<dyn std::error::Error>> {
/// use async_msal_axum::{Msal, MsalLayer, SignedIn};
/// use axum::{Router, routing::get};
///
/// let auth = MsalLayer::new(Msal::from_env()?).prefix("/account");
/// let app: Router = Router::new()
///     .route("/", get(async |user: SignedIn| format!("Hello {}", user.name().unwrap_or_default())))
///     .merge(auth.routes())
///     .layer(auth);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct MsalLayer {
    msal: Msal,
    prefix: String,
    default_page: Option<String>,
    hooks: SignInHooks,
    info_providers: Vec<Arc<InfoProvider>>,
    same_origin_only: bool,
}

impl MsalLayer {
    /// A layer with its routes under `/user`. No I/O.
    #[must_use]
    pub fn new(msal: Msal) -> Self {
        Self {
            msal,
            prefix: DEFAULT_PREFIX.to_owned(),
            default_page: None,
            hooks: SignInHooks::default(),
            info_providers: Vec::new(),
            same_origin_only: false,
        }
    }

    /// Where the library's routes live, below the path of `PUBLIC_URL`. Default: `/user`.
    ///
    /// The redirect address to register is `PUBLIC_URL` + prefix + `/authorized`, the post-logout address
    /// `PUBLIC_URL` + prefix + `/signed-out`.
    #[must_use]
    pub fn prefix(mut self, prefix: &str) -> Self {
        let inner = prefix.trim_matches('/');
        self.prefix = if inner.is_empty() { String::new() } else { format!("/{inner}") };
        self
    }

    /// Where a browser goes after a sign-in that was asked for no particular page. Default: the path of
    /// `PUBLIC_URL`. An address outside the application is not accepted: the default stays.
    #[must_use]
    pub fn default_page(mut self, path: &str) -> Self {
        self.default_page = Some(path.to_owned());
        self
    }

    /// Runs `callback` on the new session of every sign-in, before it is stored and before the browser goes on. It may
    /// set items, call APIs, or refuse: then nothing is stored, an earlier session of the browser stays, and the text
    /// stands, escaped, on a 403 page. Callbacks run in the order of adding; the first refusal ends it.
    ///
    /// ```
    /// # fn build(auth: async_msal_axum::MsalLayer) -> async_msal_axum::MsalLayer {
    /// auth.on_sign_in(|user| async move {
    ///     match user.mail().is_some_and(|mail| mail.ends_with("@example.com")) {
    ///         true => Ok(()),
    ///         false => Err("Only people of Example Ltd may come in.".to_owned()),
    ///     }
    /// })
    /// # }
    /// ```
    #[must_use]
    pub fn on_sign_in<F, Fut>(mut self, callback: F) -> Self
    where
        F: Fn(AsyncMsal) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.hooks = self.hooks.with_callback(Arc::new(FunctionCallback(callback)));
        self
    }

    /// Adds fields to the answer of `GET {prefix}/info`. Called for signed-in users only, in the order of adding; a
    /// later provider overwrites the fields of an earlier one, none overwrites the library's own.
    #[must_use]
    pub fn info_provider<F, Fut>(mut self, provider: F) -> Self
    where
        F: Fn(AsyncMsal) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Map<String, Value>> + Send + 'static,
    {
        self.info_providers.push(Arc::new(move |session| Box::pin(provider(session))));
        self
    }

    /// Refuses unsafe methods and WebSocket handshakes that a page of another origin makes, for the whole
    /// application below this layer: 403. Default: off, the application does its own.
    ///
    /// # Security
    /// The session cookie is `SameSite=Lax`, which already stops cross-site forms. This adds sibling hosts and the
    /// layout `aiohttp`, whose cookie is `SameSite=None`. Requests without `Origin` and `Sec-Fetch-Site` pass: they
    /// come from programs, which carry no one else's cookies.
    #[must_use]
    pub fn same_origin_only(mut self) -> Self {
        self.same_origin_only = true;
        self
    }

    /// The application this layer serves.
    #[must_use]
    pub fn msal(&self) -> &Msal {
        &self.msal
    }

    /// The address to register for the way back from a sign-in: `PUBLIC_URL` + prefix + `/authorized`.
    #[must_use]
    pub fn redirect_uri(&self) -> Url {
        self.site().absolute("authorized")
    }

    /// The address to register for the way back from a sign-out: `PUBLIC_URL` + prefix + `/signed-out`.
    #[must_use]
    pub fn post_logout_redirect_uri(&self) -> Url {
        self.site().absolute("signed-out")
    }

    /// The front-channel logout address to register: `PUBLIC_URL` + prefix + `/frontchannel-logout`.
    #[must_use]
    pub fn frontchannel_logout_uri(&self) -> Url {
        self.site().absolute("frontchannel-logout")
    }

    /// The back-channel logout address to register: `PUBLIC_URL` + prefix + `/backchannel-logout`.
    #[must_use]
    pub fn backchannel_logout_uri(&self) -> Url {
        self.site().absolute("backchannel-logout")
    }

    /// The routes under the prefix, for [`Router::merge`]. They work under any application state, and need this
    /// layer around them.
    pub fn routes<S: Clone + Send + Sync + 'static>(&self) -> Router<S> {
        routes::router(&self.prefix)
    }

    fn site(&self) -> Site {
        Site::new(self.msal.settings().public_url().clone(), self.prefix.clone())
    }

    fn shared(&self) -> Shared {
        let settings = self.msal.settings();
        let site = self.site();
        let https = site.is_https();
        let home = ReturnTo::new(&site, site.home());
        let default_page =
            self.default_page.as_deref().map_or_else(|| site.home(), |path| home.resolve_request(path));
        Shared {
            return_to: ReturnTo::new(&site, default_page),
            session_cookie: SessionCookie::new(settings),
            flow_cookies: FlowCookies::new(settings.cookie_name(), https),
            tries_cookie: TriesCookie::new(settings.cookie_name(), https),
            sign_out_cookie: SignOutCookie::new(settings.cookie_name(), https),
            proxies: TrustedProxies::new(settings.trusted_proxies().to_vec()),
            hooks: self.hooks.clone(),
            info_providers: self.info_providers.clone(),
            same_origin_only: self.same_origin_only,
            logout_turns: Semaphore::new(backchannel::AT_A_TIME),
            frame_turns: Semaphore::new(frontchannel::AT_A_TIME),
            msal: self.msal.clone(),
            site,
        }
    }
}

impl<S> Layer<S> for MsalLayer {
    type Service = MsalService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        MsalService::new(Arc::new(self.shared()), inner)
    }
}

impl fmt::Debug for MsalLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MsalLayer").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

/// What every request of one layer shares.
pub(crate) struct Shared {
    pub(crate) msal: Msal,
    pub(crate) site: Site,
    pub(crate) return_to: ReturnTo,
    pub(crate) session_cookie: SessionCookie,
    pub(crate) flow_cookies: FlowCookies,
    pub(crate) tries_cookie: TriesCookie,
    pub(crate) sign_out_cookie: SignOutCookie,
    pub(crate) proxies: TrustedProxies,
    pub(crate) hooks: SignInHooks,
    pub(crate) info_providers: Vec<Arc<InfoProvider>>,
    pub(crate) same_origin_only: bool,
    pub(crate) logout_turns: Semaphore,
    pub(crate) frame_turns: Semaphore,
}

impl Shared {
    /// How the authority sends its answer. Over plain http the flow cookie cannot be `SameSite=None`, so it would not
    /// come with a cross-site POST.
    pub(crate) fn response_mode(&self) -> ResponseMode {
        response_mode(&self.site)
    }

    /// Seconds since 1970, from the clock that came with the client.
    pub(crate) fn now(&self) -> i64 {
        self.msal.clock().now()
    }
}

fn response_mode(site: &Site) -> ResponseMode {
    if site.is_https() { ResponseMode::FormPost } else { ResponseMode::Query }
}

/// A sign-in whose answer comes to the callback route, the way the route expects it.
pub(crate) fn sign_in_request(site: &Site) -> SignInRequest {
    SignInRequest::new(site.absolute("authorized")).with_response_mode(response_mode(site))
}

/// A function as the callback that the session crate knows.
struct FunctionCallback<F>(F);

#[async_trait]
impl<F, Fut> SignInCallback for FunctionCallback<F>
where
    F: Fn(AsyncMsal) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), String>> + Send + 'static,
{
    async fn on_sign_in(&self, session: &Session) -> Result<(), Refused> {
        (self.0)(AsyncMsal::new(session.clone())).await.map_err(Refused::new)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("site", &self.site).finish_non_exhaustive()
    }
}
