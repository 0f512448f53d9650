//! The token cache, in MSAL's unified schema: a session of MSAL Python opens here and the other way
//! round.

mod entry;
mod held;
mod key;
mod lookup;
mod merge;
mod write;

use std::fmt;

use serde_json::{Map, Value};

pub(crate) use held::HeldQuery;
pub use key::extended_cache_key;
pub(crate) use lookup::AccessTokenQuery;
pub use lookup::{CachedToken, Hit, Lookup, MissReason};
pub(crate) use write::{TokenWrite, WriteOccasion};

use crate::account::Account;
use crate::authority::cloud::same_cloud;
use crate::json;
use crate::secret::IdToken;

/// Larger texts are refused, unless [`TokenCache::parse_bounded`] is told otherwise.
const LARGEST: usize = 8 * 1024 * 1024;

pub(crate) const ACCESS_TOKEN: &str = "AccessToken";
pub(crate) const REFRESH_TOKEN: &str = "RefreshToken";
pub(crate) const ID_TOKEN: &str = "IdToken";
pub(crate) const ACCOUNT: &str = "Account";
pub(crate) const APP_METADATA: &str = "AppMetadata";

/// When this user signed in here, kept over renewals (an extra field of the Account entry).
pub const SIGNED_IN_AT: &str = "async_msal_signed_in_at";
/// Scope sets that were asked and that this entry covers (an extra field of AccessToken entries).
pub(crate) const REQUESTED: &str = "async_msal_requested";

/// Tokens and accounts, as MSAL writes them. Unknown sections and fields are kept.
///
/// ```
/// use async_msal::TokenCache;
/// let cache = TokenCache::parse(r#"{"AppMetadata": {}, "Other": {"kept": {}}}"#)?;
/// assert!(cache.to_json().contains("kept"));
/// # Ok::<(), async_msal::token_cache::CacheError>(())
/// ```
#[derive(Clone, Default)]
pub struct TokenCache {
    root: Map<String, Value>,
    changed: bool,
}

/// A cache that cannot be read. The text holds secrets, so none of it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CacheError {
    /// Not one JSON object, or nested too deep.
    #[error("it is no JSON object of bounded depth")]
    Json,
    /// Longer than allowed.
    #[error("it is too large")]
    TooLarge,
    /// A section or entry is not an object.
    #[error("a section or entry is no object")]
    Shape,
}

impl TokenCache {
    /// An empty cache.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Opens what MSAL or this library wrote; an empty text is an empty cache.
    ///
    /// # Errors
    ///
    /// [`CacheError`] for malformed text, more than 8 MiB, or sections of the wrong shape.
    pub fn parse(text: &str) -> Result<Self, CacheError> {
        Self::parse_bounded(text, LARGEST)
    }

    /// As [`parse`](Self::parse), with a limit of one's own in bytes.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse).
    pub fn parse_bounded(text: &str, largest: usize) -> Result<Self, CacheError> {
        if text.len() > largest {
            return Err(CacheError::TooLarge);
        }
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let root = json::parse_object(text.as_bytes()).map_err(|_| CacheError::Json)?;
        for section in [ACCESS_TOKEN, REFRESH_TOKEN, ID_TOKEN, ACCOUNT, APP_METADATA] {
            let shaped = root.get(section).is_none_or(|section| {
                section.as_object().is_some_and(|entries| entries.values().all(Value::is_object))
            });
            if !shaped {
                return Err(CacheError::Shape);
            }
        }
        Ok(Self { root, changed: false })
    }

