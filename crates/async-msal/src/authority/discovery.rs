//! Metadata and keys, fetched on first use, shared, kept while the authority is down.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;

use super::Authority;
use super::coalesced::Coalesced;
use super::instance;
use super::metadata::Metadata;
use super::signing_keys::KeySet;
use crate::clock::Clock;
use crate::error::{ConfigError, Error, InvalidResponse};
use crate::health::{ComponentHealth, HealthCell};
use crate::http_client::{Fetched, HttpClient};
use crate::json;
use crate::telemetry;

/// Metadata and keys are asked again at least this often, whatever `Cache-Control` says.
const LONGEST_LIFE: i64 = 24 * 3_600;
/// Answers without `Cache-Control` live this long; shorter lives are raised to a minute.
const DEFAULT_LIFE: i64 = 24 * 3_600;
const SHORTEST_LIFE: i64 = 60;
/// How long beyond its life an answer stays in use while the authority is down.
const LONGEST_STALE: i64 = 24 * 3_600;
/// After a failed renewal of an answer that is still in use, and between refetches for unknown keys.
const PAUSE: Duration = Duration::from_secs(30);
/// Names of keys that were looked for in vain, at most so many.
const UNKNOWN_KEYS: usize = 64;

const METADATA_LIMIT: usize = 64 * 1024;
const KEYS_LIMIT: usize = 256 * 1024;

/// One authority, as seen by one client.
pub(crate) struct Discovery {
    pub(crate) authority: Authority,
    extra_hosts: Vec<String>,
    http: HttpClient,
    clock: Arc<dyn Clock>,
    metadata: Slot<Metadata>,
    keys: Slot<KeySet>,
    unknown: Mutex<UnknownKeys>,
}

struct Slot<T> {
    held: ArcSwapOption<Held<T>>,
    fetch: Coalesced<Held<T>>,
    retry_at: Mutex<Option<Duration>>,
    health: HealthCell,
}

/// An answer and how long it counts.
pub(crate) struct Held<T> {
    value: Arc<T>,
    fresh_until: i64,
}

#[derive(Default)]
struct UnknownKeys {
    refetched_at: Option<Duration>,
    names: Vec<String>,
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self {
            held: ArcSwapOption::empty(),
            fetch: Coalesced::default(),
            retry_at: Mutex::default(),
            health: HealthCell::default(),
        }
    }
}

impl Discovery {
    pub(crate) fn new(
        authority: Authority,
        extra_hosts: Vec<String>,
        http: HttpClient,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let (metadata, keys) = (Slot::default(), Slot::default());
        Self { authority, extra_hosts, http, clock, metadata, keys, unknown: Mutex::default() }
    }

    pub(crate) fn health(&self) -> (ComponentHealth, ComponentHealth) {
        let now = self.clock.now();
        (self.metadata.health(now), self.keys.health(now))
    }

    /// The metadata, from memory while it is fresh.
    pub(crate) async fn metadata(self: &Arc<Self>) -> Result<Arc<Metadata>, Error> {
        let this = Arc::clone(self);
        self.metadata.get(self.clock.as_ref(), move || async move { this.fetch_metadata().await }).await
    }

    /// The metadata as last fetched, however old.
    pub(crate) fn metadata_at_hand(&self) -> Option<Arc<Metadata>> {
        self.metadata.held.load().as_ref().map(|held| Arc::clone(&held.value))
    }

    /// The keys, from memory while they are fresh.
    pub(crate) async fn keys(self: &Arc<Self>) -> Result<Arc<KeySet>, Error> {
        let this = Arc::clone(self);
        self.keys.get(self.clock.as_ref(), move || async move { this.fetch_keys().await }).await
    }

    /// Asks for the keys once more, since none is called `kid`; `None` where that was tried lately. That they
    /// cannot be had is an error: it is not known then whether there is such a key.
    pub(crate) async fn keys_again(self: &Arc<Self>, kid: &str) -> Result<Option<Arc<KeySet>>, Error> {
        if !self.may_refetch(kid) {
            return Ok(None);
        }
        let this = Arc::clone(self);
        let fetched = self.keys.fetch.join(move || async move { this.fetch_keys().await }).await?;
        if !fetched.value.names(kid) {
            let mut unknown = self.unknown.lock().unwrap_or_else(PoisonError::into_inner);
            if unknown.names.len() >= UNKNOWN_KEYS {
                unknown.names.remove(0);
            }
            unknown.names.push(kid.chars().take(256).collect());
        }
        Ok(Some(Arc::clone(&fetched.value)))
    }

    /// At most one refetch in [`PAUSE`], shared by all who miss a key while it runs.
    fn may_refetch(&self, kid: &str) -> bool {
        let now = self.clock.monotonic();
        let mut unknown = self.unknown.lock().unwrap_or_else(PoisonError::into_inner);
        let lately = unknown.refetched_at.is_some_and(|at| now.saturating_sub(at) < PAUSE);
        if lately {
            // A refetch under way may bring this very key; one that ended has not.
            return self.keys.fetch.is_running() && !unknown.names.iter().any(|name| name == kid);
        }
        unknown.names.clear();
        unknown.refetched_at = Some(now);
        true
    }

