//! From the bytes under a key to a session: opened, parsed once, and looked at by the clock of this moment.

use std::sync::Arc;

use async_msal::TokenCache;
use bytes::Bytes;

use super::memo::Parsed;
use super::seconds;
use crate::error::Error;
use crate::identity::{Person, find_person};
use crate::msal::Msal;
use crate::patch::Patch;
use crate::record::{self, Found, SessionRecord, item};
use crate::sealing::Purpose;
use crate::session_id::{SessionLayout, StoreKey};
use crate::store::{Operation, Stored};
use crate::telemetry;

/// Records of one call that reads many.
const BATCH: usize = 100;

/// A record as read, with its token cache parsed once.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    pub(crate) key: StoreKey,
    pub(crate) stored: Stored,
    pub(crate) record: Arc<SessionRecord>,
    pub(crate) cache: Arc<TokenCache>,
    pub(crate) person: Option<Arc<Person>>,
    /// Sealed by a former key: the next write seals anew, and indexes under the present key.
    pub(super) former_key: bool,
}

impl Loaded {
    /// Whether the sliding write is due: at most once per tenth of the idle time. At once where the record has no end, or a
    /// `created` that aiohttp_session cannot read: the write mends that. Where `created` lies in the future, one node's clock
    /// is wrong or was, and the store's own time to live tells.
    pub(crate) fn slide_due(&self, msal: &Msal) -> bool {
        let idle = seconds(msal.settings().session_idle());
        let tenth = (idle / 10).max(1);
        let now = msal.clock().now();
        let age = now.saturating_sub(self.record.created());
        match self.stored.expires_at {
            None => true,
            Some(_) if self.record.is_spoiled() => true,
            Some(expires_at) if age < 0 => expires_at.saturating_sub(now) <= idle - tenth,
            Some(_) => age >= tenth,
        }
    }

    /// Applies a patch that the store would not take, for this process only.
    pub(crate) fn apply_locally(&mut self, msal: &Msal, patch: &Patch) {
        if patch.apply(Arc::make_mut(&mut self.record)) {
            (self.cache, self.person) = understand(msal, &self.record);
        }
    }

    /// The record as it was saved.
    pub(super) fn with(self, msal: &Msal, record: Arc<SessionRecord>, stored: Stored) -> Self {
        let unchanged = |name| record.agrees_with(&self.record, name);
        let (cache, person) = if unchanged(item::TOKEN_CACHE) && unchanged(item::IDENTITY) {
            (self.cache, self.person)
        } else {
            understand(msal, &record)
        };
        Self { key: self.key, stored, record, cache, person, former_key: false }
    }
}

/// What stands under a key.
#[derive(Debug)]
pub(crate) enum Seen {
    /// A session.
    Live(Loaded),
    /// A session past its idle or absolute end, which counts as absent.
    Past(Loaded),
    /// `{}`.
    SignedOut,
    /// Nothing that can be read; the word says why.
    Unreadable(&'static str),
}

impl Seen {
    fn live(self) -> Option<Loaded> {
        match self {
            Self::Live(loaded) => Some(loaded),
            Self::Past(_) | Self::SignedOut | Self::Unreadable(_) => None,
        }
    }
}

/// What an index entry leads to.
pub(crate) enum Target {
    /// A session.
    Live(Loaded),
    /// A record that is none, as this process sees it.
    Unusable,
    /// Nothing: the store has no such record.
    Absent,
}

/// Why there is no session.
enum Absence {
    SignedOut,
    Unreadable(&'static str),
}

impl Msal {
    /// Reads a record. Absent, signed out, past its idle or absolute end, and unreadable are all `None`; so is one that the
    /// store was to delete while it was down.
    pub(crate) async fn load_record(&self, key: &StoreKey) -> Result<Option<Loaded>, Error> {
        let loaded = self.load_stored(key).await?;
        Ok(self.as_known_here(key, loaded).await)
    }

    /// Reads a record as the store has it.
    pub(crate) async fn load_stored(&self, key: &StoreKey) -> Result<Option<Loaded>, Error> {
        self.background().ensure_sweep(self.store());
        let stored = self.store().run(Operation::Load, |store| store.load(key)).await?;
        Ok(stored.and_then(|stored| self.understand_stored(key, stored)))
    }

    /// Reads a record for a request's first look, where a copy that the store keeps in this process is good enough.
    pub(crate) async fn load_record_cached(&self, key: &StoreKey) -> Result<Option<Loaded>, Error> {
        self.background().ensure_sweep(self.store());
        let Some(stored) = self.store().look(key).await? else { return Ok(None) };
        let loaded = self.understand_remembered(key, stored);
        Ok(self.as_known_here(key, loaded).await)
    }

    /// Opens and reads what was stored, unless these very bytes were read a moment ago.
    pub(crate) fn understand_remembered(&self, key: &StoreKey, stored: Stored) -> Option<Loaded> {
        let parsed = match self.memo().get(key, &stored.value) {
            Some(parsed) => parsed,
            None => {
                let parsed = self.parse_or_count(key, &stored.value)?;
                self.memo().put(key, &parsed);
                parsed
            }
        };
        self.look_at(key, stored, parsed).live()
    }

