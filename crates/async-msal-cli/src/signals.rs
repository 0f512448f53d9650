//! When a person or a supervisor asks the command to stop.

use std::io;

#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Listens for Ctrl-C and SIGTERM from its making on: one that comes before somebody waits is not lost.
#[derive(Debug)]
pub(crate) struct StopSignals {
    #[cfg(unix)]
    interrupt: Signal,
    #[cfg(unix)]
    terminate: Signal,
}

impl StopSignals {
    /// Begins to listen.
    ///
    /// # Errors
    /// The process may not listen for signals.
    pub(crate) fn listen() -> io::Result<StopSignals> {
        Ok(StopSignals {
            #[cfg(unix)]
            interrupt: signal(SignalKind::interrupt())?,
            #[cfg(unix)]
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Becomes ready when a stop is asked for.
    ///
    /// # Cancel safety
    /// Nothing is lost: a later call sees the same request.
    pub(crate) async fn asked(&mut self) {
        #[cfg(unix)]
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
        #[cfg(not(unix))]
        if tokio::signal::ctrl_c().await.is_err() {
            // Without a signal the process runs until it is ended from outside.
            std::future::pending::<()>().await;
        }
    }

    /// Does what has to be done before the process ends, unless it is asked to stop once more.
    ///
    /// # Cancel safety
    /// As the future's own.
    pub(crate) async fn unless_asked_again(&mut self, ending: impl Future<Output = ()>) {
        tokio::select! {
            () = ending => {}
            () = self.asked() => crate::output::say("Stopped at once."),
        }
    }
}
