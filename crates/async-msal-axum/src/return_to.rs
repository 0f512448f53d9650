//! Where the browser goes after a sign-in or a sign-out: a path of this application, or the default page.
//!
//! The address comes from the browser, so it is attacker's text: an open redirect lends this application's name to
//! a phishing page (RFC 9700 4.11.1). The rule is a positive one: a path that starts with exactly one slash, in
//! plain characters, which stays such a path however often a proxy or a router decodes it.

use std::fmt::Write as _;

use percent_encoding::percent_decode_str;
use url::Url;

use crate::site::Site;

/// Longer addresses are dropped: they would not fit beside the rest of a sign-in in its cookie.
const MAX_LENGTH: usize = 1_024;
/// A path that still changes after so many decodings is an attempt to hide something.
const MAX_DECODINGS: usize = 4;
const OWN_ROUTES: [&str; 5] = ["login", "authorized", "logout", "signed-out", "frontchannel-logout"];

/// Decides which return addresses belong to the application.
#[derive(Clone, Debug)]
pub(crate) struct ReturnTo {
    public_url: Url,
    /// The library's routes that are no target, as the browser sees them: returning to `login` or `logout` would
    /// loop or sign out.
    own_routes: Vec<String>,
    default_page: String,
}

impl ReturnTo {
    pub(crate) fn new(site: &Site, default_page: String) -> Self {
        let own_routes = OWN_ROUTES.map(|name| site.route(name)).to_vec();
        Self { public_url: site.public_url().clone(), own_routes, default_page }
    }

    /// Where a browser goes when nothing, or nothing acceptable, was asked.
    pub(crate) fn default_page(&self) -> &str {
        &self.default_page
    }

    /// The address as a path of this application, or the default page. Never an error: a malformed return address
    /// must not stop a sign-in.
    pub(crate) fn resolve(&self, asked: &str) -> String {
        self.accept(asked).unwrap_or_else(|| self.default_page.clone())
    }

    /// The page a request asked for, as the browser sees it: a proxy may have cut off PUBLIC_URL's own path.
    pub(crate) fn resolve_request(&self, path_and_query: &str) -> String {
        let base = self.public_url.path().trim_end_matches('/');
        let inside = path_and_query
            .strip_prefix(base)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']));
        if inside { self.resolve(path_and_query) } else { self.resolve(&format!("{base}{path_and_query}")) }
    }

    fn accept(&self, asked: &str) -> Option<String> {
        if asked.len() > MAX_LENGTH || !starts_with_one_slash(asked) {
            return None;
        }
        let ascii = encode_letters(asked)?;
        let end_of_path = ascii.find(['?', '#']).unwrap_or(ascii.len());
        path_is_plain(&ascii[..end_of_path])?;
        // The same parser that browsers' rules describe has the last word: whatever it makes of the text, the
        // origin must still be ours.
        let joined = self.public_url.join(&ascii).ok()?;
        if joined.origin() != self.public_url.origin() || self.is_own_route(joined.path()) {
            return None;
        }
        Some(joined[url::Position::BeforePath..].to_owned())
    }

