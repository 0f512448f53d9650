//! From a person to the keys of their sessions, at the same cost with ten sessions or ten million.
//!
//! Entries are added before a record is created and removed after it is deleted, so a stop in between leaves only entries
//! that point to nothing. Such an entry is ignored, and removed by its reader once it is older than a minute: a
//! younger one may belong to a record that is just being created.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::error::Error;
use crate::identity::Identity;
use crate::msal::Msal;
use crate::record::{SessionRecord, item};
use crate::session::{Loaded, Target};
use crate::session_id::{Handle, SessionLayout, StoreKey, sha256_hex};
use crate::store::{IndexEntry, IndexKey, Operation, StoreError};
use crate::telemetry;

/// A dangling entry is removed only when it is older than this, seconds.
const DANGLING_AFTER: i64 = 60;
/// Most sessions of one person that are looked at.
const MAX_SESSIONS: usize = 1000;
/// Both layouts.
pub(crate) const LAYOUTS: [SessionLayout; 2] = [SessionLayout::Sealed, SessionLayout::Aiohttp];

/// What sessions are found by. Matching is exact.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Find {
    /// The person: tenant id and object id, or issuer and subject.
    User {
        /// Tenant id, or issuer.
        tenant: String,
        /// Object id, or subject.
        object: String,
    },
    /// The mail address, compared in lower case. It names a session, never a person.
    Mail(String),
    /// The authority's session id of front-channel sign-out.
    Sid(String),
    /// One session, by its short name.
    Handle(Handle),
}

impl Find {
    /// A person by tenant and object id.
    #[must_use]
    pub fn user(tenant: impl Into<String>, object: impl Into<String>) -> Self {
        Self::User { tenant: tenant.into(), object: object.into() }
    }

    /// Sessions by mail address.
    #[must_use]
    pub fn mail(mail: impl Into<String>) -> Self {
        Self::Mail(mail.into())
    }

    fn parts(&self) -> (&'static str, String) {
        match self {
            // The length keeps ("ab", "c") apart from ("a", "bc").
            Self::User { tenant, object } => ("user", format!("{}:{tenant}:{object}", tenant.len())),
            Self::Mail(mail) => ("mail", mail.to_lowercase()),
            Self::Sid(sid) => ("sid", sid.clone()),
            Self::Handle(handle) => ("handle", handle.to_string()),
        }
    }

    /// Whether a record is really one of those asked for: the index may be older than the record.
    pub(crate) fn matches(&self, key: &StoreKey, identity: Option<&Identity>, mail: Option<&str>) -> bool {
        match self {
            Self::User { tenant, object } => {
                let named = |pair: (&str, &str)| pair == (tenant.as_str(), object.as_str());
                identity.is_some_and(|identity| named(identity.person()) || named(identity.subject()))
            }
            Self::Mail(wanted) => {
                // Whom a mail address names is somebody who has signed in with it.
                let same = |mail: &str| mail.to_lowercase() == wanted.to_lowercase();
                identity.is_some() && mail.is_some_and(same)
            }
            Self::Sid(sid) => identity.is_some_and(|identity| identity.sid.as_ref() == Some(sid)),
            Self::Handle(handle) => key.handle() == *handle,
        }
    }

    fn finds(&self, loaded: &Loaded) -> bool {
        let identity = loaded.person.as_ref().map(|person| &person.identity);
        self.matches(&loaded.key, identity, loaded.record.text(item::MAIL).as_deref())
    }
}

/// One of several people who match, named so that the next look-up can ask for them alone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[non_exhaustive]
pub struct PersonId {
    /// Tenant id, or issuer.
    pub tenant: String,
    /// Object id, or subject.
    pub object: String,
}

impl PersonId {
    pub(crate) fn of(identity: &Identity) -> Self {
        let (tenant, object) = identity.person();
        Self { tenant: tenant.to_owned(), object: object.to_owned() }
    }
}

impl From<PersonId> for Find {
    fn from(PersonId { tenant, object }: PersonId) -> Self {
        Self::User { tenant, object }
    }
}

impl fmt::Display for PersonId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.tenant, self.object)
    }
}

/// Everything a session is found by.
pub(crate) fn entries(key: &StoreKey, identity: &Identity, record: &SessionRecord) -> Vec<Find> {
    let (tenant, object) = identity.person();
    let mut finds = vec![Find::user(tenant, object), Find::Handle(key.handle())];
    finds.extend(identity.subject_for_logout().map(|(iss, sub)| Find::user(iss, sub)));
    finds.extend(record.text(item::MAIL).map(|mail| Find::mail(mail.to_lowercase())));
    finds.extend(identity.sid.clone().map(Find::Sid));
    finds
}

/// The names of one set: under the first key first. In layout aiohttp the store holds the mail address anyway, and all
/// services that share it must agree, so the name is a plain hash there.
fn names(msal: &Msal, layout: SessionLayout, find: &Find) -> Vec<IndexKey> {
    let (kind, text) = find.parts();
    let named = |hash: String| IndexKey::new(format!("async-msal:{kind}:{hash}"));
    match layout {
        SessionLayout::Aiohttp => vec![named(sha256_hex(text.as_bytes()))],
        SessionLayout::Sealed => {
            msal.record_keys().index_names(&format!("{kind}:{text}")).map(named).collect()
        }
    }
}

