//! Measurements against real stores: see README.md for the commands and the results.
#![expect(clippy::print_stdout, reason = "this program prints what it measured")]

mod find;
mod load;
mod request;
mod seed;
mod server;
mod world;

use async_msal_axum::async_msal_session::SessionLayout;
use clap::{Parser, Subcommand, ValueEnum};

pub(crate) type Anything = Box<dyn std::error::Error + Send + Sync>;

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Finding a user among many sessions, and listing all of them.
    Find(find::Arguments),
    /// CPU time of an authenticated request, beside a bare handler.
    Request(request::Arguments),
    /// A server under measurement; started by `request`.
    #[command(hide = true)]
    Serve {
        #[arg(value_enum)]
        kind: server::Kind,
    },
    /// Lists all sessions of a store and reports its own memory; started by `find`.
    #[command(hide = true)]
    List,
}

/// SESSION_LAYOUT.
#[derive(Clone, Copy, Debug, ValueEnum, serde::Serialize, serde::Deserialize)]
pub(crate) enum Layout {
    Sealed,
    Aiohttp,
}

impl From<Layout> for SessionLayout {
    fn from(layout: Layout) -> Self {
        match layout {
            Layout::Sealed => Self::Sealed,
            Layout::Aiohttp => Self::Aiohttp,
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Anything> {
    match Arguments::parse().what {
        What::Find(arguments) => find::run(arguments).await,
        What::Request(arguments) => request::run(arguments).await,
        What::Serve { kind } => server::run(kind).await,
        What::List => find::list().await,
    }
}