    fn is_own_route(&self, path: &str) -> bool {
        self.own_routes.iter().any(|route| {
            path.strip_prefix(route.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    }
}

fn starts_with_one_slash(text: &str) -> bool {
    let mut characters = text.chars();
    characters.next() == Some('/') && !matches!(characters.next(), Some('/' | '\\'))
}

/// Printable ASCII stays, letters and digits of other scripts are percent-encoded; white space, control characters,
/// backslashes and look-alikes of the slash are refused.
fn encode_letters(text: &str) -> Option<String> {
    let mut ascii = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\\' => return None,
            '!'..='~' => ascii.push(character),
            _ if !character.is_ascii() && character.is_alphanumeric() => {
                for byte in character.encode_utf8(&mut [0; 4]).bytes() {
                    write!(ascii, "%{byte:02X}").ok()?;
                }
            }
            _ => return None,
        }
    }
    Some(ascii)
}

/// Every decoding of the path is looked at, since routers and proxies decode too, some of them twice.
fn path_is_plain(path: &str) -> Option<()> {
    let mut current = path.to_owned();
    for _ in 0..MAX_DECODINGS {
        let segments_fine = current.split('/').all(|segment| segment != "." && segment != "..");
        let characters_fine = !current.contains(|c: char| c.is_control() || is_slash_like(c));
        if !starts_with_one_slash(&current) || !segments_fine || !characters_fine {
            return None;
        }
        let decoded = percent_decode_str(&current).decode_utf8().ok()?.into_owned();
        if decoded == current {
            return Some(());
        }
        current = decoded;
    }
    None
}

/// Characters that some normalisation (Unicode NFKC, legacy code pages) turns into a slash or backslash.
fn is_slash_like(character: char) -> bool {
    matches!(
        character,
        '\\' | '\u{2044}'
            | '\u{2215}'
            | '\u{2216}'
            | '\u{29F5}'
            | '\u{29F8}'
            | '\u{29F9}'
            | '\u{FE68}'
            | '\u{FF0F}'
            | '\u{FF3C}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule() -> ReturnTo {
        rule_at("https://app.example/", "/home")
    }

    fn rule_at(public_url: &str, default_page: &str) -> ReturnTo {
        let site = Site::new(Url::parse(public_url).expect("address"), "/user".to_owned());
        ReturnTo::new(&site, default_page.to_owned())
    }

    #[test]
    fn local_paths_come_back_unchanged() {
        for path in [
            "/",
            "/a",
            "/a/b?x=1&y=%2F%2Fz",
            "/a%20b",
            "/a//b",
            "/users",
            "/a?next=https://other.example/",
            "/@me",
            "/a#part",
        ] {
            assert_eq!(rule().resolve(path), path, "{path}");
        }
    }

    #[test]
    fn foreign_and_disguised_addresses_fall_back_to_the_default_page() {
        let attacks = [
            "",
            "evil",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "\\/evil.example",
            "/%09/evil.example",
            "/\t/evil.example",
            "/%2f%2fevil.example",
            "/%2fevil.example",
            "/%5cevil.example",
            "/%252fevil.example",
            "/%25252fevil.example",
            "/%255cevil",
            "https:evil.example",
            "https://evil.example",
            "javascript:alert(1)",
            "data:text/html,x",
            "//user@evil.example",
            "https://app.example@evil.example/",
            "/a\r\nSet-Cookie: x=1",
            "/a%0d%0aSet-Cookie:%20x",
            "/\u{0}",
            "/a b",
            " /a",
            "/\u{2044}evil.example",
            "/\u{FF0F}evil.example",
            "/%EF%BC%8Fevil.example",
            "/%E2%88%95evil",
            "/%ff%fe",
            "/.//evil.example",
            "/..//evil.example",
            "/%2e%2e//evil",
            "/a/../../evil",
            "/%2525252525252fevil",
        ];
        for attack in attacks {
            assert_eq!(rule().resolve(attack), "/home", "{attack:?}");
        }
    }

    #[test]
    fn an_over_long_address_falls_back_to_the_default_page() {
        assert_eq!(rule().resolve(&format!("/{}", "a".repeat(MAX_LENGTH))), "/home");
    }

    #[test]
    fn the_routes_of_the_library_are_no_target() {
        assert_eq!(rule().resolve("/user/logout"), "/home");
        assert_eq!(rule().resolve("/user/login/x"), "/home");
        assert_eq!(rule().resolve("/user/profile"), "/user/profile");
    }

    #[test]
    fn letters_of_other_scripts_are_encoded() {
        assert_eq!(rule().resolve("/Zürich"), "/Z%C3%BCrich");
    }

    #[test]
    fn a_path_cut_off_by_a_proxy_is_put_back() {
        let rule = rule_at("https://host.example/app", "/app/");
        assert_eq!(rule.resolve_request("/page?x=1"), "/app/page?x=1");
        assert_eq!(rule.resolve_request("/app/page"), "/app/page");
        assert_eq!(rule.resolve_request("/apple"), "/app/apple");
    }
}
