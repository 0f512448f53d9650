//! `async-msal token`: a live access token of somebody who is signed in, for scripts.

use std::time::Duration;

use async_msal_axum::async_msal_session::Find;
use async_msal_axum::{Msal, Scopes};
use clap::{ArgGroup, Args};
use serde_json::json;

use super::application::Application;
use super::person::{WHOM, Whom, named};
use super::{EXIT_CODES, Failure};
use crate::output;

/// How long saving a renewed token may take.
const ENDING: Duration = Duration::from_secs(10);

/// Print an access token of somebody who is signed in, and nothing else.
///
/// It comes from the newest live session. A token that has expired is renewed and saved as the application does it, under
/// the same lock, so that nobody is signed out by it. Whoever sees the output can act as the user until the token expires.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES, group = ArgGroup::new("wanted").args(WHOM).required(true))]
pub(crate) struct TokenArguments {
    #[command(flatten)]
    whom: Whom,
    /// A scope the token must have, such as Mail.Read; may be given several times [default: the application's]
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// Print a JSON object with the token, its end and its scopes
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    application: Application,
}

/// Prints the token.
///
/// # Errors
/// Nobody matches, several people do, the user must sign in again, or store or authority failed.
pub(crate) async fn run(arguments: TokenArguments) -> Result<(), Failure> {
    let msal = arguments.application.open()?;
    let scopes = match arguments.scopes.as_slice() {
        [] => msal.settings().scopes().clone(),
        given => Scopes::parse(&given.join(" ")),
    };
    let Some(find) = arguments.whom.find() else { return Err(Failure::nobody("that was named")) };
    let printed = print(&msal, &find, &scopes, arguments.json).await;
    // A token that is due ahead of time is being renewed behind the answer.
    msal.shutdown(ENDING).await;
    printed
}

async fn print(msal: &Msal, find: &Find, scopes: &Scopes, as_json: bool) -> Result<(), Failure> {
    let failed = |error| Failure::sessions("get a token", error);
    let session = match msal.for_user_with(find, scopes).await.map_err(failed)? {
        Some(session) => session,
        None if msal.for_user(find).await.map_err(failed)?.is_some() => {
            return Err(Failure::NoScopes { whom: named(find), scopes: scopes.to_string() });
        }
        // A visitor's session has no token.
        None if matches!(find, Find::Handle(_)) => {
            return Err(Failure::nobody(format!("{} in which somebody is signed in", named(find))));
        }
        None => return Err(Failure::nobody(named(find))),
    };
    let token = session.get_token(scopes).await.map_err(failed)?;
    let secret = token.access_token.expose_secret();
    if as_json {
        let scopes = token.scopes.to_string();
        output::data(
            &json!({ "access_token": secret, "expires_on": token.expires_on, "scopes": scopes }).to_string(),
        );
    } else {
        output::data(secret);
    }
    Ok(())
}
