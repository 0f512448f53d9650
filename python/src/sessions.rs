//! The class `Sessions`: sessions in Redis, shared with Python services and with Rust ones.
//!
//! Lease, merge, renewal and index are those of `async-msal-session`; here they get Python's face.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_msal::{ClientSecret, TokenCache, TokenSource};
use async_msal_session::record::{Found, SessionRecord};
use async_msal_session::store::{RedisOptions, RedisStore, StoreError};
use async_msal_session::{
    Error, Find, ItemChanges, Msal, RecordToken, Records, SessionId, SessionLayout, StoreKey,
};
use pyo3::exceptions::{PyConnectionError, PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString};

use crate::bridge::run;
use crate::calls::{cached, issued};
use crate::client::Client;
use crate::convert::{self, object_to_python};
use crate::error::{Answer, answer, raised};
use crate::flight::Caller;
use crate::runtime;

/// Items that a renewal changes.
const RENEWED: [&str; 2] = ["token_cache", "async_msal"];
/// A session ends so long after its sign-in at the latest.
const LONGEST_LIFE: u64 = 365 * 24 * 3600;
/// A renewal ahead of time is begun so often at most.
const BETWEEN_RENEWALS: Duration = Duration::from_secs(5);
/// More sessions than this are not remembered for it.
const MOST: usize = 4096;

/// The sessions under one cookie's name.
#[pyclass(frozen, module = "async_msal._native")]
pub(crate) struct Sessions {
    msal: Arc<Msal>,
    records: Records,
    /// When a renewal ahead of time was begun last. Taken with Python's lock held.
    ahead: Mutex<HashMap<StoreKey, Instant>>,
}

#[pymethods]
impl Sessions {
    #[new]
    #[pyo3(signature = (client, *, redis_url, cookie_name, max_age=None, secret=None, ca_pem=None))]
    #[expect(clippy::too_many_arguments, reason = "named one by one in Python")]
    fn new(
        client: &Bound<'_, Client>,
        redis_url: &str,
        cookie_name: &str,
        max_age: Option<u64>,
        secret: Option<String>,
        ca_pem: Option<Vec<u8>>,
    ) -> PyResult<Self> {
        let client = client.get().protocol().clone();
        let options = RedisOptions::new(redis_url);
        let options =
            ca_pem.into_iter().fold(options, |options, pem: Vec<u8>| options.ca_certificate_pem(pem));
        let store =
            RedisStore::open_lazy(&options).map_err(|error| PyValueError::new_err(error.to_string()))?;
        // Of the index's names and the reports of failed renewals; in this layout no record is sealed.
        let secret = match secret {
            Some(secret) => secret,
            None => random_text(&client)?,
        };
        let idle = max_age.map_or(LONGEST_LIFE, |seconds| seconds.max(1));
        let msal = Msal::builder(client, Arc::new(store))
            .public_url("https://localhost")
            .keys_from_secrets([ClientSecret::new(secret)])
            .layout(SessionLayout::Aiohttp)
            .cookie_name(cookie_name)
            .session_idle(Duration::from_secs(idle))
            .session_absolute(Duration::from_secs(idle.max(LONGEST_LIFE)))
            .build()
            .map_err(|error| PyValueError::new_err(error.to_string()))?;
        let msal = Arc::new(msal);
        let ending = Arc::downgrade(&msal);
        // A renewal nobody waits for has spent its refresh token: it is saved before the process ends.
        runtime::before_end(move || {
            let msal = ending.upgrade()?;
            Some(Box::pin(async move {
                msal.shutdown(runtime::GRACE).await;
            }))
        });
        Ok(Self { records: msal.records(), msal, ahead: Mutex::default() })
    }

