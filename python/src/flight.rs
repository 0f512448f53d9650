//! Work under way: who waits for it, and what becomes of it when nobody does.
//!
//! Calls for the same thing share one flight. Its task stores what came, then tells the waiters; a waiter that goes away
//! ends the flight only where it was the last one and no token request has left.

use std::collections::HashMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use async_msal::SendGate;
use futures_util::FutureExt as _;
use pyo3::exceptions::{PyRuntimeError, PyTimeoutError};
use pyo3::prelude::*;
use tokio::task::AbortHandle;

use crate::error::Answer;
use crate::runtime::{self, Awaited};

/// A call that blocks waits so long at most.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// A call that blocks looks so often whether Ctrl-C was pressed.
const BETWEEN_SIGNALS: Duration = Duration::from_millis(100);
/// After a renewal in the background failed, so long none is begun.
const REST: Duration = Duration::from_secs(5);
/// More turns and rests than this are not remembered.
const MOST: usize = 4_096;

/// What makes two calls one: the cache, and what is asked of it.
pub(crate) type Key = (usize, String);

/// The flights of one client. Every lock here is taken with Python's lock held, so all are free when the process forks.
#[derive(Default)]
pub(crate) struct Flights {
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    flights: HashMap<Key, Flight>,
    turns: HashMap<Key, Weak<tokio::sync::Mutex<()>>>,
    resting: HashMap<Key, Instant>,
    next: u64,
}

struct Flight {
    number: u64,
    gate: Arc<SendGate>,
    task: Option<AbortHandle>,
    waiters: Vec<(u64, Waiter)>,
    /// Nobody waits for it and it goes on all the same: a renewal ahead of time.
    unattended: bool,
}

enum Waiter {
    Loop(Awaited),
    Thread(SyncSender<Answer>),
}

/// What the task of a flight has of it.
pub(crate) struct Aboard {
    pub(crate) gate: Arc<SendGate>,
    /// The loop of whoever asked first, for callbacks that are coroutines.
    pub(crate) event_loop: Option<Py<PyAny>>,
}

/// Who calls: a coroutine, or a thread that waits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Caller {
    Coroutine,
    Thread,
}

