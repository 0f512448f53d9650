//! Values of settings, from text.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;
use url::Url;

/// Where records are kept, from STORE_URL.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum StoreUrl {
    /// One SQLite file.
    Sqlite(PathBuf),
    /// In this process only.
    Memory,
    /// A Redis server, a master watched by Sentinels, or a Cluster.
    Redis(StoreAddress),
    /// A PostgreSQL server.
    Postgres(StoreAddress),
}

/// The address of a store on the network.
///
/// # Security
/// It may hold a password: it has no `Display`, and its `Debug` shows the scheme only.
#[derive(Clone)]
pub struct StoreAddress(SecretString);

impl StoreAddress {
    /// Takes an address; whether it is one is seen when the store is opened.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(SecretString::from(text))
    }

    /// The address, password included.
    #[must_use]
    pub fn expose_secret(&self) -> &str {
        self.0.expose_secret()
    }

    /// What stands before `://`, in which there is no secret.
    #[must_use]
    pub fn scheme(&self) -> &str {
        self.expose_secret().split_once("://").map_or("", |(scheme, _)| scheme)
    }

    /// Whether Redis is spoken to over TLS.
    #[cfg(feature = "redis")]
    pub(crate) fn is_tls(&self) -> bool {
        self.scheme().starts_with("rediss")
    }
}

impl From<&str> for StoreAddress {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<&String> for StoreAddress {
    fn from(text: &String) -> Self {
        Self::new(text)
    }
}

impl PartialEq for StoreAddress {
    fn eq(&self, other: &Self) -> bool {
        self.expose_secret().as_bytes().ct_eq(other.expose_secret().as_bytes()).into()
    }
}

impl Eq for StoreAddress {}

impl fmt::Debug for StoreAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreAddress({}://[redacted])", self.scheme())
    }
}

/// A time in words: `500ms`, `90s`, `15m`, `24h`, `30d`; a number alone is seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, &'static str> {
    const WANTED: &str = "a time like 500ms, 90s, 15m, 24h or 30d is wanted";
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number: u64 = text[..digits].parse().map_err(|_| WANTED)?;
    let milliseconds = match text[digits..].trim() {
        "ms" => 1,
        "" | "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(WANTED),
    };
    let total = number.checked_mul(milliseconds).filter(|total| *total > 0).ok_or(WANTED)?;
    Ok(Duration::from_millis(total))
}

/// Yes or no.
pub(crate) fn switch(text: &str) -> Result<bool, &'static str> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Ok(true),
        "0" | "false" | "no" | "off" => Ok(false),
        _ => Err("on or off is wanted"),
    }
}

/// Comma-separated, blanks trimmed, empty parts dropped.
pub(crate) fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty())
}

/// The application's own address, or Graph's: http or https, without user, query and fragment, no slash at its end.
pub(crate) fn base_url(text: &str) -> Result<Url, &'static str> {
    let mut url = Url::parse(text).map_err(|_| "an absolute http or https address is wanted")?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err("an absolute http or https address is wanted");
    }
    if !url.username().is_empty()
        || url.password().is_some()
        || url.query().is_some()
        || url.fragment().is_some()
    {
        return Err("an address without user, query and fragment is wanted");
    }
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    Ok(url)
}

/// A host as [`Url`] writes it: lower case, punycode, no port.
pub(crate) fn host(text: &str) -> Result<String, &'static str> {
    let url = Url::parse(&format!("https://{text}/")).map_err(|_| "a host name is wanted")?;
    let plain =
        url.port().is_none() && url.username().is_empty() && url.password().is_none() && url.path() == "/";
    match url.host_str() {
        Some(host) if plain && !text.contains(['/', '?', '#', '@', '*', '\\']) => Ok(host.to_owned()),
        _ => Err("a host name without port is wanted"),
    }
}

/// A cookie's name. It begins the store's keys too, so of RFC 6265's token only what means nothing to any store.
pub(crate) fn cookie_name(text: &str) -> Result<String, &'static str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    if text.is_empty() || text.len() > 64 || !text.bytes().all(plain) {
        return Err("at most 64 letters, digits, dots, dashes and underscores are wanted");
    }
    Ok(text.to_owned())
}

/// A store's address: `sqlite:<path>`, `memory:`, `redis://…` and its kin, or `postgres://…`. It may hold a password, so no
/// error repeats it.
pub(crate) fn store_url(text: &str) -> Result<StoreUrl, &'static str> {
    const WANTED: &str = "sqlite:<path>, redis://host, postgres://host/database or memory: is wanted";
    let (scheme, rest) = text.split_once(':').ok_or(WANTED)?;
    let scheme = scheme.to_ascii_lowercase();
    let address = || {
        let plain = rest.len() > 2 && rest.starts_with("//") && !rest.contains(char::is_control);
        if plain { Ok(StoreAddress::new(&format!("{scheme}:{rest}"))) } else { Err(WANTED) }
    };
    match scheme.as_str() {
        "memory" if rest.is_empty() => Ok(StoreUrl::Memory),
        "sqlite" => {
            let path = rest.strip_prefix("//").unwrap_or(rest);
            let plain = !path.is_empty() && !path.contains(['?', '\0']);
            if plain { Ok(StoreUrl::Sqlite(path.into())) } else { Err(WANTED) }
        }
        "redis" | "rediss" | "redis+sentinel" | "rediss+sentinel" | "redis+cluster" | "rediss+cluster" => {
            address().map(StoreUrl::Redis)
        }
        "postgres" | "postgresql" => address().map(StoreUrl::Postgres),
        _ => Err(WANTED),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_their_unit() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("30d"), Ok(Duration::from_secs(30 * 86_400)));
        assert_eq!(duration("90"), Ok(Duration::from_secs(90)));
        for bad in ["", "d", "-1s", "1w", "0", "99999999999999999999d", "1.5h"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_host_is_a_host_and_nothing_more() {
        assert_eq!(host("API.Example.com"), Ok("api.example.com".to_owned()));
        for bad in ["", "a b", "a/b", "u@h", "h:8443", "*.example.com", "https://h"] {
            assert!(host(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_own_address_has_no_user_query_or_fragment() {
        assert_eq!(base_url("https://app.example/base/").unwrap().as_str(), "https://app.example/base");
        for bad in
            ["app.example", "ftp://a", "https://u@a", "https://a?q", "https://a#f", "javascript:alert(1)"]
        {
            assert!(base_url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_store_is_told_by_its_scheme_and_its_password_is_not_shown() {
        assert!(matches!(store_url("sqlite:/tmp/x.db"), Ok(StoreUrl::Sqlite(_))));
        assert!(matches!(store_url("postgres://u:canary@h/d"), Ok(StoreUrl::Postgres(_))));
        let redis = store_url("REDIS+sentinel://u:canary@h,h/main");
        assert!(matches!(&redis, Ok(StoreUrl::Redis(address)) if address.scheme() == "redis+sentinel"));
        assert!(!format!("{redis:?}").contains("canary"));
        for bad in ["mysql://h", "sqlite:", "redis:h", "redis://", "redis://h\n", "memory:x"] {
            assert!(store_url(bad).is_err(), "{bad}");
        }
    }
}
