//! `sessions list`: one line a session, in bounded memory however many there are.

use std::pin::pin;
use std::time::{Duration, Instant};

use async_msal_axum::async_msal_session::SessionSummary;
use clap::Args;
use futures_util::TryStreamExt;

use super::{age, as_json, at, clean, counted, failed, seconds};
use crate::command::application::Application;
use crate::command::person::pair;
use crate::command::{EXIT_CODES, Failure};
use crate::output::{self, Table};
use crate::progress::Progress;

/// Rows that are laid out and written together; with more the heading is repeated.
const ROWS: usize = 500;
/// So many are written however short the pause since the last.
const MOST_ROWS: usize = 10 * ROWS;
/// Between writes: a progress bar on the same terminal is drawn again after each.
const PAUSE: Duration = Duration::from_millis(100);

/// List live sessions, of both layouts.
///
/// All records are read, page by page; one that is stored or ended meanwhile may be missed or shown twice.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct ListArguments {
    /// Only of this mail address
    #[arg(long, value_name = "ADDRESS")]
    mail: Option<String>,
    /// Only of people in this tenant (of a provider without tenants: with this issuer)
    #[arg(long, value_name = "TENANT")]
    tenant: Option<String>,
    /// Only sessions that were last used so long ago or longer: 90s, 15m, 12h, 3d
    #[arg(long, value_name = "AGE", value_parser = age)]
    older_than: Option<Duration>,
    /// Print a JSON array, one session a line; times are unix seconds
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    application: Application,
}

pub(super) async fn run(arguments: ListArguments) -> Result<(), Failure> {
    let failed = failed("list the sessions");
    let msal = arguments.application.open()?;
    let total = msal.sessions_total_hint().await.map_err(&failed)?;
    let progress = Progress::start("sessions", total);
    let mut lines = Lines::new(arguments.json);
    let mut sessions = pin!(msal.sessions());
    let now = msal.clock().now();
    while let Some(session) = sessions.try_next().await.map_err(&failed)? {
        progress.one();
        if arguments.takes(&session, now) {
            lines.add(&session);
        }
        // A reader that went away wants no more.
        if lines.are_due() && progress.aside(|| lines.print()).is_err() {
            return Ok(());
        }
    }
    drop(progress);
    if let Ok(count) = lines.end()
        && !arguments.json
    {
        output::say(&counted(count, "session"));
    }
    Ok(())
}

impl ListArguments {
    fn takes(&self, session: &SessionSummary, now: i64) -> bool {
        let mail = session.mail.as_deref().map(str::to_lowercase);
        let tenant = session.identity.as_ref().map(|identity| pair(identity).0);
        self.mail.as_ref().is_none_or(|wanted| mail.as_ref() == Some(&wanted.trim().to_lowercase()))
            && self.tenant.as_ref().is_none_or(|wanted| tenant == Some(wanted.trim()))
            && self.older_than.is_none_or(|age| now.saturating_sub(session.created) >= seconds(age))
    }
}

/// The output, a table or a JSON array, so many rows at a time.
struct Lines {
    rows: Rows,
    waiting: usize,
    printed_at: Instant,
    count: u64,
}

enum Rows {
    Table(Box<Table>),
    Json(String),
}

const HEADING: [&str; 6] = ["handle", "mail", "name", "tenant", "signed in", "last used"];

impl Lines {
    fn new(json: bool) -> Self {
        let rows = if json { Rows::Json(String::new()) } else { Rows::Table(Box::new(table())) };
        Self { rows, waiting: 0, printed_at: Instant::now(), count: 0 }
    }

    fn add(&mut self, session: &SessionSummary) {
        match &mut self.rows {
            Rows::Table(table) => table.add(row(session)),
            Rows::Json(text) => {
                let before = match (self.count, self.waiting) {
                    (0, _) => "[",
                    (_, 0) => ",",
                    _ => "\n,",
                };
                text.extend([before, &as_json(session).to_string()]);
            }
        }
        self.count += 1;
        self.waiting += 1;
    }

    fn are_due(&self) -> bool {
        self.waiting >= MOST_ROWS || self.waiting >= ROWS && self.printed_at.elapsed() >= PAUSE
    }

    fn print(&mut self) -> std::io::Result<()> {
        (self.waiting, self.printed_at) = (0, Instant::now());
        match &mut self.rows {
            Rows::Table(table) => std::mem::replace(&mut **table, self::table()).print(),
            Rows::Json(text) => output::line(&std::mem::take(text)),
        }
    }

    /// Prints what is left; how many there were.
    fn end(mut self) -> std::io::Result<u64> {
        if self.waiting > 0 || self.count == 0 && matches!(self.rows, Rows::Table(_)) {
            self.print()?;
        }
        if matches!(self.rows, Rows::Json(_)) {
            output::line(if self.count == 0 { "[]" } else { "]" })?;
        }
        Ok(self.count)
    }
}

fn table() -> Table {
    let mut table = Table::new(&HEADING);
    table.keep_whole(&[0]);
    table
}

fn row(session: &SessionSummary) -> [String; 6] {
    let identity = session.identity.as_ref();
    [
        session.handle.to_string(),
        clean(session.mail.as_deref().unwrap_or("-")),
        clean(session.name.as_deref().unwrap_or("-")),
        clean(identity.map_or("-", |identity| pair(identity).0)),
        identity.map_or_else(|| "-".to_owned(), |identity| at(identity.signed_in_at)),
        at(session.created),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// On a terminal the progress bar is wiped away and drawn again around each write.
    #[test]
    fn rows_are_written_ten_times_a_second_or_by_the_thousand() {
        let mut lines = Lines::new(true);
        lines.waiting = ROWS;
        assert!(!lines.are_due(), "too soon after the last");
        lines.waiting = MOST_ROWS;
        assert!(lines.are_due(), "as many as may wait");
        lines.waiting = ROWS;
        lines.printed_at = Instant::now().checked_sub(PAUSE).unwrap();
        assert!(lines.are_due());
        lines.waiting = ROWS - 1;
        assert!(!lines.are_due(), "too few");
    }
}
