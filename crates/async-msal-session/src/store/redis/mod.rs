//! Records in Redis: the store of many nodes.
//!
//! Record keys stand as they are, with the record's bytes under them; a record's version is its bytes. Everything else is
//! named `async-msal:…`, since tools of aiohttp_msal take every key that begins with the cookie's name for a record.
//! Every key has a time to live, and every command touches keys of one Cluster slot.

mod address;
mod connection;
mod copies;
mod dial;
mod failure;
mod link;
mod options;
mod read_cache;
mod scan;
mod script;
mod tls;
mod view;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::try_join_all;
use redis::{RedisResult, Value};

use self::dial::Dial;
use self::failure::failed;
use self::link::{Link, Repeat, unexpected};
pub use self::options::RedisOptions;
use self::read_cache::{Changing, ReadCache};
use self::scan::Step;
use self::script::Scripts;
use super::{
    CasOutcome, Cursor, Expiry, Fence, IndexEntry, IndexKey, LeaseOwner, MarkKey, Page, PutOnce,
    SessionStore, StoreError, Stored, Version, types::whole_seconds,
};
use crate::session_id::StoreKey;
use crate::settings::{SettingsError, name};

/// Sessions that one name of the index holds; beyond it the oldest are forgotten there.
const INDEX_ENTRIES: &str = "10000";
/// How long a fence is remembered after its lease was taken, in seconds.
const FENCE_LIFE: &str = "86400";

/// Session records in Redis 6 or later: one server, a master watched by Sentinels, or a Cluster.
///
/// Nothing is connected before the first call; a connection that broke is made anew by the next one.
pub struct RedisStore {
    link: Link,
    scripts: Scripts,
    cache: Option<ReadCache>,
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore").finish_non_exhaustive()
    }
}

impl RedisStore {
    /// Reads the address; no I/O but reading the machine's certificate authorities where TLS is asked for.
    ///
    /// # Errors
    /// [`SettingsError`] for an address that is none.
    pub fn open_lazy(options: &RedisOptions) -> Result<Self, SettingsError> {
        let target = address::target(&options.address)
            .map_err(|reason| SettingsError::invalid(name::STORE_URL, reason))?;
        let mut roots = None;
        if options.address.is_tls() {
            tls::install_provider();
            roots = options.ca_pem.as_deref().map(tls::with_machines);
        }
        if options.read_cache && !target.can_track() {
            let reason = "the read cache needs RESP3 and one server, with Sentinels or without, no Cluster";
            return Err(SettingsError::invalid(name::STORE_CACHE, reason));
        }
        let dial = Dial::new(target, roots, options.limit);
        let cache = options.read_cache.then(|| ReadCache::new(dial.clone(), options.limit));
        Ok(Self { link: Link::new(dial, options.limit), scripts: Scripts::new(), cache })
    }

    /// Asks for a record or several: value and what is left of its life.
    async fn read(&self, keys: &[&str]) -> Result<Vec<Option<Stored>>, StoreError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let answers = self
            .link
            .ask(Repeat::Safe, |connection| connection.read(keys))
            .await
            .map_err(|error| failed(&error))?;
        let now = unix_milliseconds();
        (answers.into_iter())
            .map(|(value, left)| stored(value, left, now))
            .collect::<RedisResult<_>>()
            .map_err(|error| failed(&error))
    }
}

/// A record from GET and PTTL. A key that vanished, or is something else than a text, is no record.
fn stored(value: Value, left: Value, now: i64) -> RedisResult<Option<Stored>> {
    let value = match value {
        Value::BulkString(bytes) => Bytes::from(bytes),
        Value::Nil => return Ok(None),
        Value::ServerError(error) if error.code() == "WRONGTYPE" => return Ok(None),
        Value::ServerError(error) => return Err(error.into()),
        _ => return Err(unexpected("no text under a record's key")),
    };
    let expires_at = match left {
        Value::Int(left @ 0..) => Some(now.saturating_add(left).div_euclid(1000)),
        _ => None,
    };
    Ok(Some(Stored::new(value.clone(), Version::new(value), expires_at)))
}

fn unix_milliseconds() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

fn seconds(ttl: Duration) -> String {
    whole_seconds(ttl).clamp(1, i64::from(i32::MAX)).to_string()
}

/// The lease of a record, in its slot: what is in braces decides.
fn lease_key(key: &StoreKey) -> String {
    format!("async-msal:lease:{{{}}}", key.as_str())
}

fn fence_key(key: &StoreKey) -> String {
    format!("async-msal:fence:{{{}}}", key.as_str())
}

