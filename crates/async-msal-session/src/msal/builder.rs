//! Putting an [`Msal`] together.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_msal::{Authority, AuthorityKind, ClientSecret, ConfidentialClient, Scopes, SigningAlgorithm};
use url::Url;
use zeroize::Zeroizing;

use super::{Inner, Msal, credential};
use crate::api_client::ApiClient;
use crate::app_tokens::AppTokens;
use crate::background::Background;
use crate::endings::Endings;
use crate::error::Error;
use crate::renewal::Renewals;
use crate::sealing::{KeyRing, parse_key};
use crate::session::Memo;
use crate::session_id::SessionLayout;
use crate::settings::{
    CredentialSetting, Settings, SettingsError, SettingsProblem, StoreAddress, StoreUrl, base_url,
    cookie_name, host, name,
};
use crate::store::{MemoryStore, SessionStore, StoreGuard};
use crate::turns::Turns;
use crate::unindexed::Walks;

/// HKDF info of the two rings derived from a client secret.
const RECORD_KEYS: &str = "async-msal session keys v1";
const COOKIE_KEYS: &str = "async-msal cookie keys v1";

/// Options of an [`Msal`]; each names the setting it stands for.
#[derive(Debug)]
#[must_use = "call build()"]
pub struct MsalBuilder {
    client: ConfidentialClient,
    store: Arc<dyn SessionStore>,
    settings: Settings,
    public_url: bool,
    cookie_name: bool,
    lifetimes: (bool, bool),
    problems: Vec<SettingsProblem>,
}

impl MsalBuilder {
    pub(super) fn new(client: ConfidentialClient, store: Arc<dyn SessionStore>) -> Self {
        let (session_idle, session_absolute) = Settings::default_lifetimes(SessionLayout::Sealed);
        let authority = client.authority();
        let settings = Settings {
            app_id: client.client_id().to_owned(),
            authority: authority.url().to_owned(),
            generic: authority.kind() == AuthorityKind::Oidc,
            authority_hosts: Vec::new(),
            secrets: Vec::new(),
            // The client has its own already.
            credential: CredentialSetting::Secret,
            // Replaced by public_url(), without which build() fails.
            public_url: Url::parse("https://localhost").expect("a constant address"),
            domain: None,
            cookie_name: String::new(),
            store: StoreUrl::Memory,
            store_timeout: Settings::DEFAULT_STORE_TIMEOUT,
            store_cache: false,
            layout: SessionLayout::Sealed,
            session_keys: Vec::new(),
            cookie_keys: Vec::new(),
            session_idle,
            session_absolute,
            allowed_tenants: Vec::new(),
            trusted_proxies: Vec::new(),
            allowed_hosts: Vec::new(),
            graph_url: None,
            ca_file: None,
            debug_route: false,
            dangerous_allow_loopback_authority: authority.is_loopback(),
            scopes: Settings::default_scopes(authority.kind() == AuthorityKind::Oidc),
        };
        Self {
            client,
            store,
            settings,
            public_url: false,
            cookie_name: false,
            lifetimes: (false, false),
            problems: Vec::new(),
        }
    }

    /// The application's own address, as browsers see it (PUBLIC_URL). Required.
    pub fn public_url(mut self, url: &str) -> Self {
        if let Some(url) = self.checked(name::PUBLIC_URL, base_url(url)) {
            self.settings.public_url = url;
            self.public_url = true;
        }
        self
    }

    /// Derives the sealing keys from this client secret where no keys are set (SP_APP_PW). Give former secrets too, the
    /// present one first, so that what they sealed still opens.
    pub fn keys_from_secrets(mut self, secrets: impl IntoIterator<Item = ClientSecret>) -> Self {
        self.settings.secrets = secrets.into_iter().collect();
        self
    }

