//! The two streams: data on standard output, talk on standard error. Nothing is said by colour alone.

use std::error::Error;
use std::io::{IsTerminal, Write};

use tracing_subscriber::EnvFilter;

use crate::command::Failure;

/// One line of data. A reader that went away (`async-msal … | head -1`) is no error.
pub(crate) fn data(line: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
}

/// One line of talk.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// What failed, why, and what to do.
pub(crate) fn report(failure: &Failure) {
    say(&format!("error: {failure}"));
    let mut cause = failure.source();
    while let Some(reason) = cause {
        say(&format!("  because: {reason}"));
        cause = reason.source();
    }
    if let Some(hint) = failure.hint() {
        say(&format!("hint: {hint}"));
    }
}

/// Sends the log to standard error; `RUST_LOG` chooses, warnings are shown where it is not set.
pub(crate) fn start_log() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
}
