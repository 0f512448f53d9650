//! One module per command, and the one error all of them end in.

mod application;
pub(crate) mod demo;
pub(crate) mod emulator;
mod person;
pub(crate) mod sessions;
pub(crate) mod token;

use std::io;
use std::path::PathBuf;

use async_msal_axum::async_msal_session;
use async_msal_emulator::EmulatorError;

/// The codes of the commands that work on a store.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0  done, also where `list`, `clean` or `repair` found nothing
  1  failed or not confirmed; trying again does not help
  2  the command line was not understood
  3  there is no such session (show, revoke, token)
  4  several people match
  5  the user must sign in again, or has not granted the scopes
  6  the store or the authority cannot be reached, or the store takes no writes: try again later";

/// Why a command failed. Display says what, [`Failure::hint`] what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// A port that was asked for is in use.
    #[error("port {port}, for the {server}, is taken by another program")]
    PortTaken {
        /// The port.
        port: u16,
        /// What wanted to listen there.
        server: &'static str,
        /// The option that chooses another.
        option: &'static str,
    },
    /// Both servers of the demo were given one port.
    #[error("the web application and the emulator cannot both listen on port {port}")]
    SamePort {
        /// The port.
        port: u16,
    },
    /// Nothing can listen at the address, for a reason other than another program.
    #[error("cannot listen on port {port} for the {server}")]
    Listen {
        /// The port.
        port: u16,
        /// What wanted to listen there.
        server: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// A folder that was not made by the demo, and is not empty.
    #[error("{} is not a folder of the demo", path.display())]
    NotOurFolder {
        /// The folder.
        path: PathBuf,
    },
    /// The folder belongs to a demo that is running.
    #[error("{} is in use by a demo that is running", path.display())]
    FolderInUse {
        /// The folder.
        path: PathBuf,
    },
    /// The folder cannot be made, read or emptied.
    #[error("cannot use the folder {}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The emulator's certificate authority cannot be written.
    #[error("cannot write the certificate authority to {}", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is no home folder to keep data in.
    #[error("neither XDG_STATE_HOME nor HOME names a folder to keep the demo's data in")]
    NoHome,
    /// The emulator could not start.
    #[error("the emulator did not start")]
    Emulator(#[from] EmulatorError),
    /// The session layer refused its settings.
    #[error("the application's sessions could not be set up")]
    Session(#[from] async_msal_axum::async_msal_session::Error),
    /// The protocol client refused its settings.
    #[error("the application's client could not be set up")]
    Client(#[from] async_msal_axum::async_msal::Error),
    /// A step of `demo --check` did not go as it should.
    #[error("the check failed at: {step}")]
    Check {
        /// The step, in the words of its line.
        step: &'static str,
        /// What was seen instead.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Something about the sessions of an application.
    #[error("cannot {doing}")]
    Sessions {
        /// What was to be done.
        doing: &'static str,
        /// Why not.
        source: async_msal_session::Error,
    },
    /// Nothing matches.
    #[error("there is no live session {whom}")]
    Nobody {
        /// Whose was asked for.
        whom: String,
    },
    /// Sessions of several people match, and nobody is guessed.
    #[error("the sessions {whom} are several people's")]
    Ambiguous {
        /// Whose were asked for.
        whom: String,
        /// Their tenants and object ids.
        people: Vec<(String, String)>,
    },
    /// Somebody is signed in, without these scopes.
    #[error("no live session {whom} holds the scopes {scopes:?}")]
    NoScopes {
        /// Whose was asked for.
        whom: String,
        /// The scopes.
        scopes: String,
    },
    /// Signing everybody out was not confirmed.
    #[error("nothing was revoked: it was not confirmed")]
    NotConfirmed,
    /// The application's store is in its own process.
    #[error("the store memory: lives inside the application's process, where no command can see it")]
    InMemory,
    /// The process may not listen for signals.
    #[error("cannot listen for the signal to stop")]
    Signals(#[source] io::Error),
}

impl Failure {
    /// Something about the sessions of an application; several people are told apart.
    pub(crate) fn sessions(doing: &'static str, source: async_msal_session::Error) -> Self {
        match source.root() {
            async_msal_session::Error::Ambiguous(people) => {
                let pairs = people.iter().map(|person| (person.tenant.clone(), person.object.clone()));
                Self::Ambiguous { whom: "that match".to_owned(), people: pairs.collect() }
            }
            _ => Self::Sessions { doing, source },
        }
    }

    /// Nothing matches.
    pub(crate) fn nobody(whom: impl Into<String>) -> Self {
        Self::Nobody { whom: whom.into() }
    }

    /// What the process ends with; [`EXIT_CODES`] says what they mean.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Nobody { .. } => 3,
            Self::Ambiguous { .. } => 4,
            Self::NoScopes { .. } => 5,
            Self::Sessions { source, .. } if source.is_interaction_required() => 5,
            Self::Sessions { source, .. } if source.is_retryable() => 6,
            _ => 1,
        }
    }

    /// What the reader can do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        Some(match self {
            Failure::PortTaken { option, port, .. } => format!(
                "stop the program that listens there, or choose another port, for example {option} {}",
                another_port(*port)
            ),
            Failure::SamePort { port } => {
                format!("choose another for one of them, for example --emulator-port {}", another_port(*port))
            }
            Failure::Listen { .. } => "choose a port from 1024 to 65535, or 0 for any free one".to_owned(),
            Failure::NotOurFolder { .. } => {
                "name an empty folder or one the demo made, with --data; nothing in this one was touched"
                    .to_owned()
            }
            Failure::FolderInUse { .. } => {
                "stop that demo with Ctrl-C, or name another folder with --data".to_owned()
            }
            Failure::Folder { .. } | Failure::NoHome => {
                "name a folder you may write to with --data".to_owned()
            }
            Failure::CaFile { .. } => {
                "name a file with --https, in a folder that exists and that you may write to".to_owned()
            }
            Failure::Emulator(error) => return emulator_hint(error).map(str::to_owned),
            Failure::Session(error) => error.hint().to_string(),
            Failure::Client(error) => error.hint().to_string(),
            Failure::Check { .. } => "run it again with RUST_LOG=async_msal=debug to see more".to_owned(),
            Failure::Sessions { source, .. } => source.hint().to_string(),
            Failure::Nobody { .. } => {
                "see who is signed in with `async-msal sessions list`; sessions of Rust and Python services are shown \
                 where store, COOKIE_NAME and keys are the application's"
                    .to_owned()
            }
            Failure::Ambiguous { people, .. } => {
                let choices: Vec<String> =
                    people.iter().map(|(tenant, object)| format!("--tenant {tenant} --oid {object}")).collect();
                format!("name the person: {}", choices.join(", or "))
            }
            Failure::NoScopes { .. } => {
                "have the application ask for these scopes at the user's next sign-in".to_owned()
            }
            Failure::NotConfirmed => "type yes when asked, or give --yes where nobody can be asked".to_owned(),
            Failure::InMemory => {
                "give the application a store that processes share: sqlite:<path>, redis://… or postgres://…"
                    .to_owned()
            }
            Failure::Signals(_) => return None,
        })
    }
}

