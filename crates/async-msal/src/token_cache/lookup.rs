//! Finding tokens by their fields; the key's text is never asked.

use std::borrow::Cow;
use std::sync::Arc;

use super::accounts::is_of;
use super::table::{Kind, Owner};
use super::{Entry, Field, REQUESTED, TokenCache};
use crate::account::Account;
use crate::scope::Scopes;
use crate::secret::{AccessToken, RefreshToken};

/// A token with less life than this is renewed, or with half its life where that is less.
const LONGEST_LEEWAY: i64 = 300;

/// What the cache has for a request.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Lookup {
    /// A token to use.
    Hit(Hit),
    /// None.
    Miss(MissReason),
}

/// A usable token.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Hit {
    /// The token.
    pub token: CachedToken,
    /// Should somebody renew it, without making anybody wait?
    pub renew_due: bool,
}

impl Hit {
    fn of(token: CachedToken, now: i64) -> Self {
        let renew_due = token.refresh_on.is_some_and(|refresh_on| refresh_on < now);
        Self { token, renew_due }
    }
}

/// Why there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum MissReason {
    /// Nothing covers these scopes.
    NotFound,
    /// What covers them has expired, or is about to.
    Expired,
}

/// An access token of the cache.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct CachedToken {
    /// The token.
    pub access_token: AccessToken,
    /// `Bearer`.
    pub token_type: String,
    /// Unix seconds.
    pub expires_on: i64,
    /// Unix seconds, where the authority named a time to renew ahead.
    pub refresh_on: Option<i64>,
    /// Unix seconds.
    pub cached_at: Option<i64>,
    /// The granted scopes.
    pub scopes: Scopes,
}

impl CachedToken {
    fn from_entry(entry: &Entry) -> Option<Self> {
        Some(Self {
            access_token: AccessToken::from_shared(Arc::clone(entry.secret()?)),
            token_type: entry.text(Field::TokenType).unwrap_or("Bearer").to_owned(),
            expires_on: entry.time(Field::ExpiresOn)?,
            refresh_on: entry.time(Field::RefreshOn),
            cached_at: entry.time(Field::CachedAt),
            scopes: Scopes::parse(entry.text(Field::Target).unwrap_or_default()),
        })
    }
}

/// An entry that holds a token, looked at in place: only the one that is handed out is copied.
pub(super) struct Candidate<'a> {
    pub(super) entry: &'a Entry,
    pub(super) expires_on: i64,
}

impl<'a> Candidate<'a> {
    pub(super) fn of(entry: &'a Entry) -> Option<Self> {
        entry.secret()?;
        Some(Self { entry, expires_on: entry.time(Field::ExpiresOn)? })
    }

    /// min(300 s, half the token's life): short-lived tokens give hits too.
    fn leeway(&self) -> i64 {
        let life =
            self.entry.time(Field::CachedAt).map(|cached_at| self.expires_on.saturating_sub(cached_at));
        life.map_or(LONGEST_LEEWAY, |life| LONGEST_LEEWAY.min(life / 2)).max(0)
    }

    fn is_usable(&self, now: i64) -> bool {
        self.expires_on.saturating_sub(now) >= self.leeway()
    }

    pub(super) fn token(&self) -> Option<CachedToken> {
        CachedToken::from_entry(self.entry)
    }
}

/// Whose token for what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AccessTokenQuery<'a> {
    pub(crate) account: &'a Account,
    pub(crate) client_id: &'a str,
    pub(crate) scopes: &'a Scopes,
}

impl<'a> AccessTokenQuery<'a> {
    const fn owner(&self) -> Owner<'a> {
        Owner::user(self.account.home_account_id.as_str(), Some(self.account.realm.as_str()))
    }

    /// Of an entry of the owner.
    fn matches(&self, entry: &Entry) -> bool {
        self.is_asked_of(entry) && covers(entry, self.scopes)
    }

    /// A plain question is never answered by an extended entry.
    fn is_asked_of(&self, entry: &Entry) -> bool {
        self.is_asked_under(entry, None)
    }

    fn is_asked_under(&self, entry: &Entry, ext_cache_key: Option<&str>) -> bool {
        entry.is(Field::ClientId, self.client_id)
            && is_of(entry, self.account)
            && entry.text(Field::ExtCacheKey) == ext_cache_key
            && (ext_cache_key.is_some() || !entry.has(Field::ExtCacheKey))
            && !entry.has(Field::KeyId)
    }
}

/// Every scope asked is granted by name, or this very set was asked before and granted.
pub(super) fn covers(entry: &Entry, scopes: &Scopes) -> bool {
    if scopes.are_in(entry.text(Field::Target).unwrap_or_default()) {
        return true;
    }
    requested(entry).iter().any(|asked| scopes.are_in(asked))
}

/// The sets that were asked and are covered by this entry.
pub(super) fn requested(entry: &Entry) -> Vec<Cow<'_, str>> {
    let raw = entry.other(REQUESTED);
    raw.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
}