impl Flights {
    /// Joins the flight of this key, or begins it. Gives a future of the running loop, or the result itself.
    pub(crate) fn join<'py, F>(
        self: &Arc<Self>,
        py: Python<'py>,
        key: Option<Key>,
        caller: Caller,
        begin: impl FnOnce(Aboard) -> F,
    ) -> PyResult<Bound<'py, PyAny>>
    where
        F: Future<Output = Answer> + Send + 'static,
    {
        runtime::check(py)?;
        match caller {
            Caller::Coroutine => {
                let awaited = Awaited::new(py)?;
                let future = awaited.future(py);
                let (this, seat) = (Arc::clone(self), Arc::new(Mutex::new(None::<(Key, u64)>)));
                let mine = Arc::clone(&seat);
                awaited.on_cancel(py, move |_| {
                    let seat = mine.lock().unwrap_or_else(PoisonError::into_inner).take();
                    if let Some((key, waiter)) = seat {
                        this.leave(&key, waiter);
                    }
                })?;
                let taken = self.take_seat(py, key, Waiter::Loop(awaited), begin)?;
                *seat.lock().unwrap_or_else(PoisonError::into_inner) = Some(taken);
                Ok(future)
            }
            Caller::Thread => {
                let (sender, receiver) = sync_channel(1);
                let (key, waiter) = self.take_seat(py, key, Waiter::Thread(sender), begin)?;
                let answer = wait(py, receiver);
                if answer.is_err() {
                    self.leave(&key, waiter);
                }
                answer?.to_python(py)
            }
        }
    }

    /// Begins work that nobody waits for, unless it is under way or failed just now.
    pub(crate) fn begin_unattended<F>(
        self: &Arc<Self>,
        py: Python<'_>,
        key: Key,
        begin: impl FnOnce(Aboard) -> F,
    ) -> PyResult<()>
    where
        F: Future<Output = Answer> + Send + 'static,
    {
        {
            let mut table = self.table();
            if table.flights.contains_key(&key) {
                return Ok(());
            }
            match table.resting.get(&key) {
                Some(until) if *until > Instant::now() => return Ok(()),
                _ => drop(table.resting.remove(&key)),
            }
        }
        self.take_off(py, key, None, begin)
    }

    /// How many flights are under way.
    pub(crate) fn count(&self) -> usize {
        self.table().flights.len()
    }

    /// How many renewals are under way that nobody waits for.
    pub(crate) fn unattended(&self) -> usize {
        self.table().flights.values().filter(|flight| flight.unattended).count()
    }

    /// Renewals of one account come one after the other.
    pub(crate) fn turn(&self, key: &Key) -> Arc<tokio::sync::Mutex<()>> {
        let mut table = self.table();
        if let Some(turn) = table.turns.get(key).and_then(Weak::upgrade) {
            return turn;
        }
        if table.turns.len() >= MOST {
            table.turns.retain(|_, turn| turn.strong_count() > 0);
        }
        let turn = Arc::new(tokio::sync::Mutex::new(()));
        table.turns.insert(key.clone(), Arc::downgrade(&turn));
        turn
    }

    fn take_seat<F>(
        self: &Arc<Self>,
        py: Python<'_>,
        key: Option<Key>,
        waiter: Waiter,
        begin: impl FnOnce(Aboard) -> F,
    ) -> PyResult<(Key, u64)>
    where
        F: Future<Output = Answer> + Send + 'static,
    {
        let (key, number) = {
            let mut table = self.table();
            table.next += 1;
            let number = table.next;
            // What nobody can share has a key of its own.
            let key = key.unwrap_or_else(|| (0, number.to_string()));
            if let Some(flight) = table.flights.get_mut(&key) {
                flight.waiters.push((number, waiter));
                return Ok((key, number));
            }
            (key, number)
        };
        self.take_off(py, key.clone(), Some((number, waiter)), begin)?;
        Ok((key, number))
    }

    fn take_off<F>(
        self: &Arc<Self>,
        py: Python<'_>,
        key: Key,
        first: Option<(u64, Waiter)>,
        begin: impl FnOnce(Aboard) -> F,
    ) -> PyResult<()>
    where
        F: Future<Output = Answer> + Send + 'static,
    {
        let gate = Arc::new(SendGate::new());
        let event_loop = match &first {
            Some((_, Waiter::Loop(awaited))) => Some(awaited.event_loop(py)),
            _ => None,
        };
        let work = AssertUnwindSafe(begin(Aboard { gate: Arc::clone(&gate), event_loop })).catch_unwind();
        let number = {
            let mut table = self.table();
            table.next += 1;
            let (number, unattended) = (table.next, first.is_none());
            let flight =
                Flight { number, gate, task: None, waiters: first.into_iter().collect(), unattended };
            table.flights.insert(key.clone(), flight);
            number
        };
        let this = Arc::clone(self);
        let landing_key = key.clone();
        let task = runtime::spawn(py, async move {
            let answer = work
                .await
                .unwrap_or_else(|_| Answer::raised(PyRuntimeError::new_err("a fault inside async_msal")));
            runtime::with_python(|py| this.land(py, &landing_key, number, &answer));
        });
        // The task cannot have landed: that takes Python's lock, which is ours.
        match task {
            Ok(task) => {
                if let Some(flight) = self.table().flights.get_mut(&key) {
                    flight.task = Some(task);
                }
                Ok(())
            }
            Err(error) => {
                self.table().flights.remove(&key);
                Err(error)
            }
        }
    }

    fn land(&self, py: Python<'_>, key: &Key, number: u64, answer: &Answer) {
        let flight = {
            let mut table = self.table();
            if table.flights.get(key).is_none_or(|flight| flight.number != number) {
                return;
            }
            let flight = table.flights.remove(key);
            if matches!(answer, Answer::Raised(_)) && flight.as_ref().is_some_and(|flight| flight.unattended)
            {
                if table.resting.len() >= MOST {
                    table.resting.clear();
                }
                table.resting.insert(key.clone(), Instant::now() + REST);
            }
            flight
        };
        for (_, waiter) in flight.into_iter().flat_map(|flight| flight.waiters) {
            match waiter {
                Waiter::Loop(awaited) => awaited.resolve(py, answer.to_python(py)),
                // Whoever waited too long has gone.
                Waiter::Thread(sender) => drop(sender.try_send(answer.clone())),
            }
        }
    }

    /// A waiter goes away: where it was the last and nothing has left, the work is stopped.
    fn leave(&self, key: &Key, waiter: u64) {
        let mut table = self.table();
        let Some(flight) = table.flights.get_mut(key) else { return };
        flight.waiters.retain(|(number, _)| *number != waiter);
        if flight.waiters.is_empty() && !flight.unattended && flight.gate.close() {
            if let Some(task) = &flight.task {
                task.abort();
            }
            table.flights.remove(key);
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Without Python's lock; Ctrl-C ends it.
pub(crate) fn wait<T: Send>(py: Python<'_>, mut receiver: Receiver<T>) -> PyResult<T> {
    let begun = Instant::now();
    loop {
        let (back, received) = py.detach(move || {
            let received = receiver.recv_timeout(BETWEEN_SIGNALS);
            (receiver, received)
        });
        receiver = back;
        match received {
            Ok(answer) => return Ok(answer),
            Err(RecvTimeoutError::Disconnected) => {
                return Err(PyRuntimeError::new_err("the interpreter is shutting down"));
            }
            Err(RecvTimeoutError::Timeout) => py.check_signals()?,
        }
        if begun.elapsed() >= LONGEST_WAIT {
            return Err(PyTimeoutError::new_err(format!("no answer after {} s", LONGEST_WAIT.as_secs())));
        }
    }
}
