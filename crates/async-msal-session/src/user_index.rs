//! From a person to the keys of their sessions, at the same cost with ten sessions or ten million.
//!
//! Entries are added before a record is created and removed after it is deleted, so a stop in between leaves only entries
//! that point to nothing. Such an entry is ignored, and removed by its reader once it is older than a minute: a
//! younger one may belong to a record that is just being created.

use std::time::Duration;

use crate::error::Error;
use crate::identity::Identity;
use crate::msal::{Msal, SessionSummary};
use crate::record::{SessionRecord, item};
use crate::session_id::{SessionLayout, StoreKey, sha256_hex};
use crate::store::{IndexEntry, IndexKey, Operation, StoreError};

/// A dangling entry is removed only when it is older than this, seconds.
const DANGLING_AFTER: i64 = 60;
/// Most sessions of one person that are looked at.
const MAX_SESSIONS: usize = 1000;

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
        }
    }

    /// Whether a record is really one of those asked for: the index may be older than the record.
    fn matches(&self, identity: &Identity, mail: Option<&str>) -> bool {
        match self {
            Self::User { tenant, object } => identity.person() == (tenant, object),
            Self::Mail(wanted) => mail.is_some_and(|stored| stored.to_lowercase() == wanted.to_lowercase()),
            Self::Sid(sid) => identity.sid.as_ref() == Some(sid),
        }
    }

    /// Whether a session met in a listing is one of those asked for.
    pub(crate) fn matches_summary(&self, identity: &Identity, session: &SessionSummary) -> bool {
        self.matches(identity, session.mail.as_deref())
    }
}

/// A session that was found.
#[derive(Debug)]
pub(crate) struct FoundSession {
    pub(crate) key: StoreKey,
    pub(crate) record: SessionRecord,
    pub(crate) identity: Identity,
}

/// Everything a session is found by.
pub(crate) fn entries(identity: &Identity, record: &SessionRecord) -> Vec<Find> {
    let (tenant, object) = identity.person();
    let mut finds = vec![Find::user(tenant, object)];
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
    let finds = entries(identity, record);
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
    remove_entries(msal, key, &entries(identity, record)).await
}

/// Takes a session out of some of it.
pub(crate) async fn remove_entries(msal: &Msal, key: &StoreKey, finds: &[Find]) -> Result<(), StoreError> {
    let names: Vec<IndexKey> = finds.iter().flat_map(|find| names(msal, key.layout(), find)).collect();
    if names.is_empty() {
        return Ok(());
    }
    msal.store().run(Operation::IndexRemove, |store| store.index_remove(&names, key)).await
}

/// The live sessions of `find`, newest first.
pub(crate) async fn lookup(msal: &Msal, find: &Find) -> Result<Vec<FoundSession>, Error> {
    let mut found = Vec::new();
    for name in names(msal, msal.settings().layout(), find) {
        let entries =
            msal.store().run(Operation::IndexLookup, |store| store.index_lookup(&name, MAX_SESSIONS)).await?;
        for entry in entries {
            match msal.load_record(&entry.key).await? {
                Some(loaded) => {
                    if let Some(person) = loaded
                        .person
                        .as_ref()
                        .filter(|person| find.matches(&person.identity, loaded.record.text(item::MAIL)))
                    {
                        let identity = person.identity.clone();
                        found.push(FoundSession { key: entry.key, record: loaded.record, identity });
                    }
                }
                None => forget_dangling(msal, &name, &entry).await?,
            }
        }
    }
    Ok(found)
}

async fn forget_dangling(msal: &Msal, name: &IndexKey, entry: &IndexEntry) -> Result<(), StoreError> {
    if msal.clock().now() - entry.added_at > DANGLING_AFTER {
        msal.store()
            .run(Operation::IndexRemove, |store| store.index_remove(std::slice::from_ref(name), &entry.key))
            .await?;
    }
    Ok(())
}
