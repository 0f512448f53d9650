//! One piece of work on the runtime, awaited by a coroutine or waited for by a thread.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::mpsc::sync_channel;

use futures_util::FutureExt as _;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use crate::flight::{Caller, wait};
use crate::runtime::{self, Awaited};

/// Does `work`, and gives what comes of it to Python: to a future of the running loop, or to the thread that calls.
/// It goes on when whoever asked has gone.
pub(crate) fn run<'py, T, F, G>(
    py: Python<'py>,
    caller: Caller,
    work: F,
    give: G,
) -> PyResult<Bound<'py, PyAny>>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
    G: for<'a> FnOnce(Python<'a>, T) -> PyResult<Bound<'a, PyAny>> + Send + 'static,
{
    runtime::check(py)?;
    let work = AssertUnwindSafe(work).catch_unwind();
    let fault = || PyRuntimeError::new_err("a fault inside async_msal");
    match caller {
        Caller::Coroutine => {
            let awaited = Awaited::new(py)?;
            let future = awaited.future(py);
            runtime::spawn(py, async move {
                let done = work.await;
                runtime::with_python(move |py| {
                    let given = done.map_err(|_| fault()).and_then(|value| give(py, value));
                    awaited.resolve(py, given);
                });
            })?;
            Ok(future)
        }
        Caller::Thread => {
            let (sender, receiver) = sync_channel(1);
            runtime::spawn(py, async move {
                // Whoever waited too long has gone.
                drop(sender.try_send(work.await.map_err(|_| ())));
            })?;
            wait(py, receiver)?.map_err(|()| fault()).and_then(|value| give(py, value))
        }
    }
}
