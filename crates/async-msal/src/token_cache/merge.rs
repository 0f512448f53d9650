//! Two writers changed one cache: both keep their work.

use std::cmp::Ordering;

use serde_json::{Map, Value, json};

use super::entry::{keep_unknown, time};
use super::{ACCESS_TOKEN, ACCOUNT, ID_TOKEN, REFRESH_TOKEN, TokenCache, belongs_to};
use crate::account::Account;
use crate::id_token::IdTokenClaims;

impl TokenCache {
    /// Merges entry by entry: `ours` and `theirs` both started from `base`.
    ///
    /// The newer `cached_at` or `last_modification_time` wins; a deletion wins over what its writer had
    /// seen; an account that one side removed takes its tokens with it, renewed or not. Unknown fields
    /// and sections are kept. The result counts as changed when it differs from `theirs`.
    #[must_use]
    pub fn merge(base: &Self, ours: &Self, theirs: &Self) -> Self {
        let mut root = theirs.root.clone();
        for section in ours.root.keys().chain(base.root.keys()) {
            let part = |cache: &Self| cache.root.get(section).cloned();
            let merged = merge_section(part(base), part(ours), part(theirs));
            match merged {
                Some(merged) => root.insert(section.clone(), merged),
                None => root.shift_remove(section),
            };
        }
        let mut merged = Self { root, changed: false };
        merged.drop_orphans(base);
        merged.changed = merged.root != theirs.root;
        merged
    }

    fn drop_orphans(&mut self, base: &Self) {
        let before: Vec<Account> =
            base.entries(ACCOUNT).filter_map(|(_, entry)| Account::from_entry(entry)).collect();
        let still_here =
            |account: &Account| self.entries(ACCOUNT).any(|(_, entry)| belongs_to(entry, account));
        let removed: Vec<Account> = before.into_iter().filter(|account| !still_here(account)).collect();
        for account in removed {
            for section in [ACCESS_TOKEN, REFRESH_TOKEN, ID_TOKEN] {
                self.remove_where(section, |entry| belongs_to(entry, &account));
            }
        }
    }
}

/// Sections that are no objects (unknown ones may be) are taken from the side that changed them.
fn merge_section(base: Option<Value>, ours: Option<Value>, theirs: Option<Value>) -> Option<Value> {
    if ours == theirs || ours == base {
        return theirs;
    }
    if theirs == base {
        return ours;
    }
    let entries = |section: &Option<Value>| match section {
        None => Some(Map::new()),
        Some(Value::Object(entries)) => Some(entries.clone()),
        Some(_) => None,
    };
    let (Some(base), Some(our), Some(their)) = (entries(&base), entries(&ours), entries(&theirs)) else {
        return ours;
    };
    let mut merged = Map::new();
    let keys = their.keys().chain(our.keys().filter(|key| !their.contains_key(*key)));
    for key in keys {
        if let Some(entry) = merge_entry(base.get(key), our.get(key), their.get(key)) {
            merged.insert(key.clone(), entry);
        }
    }
    Some(json!(merged))
}

fn merge_entry(base: Option<&Value>, ours: Option<&Value>, theirs: Option<&Value>) -> Option<Value> {
    if ours == base || ours == theirs {
        return theirs.cloned();
    }
    if theirs == base {
        return ours.cloned();
    }
    match (ours, theirs) {
        (Some(ours), Some(theirs)) => Some(newer(ours, theirs)),
        // One side removed it, and had not seen what the other wrote meanwhile.
        (ours, theirs) => ours.or(theirs).cloned(),
    }
}

/// The newer entry with the unknown fields of both; ours where neither is newer.
fn newer(ours: &Value, theirs: &Value) -> Value {
    let (Some(our), Some(their)) = (ours.as_object(), theirs.as_object()) else { return ours.clone() };
    let (winner, loser) = match stamp(our).cmp(&stamp(their)) {
        Ordering::Less => (their, our),
        Ordering::Equal | Ordering::Greater => (our, their),
    };
    let mut merged = winner.clone();
    keep_unknown(&mut merged, loser);
    Value::Object(merged)
}

/// When an entry was written; an id token says it itself.
fn stamp(entry: &Map<String, Value>) -> i64 {
    let written = time(entry, "cached_at").or_else(|| time(entry, "last_modification_time"));
    let signed_in = || time(entry, super::SIGNED_IN_AT);
    let issued = || IdTokenClaims::from_stored(entry.get("secret")?.as_str()?).ok().map(|claims| claims.iat);
    written.or_else(signed_in).or_else(issued).unwrap_or(0)
}
