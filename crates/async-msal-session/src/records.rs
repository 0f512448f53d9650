//! The records themselves, for another session library that shares them with this one.
//!
//! A web framework of another language keeps its own idea of a session: items that it loads at a request's begin and saves
//! at its end. [`Records`] gives it the text of a record and takes what it changed, and sees to everything that such a
//! library gets wrong alone: a save is compared and merged and never brings back a session that has ended, one renewal is
//! made for all who ask, on all nodes, and the index knows who is signed in.

use std::fmt;
use std::sync::Arc;

use async_msal::{Scopes, TokenCache, TokenResult};
use bytes::Bytes;
use serde_json::value::RawValue;

use crate::error::Error;
use crate::msal::Msal;
use crate::patch::Patch;
use crate::record::{SessionRecord, item};
use crate::session::{Slide, keep_alive, leaves_room};
use crate::session_id::{SessionId, StoreKey};
use crate::store::Operation;
use crate::user_index::Find;

/// The records of an [`Msal`] as texts: see [`Msal::records`].
#[derive(Clone, Debug)]
pub struct Records {
    msal: Msal,
}

/// What a request changed in a session: items as JSON texts. What it says nothing of stays as it is.
#[derive(Clone, Default)]
#[must_use = "pass it to Records::save"]
pub struct ItemChanges {
    patch: Patch,
}

/// A token, and the record it stands in.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RecordToken {
    /// The token.
    pub token: TokenResult,
    /// The record by now: a renewal was saved in it before this.
    pub record: SessionRecord,
}

impl Msal {
    /// The records as texts, for another session library that shares them.
    #[must_use]
    pub fn records(&self) -> Records {
        Records { msal: self.clone() }
    }
}

impl ItemChanges {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets an item to a JSON text, which is stored as it is.
    ///
    /// # Errors
    /// [`Error::Item`] where the text is no JSON.
    pub fn set(&mut self, name: &str, json: &str) -> Result<(), Error> {
        let raw = serde_json::from_str::<Box<RawValue>>(json).map_err(|_| Error::Item {
            name: name.chars().take(128).collect(),
            reason: "the value is no JSON",
        })?;
        self.patch.set_text(name, raw);
        Ok(())
    }

    /// Removes an item.
    pub fn remove(&mut self, name: &str) {
        self.patch.remove(name);
    }

    /// Changes the token cache from `base`, as it was read, to `ours`; what others changed meanwhile is merged by entry.
    pub fn change_token_cache(&mut self, base: TokenCache, ours: TokenCache) {
        self.patch.change_cache(base, ours);
    }

    /// Whether nothing was changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.patch.is_empty()
    }
}

impl fmt::Debug for ItemChanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { patch } = self;
        f.debug_tuple("ItemChanges").field(patch).finish()
    }
}

impl Records {
    /// The text under a key, whatever it is, as the store has it now; `None` where there is none or its session has ended.
    /// Behind the caller's back a session that another library signed in is indexed, and one that is used lives on.
    ///
    /// # Errors
    /// [`Error::Store`] when the store cannot be asked.
    ///
    /// # Cancel safety
    /// Nothing is left behind.
    pub async fn read(&self, key: &StoreKey) -> Result<Option<Bytes>, Error> {
        let Some(stored) = self.msal.store().look(key).await? else { return Ok(None) };
        if self.msal.endings().contains(key) {
            return Ok(None);
        }
        let value = stored.value.clone();
        if let Some(loaded) = self.msal.understand_remembered(key, stored) {
            keep_alive(&self.msal, &loaded);
        }
        Ok(Some(value))
    }

    /// Saves changes: merged with what others saved meanwhile, never over it. The session's life is lengthened.
    ///
    /// # Errors
    /// [`Error::SessionEnded`] when there is no such session any more: nothing brings it back. [`Error::Item`] when it has
    /// grown too large. [`Error::Store`] when the store failed.
    ///
    /// # Cancel safety
    /// Dropped, the changes were saved or they were not.
    pub async fn save(&self, key: &StoreKey, changes: &ItemChanges) -> Result<SessionRecord, Error> {
        let saved = self.msal.save_patch(key, &changes.patch, Slide::Yes, None).await?;
        Ok(SessionRecord::clone(&saved.record))
    }

