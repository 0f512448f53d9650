//! Reading the `Cookie` header within bounds, and writing `Set-Cookie` lines with every attribute spelled out.

use std::fmt;
use std::time::Duration;

use cookie::{Cookie, SameSite};
use http::{HeaderMap, HeaderValue, header};

/// All cookies of one request together, in bytes. Browsers send up to 180 cookies of 4 KiB; nobody needs that.
const MAX_HEADER_BYTES: usize = 16 * 1_024;
const MAX_COOKIES: usize = 50;

/// The cookies of one request, in the order the browser sent them: older ones first (RFC 6265bis 5.8.3).
#[derive(Clone, Default)]
pub(crate) struct RequestCookies {
    headers: Vec<HeaderValue>,
}

/// The request carries more cookies than this library reads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TooManyCookies;

impl RequestCookies {
    /// # Errors
    /// More than 16 KiB or more than 50 cookies.
    pub(crate) fn read(headers: &HeaderMap) -> Result<Self, TooManyCookies> {
        let headers: Vec<HeaderValue> = headers.get_all(header::COOKIE).iter().cloned().collect();
        let bytes: usize = headers.iter().map(HeaderValue::len).sum();
        let separators =
            headers.iter().flat_map(|header| header.as_bytes()).filter(|byte| **byte == b';').count();
        if bytes > MAX_HEADER_BYTES || separators + headers.len() > MAX_COOKIES {
            return Err(TooManyCookies);
        }
        Ok(Self { headers })
    }

    /// Names and values, white space and the optional quotes around a value removed. What is no text is skipped.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let pairs = self.headers.iter().flat_map(|header| header.as_bytes().split(|byte| *byte == b';'));
        // Each pair by itself: a neighbour's cookie in another encoding hides none of ours.
        let texts = pairs.filter_map(|pair| std::str::from_utf8(pair).ok());
        texts.filter_map(|pair| pair.split_once('=')).map(|(name, value)| {
            let value = value.trim();
            let unquoted = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
            (name.trim(), unquoted.unwrap_or(value))
        })
    }

    /// The one value of this name. Two different ones are no value at all: one of them was planted by a neighbour
    /// (a parent domain, another path), and guessing which could mix two people.
    pub(crate) fn single(&self, name: &str) -> Option<&str> {
        let mut values = self.iter().filter(|(found, _)| *found == name).map(|(_, value)| value);
        let first = values.next()?;
        values.all(|other| other == first).then_some(first)
    }
}

impl fmt::Debug for RequestCookies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Whoever reads a session cookie is its user.
        let Self { headers } = self;
        write!(f, "RequestCookies([{} bytes])", headers.iter().map(HeaderValue::len).sum::<usize>())
    }
}

/// Attributes of one kind of cookie. Setting and removing go through the same value, because a browser drops a
/// `__Host-` cookie only when the removal repeats `Secure` and `Path`.
#[derive(Clone, Debug)]
pub(crate) struct CookieKind {
    pub(crate) same_site: SameSite,
    pub(crate) secure: bool,
    pub(crate) domain: Option<String>,
}

impl CookieKind {
    pub(crate) fn set(&self, name: &str, value: &str, max_age: Duration) -> HeaderValue {
        let max_age = cookie::time::Duration::try_from(max_age).unwrap_or(cookie::time::Duration::MAX);
        to_header(self.build(name, value).max_age(max_age).build())
    }

    pub(crate) fn remove(&self, name: &str) -> HeaderValue {
        let removal = self
            .build(name, "")
            .max_age(cookie::time::Duration::ZERO)
            .expires(cookie::time::OffsetDateTime::UNIX_EPOCH);
        to_header(removal.build())
    }

    fn build(&self, name: &str, value: &str) -> cookie::CookieBuilder<'static> {
        let cookie = Cookie::build((name.to_owned(), value.to_owned()))
            .http_only(true)
            .secure(self.secure)
            .same_site(self.same_site)
            .path("/");
        match &self.domain {
            Some(domain) => cookie.domain(domain.clone()),
            None => cookie,
        }
    }
}

/// Names come from the settings, values are hexadecimal or base64url, so the line is always a valid header. It is marked
/// as sensitive, so that no log of headers shows it.
fn to_header(cookie: Cookie<'static>) -> HeaderValue {
    let mut line =
        HeaderValue::from_str(&cookie.to_string()).unwrap_or_else(|_| HeaderValue::from_static(""));
    line.set_sensitive(true);
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cookies(lines: &[&'static str]) -> RequestCookies {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::COOKIE, HeaderValue::from_static(line));
        }
        RequestCookies::read(&headers).expect("within the bounds")
    }

    fn host_cookie() -> CookieKind {
        CookieKind { same_site: SameSite::Lax, secure: true, domain: None }
    }

    #[test]
    fn a_value_is_found_among_others() {
        assert_eq!(cookies(&["a=1; session=\"abc\"", "b=2"]).single("session"), Some("abc"));
    }

    #[test]
    fn a_neighbours_cookie_in_another_encoding_hides_none_of_ours() {
        for neighbour in ["x=\u{e9}t\u{e9}".as_bytes(), b"x=\xe9t\xe9"] {
            let line = [neighbour, b"; session=abc"].concat();
            let mut headers = HeaderMap::new();
            headers.insert(header::COOKIE, HeaderValue::from_bytes(&line).expect("header"));
            let cookies = RequestCookies::read(&headers).expect("within the bounds");
            assert_eq!(cookies.single("session"), Some("abc"));
        }
    }

    #[test]
    fn two_different_values_of_one_name_are_none() {
        assert_eq!(cookies(&["session=abc; session=def"]).single("session"), None);
    }

    #[test]
    fn the_same_value_twice_is_that_value() {
        assert_eq!(cookies(&["session=abc", "session=abc"]).single("session"), Some("abc"));
    }

    #[test]
    fn debug_shows_no_cookie() {
        assert_eq!(format!("{:?}", cookies(&["session=abc"])), "RequestCookies([11 bytes])");
        assert!(!format!("{:?}", host_cookie().set("x", "secret", Duration::ZERO)).contains("secret"));
    }

    #[test]
    fn more_than_fifty_cookies_are_refused() {
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, HeaderValue::from_str(&"a=1; ".repeat(60)).expect("header"));
        assert!(RequestCookies::read(&headers).is_err());
    }

    #[test]
    fn more_than_sixteen_kibibytes_are_refused() {
        let mut headers = HeaderMap::new();
        let long = format!("a={}", "x".repeat(17 * 1_024));
        headers.insert(header::COOKIE, HeaderValue::from_str(&long).expect("header"));
        assert!(RequestCookies::read(&headers).is_err());
    }

    #[test]
    fn a_cookie_carries_every_attribute() {
        let line = host_cookie().set("__Host-x", "v", Duration::from_secs(60));
        assert_eq!(line, "__Host-x=v; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=60");
    }

    #[test]
    fn removing_a_cookie_repeats_every_attribute() {
        let line = host_cookie().remove("__Host-x");
        let expected = "__Host-x=; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT";
        assert_eq!(line, expected);
    }
}
