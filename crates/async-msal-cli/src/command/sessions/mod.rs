//! `async-msal sessions`: looking after what is in the store. One file per kind of command.

mod list;
mod revoke;
mod show;
mod upkeep;

use std::time::Duration;

use async_msal_axum::async_msal_session::{Error, SessionLayout, SessionSummary};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::macros::format_description;

use super::person::pair;
use super::{EXIT_CODES, Failure};

/// Look after the sessions in the application's store.
///
/// The settings are the application's own: from its environment, a file, or flags (--help of each command). Session ids
/// are secrets and are never shown; a session is named by its handle, the first 12 digits of the SHA-256 of its id.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct SessionsArguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(list::ListArguments),
    Show(show::ShowArguments),
    Revoke(revoke::RevokeArguments),
    Clean(upkeep::CleanArguments),
    Repair(upkeep::RepairArguments),
    Stats(upkeep::StatsArguments),
}

/// Does what was asked.
///
/// # Errors
/// As the command's own.
pub(crate) async fn run(arguments: SessionsArguments) -> Result<(), Failure> {
    match arguments.command {
        Command::List(arguments) => list::run(arguments).await,
        Command::Show(arguments) => show::run(arguments).await,
        Command::Revoke(arguments) => revoke::run(arguments).await,
        Command::Clean(arguments) => upkeep::clean(arguments).await,
        Command::Repair(arguments) => upkeep::repair(arguments).await,
        Command::Stats(arguments) => upkeep::stats(arguments).await,
    }
}

fn failed(doing: &'static str) -> impl Fn(Error) -> Failure {
    move |error| Failure::sessions(doing, error)
}

/// Reads a time such as `90s`, `15m`, `12h` or `3d`.
fn age(text: &str) -> Result<Duration, &'static str> {
    const WANTED: &str = "a time like 90s, 15m, 12h or 3d is wanted";
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number: u64 = text[..digits].parse().map_err(|_| WANTED)?;
    let seconds = match &text[digits..] {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err(WANTED),
    };
    number.checked_mul(seconds).map(Duration::from_secs).ok_or(WANTED)
}

fn seconds(time: Duration) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}

/// A session as JSON shows it: times are unix seconds.
fn as_json(session: &SessionSummary) -> Value {
    let person = session.identity.as_ref().map(pair);
    json!({
        "handle": session.handle.to_string(),
        "layout": layout(session.key.layout()),
        "mail": session.mail,
        "name": session.name,
        "tenant": person.map(|(tenant, _)| tenant),
        "oid": person.map(|(_, object)| object),
        "signed_in_at": session.identity.as_ref().map(|identity| identity.signed_in_at),
        "last_used": session.created,
        "expires_at": session.expires_at,
    })
}

fn layout(layout: SessionLayout) -> &'static str {
    match layout {
        SessionLayout::Aiohttp => "aiohttp",
        _ => "sealed",
    }
}

/// A time for people, in UTC.
fn at(seconds: i64) -> String {
    let format = format_description!("[year]-[month]-[day] [hour]:[minute]Z");
    let moment = OffsetDateTime::from_unix_timestamp(seconds).ok();
    moment.and_then(|moment| moment.format(format).ok()).unwrap_or_else(|| seconds.to_string())
}

/// `1 session`, `2 sessions`.
fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// A text that somebody else chose, as a terminal may get it: control characters could move the cursor or change colours,
/// invisible ones turn the order of what follows or make two names look alike (Unicode TR 36).
fn clean(text: &str) -> String {
    let steers = |letter: char| {
        letter.is_control()
            || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    text.chars().map(|letter| if steers(letter) { '\u{fffd}' } else { letter }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_read_with_their_unit() {
        assert_eq!(age("30d"), Ok(Duration::from_secs(30 * 86_400)));
        assert_eq!(age("0s"), Ok(Duration::ZERO));
        for bad in ["", "d", "30", "1w", "-1d", "99999999999999999999d", "é"] {
            assert!(age(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_others_chose_cannot_steer_the_terminal() {
        assert_eq!(clean("Ada\u{1b}[2J\r\u{9b}"), "Ada\u{fffd}[2J\u{fffd}\u{fffd}");
        assert_eq!(clean("Ada\u{202e}neB Åsa\u{200b}"), "Ada\u{fffd}neB Åsa\u{fffd}");
    }
}