/// As [`covers`], and Graph's scopes in either spelling.
fn grants(entry: &Entry, scopes: &Scopes) -> bool {
    let target = Scopes::parse(entry.text(Field::Target).unwrap_or_default());
    let by_name = || !scopes.iter().any(|scope| scope.ends_with("/.default"));
    covers(entry, scopes) || by_name() && scopes.missing_from(&target).is_empty()
}

/// The usable one with the longest life left.
pub(super) fn longest_lived<'a>(candidates: impl Iterator<Item = Candidate<'a>>, now: i64) -> Lookup {
    let mut expired = false;
    let usable = candidates.inspect(|_| expired = true).filter(|found| found.is_usable(now));
    match usable.max_by_key(|found| found.expires_on).and_then(|found| found.token()) {
        Some(token) => Lookup::Hit(Hit::of(token, now)),
        None if expired => Lookup::Miss(MissReason::Expired),
        None => Lookup::Miss(MissReason::NotFound),
    }
}

impl TokenCache {
    /// The usable token with the longest life left. Reads only.
    pub(crate) fn find(&self, query: &AccessTokenQuery<'_>, now: i64) -> Lookup {
        longest_lived(self.matching(query), now)
    }

    /// The usable token of exactly these scopes, else the first that covers them, in the order of the cache. Reads only.
    pub(crate) fn find_first(
        &self,
        query: &AccessTokenQuery<'_>,
        ext_cache_key: Option<&str>,
        now: i64,
    ) -> Lookup {
        let rows = self.rows_of(Kind::AccessToken, query.owner());
        let asked = rows
            .map(|row| &row.entry)
            .filter(|entry| query.is_asked_under(entry, ext_cache_key) && covers(entry, query.scopes));
        let mut usable: Vec<Candidate<'_>> = asked.filter_map(Candidate::of).collect();
        let found_any = !usable.is_empty();
        usable.retain(|found| found.is_usable(now));
        let exactly = |found: &&Candidate<'_>| {
            Scopes::parse(found.entry.text(Field::Target).unwrap_or_default()) == *query.scopes
        };
        let first = usable.iter().find(exactly).or(usable.first());
        match first.and_then(Candidate::token) {
            Some(token) => Lookup::Hit(Hit::of(token, now)),
            None if found_any => Lookup::Miss(MissReason::Expired),
            None => Lookup::Miss(MissReason::NotFound),
        }
    }

    /// A token inside the leeway: no longer handed out while it can be renewed, still good if it cannot.
    pub(crate) fn find_unexpired(&self, query: &AccessTokenQuery<'_>, now: i64) -> Option<CachedToken> {
        let found = self.matching(query).filter(|found| found.expires_on > now);
        found.max_by_key(|found| found.expires_on)?.token()
    }

    /// Whether the scopes were granted to a user and can be used: an access token for them, expired or not, or a refresh token
    /// that came with them; and a refresh token, or an access token that has not expired.
    pub(crate) fn holds(&self, query: &AccessTokenQuery<'_>, now: i64) -> bool {
        let refresh_tokens = || self.refresh_entries(query.account, query.client_id).map(|(_, entry)| entry);
        let access_tokens = self.rows_of(Kind::AccessToken, query.owner()).map(|row| &row.entry);
        let asked = access_tokens.filter(|entry| query.is_asked_of(entry));
        let granted = asked.chain(refresh_tokens()).any(|entry| grants(entry, query.scopes));
        granted && (refresh_tokens().next().is_some() || self.find_unexpired(query, now).is_some())
    }

    fn matching<'a>(&'a self, query: &AccessTokenQuery<'a>) -> impl Iterator<Item = Candidate<'a>> {
        let query = *query;
        let entries = self.rows_of(Kind::AccessToken, query.owner()).map(|row| &row.entry);
        entries.filter(move |entry| query.matches(entry)).filter_map(Candidate::of)
    }

    fn refresh_entries<'a>(
        &'a self,
        account: &'a Account,
        client_id: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a Entry)> {
        let theirs = self.rows_of(Kind::RefreshToken, Owner::user(&account.home_account_id, None));
        let mine = theirs.map(|row| (&*row.key, &row.entry));
        mine.filter(move |(_, entry)| is_of(entry, account) && entry.is(Field::ClientId, client_id))
    }

    /// The account's refresh tokens with their keys, newest first; of any tenant and any scopes.
    pub(crate) fn refresh_tokens(&self, account: &Account, client_id: &str) -> Vec<(String, RefreshToken)> {
        let mine = self.refresh_entries(account, client_id);
        let mut found: Vec<_> = mine
            .filter_map(|(key, entry)| {
                let secret = RefreshToken::from_shared(Arc::clone(entry.secret()?));
                Some((entry.time(Field::LastModificationTime).unwrap_or(0), key.to_owned(), secret))
            })
            .collect();
        found.sort_by_key(|(modified, _, _)| std::cmp::Reverse(*modified));
        found.into_iter().map(|(_, key, token)| (key, token)).collect()
    }
}
