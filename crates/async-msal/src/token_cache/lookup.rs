//! Finding tokens by their fields; the key's text is never asked.

use serde_json::{Map, Value};

use super::entry::time;
use super::{ACCESS_TOKEN, REFRESH_TOKEN, REQUESTED, TokenCache, belongs_to, is};
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
    fn from_entry(entry: &Map<String, Value>) -> Option<Self> {
        let text = |name: &str| entry.get(name).and_then(Value::as_str);
        Some(Self {
            access_token: AccessToken::new(text("secret")?),
            token_type: text("token_type").unwrap_or("Bearer").to_owned(),
            expires_on: time(entry, "expires_on")?,
            refresh_on: time(entry, "refresh_on"),
            cached_at: time(entry, "cached_at"),
            scopes: Scopes::parse(text("target").unwrap_or_default()),
        })
    }
}

/// An entry that holds a token, looked at in place: only the one that is handed out is copied.
pub(super) struct Candidate<'a> {
    pub(super) entry: &'a Map<String, Value>,
    pub(super) expires_on: i64,
}

impl<'a> Candidate<'a> {
    pub(super) fn of(entry: &'a Map<String, Value>) -> Option<Self> {
        entry.get("secret").filter(|secret| secret.is_string())?;
        Some(Self { entry, expires_on: time(entry, "expires_on")? })
    }

    /// min(300 s, half the token's life): short-lived tokens give hits too.
    fn leeway(&self) -> i64 {
        let life = time(self.entry, "cached_at").map(|cached_at| self.expires_on.saturating_sub(cached_at));
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
pub(crate) struct AccessTokenQuery<'a> {
    pub(crate) account: &'a Account,
    pub(crate) client_id: &'a str,
    pub(crate) scopes: &'a Scopes,
}

impl AccessTokenQuery<'_> {
    fn matches(&self, entry: &Map<String, Value>) -> bool {
        self.is_of_account(entry) && covers(entry, self.scopes)
    }

    fn is_of_account(&self, entry: &Map<String, Value>) -> bool {
        belongs_to(entry, self.account)
            && is(entry, "client_id", self.client_id)
            && is(entry, "realm", &self.account.realm)
            && entry.get("ext_cache_key").is_none()
            && entry.get("key_id").is_none()
    }
}

/// Every scope asked is granted by name, or this very set was asked before and granted.
pub(super) fn covers(entry: &Map<String, Value>, scopes: &Scopes) -> bool {
    let target = entry.get("target").and_then(Value::as_str).unwrap_or_default();
    if scopes.are_in(target) {
        return true;
    }
    let asked = entry.get(REQUESTED).and_then(Value::as_array).into_iter().flatten();
    asked.filter_map(Value::as_str).any(|asked| scopes.are_in(asked))
}

/// As [`covers`], and Graph's scopes in either spelling.
fn grants(entry: &Map<String, Value>, scopes: &Scopes) -> bool {
    let target = Scopes::parse(entry.get("target").and_then(Value::as_str).unwrap_or_default());
    let by_name = || !scopes.iter().any(|scope| scope.ends_with("/.default"));
    covers(entry, scopes) || by_name() && scopes.missing_from(&target).is_empty()
}

/// The usable one with the longest life left.
pub(super) fn longest_lived<'a>(candidates: impl Iterator<Item = Candidate<'a>>, now: i64) -> Lookup {
    let mut expired = false;
    let usable = candidates.inspect(|_| expired = true).filter(|found| found.is_usable(now));
    match usable.max_by_key(|found| found.expires_on).and_then(|found| found.token()) {
        Some(token) => {
            let renew_due = token.refresh_on.is_some_and(|refresh_on| refresh_on < now);
            Lookup::Hit(Hit { token, renew_due })
        }
        None if expired => Lookup::Miss(MissReason::Expired),
        None => Lookup::Miss(MissReason::NotFound),
    }
}

impl TokenCache {
    /// The usable token with the longest life left. Reads only.
    pub(crate) fn find(&self, query: &AccessTokenQuery<'_>, now: i64) -> Lookup {
        longest_lived(self.matching(query), now)
    }

    /// A token inside the leeway: no longer handed out while it can be renewed, still good if it cannot.
    pub(crate) fn find_unexpired(&self, query: &AccessTokenQuery<'_>, now: i64) -> Option<CachedToken> {
        let found = self.matching(query).filter(|found| found.expires_on > now);
        found.max_by_key(|found| found.expires_on)?.token()
    }

    /// Whether the scopes were granted and can be used: an access token for them, expired or not, or a refresh token that came with
    /// them; and a refresh token, or an access token that has not expired.
    pub(crate) fn holds(&self, query: &AccessTokenQuery<'_>, now: i64) -> bool {
        let mine = |entry: &Map<String, Value>| {
            belongs_to(entry, query.account) && is(entry, "client_id", query.client_id)
        };
        let refresh_tokens = || self.entries(REFRESH_TOKEN).filter(|(_, entry)| mine(entry));
        let access_tokens = || self.entries(ACCESS_TOKEN).filter(|(_, entry)| query.is_of_account(entry));
        let granted = access_tokens().chain(refresh_tokens()).any(|(_, entry)| grants(entry, query.scopes));
        granted && (refresh_tokens().next().is_some() || self.find_unexpired(query, now).is_some())
    }

    fn matching<'a>(&'a self, query: &AccessTokenQuery<'_>) -> impl Iterator<Item = Candidate<'a>> {
        let entries = self.entries(ACCESS_TOKEN).filter(|(_, entry)| query.matches(entry));
        entries.filter_map(|(_, entry)| Candidate::of(entry))
    }

    /// The account's refresh tokens with their keys, newest first; of any tenant and any scopes.
    pub(crate) fn refresh_tokens(&self, account: &Account, client_id: &str) -> Vec<(String, RefreshToken)> {
        let mine = self
            .entries(REFRESH_TOKEN)
            .filter(|(_, entry)| belongs_to(entry, account) && is(entry, "client_id", client_id));
        let mut found: Vec<_> = mine
            .filter_map(|(key, entry)| {
                let secret = entry.get("secret")?.as_str()?;
                Some((
                    time(entry, "last_modification_time").unwrap_or(0),
                    key.clone(),
                    RefreshToken::new(secret),
                ))
            })
            .collect();
        found.sort_by_key(|(modified, _, _)| std::cmp::Reverse(*modified));
        found.into_iter().map(|(_, key, token)| (key, token)).collect()
    }
}
