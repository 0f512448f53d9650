//! Tokens that are looked for without an account: the application's own, and those had on behalf of a caller.

use super::lookup::{Candidate, covers, longest_lived};
use super::table::{Kind, Owner, Row};
use super::{CachedToken, Entry, Field, Lookup, TokenCache};
use crate::authority::cloud::same_cloud;
use crate::scope::Scopes;

/// Which token, by whose request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeldQuery<'a> {
    pub(crate) client_id: &'a str,
    pub(crate) environment: &'a str,
    pub(crate) realm: &'a str,
    pub(crate) scopes: &'a Scopes,
    /// The request's own parameters; an entry that has others, or some where the query has none, never fits.
    pub(crate) ext_cache_key: Option<&'a str>,
    /// Only a token that is nobody's.
    pub(crate) application: bool,
    /// Only a token that was stored then or later, unix seconds.
    pub(crate) since: Option<i64>,
}

impl HeldQuery<'_> {
    fn matches(&self, entry: &Entry) -> bool {
        entry.is(Field::ClientId, self.client_id)
            && entry.is(Field::Realm, self.realm)
            && entry.text(Field::Environment).is_some_and(|host| same_cloud(host, self.environment))
            && entry.text(Field::ExtCacheKey) == self.ext_cache_key
            && (!self.application || !entry.has(Field::HomeAccountId))
            && !entry.has(Field::KeyId)
            && self.since.is_none_or(|since| entry.time(Field::CachedAt).is_some_and(|at| at >= since))
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

    fn held<'a>(&'a self, query: &HeldQuery<'a>) -> impl Iterator<Item = Candidate<'a>> {
        let query = *query;
        let rows: Box<dyn Iterator<Item = &'a Row>> =
            match (self.table(Kind::AccessToken), query.ext_cache_key) {
                (Some(table), Some(key)) => Box::new(table.extended(key)),
                (Some(table), None) => {
                    Box::new(table.of(Owner { home_account_id: None, realm: Some(query.realm) }))
                }
                (None, _) => Box::new(std::iter::empty()),
            };
        let entries = rows.map(|row| &row.entry);
        entries.filter(move |entry| query.matches(entry)).filter_map(Candidate::of)
    }
}
