//! `sessions revoke`: signing people out from here.

use std::collections::BTreeSet;
use std::io::{BufRead, IsTerminal};
use std::pin::pin;

use async_msal_axum::Msal;
use async_msal_axum::async_msal_session::{Find, SessionLayout, SessionSummary, StoreKey};
use clap::{ArgGroup, Args};
use futures_util::TryStreamExt;
use serde_json::json;

use super::{counted, failed};
use crate::command::application::Application;
use crate::command::person::{WHOM, Whom, named, pair};
use crate::command::{EXIT_CODES, Failure};
use crate::output;
use crate::progress::Progress;

const REVOKE: &str = "revoke the sessions";

/// End sessions: all of a person, one, or all there are.
///
/// Each is ended on all nodes; whoever used it signs in again. A mail address that several people have is refused, and
/// the choices are named.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES, group = ArgGroup::new("wanted").args(WHOM).arg("all").required(true))]
pub(super) struct RevokeArguments {
    #[command(flatten)]
    whom: Whom,
    /// All sessions of everybody
    #[arg(long, conflicts_with = "oid")]
    all: bool,
    /// Do not ask before --all
    #[arg(long)]
    yes: bool,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    application: Application,
}

pub(super) async fn run(arguments: RevokeArguments) -> Result<(), Failure> {
    let msal = arguments.application.open()?;
    let revoked = match arguments.whom.find() {
        Some(find) => {
            let revoked = of_one(&msal, &find).await?;
            if revoked == 0 {
                return Err(Failure::nobody(named(&find)));
            }
            revoked
        }
        None => {
            if !arguments.yes {
                confirm(&msal).await?;
            }
            everything(&msal).await?
        }
    };
    if arguments.json {
        output::data(&json!({ "revoked": revoked }).to_string());
    } else {
        output::data(&format!("{} revoked", counted(revoked, "session")));
    }
    Ok(())
}

/// Ends the sessions of one person. In layout aiohttp services in Python write no index, so all records are looked at.
async fn of_one(msal: &Msal, find: &Find) -> Result<u64, Failure> {
    let failed = failed(REVOKE);
    if msal.settings().layout() != SessionLayout::Aiohttp || matches!(find, Find::Handle(_)) {
        // For the error where they are several.
        msal.for_user(find).await.map_err(&failed)?;
        return msal.sign_out_everywhere(find).await.map(|count| count as u64).map_err(&failed);
    }
    let progress = Progress::start("sessions", msal.sessions_total_hint().await.map_err(&failed)?);
    let (mut keys, mut people) = (Vec::<StoreKey>::new(), BTreeSet::new());
    let mut sessions = pin!(msal.sessions());
    while let Some(session) = sessions.try_next().await.map_err(&failed)? {
        progress.one();
        if let Some((tenant, object)) = matched(&session, find) {
            people.insert((tenant.to_owned(), object.to_owned()));
            keys.push(session.key);
        }
    }
    drop(progress);
    if people.len() > 1 {
        return Err(Failure::Ambiguous { whom: named(find), people: people.into_iter().collect() });
    }
    let mut revoked = 0;
    for key in &keys {
        revoked += u64::from(msal.end_session(key).await.map_err(&failed)?);
    }
    Ok(revoked)
}

/// The person of a session that is one of those meant.
fn matched<'a>(session: &'a SessionSummary, find: &Find) -> Option<(&'a str, &'a str)> {
    let person = pair(session.identity.as_ref()?);
    let meant = match find {
        Find::Mail(mail) => {
            session.mail.as_ref().is_some_and(|own| own.to_lowercase() == mail.to_lowercase())
        }
        Find::User { tenant, object } => person == (tenant, object),
        _ => false,
    };
    meant.then_some(person)
}

async fn everything(msal: &Msal) -> Result<u64, Failure> {
    let failed = failed(REVOKE);
    let progress = Progress::start("sessions", msal.sessions_total_hint().await.map_err(&failed)?);
    let mut revoked = 0;
    let mut sessions = pin!(msal.sessions());
    while let Some(session) = sessions.try_next().await.map_err(&failed)? {
        progress.one();
        revoked += u64::from(msal.end_session(&session.key).await.map_err(&failed)?);
    }
    Ok(revoked)
}

/// Asks, where there is somebody to ask.
async fn confirm(msal: &Msal) -> Result<(), Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::NotConfirmed);
    }
    let about = msal.sessions_total_hint().await.map_err(failed(REVOKE))?;
    let about =
        about.map(|count| format!(" (about {} in the store)", counted(count, "record"))).unwrap_or_default();
    output::say(&format!("This signs everybody out{about}. Type yes to go on:"));
    let answer = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).map(|_| line)
    });
    match answer.await {
        Ok(Ok(line)) if line.trim() == "yes" => Ok(()),
        _ => Err(Failure::NotConfirmed),
    }
}
