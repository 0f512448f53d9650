//! One fetch for all who ask at once; it goes on when the first asker is dropped.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};

use crate::error::{Error, Unreachable};

type Running<T> = Shared<BoxFuture<'static, Result<Arc<T>, Error>>>;

/// A fetch that may be under way.
pub(crate) struct Coalesced<T> {
    running: Mutex<Option<Running<T>>>,
}

impl<T> Default for Coalesced<T> {
    fn default() -> Self {
        Self { running: Mutex::new(None) }
    }
}

impl<T: Send + Sync + 'static> Coalesced<T> {
    pub(crate) fn is_running(&self) -> bool {
        let slot = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        slot.as_ref().is_some_and(|running| running.peek().is_none())
    }

    /// Joins the fetch under way, or starts one in a task of its own. A failure is shared by those who
    /// waited for it and forgotten then.
    pub(crate) async fn join<F>(&self, fetch: impl FnOnce() -> F) -> Result<Arc<T>, Error>
    where
        F: Future<Output = Result<Arc<T>, Error>> + Send + 'static,
    {
        let running = {
            let mut slot = self.running.lock().unwrap_or_else(PoisonError::into_inner);
            match slot.as_ref().filter(|running| running.peek().is_none()) {
                Some(running) => running.clone(),
                None => {
                    let task = tokio::spawn(fetch());
                    let running = task.map(|ended| ended.unwrap_or_else(|_| Err(stopped()))).boxed().shared();
                    slot.insert(running).clone()
                }
            }
        };
        running.await
    }
}

fn stopped() -> Error {
    Unreachable { what: "the authority", reason: "request", source: None }.into()
}