    /// The JSON text that MSAL reads.
    ///
    /// # Security
    ///
    /// It holds every token in the clear: seal it before it leaves the process.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(&self.root).unwrap_or_else(|_| "{}".to_owned())
    }

    /// Was anything written or removed since it was opened or [`mark_unchanged`](Self::mark_unchanged)?
    #[must_use]
    pub const fn has_changed(&self) -> bool {
        self.changed
    }

    /// Call after the cache was saved.
    pub const fn mark_unchanged(&mut self) {
        self.changed = false;
    }

    /// Does it hold no entry at all?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.root.values().all(|section| section.as_object().is_some_and(Map::is_empty))
    }

    /// The accounts of an authority host, those of its alias names behind them.
    ///
    /// One person may stand here twice: a guest has one entry for each tenant.
    #[must_use]
    pub fn accounts(&self, environment: &str) -> Vec<Account> {
        let all = self.entries(ACCOUNT).filter_map(|(_, entry)| Account::from_entry(entry));
        let mut accounts: Vec<_> =
            all.filter(|account| same_cloud(&account.environment, environment)).collect();
        accounts.sort_by_key(|account| account.environment != environment);
        accounts
    }

    /// The account of a person, by object id and tenant of a verified id token.
    #[must_use]
    pub fn account_by_local_id(&self, environment: &str, oid: &str, tid: &str) -> Option<Account> {
        let is_theirs = |account: &Account| {
            account.local_account_id.as_deref() == Some(oid)
                && (account.realm.eq_ignore_ascii_case(tid)
                    || !crate::authority::tenant::is_guid(&account.realm))
        };
        self.accounts(environment).into_iter().find(is_theirs)
    }

    /// The raw id token kept for an account.
    #[must_use]
    pub fn id_token(&self, account: &Account, client_id: &str) -> Option<IdToken> {
        let found = self.entries(ID_TOKEN).find(|(_, entry)| {
            belongs_to(entry, account)
                && is(entry, "client_id", client_id)
                && is(entry, "realm", &account.realm)
        });
        found.and_then(|(_, entry)| entry.get("secret")?.as_str()).map(IdToken::new)
    }

    /// Removes an account with all its access and id tokens, and this client's refresh tokens.
    pub fn remove_account(&mut self, account: &Account, client_id: &str) {
        self.remove_where(REFRESH_TOKEN, |entry| {
            belongs_to(entry, account) && is(entry, "client_id", client_id)
        });
        for section in [ACCESS_TOKEN, ID_TOKEN, ACCOUNT] {
            self.remove_where(section, |entry| belongs_to(entry, account));
        }
    }

    /// An extra field of an account's entry.
    #[must_use]
    pub fn account_extra(&self, account: &Account, name: &str) -> Option<&Value> {
        let found = self.entries(ACCOUNT).find(|(_, entry)| is_account(entry, account));
        found.and_then(|(_, entry)| entry.get(name))
    }

    /// Sets an extra field of an account's entry; MSAL keeps it until the entry is replaced.
    pub fn set_account_extra(&mut self, account: &Account, name: &str, value: Value) {
        let entries = self.root.get_mut(ACCOUNT).and_then(Value::as_object_mut);
        let Some(entries) = entries else { return };
        for entry in entries.values_mut().filter_map(Value::as_object_mut) {
            if is_account(entry, account) && entry.get(name) != Some(&value) {
                entry.insert(name.to_owned(), value.clone());
                self.changed = true;
            }
        }
    }

    /// Moves the expiry of every access token; for tools and demonstrations that show a renewal.
    pub fn expire_access_tokens(&mut self, expires_on: i64) {
        let entries = self.root.get_mut(ACCESS_TOKEN).and_then(Value::as_object_mut);
        for entry in
            entries.into_iter().flat_map(|entries| entries.values_mut()).filter_map(Value::as_object_mut)
        {
            entry.insert("expires_on".to_owned(), Value::from(expires_on.to_string()));
            self.changed = true;
        }
    }

    /// The account a sign-in has just written.
    pub(crate) fn account_written(&self, home: &str, environment: &str, realm: &str) -> Option<Account> {
        let found = self.entries(ACCOUNT).find(|(_, entry)| {
            is(entry, "home_account_id", home)
                && is(entry, "environment", environment)
                && is(entry, "realm", realm)
        });
        found.and_then(|(_, entry)| Account::from_entry(entry))
    }

    pub(crate) fn entries(&self, section: &str) -> impl Iterator<Item = (&String, &Map<String, Value>)> {
        let entries = self.root.get(section).and_then(Value::as_object);
        entries.into_iter().flatten().filter_map(|(key, entry)| Some((key, entry.as_object()?)))
    }

    pub(crate) fn remove_where(&mut self, section: &str, gone: impl Fn(&Map<String, Value>) -> bool) {
        let Some(entries) = self.root.get_mut(section).and_then(Value::as_object_mut) else { return };
        let before = entries.len();
        entries.retain(|_, entry| !entry.as_object().is_some_and(&gone));
        self.changed |= entries.len() != before;
    }
}

/// Names of sections and how many entries they have; nothing of the entries.
impl fmt::Debug for TokenCache {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |section| self.entries(section).count();
        formatter
            .debug_struct("TokenCache")
            .field("accounts", &count(ACCOUNT))
            .field("access_tokens", &count(ACCESS_TOKEN))
            .field("refresh_tokens", &count(REFRESH_TOKEN))
            .field("changed", &self.changed)
            .finish_non_exhaustive()
    }
}

pub(crate) fn is(entry: &Map<String, Value>, field: &str, value: &str) -> bool {
    entry.get(field).and_then(Value::as_str) == Some(value)
}

/// Is the field this text, or null or absent where there is none?
pub(crate) fn is_or_null(entry: &Map<String, Value>, field: &str, value: Option<&str>) -> bool {
    entry.get(field).and_then(Value::as_str).filter(|text| !text.is_empty()) == value
}

pub(crate) fn belongs_to(entry: &Map<String, Value>, account: &Account) -> bool {
    let environment = entry.get("environment").and_then(Value::as_str).unwrap_or_default();
    is(entry, "home_account_id", &account.home_account_id) && same_cloud(environment, &account.environment)
}

fn is_account(entry: &Map<String, Value>, account: &Account) -> bool {
    belongs_to(entry, account) && is(entry, "realm", &account.realm)
}

#[cfg(test)]
mod tests;
