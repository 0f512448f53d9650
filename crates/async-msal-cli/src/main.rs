//! The `async-msal` command: data on standard output, talk on standard error, a hint after each error.
//!
//! | command | what it does | file |
//! |---|---|---|
//! | `async-msal demo` | an emulator and a web application that signs in with it | `command/demo/mod.rs` |
//! | `async-msal emulator` | the emulator alone, for an application of yours | `command/emulator.rs` |
//! | `async-msal sessions` | lists, shows, revokes, cleans, repairs and counts what is in a store | `command/sessions/mod.rs` |
//! | `async-msal token` | a live token of somebody who is signed in | `command/token.rs` |
//!
//! Exit codes stand in `command/mod.rs`.

mod command;
mod output;
mod progress;
mod request_body;
mod signals;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Sign in with Microsoft: a demo, the emulator behind it, and tools for an application's sessions.
#[derive(Debug, Parser)]
#[command(name = "async-msal", version, arg_required_else_help = true)]
#[command(after_help = "Exit codes: 0 done, 1 failed, 2 the command line was not understood; \
                        the help of `sessions` and `token` names theirs.\n\
                        RUST_LOG sets what is logged to standard error, for example RUST_LOG=async_msal=debug.")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(command::demo::DemoArguments),
    Emulator(command::emulator::EmulatorArguments),
    Sessions(command::sessions::SessionsArguments),
    Token(command::token::TokenArguments),
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    output::start_log(match arguments.command {
        Command::Demo(_) | Command::Emulator(_) => "warn",
        // What the store does not do is the error of the command itself.
        Command::Sessions(_) | Command::Token(_) => "warn,async_msal_session::store=off",
    });
    // The check's own HTTP client looks for the process's provider. An error says that one is installed already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let done = match arguments.command {
        Command::Demo(arguments) => command::demo::run(arguments).await,
        Command::Emulator(arguments) => command::emulator::run(arguments).await,
        Command::Sessions(arguments) => command::sessions::run(arguments).await,
        Command::Token(arguments) => command::token::run(arguments).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::report(&failure);
            ExitCode::from(failure.exit_code())
        }
    }
}
