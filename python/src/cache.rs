//! Token caches: MSAL's `SerializableTokenCache`, and any object that serialises itself as MSAL's does.

use std::sync::{Mutex, MutexGuard, PoisonError};

use async_msal::TokenCache;
use pyo3::exceptions::{PyAttributeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString, PyTuple};
use pyo3::{intern, sync::PyOnceLock};

use crate::error::wrong_type;

/// Tokens and accounts in MSAL's own file format. What is neither an entry of MSAL's nor known here is kept byte for byte.
#[pyclass(subclass, frozen, module = "async_msal", name = "SerializableTokenCache")]
pub(crate) struct SerializableTokenCache {
    /// Taken with Python's lock held, and never while another is waited for: so it is free when the process forks.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    cache: TokenCache,
    changed: bool,
    /// Counts every change, so that a change made outside can tell whether another came between.
    version: u64,
}

impl SerializableTokenCache {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn holding(cache: TokenCache) -> Self {
        Self { state: Mutex::new(State { cache, ..State::default() }) }
    }

    /// Grows with every change.
    pub(crate) fn version(&self) -> u64 {
        self.state().version
    }

    /// The state as a text; that is no saving.
    pub(crate) fn text(&self) -> String {
        self.state().cache.to_json()
    }

    /// Looks at the cache in place.
    pub(crate) fn look<T>(&self, looking: impl FnOnce(&TokenCache) -> T) -> T {
        looking(&self.state().cache)
    }

    /// Changes it in place; plain functions of the application.
    fn change(&self, changing: impl FnOnce(&mut TokenCache)) {
        let mut state = self.state();
        state.cache.mark_unchanged();
        changing(&mut state.cache);
        if state.cache.has_changed() {
            state.changed = true;
            state.version += 1;
        }
    }
}

#[pymethods]
impl SerializableTokenCache {
    #[new]
    #[pyo3(signature = (*_arguments, **_named))]
    fn new(_arguments: &Bound<'_, PyTuple>, _named: Option<&Bound<'_, PyDict>>) -> Self {
        // A subclass may have a constructor of its own.
        Self { state: Mutex::default() }
    }

    /// The state as a text; it counts as unchanged from now on.
    fn serialize(&self) -> String {
        let mut state = self.state();
        state.changed = false;
        state.cache.to_json()
    }

    /// Takes over a state that was serialised before; `None` or an empty text is an empty cache.
    #[pyo3(signature = (state))]
    fn deserialize(&self, state: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let cache = read("state", state)?;
        let mut mine = self.state();
        *mine = State { cache, changed: false, version: mine.version + 1 };
        Ok(())
    }

    /// Has it changed since it was serialised or deserialised last?
    #[getter]
    fn has_state_changed(&self) -> bool {
        self.state().changed
    }

    #[setter]
    fn set_has_state_changed(&self, changed: bool) {
        self.state().changed = changed;
    }

    /// The state with the number of its version, for a change by [`_install`](Self::_install).
    fn _snapshot(&self) -> (u64, String) {
        let state = self.state();
        (state.version, state.cache.to_json())
    }

    /// Puts a changed state in, unless another came between.
    fn _install(&self, version: u64, text: &str) -> PyResult<bool> {
        let cache = parse("entry", text)?;
        let mut state = self.state();
        let current = state.version == version;
        if current {
            *state = State { cache, changed: true, version: version + 1 };
        }
        Ok(current)
    }

    /// Nothing of the tokens.
    fn __repr__(&self) -> String {
        self.look(|cache| format!("<SerializableTokenCache {cache:?}>"))
    }
}

/// Where a call takes its tokens from and puts them back.
pub(crate) enum Store {
    Ours(Py<SerializableTokenCache>),
    Foreign(Py<PyAny>),
}

/// What a call began with.
pub(crate) struct Loaded {
    pub(crate) base: TokenCache,
    version: Option<u64>,
}

impl Store {
    /// Any object with MSAL's three names.
    pub(crate) fn of(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        if let Ok(ours) = object.cast::<SerializableTokenCache>() {
            return Ok(Self::Ours(ours.clone().unbind()));
        }
        for name in ["serialize", "deserialize", "has_state_changed"] {
            if !object.hasattr(name)? {
                return Err(PyTypeError::new_err(format!(
                    "token_cache: an object with serialize, deserialize and has_state_changed is wanted; {} has no {name}",
                    object.get_type().name()?
                )));
            }
        }
        Ok(Self::Foreign(object.clone().unbind()))
    }

    /// Tells one cache from another while somebody holds it.
    pub(crate) fn identity(&self) -> usize {
        match self {
            Self::Ours(cache) => cache.as_ptr() as usize,
            Self::Foreign(object) => object.as_ptr() as usize,
        }
    }

