//! Renewals under way in this process, which callers who want the same wait for together.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use tokio::sync::oneshot;

use super::Renewed;
use crate::error::Error;

type Flight = Shared<BoxFuture<'static, Result<Renewed, Arc<Error>>>>;

/// As many as renewals under way, each by the session and the scopes it is for.
#[derive(Clone, Default)]
pub(super) struct Flights(Arc<Mutex<HashMap<String, Flight>>>);

impl fmt::Debug for Flights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flights").field("under_way", &self.map().len()).finish()
    }
}

impl Flights {
    /// Waits for the renewal of this name, which `begin` starts where there is none under way.
    pub(super) async fn join(
        &self,
        name: String,
        begin: impl FnOnce(Landing) -> oneshot::Receiver<Result<Renewed, Error>> + Send + 'static,
    ) -> Result<Renewed, Error> {
        let flight = {
            let mut map = self.map();
            match map.get(&name) {
                Some(flight) => flight.clone(),
                None => {
                    let landing = Landing { flights: self.clone(), name: name.clone() };
                    // Begun by the first poll, below, when the map is free again.
                    let answer = async {
                        let answer = begin(landing).await;
                        answer.unwrap_or(Err(Error::ShuttingDown)).map_err(Arc::new)
                    };
                    let flight = answer.boxed().shared();
                    map.insert(name, flight.clone());
                    flight
                }
            }
        };
        flight.await.map_err(|error| match &*error {
            Error::SessionEnded => Error::SessionEnded,
            Error::NotSignedIn => Error::NotSignedIn,
            Error::ShuttingDown => Error::ShuttingDown,
            _ => Error::shared(&error),
        })
    }

    fn map(&self) -> MutexGuard<'_, HashMap<String, Flight>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends the flight when it is dropped, however its task ends.
pub(super) struct Landing {
    flights: Flights,
    name: String,
}

impl Drop for Landing {
    fn drop(&mut self) {
        let flight = self.flights.map().remove(&self.name);
        // What it holds is dropped when the map is free again.
        drop(flight);
    }
}
