//! What a call ends with, and how Python hears of it.

use std::sync::Arc;

use async_msal::error::{AuthResponseError, ClientAssertionError, InvalidResponse};
use async_msal::{Error, RawAnswer, ServerError};
use pyo3::exceptions::{PyConnectionError, PyRuntimeError, PyTimeoutError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use serde_json::{Map, Value, json};

use crate::convert;

pyo3::create_exception!(
    async_msal,
    IdTokenError,
    PyRuntimeError,
    "The id token proves nothing: nothing was stored."
);

/// The end of a call; each waiter gets its own Python object of it.
#[derive(Clone)]
pub(crate) enum Answer {
    Nothing,
    Object(Arc<Map<String, Value>>),
    Raised(Arc<PyErr>),
}

impl Answer {
    pub(crate) fn object(members: Map<String, Value>) -> Self {
        Self::Object(Arc::new(members))
    }

    pub(crate) fn raised(error: PyErr) -> Self {
        Self::Raised(Arc::new(error))
    }

    pub(crate) fn to_python<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match self {
            Self::Nothing => Ok(py.None().into_bound(py)),
            Self::Object(members) => Ok(convert::object_to_python(py, members)?.into_any()),
            Self::Raised(error) => Err(error.clone_ref(py)),
        }
    }
}

/// An exception of a Python callback on its way through the protocol.
#[derive(Debug)]
pub(crate) struct FromPython(pub(crate) Arc<PyErr>);

impl std::fmt::Display for FromPython {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("the Python callback raised")
    }
}

impl std::error::Error for FromPython {}

/// As MSAL answers: an error of the authority is a result, everything else is raised.
pub(crate) fn answer(error: &Error) -> Answer {
    match error {
        Error::AuthResponse(AuthResponseError::Refused(server)) => Answer::object(redirect_error(server)),
        Error::UserAssertion(_) => Answer::object(as_object(json!({
            "error": "invalid_grant",
            "error_description": text(error),
        }))),
        _ => match error.server() {
            Some(server) if is_result(server) => Answer::object(server_error(server)),
            _ => Answer::raised(raised(error)),
        },
    }
}

/// A failing server is no answer.
fn is_result(server: &ServerError) -> bool {
    server.raw_answer().is_none_or(|raw| raw.status() < 500)
}

/// The error object word for word.
fn server_error(server: &ServerError) -> Map<String, Value> {
    let raw = server.raw_answer().map(RawAnswer::members);
    raw.filter(|members| !members.is_empty()).unwrap_or_else(|| redirect_error(server))
}

/// Of an authorization response nothing else is taken over: whoever sent it may have put anything in.
fn redirect_error(server: &ServerError) -> Map<String, Value> {
    let mut members = Map::new();
    members.insert("error".to_owned(), server.error.clone().into());
    for (name, value) in [("error_description", &server.description), ("error_uri", &server.error_uri)] {
        if let Some(value) = value {
            members.insert(name.to_owned(), value.clone().into());
        }
    }
    members
}

/// As an exception: ValueError for what must be put right in a setting or an argument, a kind of OSError for the network.
pub(crate) fn raised(error: &Error) -> PyErr {
    let text = text(error);
    match error {
        Error::Unreachable(reason) if reason.reason == "timeout" => PyTimeoutError::new_err(text),
        Error::Unreachable(_) => PyConnectionError::new_err(text),
        Error::Throttled { .. } | Error::Server(_) | Error::InvalidResponse(InvalidResponse::Status(_)) => {
            service_error(text)
        }
        Error::IdToken(_) | Error::RefreshRefused(_) => IdTokenError::new_err(text),
        Error::ClientAssertion(ClientAssertionError::Failed(source)) => {
            match source.downcast_ref::<FromPython>() {
                Some(FromPython(error)) => Python::attach(|py| error.clone_ref(py)),
                None => PyRuntimeError::new_err(text),
            }
        }
        Error::ClientAssertion(ClientAssertionError::TimedOut) => PyTimeoutError::new_err(text),
        Error::Config(_)
        | Error::AuthResponse(_)
        | Error::InvalidResponse(_)
        | Error::Cache(_)
        | Error::ClientAssertion(ClientAssertionError::Malformed) => PyValueError::new_err(text),
        _ => PyRuntimeError::new_err(text),
    }
}

/// MSAL's own class of this name.
fn service_error(text: String) -> PyErr {
    static CLASS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    Python::attach(|py| {
        let made = CLASS
            .import(py, "async_msal.exceptions", "MsalServiceError")
            .and_then(|class| class.call1((text,)));
        made.map_or_else(|failed| failed, PyErr::from_value)
    })
}

fn text(error: &Error) -> String {
    format!("{error}. {}", error.hint())
}

pub(crate) fn as_object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

/// `scopes: a list of strings is wanted, not str`.
pub(crate) fn wrong_type(argument: &str, wanted: &str, found: &Bound<'_, PyAny>) -> PyErr {
    let found = found.get_type().name().map_or_else(|_| "something else".to_owned(), |name| name.to_string());
    PyTypeError::new_err(format!("{argument}: {wanted} is wanted, not {found}"))
}