    /// Who is signed in by a record that no store has yet.
    pub(crate) fn person_of(&self, record: &SessionRecord) -> Option<Arc<Person>> {
        understand(self, record).1
    }

    /// Reads many records, in the order of `keys`, in as few round trips as the store can.
    pub(crate) async fn load_records(&self, keys: &[StoreKey]) -> Result<Vec<Target>, Error> {
        let mut found = Vec::with_capacity(keys.len());
        for keys in keys.chunks(BATCH) {
            let stored = self.store().run(Operation::Load, |store| store.load_many(keys)).await?;
            for (key, stored) in keys.iter().zip(stored) {
                let Some(stored) = stored else {
                    found.push(Target::Absent);
                    continue;
                };
                let loaded = self.understand_stored(key, stored);
                let known = self.as_known_here(key, loaded).await;
                found.push(known.map_or(Target::Unusable, Target::Live));
            }
        }
        Ok(found)
    }

    /// What the store could not take yet: the end of a session, and tokens renewed here.
    async fn as_known_here(&self, key: &StoreKey, loaded: Option<Loaded>) -> Option<Loaded> {
        let mut loaded = loaded.filter(|_| !self.endings().contains(key))?;
        if let Some(patch) = self.renewals().unsaved(key).await {
            loaded.apply_locally(self, &patch);
        }
        Some(loaded)
    }

    /// Opens and reads what was stored; `None` where it counts as absent, which is counted where it cannot be read.
    pub(crate) fn understand_stored(&self, key: &StoreKey, stored: Stored) -> Option<Loaded> {
        let parsed = self.parse_or_count(key, &stored.value)?;
        self.look_at(key, stored, parsed).live()
    }

    /// What stands under a key, for whoever looks after the store.
    pub(crate) fn examine(&self, key: &StoreKey, stored: Stored) -> Seen {
        match self.parse(key, &stored.value) {
            Ok(parsed) => self.look_at(key, stored, parsed),
            Err(Absence::SignedOut) => Seen::SignedOut,
            Err(Absence::Unreadable(reason)) => Seen::Unreadable(reason),
        }
    }

    fn parse(&self, key: &StoreKey, value: &Bytes) -> Result<Parsed, Absence> {
        let (record, former_key) = match self.read_record(key, value) {
            (Found::Session(record), former_key) => (record, former_key),
            (Found::SignedOut, _) => return Err(Absence::SignedOut),
            (Found::Unreadable(reason), _) => return Err(Absence::Unreadable(reason)),
        };
        let (cache, person) = understand(self, &record);
        Ok(Parsed { value: value.clone(), record: Arc::new(record), cache, person, former_key })
    }

    fn parse_or_count(&self, key: &StoreKey, value: &Bytes) -> Option<Parsed> {
        match self.parse(key, value) {
            Ok(parsed) => Some(parsed),
            Err(Absence::SignedOut) => None,
            Err(Absence::Unreadable(reason)) => {
                telemetry::count(telemetry::UNREADABLE, "reason", reason);
                tracing::warn!(target: telemetry::TARGET, session = %key.handle(), reason, "record cannot be read and counts as absent");
                None
            }
        }
    }

    /// The clock's part, which no copy answers.
    fn look_at(&self, key: &StoreKey, stored: Stored, parsed: Parsed) -> Seen {
        let Parsed { value: _, record, cache, person, former_key } = parsed;
        let now = self.clock().now();
        let idle = now.saturating_sub(record.created()) > seconds(self.settings().session_idle());
        let over = person.as_ref().is_some_and(|person| self.absolute_end(&person.identity) <= now);
        let loaded = Loaded { key: key.clone(), stored, record, cache, person, former_key };
        if idle || over { Seen::Past(loaded) } else { Seen::Live(loaded) }
    }

    /// What is under a key, whatever it is; `true` beside it when a former key opened it.
    pub(crate) fn read_record(&self, key: &StoreKey, value: &[u8]) -> (Found, bool) {
        // Base64 makes a sealed record a third longer than its text.
        if value.len() > record::MAX_RECORD * 3 / 2 {
            return (Found::Unreadable("too_large"), false);
        }
        match key.layout() {
            SessionLayout::Aiohttp => (SessionRecord::parse_json(value), false),
            SessionLayout::Sealed => {
                match self.record_keys().open_json(Purpose::Record, key.as_str(), value) {
                    Ok((text, former)) => (SessionRecord::parse_json(&text), former),
                    Err(error) => (Found::Unreadable(error.code()), false),
                }
            }
        }
    }
}

fn understand(msal: &Msal, record: &SessionRecord) -> (Arc<TokenCache>, Option<Arc<Person>>) {
    let cache = record.token_cache();
    let person = find_person(msal.client(), record, &cache).map(Arc::new);
    (Arc::new(cache), person)
}
