//! Where settings are read from: the process's environment, or a map in a test.

use std::collections::BTreeMap;
use std::fmt;

/// Environment variables, taken once.
#[derive(Clone, Default)]
pub struct Env(BTreeMap<String, String>);

impl Env {
    /// The variables of this process. Those that are no text are left out.
    #[must_use]
    pub fn process() -> Self {
        let pairs = std::env::vars_os();
        Self(
            pairs
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
                .collect(),
        )
    }

    /// Variables out of memory.
    ///
    /// ```
    /// use async_msal_session::env::Env;
    /// assert_eq!(Env::memory([("SP_APP_ID", "an id")]).get("SP_APP_ID"), Some("an id"));
    /// ```
    #[must_use]
    pub fn memory<N: Into<String>, V: Into<String>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }

    /// The value of a variable.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Values may be secrets.
        let Self(pairs) = self;
        f.debug_tuple("Env").field(&pairs.keys().collect::<Vec<_>>()).finish()
    }
}
