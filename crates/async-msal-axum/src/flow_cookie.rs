//! The cookie that ties a sign-in to the browser that started it: one per sign-in, so that two tabs do not disturb
//! each other, and few in all, so that abandoned ones do not grow into a header no server reads.
//!
//! The callback of response mode `form_post` is a cross-site POST, to which browsers send `SameSite=None; Secure`
//! cookies only. That is why this cookie is not the session's.

use std::time::Duration;

use cookie::SameSite;
use http::HeaderValue;

use crate::cookies::{CookieKind, RequestCookies};

const INFIX: &str = "_flow_";
const SUFFIX_DIGITS: usize = 8;
/// Sign-ins one browser may have in progress.
const MAX_FLOWS: usize = 5;
/// Bytes of all of them together, names included.
const MAX_BYTES: usize = 3_584;

/// Name and attributes of the flow cookies of one application.
#[derive(Clone, Debug)]
pub(crate) struct FlowCookies {
    stem: String,
    kind: CookieKind,
}

impl FlowCookies {
    /// Over plain http (development) the callback comes by query, which a Lax cookie survives; `None` would need
    /// `Secure`.
    pub(crate) fn new(session_cookie: &str, https: bool) -> Self {
        let same_site = if https { SameSite::None } else { SameSite::Lax };
        let kind = CookieKind { same_site, secure: https, domain: None };
        Self { stem: format!("{session_cookie}{INFIX}"), kind }
    }

    /// The sealed flow of the state with this hash, if this browser holds it.
    pub(crate) fn find<'a>(&self, cookies: &'a RequestCookies, suffix: &str) -> Option<&'a str> {
        cookies.single(&self.name(suffix)).filter(|value| !value.is_empty())
    }

    /// The lines that add a flow, and drop the oldest ones where there would be too many.
    pub(crate) fn add(
        &self,
        cookies: &RequestCookies,
        suffix: &str,
        sealed: &str,
        ttl: Duration,
    ) -> Vec<HeaderValue> {
        let name = self.name(suffix);
        let mut count = 1;
        let mut bytes = name.len() + sealed.len();
        let mut lines = vec![self.kind.set(&name, sealed, ttl)];
        // Browsers send older cookies first (RFC 6265bis 5.8.3), so the newest are kept by going backwards.
        let present: Vec<(&str, &str)> =
            cookies.iter().filter(|(other, _)| self.is_flow(other) && *other != name).collect();
        for (other, value) in present.into_iter().rev() {
            count += 1;
            bytes += other.len() + value.len();
            if count > MAX_FLOWS || bytes > MAX_BYTES {
                lines.push(self.kind.remove(other));
            }
        }
        lines
    }

    /// The line that ends a flow.
    pub(crate) fn remove(&self, suffix: &str) -> HeaderValue {
        self.kind.remove(&self.name(suffix))
    }

    fn name(&self, suffix: &str) -> String {
        format!("{}{suffix}", self.stem)
    }

    /// Exactly our shape: another application's cookie name may begin with ours.
    fn is_flow(&self, name: &str) -> bool {
        name.strip_prefix(self.stem.as_str()).is_some_and(|suffix| {
            suffix.len() == SUFFIX_DIGITS && suffix.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        })
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, header};

    use super::*;

    const TTL: Duration = Duration::from_secs(900);

    fn flows() -> FlowCookies {
        FlowCookies::new("__Host-async_msal", true)
    }

    fn browser_with(flows: usize, bytes_each: usize) -> RequestCookies {
        let pairs: Vec<String> = (0..flows)
            .map(|n| format!("__Host-async_msal_flow_{n:08x}={}", "x".repeat(bytes_each)))
            .collect();
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, HeaderValue::from_str(&pairs.join("; ")).expect("header"));
        RequestCookies::read(&headers).expect("within the bounds")
    }

    fn removed(lines: &[HeaderValue]) -> Vec<String> {
        let lines = lines.iter().map(|line| line.to_str().expect("text").to_owned());
        lines
            .filter(|line| line.contains("Max-Age=0"))
            .map(|line| line[..line.find('=').unwrap_or(0)].to_owned())
            .collect()
    }

    #[test]
    fn a_flow_cookie_reaches_a_cross_site_callback() {
        let lines = flows().add(&RequestCookies::default(), "0123abcd", "sealed", TTL);
        let expected =
            "__Host-async_msal_flow_0123abcd=sealed; HttpOnly; SameSite=None; Secure; Path=/; Max-Age=900";
        assert_eq!(lines, [expected]);
    }

    #[test]
    fn plain_http_uses_lax_without_secure() {
        let lines =
            FlowCookies::new("async_msal", false).add(&RequestCookies::default(), "0123abcd", "v", TTL);
        assert_eq!(lines, ["async_msal_flow_0123abcd=v; HttpOnly; SameSite=Lax; Path=/; Max-Age=900"]);
    }

    #[test]
    fn the_sixth_flow_drops_the_oldest() {
        let lines = flows().add(&browser_with(5, 10), "ffffffff", "v", TTL);
        assert_eq!(removed(&lines), ["__Host-async_msal_flow_00000000"]);
    }

    #[test]
    fn large_flows_are_dropped_by_size() {
        let lines = flows().add(&browser_with(4, 1_000), "ffffffff", &"y".repeat(1_000), TTL);
        assert_eq!(removed(&lines), ["__Host-async_msal_flow_00000001", "__Host-async_msal_flow_00000000"]);
    }

    #[test]
    fn cookies_of_another_shape_are_left_alone() {
        let mut headers = HeaderMap::new();
        let others =
            (0..8).map(|n| format!("__Host-async_msal_flow_other{n}=1")).collect::<Vec<_>>().join("; ");
        headers.insert(header::COOKIE, HeaderValue::from_str(&others).expect("header"));
        let cookies = RequestCookies::read(&headers).expect("within the bounds");
        assert!(removed(&flows().add(&cookies, "ffffffff", "v", TTL)).is_empty());
    }
}
