//! Records in the store: reading, saving by compare-and-set with merge on conflict, creating, sliding, ending.

mod memo;
mod reading;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

pub(crate) use self::memo::Memo;
pub(crate) use self::reading::{Loaded, Seen, Target};
use crate::error::Error;
use crate::identity::Identity;
use crate::msal::Msal;
use crate::patch::Patch;
use crate::record::SessionRecord;
use crate::sealing::Purpose;
use crate::session_id::{SessionId, SessionLayout, StoreKey};
use crate::store::{CasOutcome, Expiry, Operation, Stored, Version};
use crate::turns::Rounds;
use crate::user_index::Find;
use crate::{record, telemetry, user_index};

/// What a session was found by before a write.
struct Indexed {
    finds: Vec<Find>,
    /// Not all of it was in the index, or not under the present key.
    incomplete: bool,
}

impl Indexed {
    fn of(loaded: &Loaded) -> Self {
        let person = loaded.person.as_deref();
        Self {
            finds: person.map_or_else(Vec::new, |person| {
                user_index::entries(&loaded.key, &person.identity, &loaded.record)
            }),
            incomplete: loaded.former_key || person.is_none_or(|person| person.made_anew),
        }
    }
}

/// Whether a write also lengthens the session's life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Slide {
    Yes,
    No,
}

impl Msal {
    /// Saves a patch onto whatever the record is by now. `from` is what was read last, to save a read.
    ///
    /// Cancel safety: dropped at an await, the patch was saved or it was not; never half of it.
    pub(crate) async fn save_patch(
        &self,
        key: &StoreKey,
        patch: &Patch,
        slide: Slide,
        from: Option<Loaded>,
    ) -> Result<Loaded, Error> {
        let mut current = match from {
            Some(loaded) => Some(loaded),
            None => self.load_record(key).await?,
        };
        let mut rounds = Rounds::new(self, key);
        loop {
            let Some(loaded) = current else { return Err(dropped()) };
            if slide == Slide::Yes && patch.is_empty() && !loaded.slide_due(self) {
                return Ok(loaded);
            }
            if let Some(saved) = self.try_save(key, patch, slide, loaded).await? {
                return Ok(saved);
            }
            rounds.lost().await?;
            current = self.load_record(key).await?;
        }
    }

    /// One round of a save; `None` on a conflict.
    pub(crate) async fn try_save(
        &self,
        key: &StoreKey,
        patch: &Patch,
        slide: Slide,
        loaded: Loaded,
    ) -> Result<Option<Loaded>, Error> {
        let mut record = SessionRecord::clone(&loaded.record);
        if !patch.apply(&mut record) {
            return Err(dropped());
        }
        // A record without an end, or with a `created` that Python cannot read, is mended by any write.
        let lengthen = slide == Slide::Yes || record.is_spoiled() || loaded.stored.expires_at.is_none();
        let expiry = if lengthen {
            // Never back: a clock that was set back and is set right again signs nobody out.
            let created = record.created();
            record.set_created(if slide == Slide::Yes { created.max(self.clock().now()) } else { created });
            Expiry::After(self.time_to_live(loaded.person.as_ref().map(|person| &person.identity)))
        } else {
            Expiry::Keep
        };
        if patch.sets_own_items_only() {
            leaves_room(&record)?;
        }
        let value = self.seal_record(key, &record)?;
        let expected = &loaded.stored.version;
        let saving = |value: Bytes| {
            self.store().run(Operation::CompareAndSet, move |store| {
                store.compare_and_set(key, expected, value, expiry)
            })
        };
        match saving(value.clone()).await? {
            CasOutcome::Saved(version) => {
                let expires_at = match expiry {
                    Expiry::After(ttl) => Some(self.clock().now().saturating_add(seconds(ttl))),
                    Expiry::Keep => loaded.stored.expires_at,
                };
                let before = Indexed::of(&loaded);
                let saved = loaded.with(self, Arc::new(record), Stored::new(value, version, expires_at));
                self.index_again(&saved, before).await;
                Ok(Some(saved))
            }
            CasOutcome::Conflict => Ok(None),
            CasOutcome::Gone => Err(dropped()),
        }
    }

    /// After a write that changed what a session is found by, or the key that names it.
    async fn index_again(&self, saved: &Loaded, before: Indexed) {
        let Some(person) = &saved.person else { return };
        let finds = user_index::entries(&saved.key, &person.identity, &saved.record);
        if !before.incomplete && before.finds == finds {
            return;
        }
        let left: Vec<Find> = before.finds.into_iter().filter(|find| !finds.contains(find)).collect();
        let ttl = self.settings().session_absolute();
        let again = async {
            user_index::add(self, &saved.key, &person.identity, &saved.record, ttl).await?;
            user_index::remove_entries(self, &saved.key, &left).await
        };
        if let Err(error) = again.await {
            tracing::warn!(target: telemetry::TARGET, session = %saved.key.handle(), %error, "session was not indexed again");
        }
    }

    /// Makes the record of `id`: the index, then the record. One that is there already is left as it is, and counts as made:
    /// an id is random, so it is this one, written by an attempt that seemed to fail.
    ///
    /// Cancel safety: dropped in between, only index entries that point to nothing remain.
    pub(crate) async fn create_record(
        &self,
        id: &SessionId,
        record: &SessionRecord,
        identity: Option<&Identity>,
    ) -> Result<StoreKey, Error> {
        let key = self.store_key(id);
        self.create_under(&key, record, identity).await?;
        Ok(key)
    }

