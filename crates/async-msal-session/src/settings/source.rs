//! Settings as named texts, gathered from a file, the environment and flags, the later over the earlier.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use super::error::{SettingsError, SettingsProblem};
use super::variables::{VARIABLES, nearest};
use crate::env::Env;
use crate::telemetry;

/// Named texts before they are read.
///
/// ```
/// use async_msal_session::settings::SettingsSource;
/// let settings = SettingsSource::new()
///     .value("SP_APP_ID", "33333333-3333-3333-3333-333333333333")
///     .value("SP_APP_PW", "a secret")
///     .value("SP_AUTHORITY", "https://login.microsoftonline.com/contoso.example")
///     .value("PUBLIC_URL", "https://app.contoso.example")
///     .value("DATA_DIR", "/var/lib/app")
///     .read()?;
/// assert_eq!(settings.cookie_name(), "__Host-async_msal");
/// # Ok::<(), async_msal_session::settings::SettingsError>(())
/// ```
#[derive(Clone, Default)]
#[must_use = "call read() for the settings"]
pub struct SettingsSource {
    values: BTreeMap<&'static str, String>,
    problems: Vec<SettingsProblem>,
    prefix: String,
    pub(super) env: Env,
}

impl fmt::Debug for SettingsSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { values, problems, prefix, env: _ } = self;
        f.debug_struct("SettingsSource")
            .field("names", &values.keys().collect::<Vec<_>>())
            .field("problems", problems)
            .field("prefix", prefix)
            .finish()
    }
}

impl SettingsSource {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one value, of a flag for example. An empty one counts as not set.
    pub fn value(mut self, name: &str, text: impl Into<String>) -> Self {
        self.add(name, name.to_owned(), text.into());
        self
    }

    /// Adds the environment's variables whose names are `prefix` and a setting's name.
    ///
    /// Names that are no setting are refused where a prefix is set; without one, those that begin with `SP_`, `SESSION_`
    /// or `COOKIE_` are named in the log, since desktops have variables like SESSION_MANAGER.
    pub fn env(mut self, env: &Env, prefix: &str) -> Self {
        for (name, text) in env.iter() {
            let Some(bare) = name.strip_prefix(prefix) else { continue };
            if known(bare).is_some() || !prefix.is_empty() {
                self.add(bare, name.to_owned(), text.to_owned());
            } else if ["SP_", "SESSION_", "COOKIE_"].iter().any(|ours| bare.starts_with(ours)) {
                let nearest = nearest(bare).unwrap_or("none");
                tracing::warn!(target: telemetry::TARGET, name, nearest, "no setting has this name");
            }
        }
        self.prefix = prefix.to_owned();
        self.env = env.clone();
        self
    }

    /// Adds a TOML file: `NAME = "value"` lines; numbers, switches and lists of texts are taken too.
    ///
    /// # Errors
    /// When the file cannot be read or is no TOML. Unknown names are an error of [`read`](Self::read).
    pub fn file(self, path: &Path) -> Result<Self, SettingsError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| SettingsError::invalid(&path.display().to_string(), error.to_string()))?;
        self.toml(&text)
    }

    /// Adds the text of a TOML file.
    ///
    /// # Errors
    /// When it is no TOML. The error does not repeat the text.
    pub fn toml(mut self, text: &str) -> Result<Self, SettingsError> {
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
            let line = error.span().map_or(0, |span| text[..span.start].lines().count());
            SettingsError::invalid("the settings file", format!("no TOML at line {line}"))
        })?;
        for (name, value) in table {
            match plain(&value) {
                Some(text) => self.add(&name, name.clone(), text),
                None => self.problems.push(SettingsProblem::Invalid {
                    name,
                    reason: "a text, a number, a switch or a list of texts is wanted".to_owned(),
                }),
            }
        }
        Ok(self)
    }

    /// Reads everything.
    ///
    /// # Errors
    /// Names all that is missing, unknown or unreadable, at once.
    pub fn read(self) -> Result<super::Settings, SettingsError> {
        super::load::load(self)
    }

    /// Knows the process's folders without taking any setting from its environment.
    pub(super) fn env_defaults(mut self) -> Self {
        self.env = Env::process();
        self
    }

    pub(super) fn take(&mut self, name: &'static str) -> Option<String> {
        self.values.remove(name)
    }

    /// The name as its reader knows it.
    pub(super) fn full(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    pub(super) fn take_problems(&mut self) -> Vec<SettingsProblem> {
        std::mem::take(&mut self.problems)
    }

    fn add(&mut self, bare: &str, written: String, text: String) {
        match known(bare) {
            Some(name) => {
                // aiohttp_msal strips quotes that env files leave around a value.
                let text = text.trim();
                let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
                if !text.is_empty() {
                    self.values.insert(name, text.to_owned());
                }
            }
            None => self.problems.push(SettingsProblem::Unknown { name: written, nearest: nearest(bare) }),
        }
    }
}

fn known(name: &str) -> Option<&'static str> {
    VARIABLES.iter().find(|variable| variable.name == name).map(|variable| variable.name)
}

fn plain(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Boolean(switch) => Some(switch.to_string()),
        toml::Value::Array(parts) => {
            parts.iter().map(toml::Value::as_str).collect::<Option<Vec<_>>>().map(|parts| parts.join(","))
        }
        _ => None,
    }
}
