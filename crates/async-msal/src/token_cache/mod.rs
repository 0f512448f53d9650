//! The token cache, in MSAL's unified schema: a session of MSAL Python opens here and the other way
//! round.
//!
//! Three things differ from MSAL Python (1.21 to 1.39):
//!
//! - A token is renewed when less than 300 seconds of its life are left, as there; or less than half of its life, where it
//!   lives for less than ten minutes. MSAL renews such a token on every request in the end.
//! - A token past its `refresh_on` is handed out at once, and says that a renewal is due; MSAL renews it first.
//! - A cache that was written under another name of the same cloud's host is read without asking the network.
//!
//! # Security
//!
//! Tokens that were had on behalf of a caller, for a federated identity's path or with claims of the caller's own stand
//! under an extended key (`ext_cache_key`). MSAL Python 1.21 is older than these and hands such a token out on a plain
//! question for the same scopes; the newest does not. Keep them in a cache that MSAL 1.21 does not read.

mod accounts;
mod entry;
mod held;
mod key;
mod lookup;
mod merge;
mod reader;
mod table;
mod write;

use std::fmt;

pub(crate) use held::HeldQuery;
pub use key::extended_cache_key;
pub(crate) use lookup::AccessTokenQuery;
pub use lookup::{CachedToken, Hit, Lookup, MissReason};
use serde_json::value::RawValue;
pub(crate) use write::{TokenWrite, WriteOccasion};

pub(crate) use self::entry::{Entry, Field};
use self::table::{Kind, Row, Table};

/// Larger texts are refused, unless [`TokenCache::parse_bounded`] is told otherwise.
const LARGEST: usize = 8 * 1024 * 1024;

/// When this user signed in here, kept over renewals (an extra field of the Account entry).
pub const SIGNED_IN_AT: &str = "async_msal_signed_in_at";
/// Scope sets that were asked and that this entry covers (an extra field of AccessToken entries).
pub(crate) const REQUESTED: &str = "async_msal_requested";

/// Tokens and accounts, as MSAL writes them. Unknown sections and fields are kept byte for byte.
///
/// A look-up costs the same however many accounts there are.
///
/// ```
/// use async_msal::TokenCache;
/// let cache = TokenCache::parse(r#"{"AppMetadata": {}, "Other": {"kept": 1.00}}"#)?;
/// assert_eq!(cache.to_json(), r#"{"AppMetadata":{},"Other":{"kept": 1.00}}"#);
/// # Ok::<(), async_msal::token_cache::CacheError>(())
/// ```
#[derive(Clone, Default)]
pub struct TokenCache {
    sections: Vec<Section>,
    changed: bool,
}

/// A section, in the order of the text.
#[derive(Clone)]
enum Section {
    Known(Table),
    Other(Box<str>, Box<RawValue>),
}

impl Section {
    fn name(&self) -> &str {
        match self {
            Self::Known(table) => table.kind().name(),
            Self::Other(name, _) => name,
        }
    }
}

/// A cache that cannot be read. The text holds secrets, so none of it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CacheError {
    /// Not one JSON object, or nested too deep, or a name stands twice in it.
    #[error("line {line}, column {column}: no JSON object of bounded depth with each name once")]
    Json {
        /// Counted from 1.
        line: usize,
        /// In bytes, counted from 1.
        column: usize,
    },
    /// Longer than allowed.
    #[error("it is {bytes} bytes long; {largest} are allowed")]
    TooLarge {
        /// What it has.
        bytes: usize,
        /// What it may have.
        largest: usize,
    },
    /// A section, or an entry of it, is not an object.
    #[error("section {section} or an entry of it is no object")]
    Shape {
        /// The section's name.
        section: &'static str,
    },
    /// A time is no whole number of seconds.
    #[error("section {section}: the {field} of an entry is no number of seconds")]
    Number {
        /// The section's name.
        section: &'static str,
        /// The field's name.
        field: &'static str,
    },
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
    /// [`CacheError`] for malformed text, more than 8 MiB, sections of the wrong shape, or times that are no numbers.
    pub fn parse(text: &str) -> Result<Self, CacheError> {
        Self::parse_bounded(text, LARGEST)
    }

    /// As [`parse`](Self::parse), with a limit of one's own in bytes.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse).
    pub fn parse_bounded(text: &str, largest: usize) -> Result<Self, CacheError> {
        let bytes = text.len();
        if bytes > largest {
            return Err(CacheError::TooLarge { bytes, largest });
        }
        if text.trim_ascii().is_empty() {
            return Ok(Self::default());
        }
        Ok(Self { sections: reader::read(text)?, changed: false })
    }

    /// The JSON text that MSAL reads.
    ///
    /// # Security
    ///
    /// It holds every token in the clear: seal it before it leaves the process.
    #[must_use]
    pub fn to_json(&self) -> String {
        reader::write(self)
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
        self.sections.iter().all(|section| match section {
            Section::Known(table) => table.rows().is_empty(),
            Section::Other(_, raw) => reader::members(raw).is_some_and(|members| members.is_empty()),
        })
    }

    /// Moves the expiry of every access token; for tools and demonstrations that show a renewal.
    pub fn expire_access_tokens(&mut self, expires_on: i64) {
        let Some(table) = self.table_mut(Kind::AccessToken) else { return };
        let mut any = false;
        for entry in table.entries_mut() {
            entry.set_time(Field::ExpiresOn, expires_on);
            any = true;
        }
        self.changed |= any;
    }

    /// Removes the access tokens that have expired, as MSAL does whenever it looks through all of them.
    pub fn remove_expired_access_tokens(&mut self, now: i64) {
        let removed = self.table_mut(Kind::AccessToken).is_some_and(|table| table.remove_expired(now));
        self.changed |= removed;
    }

    fn table(&self, kind: Kind) -> Option<&Table> {
        self.sections.iter().find_map(|section| match section {
            Section::Known(table) if table.kind() == kind => Some(table),
            _ => None,
        })
    }

    fn table_mut(&mut self, kind: Kind) -> Option<&mut Table> {
        self.sections.iter_mut().find_map(|section| match section {
            Section::Known(table) if table.kind() == kind => Some(table),
            _ => None,
        })
    }

    /// Every entry of a section; for what concerns all of them.
    fn rows(&self, kind: Kind) -> &[Row] {
        self.table(kind).map_or(&[], Table::rows)
    }

    /// The entries of one owner.
    fn rows_of<'a>(&'a self, kind: Kind, owner: table::Owner<'a>) -> impl Iterator<Item = &'a Row> {
        self.table(kind).into_iter().flat_map(move |table| table.of(owner))
    }

    /// Says whether anything is gone.
    fn remove_where(&mut self, kind: Kind, gone: impl Fn(&Entry) -> bool) -> bool {
        let removed = self.table_mut(kind).is_some_and(|table| table.remove_where(gone));
        self.changed |= removed;
        removed
    }
}

/// How many entries there are; nothing of them.
impl fmt::Debug for TokenCache {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |kind| self.rows(kind).len();
        formatter
            .debug_struct("TokenCache")
            .field("accounts", &count(Kind::Account))
            .field("access_tokens", &count(Kind::AccessToken))
            .field("refresh_tokens", &count(Kind::RefreshToken))
            .field("changed", &self.changed)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
