//! The two streams: data on standard output, talk on standard error. Nothing is said by colour alone.

use std::error::Error;
use std::io::{IsTerminal, Write};

use comfy_table::{ColumnConstraint, ContentArrangement, presets};
use tracing_subscriber::EnvFilter;

use crate::command::Failure;

/// One line of data. A reader that went away (`async-msal … | head -1`) is no error.
pub(crate) fn data(line: &str) {
    let _ = self::line(line);
}

/// One line of many.
///
/// # Errors
/// The reader went away: no more is wanted.
pub(crate) fn line(line: &str) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{line}").and_then(|()| stdout.flush())
}

/// Columns of letters of a terminal that a table is made to fit.
const NARROW: u16 = 60;

/// Rows under a heading, as wide as the terminal, with lines around them there.
#[derive(Debug)]
pub(crate) struct Table {
    rows: comfy_table::Table,
}

impl Table {
    /// No rows yet. A heading of empty words is not shown.
    pub(crate) fn new(heading: &[&str]) -> Self {
        let mut rows = comfy_table::Table::new();
        // Narrower than that, and where a terminal does not say how wide it is, it folds lines better than a table does.
        if rows.width().is_none_or(|width| width >= NARROW) {
            rows.set_content_arrangement(ContentArrangement::Dynamic);
        }
        let style =
            if std::io::stdout().is_terminal() { presets::UTF8_BORDERS_ONLY } else { presets::NOTHING };
        rows.load_style(style);
        if heading.iter().any(|word| !word.is_empty()) {
            rows.set_header(heading.to_vec());
        }
        Self { rows }
    }

    /// Columns that are copied from are never folded, however narrow the terminal.
    pub(crate) fn keep_whole(&mut self, columns: &[usize]) {
        for column in columns {
            if let Some(column) = self.rows.column_mut(*column) {
                column.set_constraint(ColumnConstraint::ContentWidth);
            }
        }
    }

    /// One more row.
    pub(crate) fn add<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.add_row(cells);
    }

    /// Prints it.
    ///
    /// # Errors
    /// The reader went away.
    pub(crate) fn print(self) -> std::io::Result<()> {
        line(&self.rows.trim_fmt())
    }
}

/// One line of talk.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// What failed, why, and what to do.
pub(crate) fn report(failure: &Failure) {
    say(&format!("error: {failure}"));
    let (mut cause, mut said) = (failure.source(), String::new());
    while let Some(reason) = cause {
        let text = reason.to_string();
        // Some errors repeat their cause's words.
        if !said.contains(&text) {
            say(&format!("  because: {text}"));
            said = text;
        }
        cause = reason.source();
    }
    if let Some(hint) = failure.hint() {
        say(&format!("hint: {hint}"));
    }
}

/// Sends the log to standard error; `RUST_LOG` chooses, else `quiet`.
pub(crate) fn start_log(quiet: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(quiet));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
}
