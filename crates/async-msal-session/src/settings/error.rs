//! What is wrong with the settings: everything at once, by name.

use std::fmt;

/// The settings cannot be used. All that is wrong is named together.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub struct SettingsError {
    problems: Vec<SettingsProblem>,
}

/// One thing that is wrong. No value is repeated: it may be a secret.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum SettingsProblem {
    /// A required setting is not there.
    Missing {
        /// Its name, prefix included.
        name: String,
        /// What it is.
        help: &'static str,
    },
    /// Nothing is called so.
    Unknown {
        /// The name found.
        name: String,
        /// The known name that was probably meant.
        nearest: Option<&'static str>,
    },
    /// The value cannot be read.
    Invalid {
        /// Its name, prefix included.
        name: String,
        /// What is wanted.
        reason: String,
    },
    /// The setting is known and not possible in this version.
    Unsupported {
        /// Its name, prefix included.
        name: String,
        /// What is supported.
        reason: String,
    },
}

impl SettingsError {
    /// An error of the given problems.
    pub(crate) fn new(problems: Vec<SettingsProblem>) -> Self {
        Self { problems }
    }

    /// An error of one setting.
    pub(crate) fn invalid(name: &str, reason: impl Into<String>) -> Self {
        Self::new(vec![SettingsProblem::Invalid { name: name.to_owned(), reason: reason.into() }])
    }

    /// All that is wrong.
    #[must_use]
    pub fn problems(&self) -> &[SettingsProblem] {
        &self.problems
    }
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the settings cannot be used")?;
        for (index, problem) in self.problems.iter().enumerate() {
            write!(f, "{} {problem}", if index == 0 { ":" } else { ";" })?;
        }
        Ok(())
    }
}

impl fmt::Display for SettingsProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { name, help } => write!(f, "{name} is missing ({help})"),
            Self::Unknown { name, nearest: Some(nearest) } => {
                write!(f, "{name} is unknown, is {nearest} meant?")
            }
            Self::Unknown { name, nearest: None } => write!(f, "{name} is unknown"),
            Self::Invalid { name, reason } => write!(f, "{name} is invalid: {reason}"),
            Self::Unsupported { name, reason } => write!(f, "{name} cannot be used: {reason}"),
        }
    }
}
