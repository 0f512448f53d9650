//! The application whose sessions a command looks after: its settings from a file, the environment and flags.

use std::path::PathBuf;
use std::sync::LazyLock;

use async_msal_axum::async_msal_session::env::Env;
use async_msal_axum::async_msal_session::settings::{SettingsSource, StoreUrl, VARIABLES, Variable};
use async_msal_axum::{Error, Msal};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};

use super::Failure;
use crate::output;

/// Where the application's settings come from: a file, then the environment, then flags, the later over the earlier.
#[derive(Clone, Default)]
pub(crate) struct Application {
    file: Option<PathBuf>,
    prefix: String,
    /// Settings given as flags. They may be secrets.
    flags: Vec<(&'static str, String)>,
}

impl std::fmt::Debug for Application {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { file, prefix, flags } = self;
        let names: Vec<&str> = flags.iter().map(|(name, _)| *name).collect();
        f.debug_struct("Application")
            .field("file", file)
            .field("prefix", prefix)
            .field("flags", &names)
            .finish()
    }
}

const FILE: &str = "settings";
const PREFIX: &str = "env-prefix";

impl Application {
    /// Reads the settings. Nothing is connected yet.
    ///
    /// # Errors
    /// All that is missing or unreadable is named, at once.
    pub(crate) fn open(&self) -> Result<Msal, Failure> {
        let unusable = |error: Error| Failure::sessions("read the application's settings", error);
        let mut source = SettingsSource::new();
        if let Some(file) = &self.file {
            source = source.file(file).map_err(|error| unusable(error.into()))?;
        }
        source = source.env(&Env::process(), &self.prefix);
        for (name, text) in &self.flags {
            source = source.value(name, text);
        }
        let settings = source.read().map_err(|error| unusable(error.into()))?;
        match settings.store() {
            StoreUrl::Memory => return Err(Failure::InMemory),
            StoreUrl::Sqlite(path) if !path.exists() => {
                output::say(&format!("note: {} did not exist; it is new and empty", path.display()));
            }
            _ => {}
        }
        Msal::from_settings(settings).map_err(unusable)
    }
}

/// The settings' flags: each its name in lower case with dashes.
static FLAGS: LazyLock<Vec<(&Variable, String)>> = LazyLock::new(|| {
    let flag = |name: &str| name.to_ascii_lowercase().replace('_', "-");
    VARIABLES.iter().map(|variable| (variable, flag(variable.name))).collect()
});

impl Args for Application {
    fn augment_args(command: Command) -> Command {
        let file = Arg::new(FILE)
            .long(FILE)
            .value_name("FILE")
            .value_parser(clap::value_parser!(PathBuf))
            .help("TOML file with the application's settings; the environment goes before it");
        let prefix = Arg::new(PREFIX)
            .long(PREFIX)
            .value_name("PREFIX")
            .help("What the settings' names begin with in the environment");
        let command = command.arg(file).arg(prefix);
        FLAGS.iter().fold(command, |command, (variable, flag)| {
            let argument = Arg::new(variable.name)
                .long(flag.as_str())
                .value_name(variable.name)
                .help(variable.help)
                .help_heading("Settings, instead of the environment's (secrets are better there: flags are seen by others)")
                .hide_short_help(true);
            command.arg(argument)
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Application {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut application = Self::default();
        application.update_from_arg_matches(matches)?;
        Ok(application)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.file = matches.get_one::<PathBuf>(FILE).cloned();
        self.prefix = matches.get_one::<String>(PREFIX).cloned().unwrap_or_default();
        let given = |name: &str| matches.value_source(name) == Some(ValueSource::CommandLine);
        let flags = VARIABLES.iter().filter(|variable| given(variable.name));
        self.flags = flags
            .filter_map(|variable| Some((variable.name, matches.get_one::<String>(variable.name)?.clone())))
            .collect();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        application: Application,
    }

    #[test]
    fn every_setting_is_a_flag_and_none_is_shown() {
        let line = Line::parse_from(["x", "--store-url", "redis://:canary@h", "--sp-app-pw", "canary"]);
        assert_eq!(line.application.flags.len(), 2);
        assert!(!format!("{line:?}").contains("canary"));
    }
}
