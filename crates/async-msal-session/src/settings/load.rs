//! From named texts to [`Settings`].

use std::path::PathBuf;

use async_msal::{ClientSecret, Passphrase};
use url::Url;
use zeroize::Zeroizing;

use super::error::{SettingsError, SettingsProblem};
use super::source::SettingsSource;
use super::value::{self, StoreUrl};
use super::variables::{VARIABLES, name};
use super::{CredentialSetting, SessionLayout, Settings};
use crate::sealing::parse_key;

/// Collects what is wrong while values are read.
struct Reader {
    source: SettingsSource,
    problems: Vec<SettingsProblem>,
}

pub(super) fn load(mut source: SettingsSource) -> Result<Settings, SettingsError> {
    let problems = source.take_problems();
    let mut reader = Reader { source, problems };
    let settings = reader.read();
    match settings {
        Some(settings) if reader.problems.is_empty() => Ok(settings),
        _ => Err(SettingsError::new(reader.problems)),
    }
}

impl Reader {
    /// `None` only where something required is missing or wrong, which is then among the problems.
    fn read(&mut self) -> Option<Settings> {
        let app_id = self.required(name::SP_APP_ID);
        let authority = self.authority();
        let authority_hosts = self.list(name::SP_AUTHORITY_HOSTS, value::host);
        let public_url = self
            .required(name::PUBLIC_URL)
            .and_then(|text| self.checked(name::PUBLIC_URL, value::base_url(&text)));
        let secrets = self.secrets();
        let credential = self.credential(secrets.0);
        let secrets = secrets.1;
        let layout = self.layout();
        let domain = self.text(name::DOMAIN).and_then(|text| self.checked(name::DOMAIN, value::host(&text)));
        let cookie_name = self.cookie_name(layout, domain.is_some(), public_url.as_ref());
        let (idle, absolute) = Settings::default_lifetimes(layout);
        let session_idle = self.read_with(name::SESSION_IDLE, value::duration).unwrap_or(idle);
        let session_absolute = self.read_with(name::SESSION_ABSOLUTE, value::duration).unwrap_or(absolute);
        let store_timeout = self.read_with(name::STORE_TIMEOUT, value::duration);
        let store_cache = self.read_with(name::STORE_CACHE, value::switch).unwrap_or(false);
        let store = self.store();
        if store_cache && !matches!(store, None | Some(StoreUrl::Redis(_))) {
            self.invalid(name::STORE_CACHE, "only Redis says when a record changed; off is wanted");
        }
        let session_keys = self.keys(name::SESSION_KEYS);
        let cookie_keys = self.keys(name::COOKIE_KEYS);
        let allowed_tenants = self.list(name::ALLOWED_TENANTS, |text| Ok(text.to_owned()));
        let proxy = |text: &str| text.parse().or_else(|_| text.parse::<std::net::IpAddr>().map(Into::into));
        let trusted_proxies = self.list(name::TRUSTED_PROXIES, |text| {
            proxy(text).map_err(|_| "networks like 10.0.0.0/8 are wanted")
        });
        let allowed_hosts = self.list(name::ALLOWED_HOSTS, value::host);
        let graph_url = self.read_with(name::GRAPH_URL, value::base_url);
        let ca_file = self.text(name::CA_FILE).map(PathBuf::from);
        let debug_route = self.read_with(name::DEBUG_ROUTE, value::switch).unwrap_or(false);
        let dangerous_allow_loopback_authority =
            self.read_with(name::DANGEROUS_ALLOW_LOOPBACK_AUTHORITY, value::switch).unwrap_or(false);
        let (authority, generic) = authority?;
        Some(Settings {
            app_id: app_id?,
            authority,
            generic,
            scopes: Settings::default_scopes(generic),
            authority_hosts,
            secrets,
            credential: credential?,
            public_url: public_url?,
            domain,
            cookie_name,
            store: store?,
            store_timeout: store_timeout.unwrap_or(Settings::DEFAULT_STORE_TIMEOUT),
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
        })
    }