#[async_trait]
impl SessionStore for RedisStore {
    fn kind(&self) -> &'static str {
        "redis"
    }

    async fn load(&self, key: &StoreKey) -> Result<Option<Stored>, StoreError> {
        Ok(self.read(&[key.as_str()]).await?.pop().flatten())
    }

    async fn load_cached(&self, key: &StoreKey) -> Result<Option<Stored>, StoreError> {
        if let Some(tracked) = self.cache.as_ref().and_then(ReadCache::tracked) {
            let now = unix_milliseconds();
            match tracked.read(key.as_str(), |value, left| stored(value, left, now)).await {
                // The tracked connection ended; the ordinary one may be there, or is made anew.
                Err(error) if error.is_io_error() && !error.is_timeout() => {}
                answer => return answer.map_err(|error| failed(&error)),
            }
        }
        self.load(key).await
    }

    fn keeps_copies(&self) -> bool {
        self.cache.is_some()
    }

    async fn load_many(&self, keys: &[StoreKey]) -> Result<Vec<Option<Stored>>, StoreError> {
        let keys: Vec<&str> = keys.iter().map(StoreKey::as_str).collect();
        self.read(&keys).await
    }

    async fn create(
        &self,
        key: &StoreKey,
        value: Bytes,
        ttl: Duration,
    ) -> Result<Option<Version>, StoreError> {
        let _changing = self.changing(key);
        let mut command = redis::cmd("SET");
        command.arg(key.as_str()).arg(value.as_ref()).arg("NX").arg("EX").arg(seconds(ttl));
        let made: Option<String> = self.command(Repeat::Unsafe, &command).await?;
        Ok(made.map(|_| Version::new(value)))
    }

    async fn compare_and_set(
        &self,
        key: &StoreKey,
        expected: &Version,
        value: Bytes,
        expiry: Expiry,
    ) -> Result<CasOutcome, StoreError> {
        let _changing = self.changing(key);
        let life = match expiry {
            Expiry::Keep => None,
            Expiry::After(ttl) => Some(seconds(ttl)),
        };
        let mut arguments = vec![expected.as_bytes(), value.as_ref()];
        arguments.extend(life.as_deref().map(str::as_bytes));
        let script = &self.scripts.compare_and_set;
        let outcome: u8 = self.run(Repeat::Unsafe, script, &[key.as_str()], &arguments).await?;
        Ok(match outcome {
            0 => CasOutcome::Gone,
            1 => CasOutcome::Conflict,
            _ => CasOutcome::Saved(Version::new(value)),
        })
    }

    async fn delete(&self, key: &StoreKey) -> Result<bool, StoreError> {
        let _changing = self.changing(key);
        let mut command = redis::cmd("DEL");
        command.arg(key.as_str());
        self.command(Repeat::Safe, &command).await
    }

    async fn index_add(&self, names: &[IndexKey], key: &StoreKey, ttl: Duration) -> Result<(), StoreError> {
        let ttl = seconds(ttl);
        let arguments = [key.as_str().as_bytes(), ttl.as_bytes(), INDEX_ENTRIES.as_bytes()];
        let script = &self.scripts.index_add;
        let add =
            async |name: &IndexKey| self.run::<u8>(Repeat::Safe, script, &[name.as_str()], &arguments).await;
        try_join_all(names.iter().map(add)).await.map(drop)
    }

    async fn index_remove(&self, names: &[IndexKey], key: &StoreKey) -> Result<(), StoreError> {
        let remove = async |name: &IndexKey| {
            let mut command = redis::cmd("ZREM");
            command.arg(name.as_str()).arg(key.as_str());
            self.command::<u64>(Repeat::Safe, &command).await
        };
        try_join_all(names.iter().map(remove)).await.map(drop)
    }

    async fn index_lookup(&self, index: &IndexKey, limit: usize) -> Result<Vec<IndexEntry>, StoreError> {
        let Some(last) = limit.checked_sub(1) else { return Ok(Vec::new()) };
        let mut command = redis::cmd("ZREVRANGE");
        command.arg(index.as_str()).arg(0).arg(last).arg("WITHSCORES");
        let entries: Vec<(String, f64)> = self.command(Repeat::Safe, &command).await?;
        #[expect(clippy::cast_possible_truncation, reason = "seconds since 1970, made by the server's TIME")]
        let entry = |(key, added): (String, f64)| IndexEntry::new(StoreKey::from_store(key), added as i64);
        Ok(entries.into_iter().map(entry).collect())
    }

    async fn acquire_lease(
        &self,
        key: &StoreKey,
        owner: &LeaseOwner,
        ttl: Duration,
    ) -> Result<Option<Fence>, StoreError> {
        let (lease, fence, ttl) = (lease_key(key), fence_key(key), seconds(ttl));
        let arguments = [owner.as_str().as_bytes(), ttl.as_bytes(), FENCE_LIFE.as_bytes()];
        let taken: Option<u64> =
            self.run(Repeat::Safe, &self.scripts.acquire, &[&lease, &fence], &arguments).await?;
        Ok(taken.map(Fence::new))
    }

    async fn extend_lease(
        &self,
        key: &StoreKey,
        owner: &LeaseOwner,
        ttl: Duration,
    ) -> Result<bool, StoreError> {
        let ttl = seconds(ttl);
        let arguments = [owner.as_str().as_bytes(), ttl.as_bytes()];
        self.run(Repeat::Safe, &self.scripts.extend, &[&lease_key(key)], &arguments).await
    }

    async fn release_lease(&self, key: &StoreKey, owner: &LeaseOwner) -> Result<bool, StoreError> {
        self.run(Repeat::Safe, &self.scripts.release, &[&lease_key(key)], &[owner.as_str().as_bytes()]).await
    }

    async fn put_once(&self, mark: &MarkKey, value: Bytes, ttl: Duration) -> Result<PutOnce, StoreError> {
        let ttl = seconds(ttl);
        let arguments = [value.as_ref(), ttl.as_bytes()];
        let there: Option<Vec<u8>> =
            self.run(Repeat::Unsafe, &self.scripts.put_once, &[mark.as_str()], &arguments).await?;
        Ok(there.map_or(PutOnce::First, |value| PutOnce::AlreadyThere(value.into())))
    }

    async fn replace_once(&self, mark: &MarkKey, expected: &Bytes, value: Bytes) -> Result<bool, StoreError> {
        let arguments = [expected.as_ref(), value.as_ref()];
        self.run(Repeat::Unsafe, &self.scripts.replace_once, &[mark.as_str()], &arguments).await
    }

    async fn load_once(&self, mark: &MarkKey) -> Result<Option<Bytes>, StoreError> {
        let mut command = redis::cmd("GET");
        command.arg(mark.as_str());
        let value: Option<Vec<u8>> = self.command(Repeat::Safe, &command).await?;
        Ok(value.map(Bytes::from))
    }

    async fn sweep_expired(&self, _limit: usize) -> Result<u64, StoreError> {
        Ok(0)
    }

    async fn scan(&self, prefix: &str, cursor: Option<Cursor>, limit: usize) -> Result<Page, StoreError> {
        let (pattern, limit) = (scan::pattern(prefix), limit.max(1));
        let step = self
            .link
            .ask(Repeat::Safe, |connection| scan::page(connection, &pattern, cursor.as_ref(), limit))
            .await
            .map_err(|error| failed(&error))?;
        let (keys, next) = match step {
            Step::Page(keys, next) => (keys, next),
            Step::Lost(what) => {
                return Err(StoreError::Unavailable { what: what.to_owned(), source: None });
            }
        };
        let is_hex = |key: &&str| key[prefix.len()..].bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let keys: Vec<&str> = keys.iter().map(String::as_str).filter(is_hex).collect();
        let records = self.read(&keys).await?;
        let records = (keys.iter().zip(records))
            .filter_map(|(key, stored)| Some(((*key).to_owned(), stored?)))
            .collect();
        Ok(Page::new(records, next))
    }

    async fn count_hint(&self, prefix: &str) -> Result<Option<u64>, StoreError> {
        let pattern = scan::pattern(prefix);
        self.link
            .ask(Repeat::Safe, |connection| scan::count(connection, &pattern))
            .await
            .map(Some)
            .map_err(|error| failed(&error))
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.command::<String>(Repeat::Safe, &redis::cmd("PING")).await.map(drop)
    }
}

impl RedisStore {
    /// Held over a change of a record by this process.
    fn changing<'a>(&'a self, key: &'a StoreKey) -> Option<Changing<'a>> {
        self.cache.as_ref().map(|cache| cache.changing(key.as_str()))
    }

    async fn command<T: redis::FromRedisValue>(
        &self,
        repeat: Repeat,
        command: &redis::Cmd,
    ) -> Result<T, StoreError> {
        self.link
            .ask(repeat, |mut connection| async move { command.query_async(&mut connection).await })
            .await
            .map_err(|error| failed(&error))
    }

    async fn run<T: redis::FromRedisValue>(
        &self,
        repeat: Repeat,
        script: &script::Script,
        keys: &[&str],
        arguments: &[&[u8]],
    ) -> Result<T, StoreError> {
        self.link
            .ask(repeat, |connection| script.run(connection, keys, arguments))
            .await
            .map_err(|error| failed(&error))
    }
}

#[cfg(test)]
mod tests;