    /// Makes a session of these items under an id that nobody knows yet: the index, then the record, and then the sessions it
    /// takes the place of are ended and their records deleted.
    ///
    /// # Errors
    /// [`Error::Item`] when it is too large. [`Error::Store`] when the store failed. A failure to end the earlier session is
    /// none: that is tried again in the background.
    ///
    /// # Cancel safety
    /// Dropped, an earlier session may be there still, and a new one whose id nobody has.
    pub async fn create(&self, mut record: SessionRecord, replaces: &[StoreKey]) -> Result<SessionId, Error> {
        let id = SessionId::generate(self.msal.client().random().as_ref())?;
        record.set_created(self.msal.clock().now());
        let person = self.msal.person_of(&record);
        let identity = person.map(|person| person.identity.clone());
        if let Some(identity) = &identity {
            record.set(item::IDENTITY, &identity.to_value());
        }
        leaves_room(&record)?;
        self.msal.create_record(&id, &record, identity.as_ref()).await?;
        for key in replaces {
            self.end_replaced(key).await;
        }
        Ok(id)
    }

    /// Keeps the id of a visitor whose session holds nothing: `{}`, as aiohttp_session does.
    ///
    /// # Errors
    /// [`Error::Store`] when the store failed.
    ///
    /// # Cancel safety
    /// Dropped, it was written or it was not.
    pub async fn create_blank(&self) -> Result<SessionId, Error> {
        let id = SessionId::generate(self.msal.client().random().as_ref())?;
        let (key, ttl) = (self.msal.store_key(&id), self.msal.settings().session_idle());
        let blank = Bytes::from_static(b"{}");
        self.msal.store().run(Operation::Create, |store| store.create(&key, blank, ttl)).await?;
        Ok(id)
    }

    /// A token of the session: from its record as the store has it now, else by the one renewal of all nodes, which is saved
    /// before this returns.
    ///
    /// # Errors
    /// As [`AsyncMsal::get_token`](crate::AsyncMsal::get_token).
    ///
    /// # Cancel safety
    /// A renewal that has begun goes on and is saved; only its answer to this caller is lost.
    pub async fn token(&self, key: &StoreKey, scopes: &Scopes) -> Result<RecordToken, Error> {
        let session = self.msal.session_by_key(key);
        let token = session.get_token(scopes).await?;
        Ok(RecordToken { token, record: session.whole().0 })
    }

    /// The live sessions of whom is asked for, newest first. Where there is none, or `fresh` is asked for, those that only
    /// other libraries know are looked through first, at most once a minute.
    ///
    /// # Errors
    /// [`Error::Store`] when the store failed.
    ///
    /// # Cancel safety
    /// Nothing is left behind.
    pub async fn find(&self, find: &Find, fresh: bool) -> Result<Vec<(StoreKey, SessionRecord)>, Error> {
        if fresh {
            self.msal.refresh_index().await?;
        }
        let mut found = self.msal.find(find).await?;
        found.sort_by_key(|loaded| std::cmp::Reverse(loaded.record.created()));
        Ok(found.into_iter().map(|loaded| (loaded.key, Arc::unwrap_or_clone(loaded.record))).collect())
    }

    async fn end_replaced(&self, key: &StoreKey) {
        let ended = async {
            self.msal.end_record(key, "replaced").await?;
            // Blank by now, so that no save brings it back; nobody has its id any more.
            self.msal.store().run(Operation::Delete, |store| store.delete(key)).await?;
            Ok::<_, Error>(())
        };
        if let Err(error) = ended.await {
            tracing::warn!(target: crate::telemetry::TARGET, session = %key.handle(), code = %error.code(), "earlier session ends later");
            self.msal.end_later(std::slice::from_ref(key), "replaced");
        }
    }
}