    fn text(&mut self, name: &'static str) -> Option<String> {
        self.source.take(name)
    }

    fn required(&mut self, name: &'static str) -> Option<String> {
        let text = self.text(name);
        if text.is_none() {
            let help =
                VARIABLES.iter().find(|variable| variable.name == name).map_or("", |variable| variable.help);
            self.problems.push(SettingsProblem::Missing { name: self.source.full(name), help });
        }
        text
    }

    /// One of Microsoft's, or any provider's issuer; says which.
    fn authority(&mut self) -> Option<(String, bool)> {
        match (self.text(name::SP_AUTHORITY), self.text(name::SP_ISSUER)) {
            (Some(_), Some(_)) => {
                self.invalid(name::SP_ISSUER, "SP_AUTHORITY is set too; set one of the two");
                None
            }
            (Some(authority), None) => Some((authority, false)),
            (None, Some(issuer)) => Some((issuer, true)),
            (None, None) => {
                let help = "https://login.microsoftonline.com/<tenant>, or in its place SP_ISSUER";
                let name = self.source.full(name::SP_AUTHORITY);
                self.problems.push(SettingsProblem::Missing { name, help });
                None
            }
        }
    }

    fn checked<T>(&mut self, name: &str, value: Result<T, &'static str>) -> Option<T> {
        value.map_err(|reason| self.invalid(name, reason)).ok()
    }

    fn read_with<T>(&mut self, name: &'static str, read: fn(&str) -> Result<T, &'static str>) -> Option<T> {
        let text = self.text(name)?;
        self.checked(name, read(&text))
    }

    fn list<T>(&mut self, name: &'static str, read: impl Fn(&str) -> Result<T, &'static str>) -> Vec<T> {
        let text = self.text(name).unwrap_or_default();
        let parts: Result<Vec<T>, _> = value::list(&text).map(read).collect();
        self.checked(name, parts).unwrap_or_default()
    }

    fn invalid(&mut self, name: &str, reason: &str) {
        let name = self.source.full(name);
        self.problems.push(SettingsProblem::Invalid { name, reason: reason.to_owned() });
    }

    /// Whether there is a present secret; it and the former ones.
    fn secrets(&mut self) -> (bool, Vec<ClientSecret>) {
        let present = self.text(name::SP_APP_PW);
        let former = self.text(name::SP_APP_PW_FORMER).unwrap_or_default();
        if present.is_none() && !former.is_empty() {
            // Keys derived from it would seal too, and it is retired since others may know it.
            self.invalid(name::SP_APP_PW_FORMER, "it is of no use without SP_APP_PW; SESSION_KEYS seal then");
            return (false, Vec::new());
        }
        let former = value::list(&former).map(ClientSecret::new);
        (present.is_some(), present.map(ClientSecret::new).into_iter().chain(former).collect())
    }

    /// Exactly one.
    fn credential(&mut self, secret: bool) -> Option<CredentialSetting> {
        let passphrase = self.text(name::SP_APP_CERT_PW).map(Passphrase::new);
        let certificate = self.text(name::SP_APP_CERT);
        if certificate.is_none() && passphrase.is_some() {
            self.invalid(name::SP_APP_CERT_PW, "it is of no use without SP_APP_CERT");
        }
        let certificate =
            certificate.map(|path| CredentialSetting::Certificate { path: path.into(), passphrase });
        let file = self.text(name::SP_APP_ASSERTION_FILE);
        let identity = self.text(name::SP_APP_MANAGED_IDENTITY);
        let mut found = [
            secret.then_some(CredentialSetting::Secret),
            certificate,
            file.map(|path| CredentialSetting::AssertionFile(path.into())),
            identity.map(|id| CredentialSetting::ManagedIdentity((id != "system").then_some(id))),
        ]
        .into_iter()
        .flatten();
        let first = found.next();
        if first.is_none() {
            let help = "a client secret, or in its place SP_APP_CERT, SP_APP_ASSERTION_FILE or SP_APP_MANAGED_IDENTITY";
            self.problems.push(SettingsProblem::Missing { name: self.source.full(name::SP_APP_PW), help });
        } else if found.next().is_some() {
            let reason = "one credential is wanted: SP_APP_CERT, SP_APP_ASSERTION_FILE and SP_APP_MANAGED_IDENTITY take its place";
            self.invalid(name::SP_APP_PW, reason);
        }
        first
    }