    /// As [`create_record`](Self::create_record); the record's version, or `None` where one is there already.
    pub(crate) async fn create_under(
        &self,
        key: &StoreKey,
        record: &SessionRecord,
        identity: Option<&Identity>,
    ) -> Result<Option<Version>, Error> {
        if let Some(identity) = identity {
            user_index::add(self, key, identity, record, self.settings().session_absolute()).await?;
        }
        let value = self.seal_record(key, record)?;
        let ttl = self.time_to_live(identity);
        Ok(self.store().run(Operation::Create, |store| store.create(key, value, ttl)).await?)
    }

    /// Ends a session: the record first, then its index entries. In layout aiohttp `{}` is written over the record,
    /// which Python understands as signed out; a key that vanished would look to it like a free one.
    pub(crate) async fn end_record(
        &self,
        key: &StoreKey,
        cause: &'static str,
    ) -> Result<Option<Loaded>, Error> {
        let loaded = self.load_stored(key).await?;
        self.renewals().forget(key).await;
        self.memo().forget(key);
        match key.layout() {
            SessionLayout::Sealed => {
                self.store().run(Operation::Delete, |store| store.delete(key)).await?;
            }
            SessionLayout::Aiohttp => self.blank_record(key).await?,
        }
        if let Some(loaded) = &loaded {
            telemetry::count(telemetry::SESSIONS_ENDED, "cause", cause);
            if let Some(person) = &loaded.person {
                let removed = user_index::remove(self, key, &person.identity, &loaded.record).await;
                if let Err(error) = removed {
                    tracing::debug!(target: telemetry::TARGET, session = %key.handle(), %error, "index entry stays behind");
                }
            }
        }
        Ok(loaded)
    }

    async fn blank_record(&self, key: &StoreKey) -> Result<(), Error> {
        let mut rounds = Rounds::new(self, key);
        loop {
            let Some(stored) = self.store().run(Operation::Load, |store| store.load(key)).await? else {
                return Ok(());
            };
            let blank = Bytes::from_static(b"{}");
            let version = &stored.version;
            // What other tools left without an end gets one.
            let end = match stored.expires_at {
                Some(_) => Expiry::Keep,
                None => Expiry::After(self.settings().session_idle()),
            };
            let call = self
                .store()
                .run(Operation::CompareAndSet, |store| store.compare_and_set(key, version, blank, end));
            if call.await? != CasOutcome::Conflict {
                return Ok(());
            }
            rounds.lost().await?;
        }
    }

    /// Removes a record that nobody has changed since it was read; `false` where somebody has, or it is gone. It is blanked first:
    /// a store compares when it writes, not when it deletes, and a blank record is brought back by nobody.
    pub(crate) async fn remove_unchanged(&self, key: &StoreKey, stored: &Stored) -> Result<bool, Error> {
        let blank = Bytes::from_static(b"{}");
        let call = self.store().run(Operation::CompareAndSet, |store| {
            store.compare_and_set(key, &stored.version, blank, Expiry::After(Duration::from_secs(1)))
        });
        if !matches!(call.await?, CasOutcome::Saved(_)) {
            return Ok(false);
        }
        self.memo().forget(key);
        self.store().run(Operation::Delete, |store| store.delete(key)).await?;
        Ok(true)
    }

    /// How long a record may live from now: the idle time, or less where the absolute end comes first.
    pub(crate) fn time_to_live(&self, identity: Option<&Identity>) -> Duration {
        let idle = self.settings().session_idle();
        let Some(identity) = identity else { return idle };
        let left = self.absolute_end(identity).saturating_sub(self.clock().now()).max(1);
        idle.min(Duration::from_secs(left.unsigned_abs()))
    }

    pub(crate) fn absolute_end(&self, identity: &Identity) -> i64 {
        identity.signed_in_at.saturating_add(seconds(self.settings().session_absolute()))
    }

    pub(crate) fn seal_record(&self, key: &StoreKey, record: &SessionRecord) -> Result<Bytes, Error> {
        let text = record.to_json();
        if text.len() > record::MAX_RECORD {
            return Err(too_large());
        }
        Ok(match key.layout() {
            SessionLayout::Sealed => {
                let random = self.client().random().as_ref();
                self.record_keys().seal_json(random, Purpose::Record, key.as_str(), &text)?.into()
            }
            SessionLayout::Aiohttp => text.into(),
        })
    }
}

/// What nobody waits for after a read: the sliding write, at most once per tenth of the idle time, and the identity of a
/// record that another service signed in, kept and indexed.
pub(crate) fn keep_alive(msal: &Msal, loaded: &Loaded) {
    let made_anew = loaded.person.as_ref().filter(|person| person.made_anew);
    if made_anew.is_none() && !loaded.slide_due(msal) {
        return;
    }
    let name = format!("keep {}", loaded.key.as_str());
    let (owner, loaded) = (msal.clone(), loaded.clone());
    msal.background().spawn_job(name, async move {
        let (key, slide) = (loaded.key.clone(), if loaded.slide_due(&owner) { Slide::Yes } else { Slide::No });
        if let Err(error) = owner.keep_identity(loaded, slide).await {
            tracing::debug!(target: telemetry::TARGET, session = %key.handle(), %error, "session was not lengthened");
        }
    });
}

/// Whether the items leave half of the record to the tokens, so that a renewal, whose refresh token is spent by then, can
/// always be saved.
pub(crate) fn leaves_room(record: &SessionRecord) -> Result<(), Error> {
    if record.size_beside_tokens() > record::MAX_RECORD / 2 { Err(too_large()) } else { Ok(()) }
}

fn too_large() -> Error {
    Error::Item { name: "all items".to_owned(), reason: "the session has grown too large" }
}

fn dropped() -> Error {
    telemetry::count_one(telemetry::PATCHES_DROPPED);
    Error::SessionEnded
}

pub(crate) fn seconds(time: Duration) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}
