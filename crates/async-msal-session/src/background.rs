//! Work that no request waits for: renewal ahead of time, the sliding write, the sweep of what has expired. All of it is
//! bounded, and ends before the process does.

use std::collections::HashSet;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::store::{Operation, StoreGuard};
use crate::telemetry;

/// Background jobs at a time. A job that finds no room is left out: the next request that needs it starts it again.
const MAX_JOBS: usize = 32;
/// Token requests at a time towards the authority, over renewals and sign-ins.
const MAX_TOKEN_REQUESTS: usize = 64;
/// Pause between two sweeps.
const SWEEP_PAUSE: Duration = Duration::from_secs(60);
/// Rows of one sweep statement.
const SWEEP_ROWS: usize = 500;

/// Tasks of one [`Msal`](crate::Msal).
#[derive(Debug)]
pub(crate) struct Background {
    tasks: TaskTracker,
    stop: CancellationToken,
    jobs: Arc<Semaphore>,
    running: Arc<Mutex<HashSet<String>>>,
    token_requests: Arc<Semaphore>,
    sweeping: AtomicBool,
}

impl Drop for Background {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Background {
    pub(crate) fn new() -> Self {
        Self {
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            jobs: Arc::new(Semaphore::new(MAX_JOBS)),
            running: Arc::default(),
            token_requests: Arc::new(Semaphore::new(MAX_TOKEN_REQUESTS)),
            sweeping: AtomicBool::new(false),
        }
    }

    /// Runs `task` to its end, whoever waits for it or no longer does.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }

    /// Runs a job nobody waits for, unless one of the same name runs already or there is no room.
    pub(crate) fn spawn_job(&self, name: String, job: impl Future<Output = ()> + Send + 'static) {
        let Ok(permit) = Arc::clone(&self.jobs).try_acquire_owned() else { return };
        if !self.running.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone()) {
            return;
        }
        let entry = Running { name, running: Arc::clone(&self.running) };
        self.tasks.spawn(async move {
            let (_permit, _entry) = (permit, entry);
            job.await;
        });
    }

    /// Waits; `false` where the process is stopping, at once then.
    pub(crate) async fn pause(&self, pause: Duration) -> bool {
        self.stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_some()
    }

    /// Room for one token request.
    pub(crate) fn token_requests(&self) -> &Semaphore {
        &self.token_requests
    }

    /// Starts the sweep at first use, when a runtime is there to run it. It holds the store only, and ends with this.
    pub(crate) fn ensure_sweep(&self, store: &StoreGuard) {
        if self.sweeping.swap(true, Ordering::Relaxed) {
            return;
        }
        let (store, stop) = (store.clone(), self.stop.clone());
        tokio::spawn(async move {
            while stop.run_until_cancelled(tokio::time::sleep(SWEEP_PAUSE)).await.is_some() {
                sweep(&store).await;
            }
        });
    }

    /// Stops the sweep and waits until the tasks in flight have ended; `false` where the time ran out.
    pub(crate) async fn shutdown(&self, limit: Duration) -> bool {
        self.stop.cancel();
        self.tasks.close();
        tokio::time::timeout(limit, self.tasks.wait()).await.is_ok()
    }
}

/// Takes a job's name back however the job ends.
struct Running {
    name: String,
    running: Arc<Mutex<HashSet<String>>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.name);
    }
}

async fn sweep(store: &StoreGuard) {
    loop {
        match store.run(Operation::Sweep, |store| store.sweep_expired(SWEEP_ROWS)).await {
            Ok(removed) => {
                metrics::counter!(telemetry::SWEPT).increment(removed);
                if removed < SWEEP_ROWS as u64 {
                    return;
                }
            }
            // The store's health says it once; the next sweep tries again.
            Err(_) => return,
        }
    }
}
