//! The words stores and their callers share.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use crate::session_id::{StoreKey, sha256_hex};

/// A record as the store holds it.
#[derive(Clone)]
#[non_exhaustive]
pub struct Stored {
    /// The bytes under the key, sealed or plain as the layout says.
    pub value: Bytes,
    /// What a later [`compare_and_set`](super::SessionStore::compare_and_set) compares with.
    pub version: Version,
    /// When the store will forget the record, unix seconds; `None` where it has no end.
    pub expires_at: Option<i64>,
}

impl Stored {
    /// Puts a record together, for implementations of a store.
    #[must_use]
    pub fn new(value: Bytes, version: Version, expires_at: Option<i64>) -> Self {
        Self { value, version, expires_at }
    }
}

impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { value, version, expires_at } = self;
        f.debug_struct("Stored")
            .field("value", &format_args!("[{} bytes]", value.len()))
            .field("version", version)
            .field("expires_at", expires_at)
            .finish()
    }
}

/// What distinguishes one state of a record from the next. Only the store that made it understands it.
#[derive(Clone, PartialEq, Eq)]
pub struct Version(Bytes);

impl Version {
    /// Wraps what the store compares: a counter, or the value itself where the store has none.
    #[must_use]
    pub fn new(opaque: impl Into<Bytes>) -> Self {
        Self(opaque.into())
    }

    /// What was wrapped.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn from_number(number: i64) -> Self {
        Self(Bytes::copy_from_slice(&number.to_be_bytes()))
    }

    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub(crate) fn to_number(&self) -> Option<i64> {
        Some(i64::from_be_bytes(self.0.as_ref().try_into().ok()?))
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(opaque) = self;
        // It may be the record itself, so only a hash of it is shown.
        write!(f, "Version({})", &sha256_hex(opaque)[..8])
    }
}

/// What a write does to the record's end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Expiry {
    /// The time to live stays as it is.
    Keep,
    /// The record ends this long from now.
    After(Duration),
}

/// What became of a compare-and-set.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum CasOutcome {
    /// Written; the record has this version now.
    Saved(Version),
    /// Somebody else wrote since; nothing was changed.
    Conflict,
    /// There is no such record; nothing was written.
    Gone,
}

/// One entry of the user index.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct IndexEntry {
    /// The record it points to.
    pub key: StoreKey,
    /// When it was first added, unix seconds.
    pub added_at: i64,
}

impl IndexEntry {
    /// Puts an entry together, for implementations of a store.
    #[must_use]
    pub fn new(key: StoreKey, added_at: i64) -> Self {
        Self { key, added_at }
    }
}

/// The name of one set in the index. It is a hash or strictly encoded: nothing a user can choose reaches the store raw.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct IndexKey(String);

impl IndexKey {
    pub(crate) fn new(text: String) -> Self {
        Self(text)
    }

    /// The name as the store knows it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The name of a mark: `async-msal:used:` and a hash.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct MarkKey(String);

impl MarkKey {
    /// The mark of something secret, which enters the name only as its SHA-256.
    #[must_use]
    pub fn of(secret: &str) -> Self {
        Self(format!("async-msal:used:{}", sha256_hex(secret.as_bytes())))
    }

    /// The name as the store knows it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Who holds a lease: random text, new for every holder.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LeaseOwner(String);

impl LeaseOwner {
    /// Wraps a text that no other holder has.
    #[must_use]
    pub fn new(unique: impl Into<String>) -> Self {
        Self(unique.into())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A number that grows each time a lease is taken, so that an earlier holder can be told from a later one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Fence(u64);

impl Fence {
    /// Wraps the number.
    #[must_use]
    pub fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    #[must_use]
    pub fn number(self) -> u64 {
        self.0
    }
}

/// What became of a mark.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PutOnce {
    /// The mark is ours.
    First,
    /// The mark was there, with this value.
    AlreadyThere(Bytes),
}

impl fmt::Debug for PutOnce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::First => f.write_str("First"),
            Self::AlreadyThere(value) => write!(f, "AlreadyThere([{} bytes])", value.len()),
        }
    }
}