    /// Keys of records, 32 bytes in base64 each; the first seals, all open (SESSION_KEYS). Default: derived.
    pub fn session_keys<'a>(mut self, keys: impl IntoIterator<Item = &'a str>) -> Self {
        self.settings.session_keys = self.keys(name::SESSION_KEYS, keys);
        self
    }

    /// Keys of the sign-in cookie (COOKIE_KEYS). Default: the keys of records.
    pub fn cookie_keys<'a>(mut self, keys: impl IntoIterator<Item = &'a str>) -> Self {
        self.settings.cookie_keys = self.keys(name::COOKIE_KEYS, keys);
        self
    }

    /// How records look (SESSION_LAYOUT). Default: sealed.
    pub fn layout(mut self, layout: SessionLayout) -> Self {
        self.settings.layout = layout;
        self
    }

    /// Domain attribute of the session cookie (DOMAIN). Default: host-only.
    pub fn domain(mut self, domain: &str) -> Self {
        self.settings.domain = self.checked(name::DOMAIN, host(domain));
        self
    }

    /// Name of the session cookie (COOKIE_NAME). Default: `__Host-async_msal`, as layout, domain and scheme have it.
    pub fn cookie_name(mut self, text: &str) -> Self {
        if let Some(text) = self.checked(name::COOKIE_NAME, cookie_name(text)) {
            self.settings.cookie_name = text;
            self.cookie_name = true;
        }
        self
    }

    /// A session unused for so long ends (SESSION_IDLE). Default: 24 h.
    pub fn session_idle(mut self, idle: Duration) -> Self {
        self.settings.session_idle = idle;
        self.lifetimes.0 = true;
        self
    }

    /// A session ends so long after its sign-in (SESSION_ABSOLUTE). Default: 30 d.
    pub fn session_absolute(mut self, absolute: Duration) -> Self {
        self.settings.session_absolute = absolute;
        self.lifetimes.1 = true;
        self
    }

    /// Time limit of one store call (STORE_TIMEOUT). Default: 500 ms.
    pub fn store_timeout(mut self, limit: Duration) -> Self {
        self.settings.store_timeout = limit;
        self
    }

    /// Scopes asked for at sign-in and for Graph calls. Default: `User.Read`; none where the client goes by an issuer.
    pub fn scopes(mut self, scopes: Scopes) -> Self {
        self.settings.scopes = scopes;
        self
    }

    /// Hosts beside Graph's that may be sent the user's token (ALLOWED_HOSTS). Default: none.
    pub fn allowed_hosts<'a>(mut self, hosts: impl IntoIterator<Item = &'a str>) -> Self {
        let hosts: Result<Vec<String>, _> = hosts.into_iter().map(host).collect();
        self.settings.allowed_hosts = self.checked(name::ALLOWED_HOSTS, hosts).unwrap_or_default();
        self
    }

    /// Networks whose forwarded headers count (TRUSTED_PROXIES). Default: none.
    pub fn trusted_proxies(mut self, networks: impl IntoIterator<Item = ipnet::IpNet>) -> Self {
        self.settings.trusted_proxies = networks.into_iter().collect();
        self
    }

    /// Address of Microsoft Graph (GRAPH_URL). Default: the cloud's own.
    pub fn graph_url(mut self, url: &str) -> Self {
        self.settings.graph_url = self.checked(name::GRAPH_URL, base_url(url));
        self
    }

    /// Serve the debug page, secrets masked, to signed-in users (DEBUG_ROUTE). Default: off.
    pub fn debug_route(mut self, on: bool) -> Self {
        self.settings.debug_route = on;
        self
    }

    /// Checks everything and puts it together. No I/O.
    ///
    /// # Errors
    /// [`Error::Settings`] naming all that is missing or wrong.
    pub fn build(mut self) -> Result<Msal, Error> {
        if !self.public_url && self.problems.is_empty() {
            let help = "the application's own address as browsers see it";
            self.problems.push(SettingsProblem::Missing { name: name::PUBLIC_URL.to_owned(), help });
        }
        let settings = &mut self.settings;
        let (idle, absolute) = Settings::default_lifetimes(settings.layout);
        if !self.lifetimes.0 {
            settings.session_idle = idle;
        }
        if !self.lifetimes.1 {
            settings.session_absolute = absolute;
        }
        if !self.cookie_name {
            let (domain, https) = (settings.domain.is_some(), settings.is_https());
            settings.cookie_name = Settings::default_cookie_name(settings.layout, domain, https).to_owned();
        }
        let keys = key_rings(&self.settings);
        if keys.is_none() {
            let help = "keys that seal sessions, or SP_APP_PW to derive them from";
            self.problems.push(SettingsProblem::Missing { name: name::SESSION_KEYS.to_owned(), help });
        }
        match keys {
            Some(keys) if self.problems.is_empty() => self.assemble(keys),
            _ => Err(SettingsError::new(self.problems).into()),
        }
    }

    fn assemble(self, (record_keys, cookie_keys): (KeyRing, KeyRing)) -> Result<Msal, Error> {
        let Self { client, store, settings, .. } = self;
        if settings.layout == SessionLayout::Aiohttp {
            tracing::warn!(target: crate::telemetry::STORE,
                "session records are plain (layout aiohttp): whoever reads the store reads the tokens");
        }
        let memo = Memo::new(store.keeps_copies());
        let store = StoreGuard::new(store, settings.store_timeout, Arc::clone(client.clock()));
        let api = ApiClient::new(&settings, &client)?;
        let inner = Inner {
            client,
            settings,
            store,
            record_keys,
            cookie_keys,
            api,
            app_tokens: AppTokens::new(),
            renewals: Renewals::new(),
            turns: Turns::new(),
            memo,
            walks: Walks::default(),
            endings: Endings::default(),
            background: Background::new(),
        };
        Ok(Msal { inner: Arc::new(inner) })
    }

    fn checked<T>(&mut self, name: &str, value: Result<T, &'static str>) -> Option<T> {
        value
            .map_err(|reason| {
                let reason = reason.to_owned();
                self.problems.push(SettingsProblem::Invalid { name: name.to_owned(), reason });
            })
            .ok()
    }

    fn keys<'a>(&mut self, name: &str, keys: impl IntoIterator<Item = &'a str>) -> Vec<Zeroizing<Vec<u8>>> {
        let wanted = "keys of 32 bytes in base64 are wanted (openssl rand -base64 32)";
        let keys: Result<Vec<_>, _> = keys.into_iter().map(|key| parse_key(key).ok_or(wanted)).collect();
        self.checked(name, keys).unwrap_or_default()
    }
}

