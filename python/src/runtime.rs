//! One Tokio runtime for the process, and the futures of event loops that its work resolves.
//!
//! A future is made by the loop that awaits it and resolved by `call_soon_threadsafe`, so any loop will do (uvloop,
//! several at once), and none is kept alive.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyCFunction;
use tokio::runtime::Runtime;
use tokio::task::AbortHandle;
use tokio_util::task::TaskTracker;

const WORKERS: usize = 2;
/// At the interpreter's end, requests under way get so long to come to theirs.
pub(crate) const GRACE: Duration = Duration::from_secs(2);

static RUNNING: OnceLock<Running> = OnceLock::new();
static AT_EXIT: AtomicBool = AtomicBool::new(false);

struct Running {
    runtime: Runtime,
    /// Threads do not survive a fork: in a child this runtime is an empty shell.
    pid: u32,
    tasks: TaskTracker,
    /// The interpreter ends: nothing new is begun.
    closing: AtomicBool,
    /// The interpreter has ended for us: nothing goes to Python any more.
    gone: AtomicBool,
    /// How many of our threads are with Python.
    attached: AtomicUsize,
}

/// The runtime of this process, made at the first call.
fn running(py: Python<'_>) -> PyResult<&'static Running> {
    let running = match RUNNING.get() {
        Some(running) => running,
        None => start(py)?,
    };
    if running.pid != std::process::id() {
        return Err(PyRuntimeError::new_err(
            "this process was forked from one that had used the network through async_msal; its threads are not here. \
             Fork before the first request, or start the workers by spawn \
             (multiprocessing.set_start_method(\"spawn\"), gunicorn without --preload) and create the application in each",
        ));
    }
    if running.closing.load(Ordering::Acquire) {
        return Err(PyRuntimeError::new_err("the interpreter is shutting down: no new request is begun"));
    }
    Ok(running)
}

/// Says whether work can be begun: not in a forked child, not at the interpreter's end.
pub(crate) fn check(py: Python<'_>) -> PyResult<()> {
    running(py).map(drop)
}

fn start(py: Python<'_>) -> PyResult<&'static Running> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .thread_name("async-msal")
        .enable_all()
        .build()
        .map_err(|error| PyRuntimeError::new_err(format!("no threads for the network: {error}")))?;
    let made = Running {
        runtime,
        pid: std::process::id(),
        tasks: TaskTracker::new(),
        closing: AtomicBool::new(false),
        gone: AtomicBool::new(false),
        attached: AtomicUsize::new(0),
    };
    if let Err(surplus) = RUNNING.set(made) {
        surplus.runtime.shutdown_background();
    }
    if !AT_EXIT.swap(true, Ordering::AcqRel) {
        let close = PyCFunction::new_closure(py, None, None, |arguments, _| close(arguments.py()))?;
        py.import("atexit")?.call_method1("register", (close,))?;
    }
    RUNNING.get().ok_or_else(|| PyRuntimeError::new_err("no runtime"))
}

/// What has to come to its end before the process does; `None` where that is gone already.
type BeforeEnd = Box<dyn Fn() -> Option<Pin<Box<dyn Future<Output = ()> + Send>>> + Send>;

/// Taken with Python's lock held, so it is free when the process forks.
static BEFORE_END: Mutex<Vec<BeforeEnd>> = Mutex::new(Vec::new());

/// Waits for this when the interpreter ends, within the grace.
pub(crate) fn before_end(
    work: impl Fn() -> Option<Pin<Box<dyn Future<Output = ()> + Send>>> + Send + 'static,
) {
    BEFORE_END.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(work));
}

