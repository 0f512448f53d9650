//! Fields of entries: what MSAL knows, and reading its times.

use serde_json::{Map, Value};

/// A time, written as a number or as a decimal string.
pub(crate) fn time(entry: &Map<String, Value>, field: &str) -> Option<i64> {
    let value = entry.get(field)?;
    value.as_i64().or_else(|| value.as_str()?.trim().parse().ok())
}

/// MSAL's own fields: a new entry decides about them; every other field outlives a replacement.
const KNOWN: [&str; 17] = [
    "credential_type",
    "secret",
    "home_account_id",
    "environment",
    "client_id",
    "target",
    "realm",
    "token_type",
    "cached_at",
    "expires_on",
    "extended_expires_on",
    "refresh_on",
    "last_modification_time",
    "family_id",
    "local_account_id",
    "username",
    "authority_type",
];

/// Adds to `entry` what `earlier` has beyond MSAL's schema and `entry` does not say itself.
pub(crate) fn keep_unknown(entry: &mut Map<String, Value>, earlier: &Map<String, Value>) {
    for (name, value) in earlier {
        if !KNOWN.contains(&name.as_str()) && !entry.contains_key(name) {
            entry.insert(name.clone(), value.clone());
        }
    }
}