/// Where a scan goes on. Only the store that made it understands it.
#[derive(Clone, PartialEq, Eq)]
pub struct Cursor(String);

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(position) = self;
        // It may be a record's key, which holds the session's id in layout aiohttp.
        write!(f, "Cursor({})", &sha256_hex(position.as_bytes())[..8])
    }
}

impl Cursor {
    /// Wraps the position.
    #[must_use]
    pub fn new(position: impl Into<String>) -> Self {
        Self(position.into())
    }

    /// The position.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One page of a scan.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct Page {
    /// Keys, as text since a store may hold other things too, and what is under them.
    pub records: Vec<(String, Stored)>,
    /// Where to go on; `None` at the end.
    pub next: Option<Cursor>,
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { records, next } = self;
        // Keys hold the session's id in layout aiohttp.
        f.debug_struct("Page")
            .field("records", &format_args!("[{} records]", records.len()))
            .field("next", next)
            .finish()
    }
}

impl Page {
    /// Puts a page together, for implementations of a store.
    #[must_use]
    pub fn new(records: Vec<(String, Stored)>, next: Option<Cursor>) -> Self {
        Self { records, next }
    }
}

/// Why a store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// It did not answer within `STORE_TIMEOUT`.
    #[error("the session store did not answer within {} ms ({operation})", limit.as_millis())]
    Timeout {
        /// What was asked.
        operation: &'static str,
        /// The time limit.
        limit: Duration,
    },
    /// It cannot be reached, or refused to do it.
    #[error("the session store failed: {what}")]
    Unavailable {
        /// In a few words, without addresses or values.
        what: String,
        /// The cause.
        #[source]
        source: Option<Box<dyn StdError + Send + Sync>>,
    },
    /// It reads and refuses to write: a replica, or no room left.
    #[error("the session store refuses to write: {what}")]
    ReadOnly {
        /// Why, in a few words.
        what: String,
    },
    /// It does not let us do it: user, password or permissions are wrong.
    #[error("the session store does not let us: {what}")]
    Denied {
        /// Why, in a few words.
        what: String,
    },
    /// It was made by a later version of this library.
    #[error("the session store has schema version {found}, this version knows {known}")]
    NewerSchema {
        /// The version found.
        found: i64,
        /// The newest version this build understands.
        known: i64,
    },
}

impl StoreError {
    /// A store that cannot be reached or refuses, with its cause.
    #[must_use]
    pub fn unavailable(what: impl Into<String>, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Unavailable { what: what.into(), source: Some(source.into()) }
    }

    /// A stable code for logs, pages and metrics.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Timeout { .. } => "store_timeout",
            Self::Unavailable { .. } => "store_unavailable",
            Self::ReadOnly { .. } => "store_read_only",
            Self::Denied { .. } => "store_denied",
            Self::NewerSchema { .. } => "store_newer_schema",
        }
    }

    /// Whether the same call can succeed later without a change of configuration.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        !matches!(self, Self::NewerSchema { .. } | Self::Denied { .. })
    }

    /// The error as another caller of the same call gets it, without its cause.
    pub(crate) fn repeated(&self) -> Self {
        match self {
            &Self::Timeout { operation, limit } => Self::Timeout { operation, limit },
            Self::Unavailable { what, .. } => Self::Unavailable { what: what.clone(), source: None },
            Self::ReadOnly { what } => Self::ReadOnly { what: what.clone() },
            Self::Denied { what } => Self::Denied { what: what.clone() },
            &Self::NewerSchema { found, known } => Self::NewerSchema { found, known },
        }
    }

    /// Whether only writes are refused: what is stored can be read.
    #[must_use]
    pub fn reads_go_on(&self) -> bool {
        matches!(self, Self::ReadOnly { .. })
    }
}

/// Seconds of a time to live, rounded up, so that nothing ends early.
pub(crate) fn whole_seconds(ttl: Duration) -> i64 {
    let seconds = ttl.as_secs() + u64::from(ttl.subsec_nanos() > 0);
    i64::try_from(seconds).unwrap_or(i64::MAX / 2).min(i64::MAX / 2)
}