/// Keys as set, else derived: records by SESSION_KEYS, cookies by COOKIE_KEYS or else SESSION_KEYS.
fn key_rings(settings: &Settings) -> Option<(KeyRing, KeyRing)> {
    let derived = |info| KeyRing::derive(&settings.secrets, info);
    let records = KeyRing::new(&settings.session_keys).or_else(|| derived(RECORD_KEYS))?;
    let cookies = KeyRing::new(&settings.cookie_keys)
        .or_else(|| KeyRing::new(&settings.session_keys))
        .or_else(|| derived(COOKIE_KEYS))?;
    Some((records, cookies))
}

/// Client and store from settings, and all of it together.
pub(super) fn from_settings(settings: Settings) -> Result<Msal, Error> {
    let ca_pem = settings.ca_file.as_deref().map(read_ca).transpose()?;
    let (authority, named) = match settings.generic {
        true => (Authority::oidc(&settings.authority), name::SP_ISSUER),
        false => (Authority::parse(&settings.authority), name::SP_AUTHORITY),
    };
    let authority = authority.map_err(|error| SettingsError::invalid(named, error.to_string()))?;
    let mut client = ConfidentialClient::builder(&settings.app_id)
        .authority(authority)
        .credential(credential::from_settings(&settings)?)
        .allowed_tenants(settings.allowed_tenants.iter().map(String::as_str))
        .allowed_endpoint_hosts(settings.authority_hosts.iter().map(String::as_str));
    if settings.generic {
        // Whichever of them the provider's key is made for.
        use SigningAlgorithm::{Es256, Ps256, Rs256};
        client = client.signing_algorithms([Rs256, Ps256, Es256]);
    }
    if settings.dangerous_allow_loopback_authority {
        client = client.dangerous_allow_loopback_authority();
    }
    if let Some(pem) = &ca_pem {
        client = client.ca_certificate_pem(pem.clone());
    }
    let store = open_store(&settings, ca_pem.as_deref())?;
    let builder = MsalBuilder {
        client: client.build()?,
        store,
        settings,
        public_url: true,
        cookie_name: true,
        lifetimes: (true, true),
        problems: Vec::new(),
    };
    builder.build()
}

