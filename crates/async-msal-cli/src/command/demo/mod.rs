//! `async-msal demo`: an emulator of Entra ID and Graph, and a web application that signs in with it.
//!
//! ```text
//! folder.rs   the data folder: sessions and the emulator's files, kept over a restart
//! running.rs  starts both servers on one folder, stops them
//! app.rs      the web application: its routes and what they do
//! page.rs     its one page
//! check/      the same trip over HTTP, by itself
//! ```

mod app;
mod check;
mod folder;
mod page;
mod running;

use std::path::PathBuf;

use clap::Args;

use self::folder::DataFolder;
use self::running::{Ports, Running};
use super::Failure;
use crate::output;
use crate::signals::StopSignals;

const DEFAULT_PORT: u16 = 8400;
const DEFAULT_EMULATOR_PORT: u16 = 8401;

/// Run an emulator and a web application that signs in with it. No network is needed.
///
/// Prints both addresses on standard output. Ctrl-C stops it; users stay signed in over a restart, since the
/// sessions and the emulator's keys are kept in the data folder.
#[derive(Debug, Args)]
pub(crate) struct DemoArguments {
    /// Folder to keep sessions and the emulator's files in [default: $XDG_STATE_HOME/async-msal/demo, or
    /// ~/.local/state/async-msal/demo; a temporary one with --check]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Port of the web application; 0 is any free one [default: 8400; a free one with --check]
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// Port of the emulator; 0 is any free one [default: 8401; a free one with --check]
    #[arg(long, value_name = "PORT")]
    emulator_port: Option<u16>,
    /// Empty the data folder, everybody is signed out, and end. Only files the demo made are removed
    #[arg(long, conflicts_with = "check")]
    reset: bool,
    /// Make the whole trip over HTTP, without a browser: one line per step, exit code 0 when all went well, else 1
    #[arg(long)]
    check: bool,
}

/// Runs the command until it is done or asked to stop.
///
/// # Errors
/// A port is taken, the folder cannot be used, or, with `--check`, a step failed.
pub(crate) async fn run(arguments: DemoArguments) -> Result<(), Failure> {
    if arguments.reset {
        return reset(arguments.data);
    }
    if arguments.check {
        let ports =
            Ports { app: arguments.port.unwrap_or(0), emulator: arguments.emulator_port.unwrap_or(0) };
        return check::run(arguments.data, ports).await;
    }
    let ports = Ports {
        app: arguments.port.unwrap_or(DEFAULT_PORT),
        emulator: arguments.emulator_port.unwrap_or(DEFAULT_EMULATOR_PORT),
    };
    let mut stop = StopSignals::listen().map_err(Failure::Signals)?;
    let folder = DataFolder::open(&chosen(arguments.data)?)?;
    let running = tokio::select! {
        started = Running::start(folder, ports) => started?,
        () = stop.asked() => return Ok(()),
    };
    announce(&running);
    stop.asked().await;
    output::say("Stopping; whoever is signed in stays signed in. Press Ctrl-C again to stop now.");
    stop.unless_asked_again(running.stop()).await;
    Ok(())
}

fn chosen(data: Option<PathBuf>) -> Result<PathBuf, Failure> {
    match data {
        Some(path) => Ok(path),
        None => folder::default_path(),
    }
}

fn reset(data: Option<PathBuf>) -> Result<(), Failure> {
    let path = chosen(data)?;
    let Some(left) = DataFolder::reset(&path)? else {
        output::say(&format!("There is nothing to empty at {}.", path.display()));
        return Ok(());
    };
    output::say(&format!("Emptied {}; `async-msal demo` starts afresh.", path.display()));
    for file in left {
        output::say(&format!("Left alone, the demo did not make it: {}", file.display()));
    }
    Ok(())
}

fn announce(running: &Running) {
    output::data(&format!("application  {}", running.app_url()));
    output::data(&format!("emulator     {}", running.emulator_url()));
    output::data(&format!("data folder  {}", running.folder().display()));
    output::say("");
    output::say(&format!("Open {} and choose \"Sign in with Microsoft\".", running.app_url()));
    output::say("The emulator's login page lists its people; choose one, there is no password.");
    output::say("Ctrl-C stops the demo. Start it again and you are still signed in.");
}
