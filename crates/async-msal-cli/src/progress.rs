//! How far a long walk has come: on standard error, and only where that is a terminal.

use std::cell::Cell;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A walk that ends sooner shows none.
const SHOWN_AFTER: Duration = Duration::from_millis(300);
/// Between two drawings of the bar.
const REDRAW_AFTER: Duration = Duration::from_millis(100);

/// A bar, or nothing. Dropped, it is wiped away.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    count: Cell<u64>,
    /// When it is to be drawn next; nowhere where standard error is no terminal.
    due: Cell<Option<Instant>>,
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
        let due = std::io::stderr().is_terminal().then(|| Instant::now() + SHOWN_AFTER);
        Self { bar, count: Cell::new(0), due: Cell::new(due) }
    }

    /// One more.
    pub(crate) fn one(&self) {
        self.set(self.count.get() + 1);
    }

    /// So many by now.
    pub(crate) fn set(&self, count: u64) {
        self.count.set(count);
        let now = Instant::now();
        if self.due.get().is_none_or(|due| now < due) {
            return;
        }
        self.due.set(Some(now + REDRAW_AFTER));
        if self.bar.is_hidden() {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        self.bar.set_position(count);
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