    fn layout(&mut self) -> SessionLayout {
        let read = |text: &str| match text.to_ascii_lowercase().as_str() {
            "sealed" => Ok(SessionLayout::Sealed),
            "aiohttp" => Ok(SessionLayout::Aiohttp),
            _ => Err("sealed or aiohttp is wanted"),
        };
        self.read_with(name::SESSION_LAYOUT, read).unwrap_or_default()
    }

    fn cookie_name(&mut self, layout: SessionLayout, domain: bool, public_url: Option<&Url>) -> String {
        let https = public_url.is_none_or(|url| url.scheme() == "https");
        let Some(name) = self.read_with(name::COOKIE_NAME, value::cookie_name) else {
            return Settings::default_cookie_name(layout, domain, https).to_owned();
        };
        // RFC 6265bis 4.1.3: browsers drop a cookie whose name promises what its attributes do not keep.
        if name.starts_with("__Host-") && (domain || !https) {
            self.invalid(name::COOKIE_NAME, "__Host- needs https and no DOMAIN");
        } else if name.starts_with("__Secure-") && !https {
            self.invalid(name::COOKIE_NAME, "__Secure- needs https");
        }
        name
    }

    /// STORE_URL or REDIS, else SQLite in the data folder. Which of two different stores is meant is not guessed: in the
    /// wrong one nobody is signed in.
    fn store(&mut self) -> Option<StoreUrl> {
        let data_dir = self.text(name::DATA_DIR);
        let (ours, theirs) = (self.text(name::STORE_URL), self.text(name::REDIS));
        let (name, text) = match (ours, theirs) {
            (Some(ours), Some(theirs)) if ours != theirs => {
                self.invalid(name::REDIS, "STORE_URL names another store; set one of the two");
                return None;
            }
            (Some(ours), _) => (name::STORE_URL, ours),
            (None, Some(theirs)) => (name::REDIS, theirs),
            (None, None) => return self.embedded(data_dir),
        };
        self.checked(name, value::store_url(&text))
    }

    fn embedded(&mut self, data_dir: Option<String>) -> Option<StoreUrl> {
        let folder = data_dir.map(PathBuf::from).or_else(|| state_folder(&self.source));
        if folder.is_none() {
            self.invalid(name::DATA_DIR, "no state folder is known here: set DATA_DIR or STORE_URL");
        }
        Some(StoreUrl::Sqlite(folder?.join("sessions.db")))
    }

    fn keys(&mut self, name: &'static str) -> Vec<Zeroizing<Vec<u8>>> {
        let wanted = "keys of 32 bytes in base64 are wanted (openssl rand -base64 32)";
        self.list(name, |text| parse_key(text).ok_or(wanted))
    }
}

/// The user's state folder (XDG Base Directory: `$XDG_STATE_HOME`, else `$HOME/.local/state`).
fn state_folder(source: &SettingsSource) -> Option<PathBuf> {
    let base = match (source.env.get("XDG_STATE_HOME"), source.env.get("HOME")) {
        (Some(state), _) if state.starts_with('/') => PathBuf::from(state),
        (_, Some(home)) if home.starts_with('/') => PathBuf::from(home).join(".local/state"),
        _ => return None,
    };
    Some(base.join("async-msal"))
}

#[cfg(test)]
mod tests;
