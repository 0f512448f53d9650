//! Settings: the same names in the environment, in a file and as flags.
//!
//! [`VARIABLES`] lists every one. Reading them makes no network call; what is missing is named all at once.

mod error;
mod load;
mod source;
mod value;
mod variables;

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_msal::{ClientSecret, Passphrase, Scopes};
use ipnet::IpNet;
use url::Url;
use zeroize::Zeroizing;

pub use self::error::{SettingsError, SettingsProblem};
pub use self::source::SettingsSource;
pub use self::value::{StoreAddress, StoreUrl};
pub use self::variables::{VARIABLES, Variable};
use crate::env::Env;
pub use crate::session_id::SessionLayout;

pub(crate) use self::value::{base_url, cookie_name, host};
pub(crate) use self::variables::name;

/// A day, in seconds.
const DAY: u64 = 86_400;

/// Everything that is configured.
#[derive(Clone)]
pub struct Settings {
    pub(crate) app_id: String,
    pub(crate) authority: String,
    /// Whether that is the issuer of any OpenID provider, and not one of Microsoft's authorities.
    pub(crate) generic: bool,
    pub(crate) authority_hosts: Vec<String>,
    /// The present client secret first, if the credential is one, then former ones.
    pub(crate) secrets: Vec<ClientSecret>,
    pub(crate) credential: CredentialSetting,
    pub(crate) public_url: Url,
    pub(crate) domain: Option<String>,
    pub(crate) cookie_name: String,
    pub(crate) store: StoreUrl,
    pub(crate) store_timeout: Duration,
    pub(crate) store_cache: bool,
    pub(crate) layout: SessionLayout,
    pub(crate) session_keys: Vec<Zeroizing<Vec<u8>>>,
    pub(crate) cookie_keys: Vec<Zeroizing<Vec<u8>>>,
    pub(crate) session_idle: Duration,
    pub(crate) session_absolute: Duration,
    pub(crate) allowed_tenants: Vec<String>,
    pub(crate) trusted_proxies: Vec<IpNet>,
    pub(crate) allowed_hosts: Vec<String>,
    pub(crate) graph_url: Option<Url>,
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) debug_route: bool,
    pub(crate) dangerous_allow_loopback_authority: bool,
    pub(crate) scopes: Scopes,
}

/// How the application proves itself to the authority.
#[derive(Clone, Debug)]
pub(crate) enum CredentialSetting {
    /// The first of the secrets.
    Secret,
    Certificate {
        path: PathBuf,
        passphrase: Option<Passphrase>,
    },
    AssertionFile(PathBuf),
    /// The machine's own, or one by its client id.
    ManagedIdentity(Option<String>),
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // By destructuring, so that a new field must be decided about: secrets and keys show their number only.
        let Self {
            app_id,
            authority,
            generic,
            authority_hosts,
            secrets,
            credential,
            public_url,
            domain,
            cookie_name,
            store,
            store_timeout,
            store_cache,
            layout,
            session_keys,
            cookie_keys,
            session_idle,
            session_absolute,
            allowed_tenants,
            trusted_proxies,
            allowed_hosts,
            graph_url,
            ca_file,
            debug_route,
            dangerous_allow_loopback_authority,
            scopes,
        } = self;
        f.debug_struct("Settings")
            .field("app_id", app_id)
            .field("authority", authority)
            .field("generic", generic)
            .field("authority_hosts", authority_hosts)
            .field("secrets", &secrets.len())
            .field("credential", credential)
            .field("public_url", &public_url.as_str())
            .field("domain", domain)
            .field("cookie_name", cookie_name)
            .field("store", store)
            .field("store_timeout", store_timeout)
            .field("store_cache", store_cache)
            .field("layout", layout)
            .field("session_keys", &session_keys.len())
            .field("cookie_keys", &cookie_keys.len())
            .field("session_idle", session_idle)
            .field("session_absolute", session_absolute)
            .field("allowed_tenants", allowed_tenants)
            .field("trusted_proxies", trusted_proxies)
            .field("allowed_hosts", allowed_hosts)
            .field("graph_url", &graph_url.as_ref().map(Url::as_str))
            .field("ca_file", ca_file)
            .field("debug_route", debug_route)
            .field("dangerous_allow_loopback_authority", dangerous_allow_loopback_authority)
            .field("scopes", scopes)
            .finish()
    }
}

impl Settings {
    /// Reads the process's environment.
    ///
    /// # Errors
    /// Names all that is missing or unreadable, at once.
    pub fn from_env() -> Result<Self, SettingsError> {
        Self::from_env_prefixed("")
    }

    /// Reads the process's environment, names preceded by `prefix`.
    ///
    /// # Errors
    /// Names all that is missing, unknown or unreadable, at once.
    pub fn from_env_prefixed(prefix: &str) -> Result<Self, SettingsError> {
        SettingsSource::new().env(&Env::process(), prefix).read()
    }

