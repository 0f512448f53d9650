//! Did this request come from a page of this application? Cross-site request forgery ends here.
//!
//! Browsers put `Sec-Fetch-Site` on every request to a trustworthy address and `Origin` on every unsafe one; no
//! script can set either. `PUBLIC_URL` says what our own origin is, never the `Host` header.

use http::{HeaderMap, Method, header};
use url::{Origin, Url};

const FETCH_SITE: &str = "sec-fetch-site";

/// What the headers say about the page that caused a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RequestOrigin {
    /// A page of this application, or the user's own hand (address bar, bookmark).
    Own,
    /// Another site, a sibling host, a sandboxed document, or more than one `Origin`.
    Foreign,
    /// Neither header: no browser of the last years, so no browser that could be misused.
    Unknown,
}

impl RequestOrigin {
    /// `Sec-Fetch-Site` first: a page under `Referrer-Policy: no-referrer`, as ours are, submits its forms with
    /// `Origin: null` (Fetch, "append a request Origin header").
    pub(crate) fn of(headers: &HeaderMap, own: &Origin) -> Self {
        match headers.get(FETCH_SITE).map(http::HeaderValue::as_bytes) {
            Some(b"same-origin" | b"none") => return Self::Own,
            Some(_) => return Self::Foreign,
            None => {}
        }
        let mut origins = headers.get_all(header::ORIGIN).iter();
        match (origins.next(), origins.next()) {
            (None, _) => Self::Unknown,
            (Some(_), Some(_)) => Self::Foreign,
            (Some(origin), None) => {
                let parsed = origin.to_str().ok().and_then(|text| Url::parse(text).ok());
                if parsed.is_some_and(|url| url.origin() == *own) { Self::Own } else { Self::Foreign }
            }
        }
    }
}

/// Methods that may change something, and WebSocket handshakes: a GET without CORS that opens a two-way channel.
pub(crate) fn is_unsafe(method: &Method, headers: &HeaderMap) -> bool {
    let upgrade = headers.get(header::UPGRADE).and_then(|value| value.to_str().ok());
    !method.is_safe() || upgrade.is_some_and(|protocol| protocol.eq_ignore_ascii_case("websocket"))
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn origin(headers: &[(&'static str, &'static str)]) -> RequestOrigin {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        RequestOrigin::of(&map, &Url::parse("https://app.example/sub/").expect("address").origin())
    }

    #[test]
    fn our_own_origin_is_ours() {
        assert_eq!(origin(&[("origin", "https://app.example")]), RequestOrigin::Own);
        assert_eq!(origin(&[("origin", "https://APP.example:443")]), RequestOrigin::Own);
    }

    #[test]
    fn other_origins_are_foreign() {
        for value in [
            "https://evil.example",
            "http://app.example",
            "https://app.example:444",
            "null",
            "nonsense",
            "https://app.example.evil.example",
        ] {
            assert_eq!(origin(&[("origin", value)]), RequestOrigin::Foreign, "{value}");
        }
    }

    #[test]
    fn two_origins_are_foreign() {
        let twice = [("origin", "https://app.example"), ("origin", "https://app.example")];
        assert_eq!(origin(&twice), RequestOrigin::Foreign);
    }

    #[test]
    fn the_fetch_site_decides_before_the_origin() {
        assert_eq!(origin(&[("sec-fetch-site", "same-origin"), ("origin", "null")]), RequestOrigin::Own);
        assert_eq!(origin(&[("sec-fetch-site", "none")]), RequestOrigin::Own);
        assert_eq!(origin(&[("sec-fetch-site", "same-site")]), RequestOrigin::Foreign);
        let redirected = [("sec-fetch-site", "cross-site"), ("origin", "https://app.example")];
        assert_eq!(origin(&redirected), RequestOrigin::Foreign);
    }

    #[test]
    fn without_either_header_nothing_is_known() {
        assert_eq!(origin(&[]), RequestOrigin::Unknown);
    }

    #[test]
    fn a_web_socket_handshake_counts_as_unsafe() {
        let mut headers = HeaderMap::new();
        headers.insert(header::UPGRADE, HeaderValue::from_static("WebSocket"));
        assert!(is_unsafe(&Method::GET, &headers));
        assert!(!is_unsafe(&Method::GET, &HeaderMap::new()));
        assert!(is_unsafe(&Method::POST, &HeaderMap::new()));
    }
}
