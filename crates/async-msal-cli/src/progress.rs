//! How far a long walk has come: on standard error, and only where that is a terminal.

use std::cell::Cell;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Times a second that the bar is drawn at most.
const REDRAWS: u8 = 10;

/// A walk that ends sooner shows none.
const SHOWN_AFTER: Duration = Duration::from_millis(300);

/// A bar, or nothing. Dropped, it is wiped away.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    /// When it is to be shown, while it is not.
    shown_at: Cell<Option<Instant>>,
}

impl Progress {
    /// Begins at nothing of `total`, where that is known about.
    pub(crate) fn start(what: &'static str, total: Option<u64>) -> Self {
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::hidden()).with_message(what);
        let template = match total {
            Some(_) => "{bar:30} {human_pos} of about {human_len} {msg}, {eta} left",
            None => "{spinner} {human_pos} {msg}, {elapsed}",
        };
        let bar = match ProgressStyle::with_template(template) {
            Ok(style) => bar.with_style(style),
            Err(_) => bar,
        };
        let shown_at = std::io::stderr().is_terminal().then(|| Instant::now() + SHOWN_AFTER);
        Self { bar, shown_at: Cell::new(shown_at) }
    }

    /// One more.
    pub(crate) fn one(&self) {
        self.show_when_due();
        self.bar.inc(1);
    }

    /// So many by now.
    pub(crate) fn set(&self, count: u64) {
        self.show_when_due();
        self.bar.set_position(count);
    }

    fn show_when_due(&self) {
        if self.shown_at.get().is_some_and(|due| Instant::now() >= due) {
            self.shown_at.set(None);
            self.bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(REDRAWS));
        }
    }

    /// Writes to standard output. Where that is the bar's terminal the bar is wiped away first and drawn again behind it,
    /// each time: write much at once.
    pub(crate) fn aside<T>(&self, write: impl FnOnce() -> T) -> T {
        if std::io::stdout().is_terminal() { self.bar.suspend(write) } else { write() }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
