//! `sessions show`: everything about one session that is no secret.

use std::pin::pin;

use async_msal_axum::Msal;
use async_msal_axum::async_msal_session::{AsyncMsal, Find, Handle, SessionSummary};
use clap::Args;
use futures_util::TryStreamExt;
use serde_json::{Value, json};

use super::{as_json, at, clean, failed};
use crate::command::application::Application;
use crate::command::person::{handle, named};
use crate::command::{EXIT_CODES, Failure};
use crate::output::{self, Table};
use crate::progress::Progress;

/// Show one session; tokens are hidden, of items only the names are shown.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct ShowArguments {
    /// The session's handle, as `sessions list` shows it
    #[arg(value_name = "HANDLE", value_parser = handle)]
    handle: Handle,
    /// Print a JSON object; times are unix seconds
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    application: Application,
}

pub(super) async fn run(arguments: ShowArguments) -> Result<(), Failure> {
    let failed = failed("show the session");
    let msal = arguments.application.open()?;
    let Some(summary) = find(&msal, &arguments.handle).await? else {
        return Err(Failure::nobody(named(&Find::Handle(arguments.handle))));
    };
    let session = msal.session_by_key(&summary.key);
    if !session.load().await.map_err(&failed)? {
        return Err(Failure::nobody(named(&Find::Handle(arguments.handle))));
    }
    let shown = describe(&summary, &session);
    if arguments.json {
        output::data(&shown.to_string());
        return Ok(());
    }
    let mut table = Table::new(&["", ""]);
    for (name, value) in shown.as_object().into_iter().flatten() {
        table.add([name.replace('_', " "), in_words(name, value)]);
    }
    // A reader that went away is no failure.
    let _ = table.print();
    Ok(())
}

/// By the index, at any number of sessions; a visitor's session and one that Python wrote are in none.
async fn find(msal: &Msal, wanted: &Handle) -> Result<Option<SessionSummary>, Failure> {
    let failed = failed("find the session");
    let indexed = msal.for_user(&Find::Handle(wanted.clone())).await.map_err(&failed)?;
    if let Some(key) = indexed.and_then(|session| session.store_key())
        && let Some(summary) = msal.session_summary(&key).await.map_err(&failed)?
    {
        return Ok(Some(summary));
    }
    let progress = Progress::start("sessions", msal.sessions_total_hint().await.map_err(&failed)?);
    let mut sessions = pin!(msal.sessions());
    while let Some(session) = sessions.try_next().await.map_err(&failed)? {
        progress.one();
        if session.handle == *wanted {
            return Ok(Some(session));
        }
    }
    Ok(None)
}

fn describe(summary: &SessionSummary, session: &AsyncMsal) -> Value {
    let mut shown = as_json(summary);
    let token = session.token_info(session.msal().settings().scopes()).map(|token| {
        json!({ "access_token": "hidden", "expires_on": token.expires_on, "scopes": token.scopes.to_string() })
    });
    shown["manager_mail"] = json!(session.manager_mail());
    shown["manager_name"] = json!(session.manager_name());
    shown["roles"] = json!(session.roles());
    shown["issuer"] = json!(session.identity().map(|identity| identity.iss));
    shown["token"] = json!(token);
    shown["items"] = json!(session.item_names());
    shown
}

fn in_words(name: &str, value: &Value) -> String {
    match (name, value) {
        ("expires_at", Value::Null) => "never, until a repair".to_owned(),
        (_, Value::Null) => "-".to_owned(),
        ("signed_in_at" | "last_used" | "expires_at", Value::Number(number)) => {
            at(number.as_i64().unwrap_or_default())
        }
        (_, Value::Array(parts)) if parts.is_empty() => "-".to_owned(),
        (_, Value::Array(parts)) => {
            let words: Vec<String> = parts.iter().filter_map(Value::as_str).map(clean).collect();
            words.join(", ")
        }
        ("token", Value::Object(token)) => {
            let end = token["expires_on"].as_i64().unwrap_or_default();
            format!("hidden, until {}, for {}", at(end), clean(token["scopes"].as_str().unwrap_or_default()))
        }
        (_, Value::String(text)) => clean(text),
        (_, other) => other.to_string(),
    }
}
