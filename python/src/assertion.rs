//! Client assertions from a Python callable: a function, or a coroutine function.
//!
//! It runs in a daemon thread of Python's own (`async_msal._callbacks`), so that one that never returns holds up neither
//! the runtime nor the interpreter's end.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_msal::ClientAssertion;
use async_msal::client_credential::{AssertionFuture, AssertionProvider, AssertionRequest, BoxError};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyCFunction, PyDict};
use tokio::sync::oneshot;

use crate::error::FromPython;
use crate::runtime;

tokio::task_local! {
    /// The loop of whoever waits for the token, where one does.
    pub(crate) static EVENT_LOOP: Option<Py<PyAny>>;
    /// Of the request that wants the assertion.
    pub(crate) static FMI_PATH: Option<String>;
}

/// Asks the callable for each token request, as MSAL does.
pub(crate) struct Callable {
    pub(crate) callable: Py<PyAny>,
    pub(crate) takes_request: bool,
}

impl fmt::Debug for Callable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Callable")
    }
}

impl AssertionProvider for Callable {
    fn assertion<'a>(&'a self, request: &'a AssertionRequest) -> AssertionFuture<'a> {
        Box::pin(async move {
            let (sender, receiver) = oneshot::channel();
            let begun = runtime::with_python(|py| self.begin(py, request, sender));
            match begun {
                Some(Ok(())) => {}
                Some(Err(error)) => return Err(failed(error)),
                None => return Err("the interpreter is shutting down".into()),
            }
            let answer = receiver.await.map_err(|_| BoxError::from("the callback's thread went away"))?;
            answer.map(ClientAssertion::new).map_err(failed)
        })
    }

    fn may_reuse(&self) -> bool {
        false
    }
}

impl Callable {
    fn begin(
        &self,
        py: Python<'_>,
        request: &AssertionRequest,
        sender: oneshot::Sender<PyResult<String>>,
    ) -> PyResult<()> {
        static BEGIN: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let sender = Mutex::new(Some(sender));
        let done = PyCFunction::new_closure(py, None, None, move |arguments, _| -> PyResult<()> {
            let (text, error): (Option<Bound<'_, PyAny>>, Option<Bound<'_, PyAny>>) = arguments.extract()?;
            let result = match (text, error) {
                (_, Some(error)) => Err(PyErr::from_value(error)),
                (Some(text), None) => text.extract::<String>(),
                (None, None) => Err(PyTypeError::new_err("client_assertion: the callable gave None")),
            };
            let sender = sender.lock().unwrap_or_else(PoisonError::into_inner).take();
            // Where nobody waits any more, the call was given up.
            if let Some(sender) = sender {
                drop(sender.send(result));
            }
            Ok(())
        })?;
        let of_waiter = |event_loop: &Option<Py<PyAny>>| event_loop.as_ref().map(|it| it.clone_ref(py));
        let event_loop = EVENT_LOOP.try_with(of_waiter).unwrap_or_default();
        let fmi_path = FMI_PATH.try_with(Option::clone).unwrap_or_default();
        let asked = self.takes_request.then(|| -> PyResult<_> {
            let asked = PyDict::new(py);
            asked.set_item("client_id", &request.client_id)?;
            asked.set_item("token_endpoint", &request.token_endpoint)?;
            if let Some(fmi_path) = fmi_path {
                asked.set_item("fmi_path", fmi_path)?;
            }
            Ok(asked)
        });
        let asked = asked.transpose()?;
        let begin = BEGIN.import(py, "async_msal._callbacks", "begin")?;
        begin.call1((self.callable.bind(py), asked, event_loop, done)).map(drop)
    }
}

fn failed(error: PyErr) -> BoxError {
    Box::new(FromPython(Arc::new(error)))
}