/// Adds a session under everything it is found by.
pub(crate) async fn add(
    msal: &Msal,
    key: &StoreKey,
    identity: &Identity,
    record: &SessionRecord,
    ttl: Duration,
) -> Result<(), StoreError> {
    let finds = entries(key, identity, record);
    let first = |find: &Find| names(msal, key.layout(), find).into_iter().next();
    let names: Vec<IndexKey> = finds.iter().filter_map(first).collect();
    msal.store().run(Operation::IndexAdd, |store| store.index_add(&names, key, ttl)).await
}

/// Takes a session out of everything it was found by. What remains points to nothing and is removed by its reader.
pub(crate) async fn remove(
    msal: &Msal,
    key: &StoreKey,
    identity: &Identity,
    record: &SessionRecord,
) -> Result<(), StoreError> {
    remove_entries(msal, key, &entries(key, identity, record)).await
}

/// Takes a session out of some of it.
pub(crate) async fn remove_entries(msal: &Msal, key: &StoreKey, finds: &[Find]) -> Result<(), StoreError> {
    let names: Vec<IndexKey> = finds.iter().flat_map(|find| names(msal, key.layout(), find)).collect();
    if names.is_empty() {
        return Ok(());
    }
    msal.store().run(Operation::IndexRemove, |store| store.index_remove(&names, key)).await
}

/// Whether a session is missing under any name it should be found by.
pub(crate) async fn missing(
    msal: &Msal,
    key: &StoreKey,
    identity: &Identity,
    record: &SessionRecord,
) -> Result<bool, StoreError> {
    for find in entries(key, identity, record) {
        if !is_under(msal, key, &find).await? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a session is under the present name of `find`.
pub(crate) async fn is_under(msal: &Msal, key: &StoreKey, find: &Find) -> Result<bool, StoreError> {
    let Some(name) = names(msal, key.layout(), find).into_iter().next() else { return Ok(false) };
    let entries =
        msal.store().run(Operation::IndexLookup, |store| store.index_lookup(&name, MAX_SESSIONS)).await?;
    Ok(entries.iter().any(|entry| entry.key == *key))
}

/// What a look-up found.
pub(crate) struct Lookup {
    /// The live sessions.
    pub(crate) sessions: Vec<Loaded>,
    /// The index holds more than one look-up sees.
    pub(crate) more: bool,
}

/// The live sessions of `find`, of both layouts: after a change of layout those that nobody used since keep the other.
pub(crate) async fn lookup(msal: &Msal, find: &Find) -> Result<Lookup, Error> {
    let names: Vec<(SessionLayout, IndexKey)> = LAYOUTS
        .into_iter()
        .flat_map(|layout| names(msal, layout, find).into_iter().map(move |name| (layout, name)))
        .collect();
    let asking = names.iter().map(|(_, name)| {
        msal.store().run(Operation::IndexLookup, |store| store.index_lookup(name, MAX_SESSIONS))
    });
    let answers = futures_util::future::try_join_all(asking).await?;
    let more = answers.iter().any(|entries| entries.len() >= MAX_SESSIONS);
    let mut found: BTreeMap<StoreKey, Vec<(&IndexKey, IndexEntry)>> = BTreeMap::new();
    for ((layout, name), entries) in names.iter().zip(answers) {
        // Another application may share the store and, in layout aiohttp, the names.
        let ours = |entry: &IndexEntry| {
            StoreKey::parse(*layout, msal.settings().cookie_name(), entry.key.as_str()).is_some()
        };
        for entry in entries.into_iter().filter(ours) {
            found.entry(entry.key.clone()).or_default().push((name, entry));
        }
    }
    let keys: Vec<StoreKey> = found.keys().cloned().collect();
    let mut sessions = Vec::new();
    let mut forgetting = true;
    for (record, entries) in msal.load_records(&keys).await?.into_iter().zip(found.into_values()) {
        match record {
            Target::Live(loaded) if find.finds(&loaded) => sessions.push(loaded),
            // By this process's clock and keys it may be nothing; others may read it.
            Target::Live(_) | Target::Unusable => {}
            Target::Absent if forgetting => forgetting = forget_dangling(msal, &entries).await,
            Target::Absent => {}
        }
    }
    Ok(Lookup { sessions, more })
}

/// Removes entries that point to nothing; `false` where the store takes no writes now, which is no failure of a look-up.
async fn forget_dangling(msal: &Msal, entries: &[(&IndexKey, IndexEntry)]) -> bool {
    let now = msal.clock().now();
    for (name, entry) in entries.iter().filter(|(_, entry)| now - entry.added_at > DANGLING_AFTER) {
        let name = std::slice::from_ref(*name);
        let removed =
            msal.store().run(Operation::IndexRemove, |store| store.index_remove(name, &entry.key)).await;
        if let Err(error) = removed {
            tracing::debug!(target: telemetry::TARGET, %error, "a dangling index entry stays behind");
            return false;
        }
    }
    true
}