/// Runs when the interpreter ends, while it still works.
fn close(py: Python<'_>) {
    let Some(running) = RUNNING.get().filter(|running| running.pid == std::process::id()) else { return };
    running.closing.store(true, Ordering::Release);
    running.tasks.close();
    let endings = std::mem::take(&mut *BEFORE_END.lock().unwrap_or_else(PoisonError::into_inner));
    py.detach(move || {
        running.runtime.block_on(async {
            let ends = endings.iter().filter_map(|ending| ending());
            let all = async {
                running.tasks.wait().await;
                futures_util::future::join_all(ends).await;
            };
            drop(tokio::time::timeout(GRACE, all).await);
            running.gone.store(true, Ordering::SeqCst);
            // Whoever is with Python now comes back first: Python is there for them until this function returns.
            for _ in 0..200 {
                if running.attached.load(Ordering::SeqCst) == 0 {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
    });
}

/// With Python from a worker of the runtime; `None` once the interpreter ends. Other work goes on elsewhere meanwhile.
pub(crate) fn with_python<T>(work: impl FnOnce(Python<'_>) -> T) -> Option<T> {
    let running = RUNNING.get()?;
    running.attached.fetch_add(1, Ordering::SeqCst);
    let attach = || (!running.gone.load(Ordering::SeqCst)).then(|| Python::try_attach(work)).flatten();
    let result = tokio::task::block_in_place(attach);
    running.attached.fetch_sub(1, Ordering::SeqCst);
    result
}

/// Starts work.
pub(crate) fn spawn<F>(py: Python<'_>, work: F) -> PyResult<AbortHandle>
where
    F: Future<Output = ()> + Send + 'static,
{
    let running = running(py)?;
    Ok(running.tasks.spawn_on(work, running.runtime.handle()).abort_handle())
}

/// A future that a loop awaits.
pub(crate) struct Awaited {
    event_loop: Py<PyAny>,
    future: Py<PyAny>,
}

impl Awaited {
    /// Made by the running loop; RuntimeError where there is none.
    pub(crate) fn new(py: Python<'_>) -> PyResult<Self> {
        static GET_RUNNING_LOOP: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let event_loop = GET_RUNNING_LOOP.import(py, "asyncio", "get_running_loop")?.call0()?;
        let future = event_loop.call_method0(intern!(py, "create_future"))?;
        Ok(Self { event_loop: event_loop.unbind(), future: future.unbind() })
    }

    pub(crate) fn future<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        self.future.bind(py).clone()
    }

    pub(crate) fn event_loop(&self, py: Python<'_>) -> Py<PyAny> {
        self.event_loop.clone_ref(py)
    }

    /// Calls `told` once when the future is cancelled.
    pub(crate) fn on_cancel(
        &self,
        py: Python<'_>,
        told: impl Fn(Python<'_>) + Send + Sync + 'static,
    ) -> PyResult<()> {
        let callback = PyCFunction::new_closure(py, None, None, move |arguments, _| -> PyResult<()> {
            if arguments.get_item(0)?.call_method0("cancelled")?.is_truthy()? {
                told(arguments.py());
            }
            Ok(())
        })?;
        self.future.call_method1(py, intern!(py, "add_done_callback"), (callback,))?;
        Ok(())
    }

    /// Tells the loop. A loop that was closed meanwhile has nobody left who waits.
    pub(crate) fn resolve(&self, py: Python<'_>, result: PyResult<Bound<'_, PyAny>>) {
        let (good, value) = match result {
            Ok(value) => (true, value),
            Err(error) => (false, error.into_value(py).into_bound(py).into_any()),
        };
        let told = settle_function(py).and_then(|settle| {
            let event_loop = self.event_loop.bind(py);
            let arguments = (settle, event_loop, self.future.bind(py), good, value);
            event_loop.call_method1(intern!(py, "call_soon_threadsafe"), arguments)
        });
        drop(told);
    }
}

fn settle_function(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static SETTLE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let settle =
        SETTLE.get_or_try_init(py, || wrap_pyfunction!(settle, py).map(|it| it.into_any().unbind()))?;
    Ok(settle.bind(py))
}

type Settled = (Py<PyAny>, bool, Py<PyAny>);

/// Results of this thread's loop that wait for their turn. Many that come at once (64 sign-ins after a slow answer) would
/// else be worked off in one turn of the loop, and every other request would wait for all of them.
struct Line {
    event_loop: Py<PyAny>,
    waiting: VecDeque<Settled>,
}

thread_local! {
    /// There while a turn is due.
    static LINE: RefCell<Option<Line>> = const { RefCell::new(None) };
}

/// On the loop's thread: one result in each turn of the loop.
#[pyfunction]
fn settle(
    py: Python<'_>,
    event_loop: Py<PyAny>,
    future: Py<PyAny>,
    good: bool,
    value: Py<PyAny>,
) -> PyResult<()> {
    let left_over = LINE.with_borrow_mut(|line| match line {
        Some(line) if line.event_loop.is(&event_loop) => {
            line.waiting.push_back((future.clone_ref(py), good, value.clone_ref(py)));
            None
        }
        // Another loop's line: that one came to its end in the middle of it.
        line => Some(line.replace(Line { event_loop: event_loop.clone_ref(py), waiting: VecDeque::new() })),
    });
    let Some(left_over) = left_over else { return Ok(()) };
    for result in left_over.into_iter().flat_map(|line| line.waiting) {
        drop(finish(py, result));
    }
    finish(py, (future, good, value))?;
    next_turn(py, &event_loop)
}

fn next_turn(py: Python<'_>, event_loop: &Py<PyAny>) -> PyResult<()> {
    static TURN: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let turn = TURN.get_or_try_init(py, || wrap_pyfunction!(turn, py).map(|it| it.into_any().unbind()))?;
    event_loop.call_method1(py, intern!(py, "call_soon"), (turn, event_loop)).map(drop)
}

#[pyfunction]
fn turn(py: Python<'_>, event_loop: Py<PyAny>) -> PyResult<()> {
    let next = LINE.with_borrow_mut(|line| {
        let mine = line.as_mut().filter(|line| line.event_loop.is(&event_loop))?;
        let next = mine.waiting.pop_front();
        if next.is_none() {
            *line = None;
        }
        next
    });
    let Some(next) = next else { return Ok(()) };
    finish(py, next)?;
    next_turn(py, &event_loop)
}

/// A future that was cancelled meanwhile is left alone.
fn finish(py: Python<'_>, (future, good, value): Settled) -> PyResult<()> {
    if !future.call_method0(py, intern!(py, "done"))?.is_truthy(py)? {
        future.call_method1(py, if good { "set_result" } else { "set_exception" }, (value,))?;
    }
    Ok(())
}
