//! Values of settings, from text.

use std::path::PathBuf;
use std::time::Duration;

use url::Url;

/// Where records are kept, from STORE_URL.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum StoreUrl {
    /// One SQLite file.
    Sqlite(PathBuf),
    /// In this process only.
    Memory,
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

/// What went wrong with a store's address.
pub(crate) enum StoreUrlError {
    Invalid(&'static str),
    Unsupported(String),
}

/// `sqlite:<path>`, `sqlite://<path>` or `memory:`. The address may hold a password, so no error repeats it.
pub(crate) fn store_url(text: &str) -> Result<StoreUrl, StoreUrlError> {
    const WANTED: &str = "sqlite:<path> or memory: is wanted";
    let (scheme, rest) = text.split_once(':').ok_or(StoreUrlError::Invalid(WANTED))?;
    match scheme.to_ascii_lowercase().as_str() {
        "memory" if rest.is_empty() => Ok(StoreUrl::Memory),
        "sqlite" => {
            let path = rest.strip_prefix("//").unwrap_or(rest);
            let plain = !path.is_empty() && !path.contains(['?', '\0']);
            if plain { Ok(StoreUrl::Sqlite(path.into())) } else { Err(StoreUrlError::Invalid(WANTED)) }
        }
        scheme @ ("redis" | "rediss" | "postgres" | "postgresql") => Err(StoreUrlError::Unsupported(
            format!("{scheme}: is not supported yet; sqlite:<path> and memory: are"),
        )),
        _ => Err(StoreUrlError::Invalid(WANTED)),
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
    fn a_store_that_comes_later_is_named_as_such() {
        assert!(matches!(store_url("redis://u:p@h"), Err(StoreUrlError::Unsupported(_))));
        assert!(matches!(store_url("mysql://h"), Err(StoreUrlError::Invalid(_))));
        assert!(matches!(store_url("sqlite:/tmp/x.db"), Ok(StoreUrl::Sqlite(_))));
        assert!(matches!(store_url("sqlite:"), Err(StoreUrlError::Invalid(_))));
    }
}