    async fn fetch_metadata(&self) -> Result<Arc<Held<Metadata>>, Error> {
        let fetched = self.metadata_of_known_instance().await;
        let result = fetched.and_then(|fetched| self.read_metadata(&fetched));
        self.metadata.record("metadata", result, self.clock.as_ref())
    }

    /// The first good document proves the instance: later fetches ask nobody else.
    async fn metadata_of_known_instance(&self) -> Result<Fetched, Error> {
        if self.metadata.held.load().is_none() && instance::is_wanted(&self.authority, &self.extra_hosts) {
            instance::check(&self.http, &self.authority).await?;
        }
        self.http.get(&self.authority.metadata_url(), "metadata", METADATA_LIMIT).await
    }

    fn read_metadata(&self, fetched: &Fetched) -> Result<Held<Metadata>, Error> {
        if (400..500).contains(&fetched.status) && fetched.status != 429 {
            return Err(ConfigError::NoMetadata(fetched.status).into());
        }
        fetched.require_success()?;
        let document = json::parse_object(&fetched.body).map_err(|_| InvalidResponse::Json("metadata"))?;
        let metadata = Metadata::from_document(&document, &self.authority, &self.extra_hosts)?;
        // The first good document pins issuer and hosts for the process.
        if self.metadata.held.load().as_ref().is_some_and(|held| !metadata.agrees_with(&held.value)) {
            return Err(InvalidResponse::SuddenChange.into());
        }
        Ok(Held { value: Arc::new(metadata), fresh_until: self.fresh_until(fetched) })
    }

    async fn fetch_keys(self: &Arc<Self>) -> Result<Arc<Held<KeySet>>, Error> {
        let metadata = self.metadata().await?;
        let fetched = self.http.get(metadata.jwks_uri().as_str(), "keys", KEYS_LIMIT).await;
        let result = fetched.and_then(|fetched| {
            fetched.require_success()?;
            let value = Arc::new(KeySet::parse(&fetched.body)?);
            Ok(Held { value, fresh_until: self.fresh_until(&fetched) })
        });
        self.keys.record("keys", result, self.clock.as_ref())
    }

    fn fresh_until(&self, fetched: &Fetched) -> i64 {
        let life = fetched.max_age.unwrap_or(DEFAULT_LIFE).clamp(SHORTEST_LIFE, LONGEST_LIFE);
        self.clock.now().saturating_add(life)
    }
}

impl<T: Send + Sync + 'static> Slot<T> {
    async fn get<F>(&self, clock: &dyn Clock, fetch: impl FnOnce() -> F) -> Result<Arc<T>, Error>
    where
        F: Future<Output = Result<Arc<Held<T>>, Error>> + Send + 'static,
    {
        let held = self.held.load_full();
        let now = clock.now();
        let usable = held.filter(|held| now < held.fresh_until.saturating_add(LONGEST_STALE));
        match usable {
            Some(held) if now < held.fresh_until || self.pausing(clock) => Ok(Arc::clone(&held.value)),
            Some(held) => match self.fetch.join(fetch).await {
                Ok(fetched) => Ok(Arc::clone(&fetched.value)),
                Err(error) => {
                    tracing::warn!(
                        code = error.code(),
                        "the authority does not answer: its last good answer stays in use"
                    );
                    Ok(Arc::clone(&held.value))
                }
            },
            None => Ok(Arc::clone(&self.fetch.join(fetch).await?.value)),
        }
    }

    fn pausing(&self, clock: &dyn Clock) -> bool {
        let retry_at = *self.retry_at.lock().unwrap_or_else(PoisonError::into_inner);
        retry_at.is_some_and(|at| clock.monotonic() < at)
    }

    /// Keeps a good answer, remembers a failure for [`PAUSE`] beside the answer before.
    fn record(
        &self,
        what: &'static str,
        result: Result<Held<T>, Error>,
        clock: &dyn Clock,
    ) -> Result<Arc<Held<T>>, Error> {
        telemetry::authority_fetch(what, result.as_ref().err().map(Error::code));
        let failed = result.as_ref().err();
        self.health.set(clock.now(), failed.map(ToString::to_string));
        let pause = failed.map(|_| clock.monotonic() + PAUSE);
        *self.retry_at.lock().unwrap_or_else(PoisonError::into_inner) = pause;
        let held = Arc::new(result?);
        self.held.store(Some(Arc::clone(&held)));
        Ok(held)
    }

    fn health(&self, now: i64) -> ComponentHealth {
        let stale = self.held.load().as_ref().is_some_and(|held| now >= held.fresh_until);
        self.health.get(stale)
    }
}