    /// Looks at it now; a foreign cache is read for this.
    pub(crate) fn look<T>(&self, py: Python<'_>, looking: impl FnOnce(&TokenCache) -> T) -> PyResult<T> {
        match self {
            Self::Ours(cache) => Ok(cache.get().look(looking)),
            Self::Foreign(object) => Ok(looking(&locked(object.bind(py), || serialized(object.bind(py)))?)),
        }
    }

    /// Changes it now.
    pub(crate) fn change(&self, py: Python<'_>, changing: impl FnOnce(&mut TokenCache)) -> PyResult<()> {
        match self {
            Self::Ours(cache) => cache.get().change(changing),
            Self::Foreign(object) => {
                let object = object.bind(py);
                locked(object, || {
                    let mut cache = serialized(object)?;
                    changing(&mut cache);
                    if cache.has_changed() { installed(object, &cache) } else { Ok(()) }
                })?;
            }
        }
        Ok(())
    }

    /// A copy to work on.
    pub(crate) fn load(&self, py: Python<'_>) -> PyResult<Loaded> {
        let loaded = match self {
            Self::Ours(cache) => {
                let state = cache.get().state();
                Loaded { base: state.cache.clone(), version: Some(state.version) }
            }
            Self::Foreign(_) => Loaded { base: self.look(py, TokenCache::clone)?, version: None },
        };
        Ok(loaded)
    }

    /// Puts the change from `loaded` to `worked` in, whatever became of the cache meanwhile.
    pub(crate) fn store(&self, py: Python<'_>, loaded: &Loaded, worked: TokenCache) -> PyResult<()> {
        match self {
            Self::Ours(cache) => {
                let mut state = cache.get().state();
                let untouched = loaded.version == Some(state.version);
                let cache =
                    if untouched { worked } else { TokenCache::merge(&loaded.base, &worked, &state.cache) };
                *state = State { cache, changed: true, version: state.version + 1 };
                Ok(())
            }
            Self::Foreign(object) => {
                let object = object.bind(py);
                locked(object, || {
                    let current = serialized(object)?;
                    installed(object, &TokenCache::merge(&loaded.base, &worked, &current))
                })
            }
        }
    }
}

/// The state of a foreign cache. Asking for it must not look like saving it.
fn serialized(object: &Bound<'_, PyAny>) -> PyResult<TokenCache> {
    let py = object.py();
    let changed = object.getattr(intern!(py, "has_state_changed"))?;
    let text = object.call_method0(intern!(py, "serialize"))?;
    if changed.is_truthy()? {
        object.setattr(intern!(py, "has_state_changed"), changed)?;
    }
    read("token_cache.serialize()", Some(&text))
}

fn installed(object: &Bound<'_, PyAny>, cache: &TokenCache) -> PyResult<()> {
    let py = object.py();
    object.call_method1(intern!(py, "deserialize"), (cache.to_json(),))?;
    object.setattr(intern!(py, "has_state_changed"), true)
}

/// Under the lock that MSAL's own class has, where there is one; for ten seconds at most it is waited for.
fn locked<T>(object: &Bound<'_, PyAny>, work: impl FnOnce() -> PyResult<T>) -> PyResult<T> {
    const PATIENCE: f64 = 10.0;
    let py = object.py();
    let Ok(lock) = object.getattr(intern!(py, "_lock")) else { return work() };
    let taken = match lock.call_method1(intern!(py, "acquire"), (true, PATIENCE)) {
        Ok(taken) => taken.is_truthy()?,
        // A lock of another kind.
        Err(error)
            if error.is_instance_of::<PyAttributeError>(py) || error.is_instance_of::<PyTypeError>(py) =>
        {
            false
        }
        Err(error) => return Err(error),
    };
    let result = work();
    if taken {
        lock.call_method0(intern!(py, "release"))?;
    }
    result
}

fn read(argument: &str, state: Option<&Bound<'_, PyAny>>) -> PyResult<TokenCache> {
    let Some(state) = state.filter(|state| !state.is_none()) else { return Ok(TokenCache::new()) };
    if let Ok(text) = state.cast::<PyString>() {
        return parse(argument, &text.to_cow()?);
    }
    let Ok(bytes) = state.cast::<PyBytes>() else {
        return Err(wrong_type(argument, "a text, bytes or None", state));
    };
    let text = std::str::from_utf8(bytes.as_bytes())
        .map_err(|_| PyValueError::new_err(format!("{argument}: the bytes are no UTF-8")))?;
    parse(argument, text)
}

/// A text that is no cache is refused as `json.loads` refuses what is no JSON.
fn parse(argument: &str, text: &str) -> PyResult<TokenCache> {
    static DECODE_ERROR: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    TokenCache::parse(text).map_err(|error| {
        // The document is left out: it holds tokens.
        Python::attach(|py| {
            let made = DECODE_ERROR
                .import(py, "json", "JSONDecodeError")
                .and_then(|class| class.call1((format!("{argument}: {error}"), "", 0)));
            made.map_or_else(|failed| failed, PyErr::from_value)
        })
    })
}