    /// The text of a record, whatever it is; None where there is none.
    #[pyo3(signature = (session_id, *, blocking=false))]
    fn load<'py>(&self, py: Python<'py>, session_id: &str, blocking: bool) -> PyResult<Bound<'py, PyAny>> {
        let (key, records) = (self.key(session_id)?, self.records.clone());
        run(py, caller(blocking), async move { records.read(&key).await }, |py, read| {
            Ok(match read.map_err(|error| failed(&error))? {
                Some(bytes) => PyString::new(py, &String::from_utf8_lossy(&bytes)).into_any(),
                None => py.None().into_bound(py),
            })
        })
    }

    /// Saves what was changed: JSON texts by name, names of what was removed, and the token cache as it was read.
    #[pyo3(signature = (session_id, changed, removed, token_cache=None, *, blocking=false))]
    #[expect(clippy::too_many_arguments, reason = "named one by one in Python")]
    fn save<'py>(
        &self,
        py: Python<'py>,
        session_id: &str,
        changed: HashMap<String, String>,
        removed: Vec<String>,
        token_cache: Option<&str>,
        blocking: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let changes = changes(changed, &removed, token_cache)?;
        let (key, records) = (self.key(session_id)?, self.records.clone());
        run(py, caller(blocking), async move { records.save(&key, &changes).await }, |py, saved| {
            let there = match saved {
                Ok(_) => true,
                Err(Error::SessionEnded) => false,
                Err(error) => return Err(failed(&error)),
            };
            Ok(pyo3::types::PyBool::new(py, there).to_owned().into_any())
        })
    }

    /// A new session of these items, a JSON object; those it replaces are ended and deleted. Gives its id.
    #[pyo3(signature = (items, replaces=Vec::new(), *, blocking=false))]
    fn create<'py>(
        &self,
        py: Python<'py>,
        items: &str,
        replaces: Vec<String>,
        blocking: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let text = format!("{{\"created\":1,\"session\":{items}}}");
        let Found::Session(record) = SessionRecord::parse_json(text.as_bytes()) else {
            return Err(PyValueError::new_err("items: a JSON object of less than a megabyte is wanted"));
        };
        let is_blank = record.names().next().is_none();
        let replaces = replaces.iter().map(|id| self.key(id)).collect::<PyResult<Vec<_>>>()?;
        let records = self.records.clone();
        let work = async move {
            if is_blank { records.create_blank().await } else { records.create(record, &replaces).await }
        };
        run(py, caller(blocking), work, |py, made| {
            let id = made.map_err(|error| failed(&error))?;
            Ok(PyString::new(py, id.expose_secret()).into_any())
        })
    }

    /// Ends a session: nobody is signed in in it any more, and no index knows it.
    #[pyo3(signature = (session_id, *, blocking=false))]
    fn end<'py>(&self, py: Python<'py>, session_id: &str, blocking: bool) -> PyResult<Bound<'py, PyAny>> {
        let (key, msal) = (self.key(session_id)?, self.msal.clone());
        run(py, caller(blocking), async move { msal.end_session(&key).await }, |py, ended| {
            let ended = ended.map_err(|error| failed(&error))?;
            Ok(pyo3::types::PyBool::new(py, ended).to_owned().into_any())
        })
    }

    /// MSAL's result or None, the items as they stand in the record now, and why there is no result.
    #[pyo3(signature = (session_id, scopes, *, blocking=false))]
    fn get_token<'py>(
        &self,
        py: Python<'py>,
        session_id: &str,
        scopes: &Bound<'py, PyAny>,
        blocking: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (key, scopes, records) = (self.key(session_id)?, convert::scopes(scopes)?, self.records.clone());
        let client = self.msal.client().clone();
        run(py, caller(blocking), async move { records.token(&key, &scopes).await }, move |py, token| {
            let (result, items, reason) = match token {
                Ok(RecordToken { token, record, .. }) => {
                    let result = if token.source == TokenSource::Cache {
                        cached(&token, &client)
                    } else {
                        issued(&token)
                    };
                    (object_to_python(py, &result)?.into_any(), renewed_items(py, &record)?, None)
                }
                Err(error) => (py.None().into_bound(py), PyDict::new(py), Some(no_token(&error)?)),
            };
            Ok((result, items, reason).into_pyobject(py)?.into_any())
        })
    }

    /// Renews a token that is due, behind everybody's back.
    fn renew_ahead(&self, py: Python<'_>, session_id: &str, scopes: &Bound<'_, PyAny>) -> PyResult<()> {
        let (key, scopes) = (self.key(session_id)?, convert::scopes(scopes)?);
        if self.begins_now(&key) {
            let records = self.records.clone();
            // A process that cannot renew (a forked child, an interpreter that ends) still has its token.
            drop(runtime::spawn(py, async move { drop(records.token(&key, &scopes).await) }));
        }
        Ok(())
    }

    /// Key, time of the last change, and items as a JSON object of the live sessions asked for, newest first.
    #[pyo3(signature = (*, mail=None, oid=None, tid=None, fresh=false, limit=None, blocking=false))]
    #[expect(clippy::too_many_arguments, reason = "named one by one in Python")]
    fn find<'py>(
        &self,
        py: Python<'py>,
        mail: Option<String>,
        oid: Option<String>,
        tid: Option<String>,
        fresh: bool,
        limit: Option<usize>,
        blocking: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let find = match (mail, oid, tid) {
            (Some(mail), None, None) if !mail.is_empty() => Find::mail(mail),
            (None, Some(oid), Some(tid)) => Find::user(tid, oid),
            _ => return Err(PyValueError::new_err("find: mail alone, or oid and tid, are wanted")),
        };
        let records = self.records.clone();
        run(py, caller(blocking), async move { records.find(&find, fresh).await }, move |py, found| {
            let list = PyList::empty(py);
            for (key, record) in
                found.map_err(|error| failed(&error))?.iter().take(limit.unwrap_or(usize::MAX))
            {
                list.append((key.as_str(), record.created(), record.items_to_json()))?;
            }
            Ok(list.into_any())
        })
    }
}

