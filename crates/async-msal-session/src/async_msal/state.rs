//! What a handle knows: the record as last read, and what was changed since.

use std::sync::Arc;

use async_msal::TokenCache;
use serde_json::Value;

use crate::identity::{Identity, Person};
use crate::patch::Patch;
use crate::record::SessionRecord;
use crate::session::Loaded;
use crate::session_id::{SessionId, StoreKey};

/// Where the record is.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// In the store, under this key.
    Stored(StoreKey),
    /// In this handle only.
    Unsaved,
    /// It has ended, or never was.
    Ended,
}

/// The state of one handle.
pub(super) struct State {
    pub(super) place: Place,
    pub(super) id: Option<SessionId>,
    pub(super) patch: Patch,
    pub(super) cache: Arc<TokenCache>,
    pub(super) person: Option<Arc<Person>>,
    /// The record as read; of a session that no store has, as it was made.
    record: Option<Arc<SessionRecord>>,
    loaded: Option<Loaded>,
}

impl State {
    pub(super) fn new(place: Place, id: Option<SessionId>) -> Self {
        let (patch, cache) = (Patch::default(), Arc::default());
        Self { place, id, patch, cache, person: None, record: None, loaded: None }
    }

    /// Shows a record that no store has.
    pub(super) fn view(
        &mut self,
        record: Arc<SessionRecord>,
        cache: Arc<TokenCache>,
        person: Option<Arc<Person>>,
    ) {
        (self.record, self.cache, self.person) = (Some(record), cache, person);
    }

    /// Shows what was read; changes not yet saved stay on top of it.
    pub(super) fn adopt(&mut self, loaded: Loaded) {
        (self.cache, self.person) = (Arc::clone(&loaded.cache), loaded.person.clone());
        self.record = Some(Arc::clone(&loaded.record));
        self.loaded = Some(loaded);
    }

    /// Shows what was saved, and keeps what was changed while it was being saved.
    pub(super) fn saved(&mut self, loaded: Loaded, patch: &Patch) {
        self.patch.take_out(patch);
        self.adopt(loaded);
    }

    pub(super) fn end(&mut self) {
        *self = Self::new(Place::Ended, None);
    }

    pub(super) fn is_loaded(&self) -> bool {
        self.record.is_some()
    }

    pub(super) fn loaded(&self) -> Option<Loaded> {
        self.loaded.clone()
    }

    pub(super) fn item(&self, name: &str) -> Option<Value> {
        match self.patch.item(name) {
            Some(changed) => changed.cloned(),
            None => self.record.as_ref()?.item(name),
        }
    }

    /// An item that is a non-empty text.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        match self.patch.item(name) {
            Some(changed) => changed?.as_str().filter(|text| !text.is_empty()).map(str::to_owned),
            None => self.record.as_ref()?.text(name),
        }
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.whole().0.names().map(str::to_owned).collect()
    }

    /// Record and person with all changes.
    pub(super) fn whole(&self) -> (SessionRecord, Option<Identity>) {
        let mut record = self.record.as_deref().cloned().unwrap_or_default();
        self.patch.apply(&mut record);
        (record, self.person.as_ref().map(|person| person.identity.clone()))
    }
}
