//! When a person or a supervisor asks the command to stop.

use std::io;

/// Becomes ready at Ctrl-C or SIGTERM.
///
/// # Errors
/// The process may not listen for signals.
///
/// # Cancel safety
/// Nothing is lost: a later call listens anew.
pub(crate) async fn stop_requested() -> io::Result<()> {
    #[cfg(unix)]
    {
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => interrupted,
            _ = terminate.recv() => Ok(()),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await
}
