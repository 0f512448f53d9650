//! Errors of the protocol as Python's.

use async_msal::Error;
use pyo3::PyErr;
use pyo3::exceptions::{PyRuntimeError, PyValueError};

/// What is no answer of the authority is raised: a wrong argument as ValueError, the rest as RuntimeError.
pub(crate) fn raised(error: &Error) -> PyErr {
    let text = format!("{error}. {}", error.hint());
    match error {
        Error::Config(_) => PyValueError::new_err(text),
        _ => PyRuntimeError::new_err(text),
    }
}