    /// Reads a TOML file.
    ///
    /// # Errors
    /// Names all that is missing, unknown or unreadable, at once.
    pub fn from_file(path: &Path) -> Result<Self, SettingsError> {
        SettingsSource::new().file(path)?.env_defaults().read()
    }

    /// Asks for these scopes at sign-in and for Graph calls. Default: `User.Read`; none with `SP_ISSUER`.
    #[must_use]
    pub fn with_scopes(mut self, scopes: Scopes) -> Self {
        self.scopes = scopes;
        self
    }

    /// Application (client) id.
    #[must_use]
    pub fn app_id(&self) -> &str {
        &self.app_id
    }

    /// The authority, or the issuer in its place, as configured.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The application's own address; no slash at its end.
    #[must_use]
    pub fn public_url(&self) -> &Url {
        &self.public_url
    }

    /// Whether browsers reach the application over TLS: then cookies are `Secure` and the callback is a form post.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.public_url.scheme() == "https"
    }

    /// Domain attribute of the session cookie; `None` for a host-only cookie.
    #[must_use]
    pub fn domain(&self) -> Option<&str> {
        self.domain.as_deref()
    }

    /// Name of the session cookie.
    #[must_use]
    pub fn cookie_name(&self) -> &str {
        &self.cookie_name
    }

    /// Where records are kept.
    #[must_use]
    pub fn store(&self) -> &StoreUrl {
        &self.store
    }

    /// Time limit of one store call. Default: 500 ms.
    #[must_use]
    pub fn store_timeout(&self) -> Duration {
        self.store_timeout
    }

    /// Whether copies of records are kept in this process while Redis watches them. Default: off.
    #[must_use]
    pub fn store_cache(&self) -> bool {
        self.store_cache
    }

    /// How records look. Default: sealed.
    #[must_use]
    pub fn layout(&self) -> SessionLayout {
        self.layout
    }

    /// A session unused for so long ends. Default: 24 h; 90 d in layout aiohttp.
    #[must_use]
    pub fn session_idle(&self) -> Duration {
        self.session_idle
    }

    /// A session ends so long after its sign-in. Default: 30 d; 90 d in layout aiohttp.
    #[must_use]
    pub fn session_absolute(&self) -> Duration {
        self.session_absolute
    }

    /// Tenants that may sign in; empty for any the authority admits.
    #[must_use]
    pub fn allowed_tenants(&self) -> &[String] {
        &self.allowed_tenants
    }

    /// Networks whose forwarded headers count. Default: none.
    #[must_use]
    pub fn trusted_proxies(&self) -> &[IpNet] {
        &self.trusted_proxies
    }

    /// Hosts beside Graph's that may be sent the user's token. Default: none.
    #[must_use]
    pub fn allowed_hosts(&self) -> &[String] {
        &self.allowed_hosts
    }

    /// Address of Microsoft Graph, where it is not the cloud's own.
    #[must_use]
    pub fn graph_url(&self) -> Option<&Url> {
        self.graph_url.as_ref()
    }

    /// Whether the debug page is served. Default: off.
    #[must_use]
    pub fn debug_route(&self) -> bool {
        self.debug_route
    }

    /// Whether loopback authorities and API hosts are accepted, over plain http too. Default: off.
    #[must_use]
    pub fn dangerous_allow_loopback_authority(&self) -> bool {
        self.dangerous_allow_loopback_authority
    }

    /// Scopes asked for at sign-in and for Graph calls.
    #[must_use]
    pub fn scopes(&self) -> &Scopes {
        &self.scopes
    }

    /// The cookie name, lifetimes and so on that `layout`, `domain` and the scheme imply where nothing else is said.
    pub(crate) fn default_cookie_name(layout: SessionLayout, domain: bool, https: bool) -> &'static str {
        match (layout, domain, https) {
            (SessionLayout::Aiohttp, ..) => "AIOHTTP_SESSION",
            (_, _, false) => "async_msal",
            (_, true, true) => "__Secure-async_msal",
            (_, false, true) => "__Host-async_msal",
        }
    }

    /// A scope of Graph means nothing to another provider.
    pub(crate) fn default_scopes(generic: bool) -> Scopes {
        if generic { Scopes::new() } else { Scopes::from(["User.Read"]) }
    }

    /// Idle and absolute life of a session where nothing else is said.
    pub(crate) fn default_lifetimes(layout: SessionLayout) -> (Duration, Duration) {
        match layout {
            SessionLayout::Aiohttp => (Duration::from_secs(90 * DAY), Duration::from_secs(90 * DAY)),
            SessionLayout::Sealed => (Duration::from_secs(DAY), Duration::from_secs(30 * DAY)),
        }
    }

    /// Default of STORE_TIMEOUT.
    pub(crate) const DEFAULT_STORE_TIMEOUT: Duration = Duration::from_millis(500);
}
