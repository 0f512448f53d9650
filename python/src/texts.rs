//! Token caches as the texts that sessions keep: each is parsed once while it is in use.
//!
//! A request finds its token without parsing anything, and all who hold the same text share one renewal, whatever objects
//! they hold it in. The text alone says what is in a session: another text is another cache.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_msal::{Account, ConfidentialClient, Lookup, TokenCache};
use pyo3::intern;
use pyo3::prelude::*;

use crate::cache::SerializableTokenCache;
use crate::client::{Client, cached, now};
use crate::convert;

/// Texts that are kept parsed, at most about twice as many, and bytes of them.
const TEXTS: usize = 2048;
const BYTES: usize = 16 << 20;
/// A longer text is parsed for each question.
const LONGEST: usize = 256 << 10;

/// A cache, the version of it that is the text, and home account id, local account id and tenant of its first account.
type Opened = (Py<SerializableTokenCache>, u64, String, Option<String>, String);

/// The token caches of sessions of one client.
#[pyclass(frozen, module = "async_msal._native")]
pub(crate) struct Texts {
    client: Py<Client>,
    protocol: ConfidentialClient,
    /// Taken with Python's lock held and for moments only: free when the process forks.
    kept: Mutex<Kept>,
    hasher: RandomState,
}

/// Two generations: when the younger is full it becomes the older, and what nobody asked for meanwhile is dropped.
#[derive(Default)]
struct Kept {
    young: HashMap<u64, Arc<Entry>>,
    old: HashMap<u64, Arc<Entry>>,
    bytes: usize,
}

struct Entry {
    text: String,
    cache: Py<SerializableTokenCache>,
    /// The version that is the text.
    version: u64,
    /// The first account, and whether it is the only one.
    account: Option<(Account, bool)>,
}

#[pymethods]
impl Texts {
    #[new]
    fn new(client: &Bound<'_, Client>) -> Self {
        let protocol = client.get().protocol().clone();
        Self { client: client.clone().unbind(), protocol, kept: Mutex::default(), hasher: RandomState::new() }
    }

    #[getter]
    fn client(&self, py: Python<'_>) -> Py<Client> {
        self.client.clone_ref(py)
    }

    /// A token out of the text, the text that renewals have made of it meanwhile, and whether a renewal is due.
    #[pyo3(signature = (text, scopes, *, only_account=false))]
    fn look<'py>(
        &self,
        py: Python<'py>,
        text: &str,
        scopes: &Bound<'py, PyAny>,
        only_account: bool,
    ) -> PyResult<(Option<Bound<'py, PyAny>>, Option<String>, bool)> {
        let scopes = convert::scopes(scopes)?;
        let Some(entry) = self.entry(py, text) else { return Ok((None, None, false)) };
        let changed = entry.changed(py);
        let Some((account, alone)) = &entry.account else { return Ok((None, changed, false)) };
        if only_account && !alone {
            return Ok((None, changed, false));
        }
        let found = entry
            .cache
            .get()
            .look(|cache| self.protocol.find_first_access_token(cache, account, &scopes, None));
        let Lookup::Hit(hit) = found else { return Ok((None, changed, false)) };
        let expires_in = hit.token.expires_on - now(&self.protocol);
        let result = cached(py, &hit.token.access_token, &hit.token.token_type, expires_in)?;
        if let Some(refresh_on) = hit.token.refresh_on {
            result.set_item(intern!(py, "refresh_on"), refresh_on)?;
        }
        Ok((Some(result.into_any()), changed, hit.renew_due))
    }

    /// The cache that all holders of this text share, the version of it that is the text, and home account id, local account id and tenant of its first
    /// account. `None` where the text has no account, or is none.
    fn open(&self, py: Python<'_>, text: &str) -> Option<Opened> {
        let entry = self.entry(py, text)?;
        let (account, _) = entry.account.as_ref()?;
        Some((
            entry.cache.clone_ref(py),
            entry.version,
            account.home_account_id().to_owned(),
            account.local_account_id().map(str::to_owned),
            account.realm().to_owned(),
        ))
    }
}

impl Texts {
    fn entry(&self, py: Python<'_>, text: &str) -> Option<Arc<Entry>> {
        let hash = self.hash(text);
        if let Some(entry) = self.kept().get(hash).filter(|entry| entry.text == text) {
            return Some(entry);
        }
        let cache = TokenCache::parse(text).ok()?;
        let accounts = self.client.get().grouped_accounts(&cache);
        let alone = accounts.len() == 1;
        let account = accounts.into_iter().next().map(|account| (account, alone));
        let cache = Py::new(py, SerializableTokenCache::holding(cache)).ok()?;
        let version = cache.get().version();
        let entry = Arc::new(Entry { text: text.to_owned(), cache, version, account });
        if text.len() <= LONGEST {
            let dropped = self.kept().put(hash, Arc::clone(&entry));
            drop(dropped);
        }
        Some(entry)
    }

    /// Of parts of it: they tell texts apart well enough, and whether it is the same is compared in full.
    fn hash(&self, text: &str) -> u64 {
        const PART: usize = 48;
        let mut hasher = self.hasher.build_hasher();
        let bytes = text.as_bytes();
        hasher.write_usize(bytes.len());
        for part in bytes.chunks(PART).step_by((bytes.len() / (8 * PART)).max(1)) {
            hasher.write(part);
        }
        hasher.finish()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn changed(&self, py: Python<'_>) -> Option<String> {
        let cache = self.cache.bind(py).get();
        (cache.version() != self.version).then(|| cache.text())
    }
}

impl Kept {
    fn get(&mut self, hash: u64) -> Option<Arc<Entry>> {
        if let Some(entry) = self.young.get(&hash) {
            return Some(Arc::clone(entry));
        }
        let entry = self.old.remove(&hash)?;
        self.put(hash, Arc::clone(&entry));
        Some(entry)
    }

    /// Gives what is dropped, so that it is freed outside the lock.
    fn put(&mut self, hash: u64, entry: Arc<Entry>) -> Option<HashMap<u64, Arc<Entry>>> {
        self.bytes += entry.text.len();
        self.young.insert(hash, entry);
        if self.young.len() < TEXTS && self.bytes < BYTES {
            return None;
        }
        self.bytes = 0;
        let young = std::mem::take(&mut self.young);
        Some(std::mem::replace(&mut self.old, young))
    }
}
