//! MSAL's `SerializableTokenCache`.

use std::sync::Mutex;

use async_msal::TokenCache;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// A token cache in MSAL's file format.
#[pyclass(subclass, module = "async_msal")]
pub(crate) struct SerializableTokenCache {
    cache: Mutex<TokenCache>,
}

#[pymethods]
impl SerializableTokenCache {
    #[new]
    fn new() -> Self {
        Self { cache: Mutex::new(TokenCache::new()) }
    }

    /// The state as a text, which marks it unchanged.
    fn serialize(&self) -> String {
        let mut cache = self.cache.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        cache.mark_unchanged();
        cache.to_json()
    }

    /// Takes over a state.
    #[pyo3(signature = (state))]
    fn deserialize(&self, state: Option<&str>) -> PyResult<()> {
        let read = TokenCache::parse(state.unwrap_or_default());
        let read = read.map_err(|error| PyValueError::new_err(error.to_string()))?;
        *self.cache.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = read;
        Ok(())
    }
}
