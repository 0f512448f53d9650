//! `sessions list`: one line a session, in bounded memory however many there are.

use std::pin::pin;
use std::time::Duration;

use async_msal_axum::async_msal_session::SessionSummary;
use clap::Args;
use futures_util::TryStreamExt;

use super::{age, as_json, at, clean, failed, seconds};
use crate::command::application::Application;
use crate::command::person::pair;
use crate::command::{EXIT_CODES, Failure};
use crate::output::{self, Table};
use crate::progress::Progress;

/// Rows that are laid out together; with more the heading is repeated.
const ROWS: usize = 500;

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
    /// Only sessions unused for so long: 90s, 15m, 24h, 30d
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
        // A reader that went away wants no more.
        if arguments.takes(&session, now) && progress.aside(|| lines.add(&session)).is_err() {
            return Ok(());
        }
    }
    drop(progress);
    if let Ok(count) = lines.end()
        && !arguments.json
    {
        output::say(&format!("{count} sessions"));
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

/// The output, a table or, without one, a JSON array.
struct Lines {
    table: Option<Table>,
    count: u64,
}

const HEADING: [&str; 6] = ["handle", "mail", "name", "tenant", "signed in", "last used"];

impl Lines {
    fn new(json: bool) -> Self {
        Self { table: (!json).then(|| Table::new(&HEADING)), count: 0 }
    }

    fn add(&mut self, session: &SessionSummary) -> std::io::Result<()> {
        self.count += 1;
        let Some(table) = &mut self.table else {
            let before = if self.count == 1 { "[" } else { "," };
            return output::line(&format!("{before}{}", as_json(session)));
        };
        let identity = session.identity.as_ref();
        table.add([
            session.handle.to_string(),
            clean(session.mail.as_deref().unwrap_or("-")),
            clean(session.name.as_deref().unwrap_or("-")),
            clean(identity.map_or("-", |identity| pair(identity).0)),
            identity.map_or_else(|| "-".to_owned(), |identity| at(identity.signed_in_at)),
            at(session.created),
        ]);
        if table.len() < ROWS {
            return Ok(());
        }
        std::mem::replace(table, Table::new(&HEADING)).print()
    }

    /// Prints what is left; how many there were.
    fn end(self) -> std::io::Result<u64> {
        let Self { table, count } = self;
        match table {
            Some(table) if count == 0 || table.len() > 0 => table.print()?,
            Some(_) => {}
            None => output::line(if count == 0 { "[]" } else { "]" })?,
        }
        Ok(count)
    }
}