fn another_port(port: u16) -> u16 {
    if port < u16::MAX - 10 { port + 10 } else { 0 }
}

fn emulator_hint(error: &EmulatorError) -> Option<&'static str> {
    Some(match error {
        EmulatorError::DamagedFile { .. } => {
            "delete that file, or name another folder with --data; who was signed in signs in anew"
        }
        EmulatorError::DataFolder { .. } => "name a folder you may write to with --data",
        EmulatorError::DataFolderInUse(_) => {
            "stop that emulator with Ctrl-C, or name another folder with --data"
        }
        EmulatorError::InvalidAddress(_) => {
            "give --public-url and --redirect-uri http or https addresses, such as http://localhost:8000"
        }
        _ => return None,
    })
}

/// A failure to start an emulator, in the command's words: which option moves it off a port that is taken.
pub(crate) fn refused(
    error: EmulatorError,
    port: u16,
    (server, option): (&'static str, &'static str),
) -> Failure {
    match error {
        EmulatorError::Bind { source, .. } => not_listening(source, port, (server, option)),
        other => Failure::Emulator(other),
    }
}

/// A failure to listen, in the command's words.
pub(crate) fn not_listening(
    source: io::Error,
    port: u16,
    (server, option): (&'static str, &'static str),
) -> Failure {
    match source.kind() {
        io::ErrorKind::AddrInUse => Failure::PortTaken { port, server, option },
        _ => Failure::Listen { port, server, source },
    }
}
