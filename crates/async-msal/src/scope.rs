//! Scopes: what the application asks for, and what was granted.

use std::fmt;

use crate::error::{ConfigError, Error};

/// Added to every request for a user's tokens by this library; callers do not name them.
pub const RESERVED: [&str; 3] = ["openid", "profile", "offline_access"];

/// The hosts whose scopes Entra ID lets a client write without the host (`User.Read`).
const GRAPH_HOSTS: [&str; 4] = [
    "graph.microsoft.com",
    "graph.microsoft.us",
    "dod-graph.microsoft.us",
    "microsoftgraph.chinacloudapi.cn",
];

/// A set of scopes, ordered by code point, case-sensitive (RFC 6749 3.3).
///
/// ```
/// use async_msal::Scopes;
/// let scopes = Scopes::parse("User.Read Mail.Read");
/// assert_eq!(scopes.to_string(), "Mail.Read User.Read");
/// assert_eq!(scopes, Scopes::from(["Mail.Read", "User.Read"]));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Scopes {
    /// In order, each once, a space between two: the text of requests and of cache entries.
    joined: String,
}

impl Scopes {
    /// The empty set.
    #[must_use]
    pub const fn new() -> Self {
        Self { joined: String::new() }
    }

    /// Splits at white space.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        if is_joined(text) {
            return Self { joined: text.to_owned() };
        }
        text.split_whitespace().collect()
    }

    /// The scopes in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.joined.split(' ').filter(|scope| !scope.is_empty())
    }

    /// Is this very text in the set?
    #[must_use]
    pub fn contains(&self, scope: &str) -> bool {
        !scope.is_empty() && self.iter().any(|other| other == scope)
    }

    /// Are all of these in `other`, as text?
    #[must_use]
    pub fn is_subset(&self, other: &Self) -> bool {
        self.iter().all(|scope| other.contains(scope))
    }

    /// Both sets together.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        self.iter().chain(other.iter()).collect()
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Is there none?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.joined.is_empty()
    }

    /// Those of this set that a grant does not cover.
    ///
    /// A grant covers a scope that it names; Microsoft Graph's also when one of the two leaves the
    /// host out; and `…/.default`, which the server answers with the scopes behind it. The case of letters does not count
    /// here: Entra ID grants `User.Read` to whoever asks `user.read`.
    #[must_use]
    pub fn missing_from(&self, granted: &Self) -> Self {
        self.iter().filter(|scope| !granted.covers(scope)).collect()
    }

    /// The set with the reserved scopes added, as it goes on the wire.
    pub(crate) fn decorated(&self) -> Self {
        self.iter().chain(RESERVED).collect()
    }

    /// The set without the reserved scopes.
    pub(crate) fn undecorated(&self) -> Self {
        self.iter().filter(|scope| !RESERVED.contains(scope)).collect()
    }

    /// Refuses what only this library may ask, and text that RFC 6749 3.3 does not allow in a scope.
    pub(crate) fn check_askable(&self) -> Result<(), Error> {
        if let Some(scope) = self.iter().find(|scope| RESERVED.contains(scope)) {
            return Err(ConfigError::ReservedScope(scope.to_owned()).into());
        }
        let allowed = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
        if self.iter().any(|scope| !scope.bytes().all(allowed)) {
            return Err(ConfigError::ScopeSyntax.into());
        }
        Ok(())
    }

    /// Are all of these among the scopes of `text`?
    pub(crate) fn are_in(&self, text: &str) -> bool {
        self.iter().all(|scope| text.split_whitespace().any(|other| other == scope))
    }

    fn covers(&self, scope: &str) -> bool {
        let asked = [Some(scope), graph_name(scope)];
        let is_asked = |name: &str| asked.iter().flatten().any(|asked| asked.eq_ignore_ascii_case(name));
        scope.ends_with("/.default")
            || self.iter().any(|granted| is_asked(granted) || graph_name(granted).is_some_and(is_asked))
    }
}

/// `User.Read` of `https://graph.microsoft.com/User.Read`, for the Graph hosts alone.
fn graph_name(scope: &str) -> Option<&str> {
    let (host, name) = scope.strip_prefix("https://")?.split_once('/')?;
    GRAPH_HOSTS.iter().any(|graph| graph.eq_ignore_ascii_case(host)).then_some(name)
}

/// Is this the text that [`Scopes`] keeps?
fn is_joined(text: &str) -> bool {
    let mut last = "";
    let ordered = text.split(' ').all(|scope| {
        let ordered = last < scope && !scope.contains(char::is_whitespace);
        last = scope;
        ordered
    });
    text.is_empty() || ordered
}

impl fmt::Display for Scopes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.joined)
    }
}

/// A text of several scopes counts as several.
impl<T: Into<String>> FromIterator<T> for Scopes {
    fn from_iter<I: IntoIterator<Item = T>>(scopes: I) -> Self {
        let texts: Vec<String> = scopes.into_iter().map(Into::into).collect();
        let mut scopes: Vec<&str> = texts.iter().flat_map(|text| text.split_whitespace()).collect();
        scopes.sort_unstable();
        scopes.dedup();
        Self { joined: scopes.join(" ") }
    }
}

impl<T: Into<String>, const N: usize> From<[T; N]> for Scopes {
    fn from(scopes: [T; N]) -> Self {
        scopes.into_iter().collect()
    }
}

impl From<&str> for Scopes {
    fn from(text: &str) -> Self {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_by_code_point() {
        let scopes = Scopes::parse("openid profile User.Read Mail.Read email");
        assert_eq!(scopes.to_string(), "Mail.Read User.Read email openid profile");
    }

    #[test]
    fn order_repetition_and_white_space_make_no_other_set() {
        let set = Scopes::from(["b", "a"]);
        for text in ["a b", "b a", "a b a", " a  b", "a\tb", "a b ", "a\u{2003}b"] {
            assert_eq!(Scopes::parse(text), set, "{text:?}");
            assert_eq!(Scopes::from([text]), set, "{text:?}");
        }
        assert_eq!((set.len(), Scopes::parse(" ").len()), (2, 0));
        assert!(Scopes::parse("").is_empty() && !set.contains(""));
    }

    #[test]
    fn long_graph_scope_is_covered_by_its_short_form_and_back() {
        let long = Scopes::from(["https://graph.microsoft.com/User.Read"]);
        let short = Scopes::from(["User.Read"]);
        assert!(long.missing_from(&short).is_empty());
        assert!(short.missing_from(&long).is_empty());
    }

    #[test]
    fn scope_in_another_letter_case_is_another_text_that_the_same_grant_covers() {
        let granted = Scopes::from(["User.Read"]);
        for text in ["user.read", "https://Graph.Microsoft.com/USER.read"] {
            let asked = Scopes::from([text]);
            assert!(!asked.is_subset(&granted) && asked.missing_from(&granted).is_empty(), "{text}");
        }
    }

    #[test]
    fn same_name_of_another_resource_is_missing() {
        let other = Scopes::from(["api://other/User.Read"]);
        assert_eq!(other.missing_from(&Scopes::from(["User.Read"])), other);
    }

    #[test]
    fn reserved_scope_is_refused_by_name() {
        let error = Scopes::from(["User.Read", "offline_access"]).check_askable().unwrap_err();
        assert_eq!(error.code(), "config");
    }

    #[test]
    fn scope_with_a_quote_is_refused() {
        assert!(Scopes::from(["a\"b"]).check_askable().is_err());
    }
}
