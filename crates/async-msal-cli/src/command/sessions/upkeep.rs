//! `sessions clean`, `repair` and `stats`: walks through all records.

use std::pin::pin;
use std::time::Duration;

use async_msal_axum::async_msal_session::Error;
use async_msal_axum::async_msal_session::admin::{CleanReport, RepairOptions, RepairReport, StatsReport};
use clap::Args;
use futures_util::{Stream, TryStreamExt};
use serde::Serialize;
use serde_json::Value;

use super::{age, at, clean as plain, failed};
use crate::command::application::Application;
use crate::command::{EXIT_CODES, Failure};
use crate::output::{self, Table};
use crate::progress::Progress;

/// Remove sessions that nobody has used for a time, and records past their end.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct CleanArguments {
    /// Last used so long ago or longer: 90s, 15m, 12h, 3d
    #[arg(long, value_name = "AGE", value_parser = age)]
    older_than: Duration,
    #[command(flatten)]
    common: Common,
}

/// Mend the store: invalid and spoiled records, missing index entries, missing times to live.
///
/// A record that somebody changes meanwhile is left alone. What can never be read is removed, but records sealed by an
/// unknown key: were the command started with the wrong keys, everybody would be signed out.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct RepairArguments {
    /// Also remove records sealed by a key that is not among SESSION_KEYS
    #[arg(long)]
    remove_unknown_keys: bool,
    #[command(flatten)]
    common: Common,
}

/// Count what is in the store.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct StatsArguments {
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
struct Common {
    /// Print a JSON object; times are unix seconds
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    application: Application,
}

pub(super) async fn clean(arguments: CleanArguments) -> Result<(), Failure> {
    let msal = arguments.common.application.open()?;
    let walk = msal.clean(arguments.older_than);
    let scanned = |report: &CleanReport| report.scanned;
    arguments.common.follow("clean the store", &msal, walk, scanned).await
}

pub(super) async fn repair(arguments: RepairArguments) -> Result<(), Failure> {
    let msal = arguments.common.application.open()?;
    let options = RepairOptions::new().remove_unknown_keys(arguments.remove_unknown_keys);
    let scanned = |report: &RepairReport| report.scanned;
    arguments.common.follow("repair the store", &msal, msal.repair(options), scanned).await
}

pub(super) async fn stats(arguments: StatsArguments) -> Result<(), Failure> {
    let msal = arguments.common.application.open()?;
    let scanned = |report: &StatsReport| report.scanned;
    arguments.common.follow("count the sessions", &msal, msal.stats(), scanned).await
}

impl Common {
    /// Follows a walk to its end and prints what it came to.
    async fn follow<R: Default + Serialize>(
        &self,
        doing: &'static str,
        msal: &async_msal_axum::Msal,
        walk: impl Stream<Item = Result<R, Error>>,
        scanned: impl Fn(&R) -> u64,
    ) -> Result<(), Failure> {
        let failed = failed(doing);
        let progress = Progress::start("records", msal.sessions_total_hint().await.map_err(&failed)?);
        let mut walk = pin!(walk);
        let mut report = R::default();
        while let Some(so_far) = walk.try_next().await.map_err(&failed)? {
            progress.set(scanned(&so_far));
            report = so_far;
        }
        drop(progress);
        let report = serde_json::to_value(&report).unwrap_or_default();
        if self.json {
            output::data(&report.to_string());
            return Ok(());
        }
        let mut table = Table::new(&["", ""]);
        for (name, value) in report.as_object().into_iter().flatten() {
            table.add([plainly(name), in_words(name, value)]);
        }
        // A reader that went away is no failure.
        let _ = table.print();
        Ok(())
    }
}

/// What a count is of.
fn plainly(name: &str) -> String {
    let words = match name {
        "scanned" => "records looked at",
        "sealed" => "in layout sealed",
        "aiohttp" => "in layout aiohttp",
        "live" => "live sessions",
        "anonymous" => "of these of visitors nobody knows",
        "users" => "people signed in",
        "expired" => "past their end",
        "signed_out" => "marks of sign-outs",
        "without_index" => "not found by mail and person",
        "without_ttl" => "without a time to live",
        "oldest" => "longest unused, since",
        "newest" => "last used",
        "mended" => "mended",
        "ended" => "given a time to live",
        "indexed" => "added to the index",
        "busy" => "changed meanwhile, left",
        other => return other.replace('_', " "),
    };
    words.to_owned()
}

fn in_words(name: &str, value: &Value) -> String {
    match (name, value) {
        (_, Value::Null) => "-".to_owned(),
        ("oldest" | "newest", Value::Number(number)) => at(number.as_i64().unwrap_or_default()),
        (_, Value::Object(reasons)) if reasons.is_empty() => "0".to_owned(),
        (_, Value::Object(reasons)) => {
            let parts: Vec<String> =
                reasons.iter().map(|(reason, count)| format!("{count} {}", plain(reason))).collect();
            parts.join(", ")
        }
        (_, other) => other.to_string(),
    }
}