fn read_ca(path: &Path) -> Result<Vec<u8>, SettingsError> {
    std::fs::read(path).map_err(|error| SettingsError::invalid(name::CA_FILE, error.to_string()))
}

/// The store that STORE_URL names; nothing is connected yet.
fn open_store(settings: &Settings, ca_pem: Option<&[u8]>) -> Result<Arc<dyn SessionStore>, SettingsError> {
    match &settings.store {
        StoreUrl::Memory => Ok(Arc::new(MemoryStore::new())),
        StoreUrl::Sqlite(path) => open_sqlite(path),
        StoreUrl::Redis(address) => open_redis(address, settings, ca_pem),
        StoreUrl::Postgres(address) => open_postgres(address, settings),
    }
}

#[cfg(feature = "postgres")]
fn open_postgres(
    address: &StoreAddress,
    settings: &Settings,
) -> Result<Arc<dyn SessionStore>, SettingsError> {
    crate::store::PostgresStore::open_lazy(address.expose_secret(), settings.store_timeout)
        .map(|store| Arc::new(store) as Arc<dyn SessionStore>)
        .map_err(|error| SettingsError::invalid(name::STORE_URL, error.to_string()))
}

#[cfg(not(feature = "postgres"))]
fn open_postgres(
    _address: &StoreAddress,
    _settings: &Settings,
) -> Result<Arc<dyn SessionStore>, SettingsError> {
    Err(not_in_this_build("PostgreSQL (feature `postgres`)"))
}

#[cfg(feature = "sqlite")]
fn open_sqlite(path: &Path) -> Result<Arc<dyn SessionStore>, SettingsError> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder)
            .map_err(|error| SettingsError::invalid(name::DATA_DIR, error.to_string()))?;
    }
    Ok(Arc::new(crate::store::SqliteStore::open_lazy(path)))
}

#[cfg(not(feature = "sqlite"))]
fn open_sqlite(_path: &Path) -> Result<Arc<dyn SessionStore>, SettingsError> {
    Err(not_in_this_build("SQLite (feature `sqlite`)"))
}

#[cfg(feature = "redis")]
fn open_redis(
    address: &StoreAddress,
    settings: &Settings,
    ca_pem: Option<&[u8]>,
) -> Result<Arc<dyn SessionStore>, SettingsError> {
    let mut options = crate::store::RedisOptions::new(address.clone())
        .timeout(settings.store_timeout)
        .read_cache(settings.store_cache);
    if let Some(pem) = ca_pem {
        options = options.ca_certificate_pem(pem);
    }
    Ok(Arc::new(crate::store::RedisStore::open_lazy(&options)?))
}

#[cfg(not(feature = "redis"))]
fn open_redis(
    _address: &StoreAddress,
    _settings: &Settings,
    _ca_pem: Option<&[u8]>,
) -> Result<Arc<dyn SessionStore>, SettingsError> {
    Err(not_in_this_build("Redis (feature `redis`)"))
}

#[cfg(not(all(feature = "sqlite", feature = "postgres", feature = "redis")))]
fn not_in_this_build(what: &str) -> SettingsError {
    let reason = format!("this build has no {what}");
    SettingsError::new(vec![SettingsProblem::Unsupported { name: name::STORE_URL.to_owned(), reason }])
}

/// The parsed address of something configured.
pub(crate) fn join(base: &Url, path: &str) -> Result<Url, url::ParseError> {
    Url::parse(&format!("{}/{}", base.as_str().trim_end_matches('/'), path.trim_start_matches('/')))
}
