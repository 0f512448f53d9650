//! Tokens that are looked for without an account: the application's own, and those had on behalf of a caller.

use serde_json::{Map, Value};

use super::lookup::{Candidate, covers, longest_lived};
use super::{ACCESS_TOKEN, CachedToken, Lookup, TokenCache, is, is_or_null};
use crate::authority::cloud::same_cloud;
use crate::scope::Scopes;

/// Which token, by whose request.
pub(crate) struct HeldQuery<'a> {
    pub(crate) client_id: &'a str,
    pub(crate) environment: &'a str,
    pub(crate) realm: &'a str,
    pub(crate) scopes: &'a Scopes,
    /// The request's own parameters; an entry that has others, or some where the query has none, never fits.
    pub(crate) ext_cache_key: Option<&'a str>,
    /// Only a token that is nobody's.
    pub(crate) application: bool,
}

impl HeldQuery<'_> {
    fn matches(&self, entry: &Map<String, Value>) -> bool {
        let environment = entry.get("environment").and_then(Value::as_str).unwrap_or_default();
        is(entry, "client_id", self.client_id)
            && is(entry, "realm", self.realm)
            && same_cloud(environment, self.environment)
            && is_or_null(entry, "ext_cache_key", self.ext_cache_key)
            && (!self.application || is_or_null(entry, "home_account_id", None))
            && entry.get("key_id").is_none()
            && covers(entry, self.scopes)
    }
}

impl TokenCache {
    /// The usable token with the longest life left. Reads only.
    pub(crate) fn find_held(&self, query: &HeldQuery<'_>, now: i64) -> Lookup {
        longest_lived(self.held(query), now)
    }

    /// One inside the leeway too: still good where it cannot be renewed.
    pub(crate) fn find_held_unexpired(&self, query: &HeldQuery<'_>, now: i64) -> Option<CachedToken> {
        let found = self.held(query).filter(|found| found.expires_on > now);
        found.max_by_key(|found| found.expires_on)?.token()
    }

    fn held<'a>(&'a self, query: &HeldQuery<'_>) -> impl Iterator<Item = Candidate<'a>> {
        let entries = self.entries(ACCESS_TOKEN).filter(|(_, entry)| query.matches(entry));
        entries.filter_map(|(_, entry)| Candidate::of(entry))
    }
}