impl Sessions {
    fn key(&self, session_id: &str) -> PyResult<StoreKey> {
        let id = SessionId::parse(session_id);
        let id = id.ok_or_else(|| {
            PyValueError::new_err("session_id: 32 lower-case hexadecimal digits are wanted")
        })?;
        Ok(self.msal.store_key(&id))
    }

    fn begins_now(&self, key: &StoreKey) -> bool {
        let mut ahead = self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        if ahead.get(key).is_some_and(|begun| begun.elapsed() < BETWEEN_RENEWALS) {
            return false;
        }
        if ahead.len() >= MOST {
            ahead.retain(|_, begun| begun.elapsed() < BETWEEN_RENEWALS);
        }
        ahead.len() < MOST && ahead.insert(key.clone(), Instant::now()).is_none_or(|_| true)
    }
}

fn caller(blocking: bool) -> Caller {
    if blocking { Caller::Thread } else { Caller::Coroutine }
}

fn random_text(client: &async_msal::ConfidentialClient) -> PyResult<String> {
    let digits = || SessionId::generate(client.random().as_ref());
    let text = digits().and_then(|one| Ok(format!("{}{}", one.expose_secret(), digits()?.expose_secret())));
    text.map_err(|error| PyRuntimeError::new_err(error.to_string()))
}

/// A token cache is changed by entry, as long as both texts are one.
fn changes(
    changed: HashMap<String, String>,
    removed: &[String],
    token_cache: Option<&str>,
) -> PyResult<ItemChanges> {
    let mut changes = ItemChanges::new();
    for (name, json) in changed {
        let caches = (name == "token_cache").then(|| both_caches(token_cache, &json)).flatten();
        match caches {
            Some((base, ours)) => changes.change_token_cache(base, ours),
            None => changes.set(&name, &json).map_err(|error| PyValueError::new_err(error.to_string()))?,
        }
    }
    removed.iter().for_each(|name| changes.remove(name));
    Ok(changes)
}

fn both_caches(base: Option<&str>, json: &str) -> Option<(TokenCache, TokenCache)> {
    let text: String = serde_json::from_str(json).ok()?;
    let base = base.map_or_else(|| Ok(TokenCache::new()), TokenCache::parse).ok()?;
    Some((base, TokenCache::parse(&text).ok()?))
}

fn renewed_items<'py>(py: Python<'py>, record: &SessionRecord) -> PyResult<Bound<'py, PyDict>> {
    let items = PyDict::new(py);
    for name in RENEWED {
        if let Some(text) = record.item_text(name) {
            items.set_item(name, text)?;
        }
    }
    Ok(items)
}

/// Why nobody has a token; everything that is not that is raised.
fn no_token(error: &Error) -> PyResult<String> {
    match error {
        Error::Shared(error) => no_token(error),
        Error::NotSignedIn | Error::SessionEnded => Ok(error.to_string()),
        Error::Earlier(failure) if failure.interaction => Ok(failure.message.clone()),
        Error::Protocol(protocol) => match answer(protocol) {
            Answer::Raised(_) if !error.is_interaction_required() => Err(raised(protocol)),
            _ => Ok(protocol.to_string()),
        },
        _ => Err(failed(error)),
    }
}

fn failed(error: &Error) -> PyErr {
    let text = format!("{error}. {}", error.hint());
    match error {
        Error::Shared(error) => failed(error),
        Error::Protocol(error) => raised(error),
        Error::Store(StoreError::Timeout { .. } | StoreError::Unavailable { .. }) => {
            PyConnectionError::new_err(text)
        }
        Error::Store(_) | Error::Earlier(_) => PyOSError::new_err(text),
        Error::Item { .. } => PyValueError::new_err(text),
        _ => PyRuntimeError::new_err(text),
    }
}
