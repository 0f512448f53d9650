//! [`Msal`]: the application. One per process, cheap to clone.

mod builder;
mod credential;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_msal::{Clock, ConfidentialClient, Scopes};

pub use self::builder::MsalBuilder;
pub(crate) use self::builder::join;
use crate::api_client::ApiClient;
use crate::app_tokens::AppTokens;
use crate::background::Background;
use crate::endings::Endings;
use crate::error::Error;
use crate::handle::AsyncMsal;
use crate::health::Health;
use crate::renewal::Renewals;
use crate::sealing::{KeyRing, Purpose, SealError};
use crate::session::{Loaded, Memo};
use crate::session_id::{SessionId, StoreKey};
use crate::settings::Settings;
use crate::store::{Operation, SessionStore, StoreGuard};
use crate::turns::Turns;
use crate::unindexed::Walks;
use crate::user_index::{self, Find, PersonId};

/// The application: protocol client, session store, settings and the work in flight. One per process; a clone is
/// another handle to the same.
///
/// Nothing is asked of the network or the store before it is needed.
#[derive(Clone)]
pub struct Msal {
    inner: Arc<Inner>,
}

struct Inner {
    client: ConfidentialClient,
    settings: Settings,
    store: StoreGuard,
    record_keys: KeyRing,
    cookie_keys: KeyRing,
    api: ApiClient,
    app_tokens: AppTokens,
    renewals: Renewals,
    turns: Turns,
    memo: Memo,
    walks: Walks,
    endings: Endings,
    background: Background,
}

impl fmt::Debug for Msal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Msal").field("settings", &self.inner.settings).finish_non_exhaustive()
    }
}

impl Msal {
    /// Builds on a protocol client and a store. Required beside them: the application's own address, and keys or the
    /// client secret to derive them from.
    pub fn builder(client: ConfidentialClient, store: Arc<dyn SessionStore>) -> MsalBuilder {
        MsalBuilder::new(client, store)
    }

    /// Reads the settings from the process's environment. No network, no store.
    ///
    /// # Errors
    /// Names all that is missing or unreadable, at once.
    pub fn from_env() -> Result<Self, Error> {
        Self::from_settings(Settings::from_env()?)
    }

    /// Builds from settings. No network, no store; a CA_FILE is read.
    ///
    /// # Errors
    /// When the settings do not fit together.
    pub fn from_settings(settings: Settings) -> Result<Self, Error> {
        builder::from_settings(settings)
    }

    /// What is configured.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    /// The protocol client.
    #[must_use]
    pub fn client(&self) -> &ConfidentialClient {
        &self.inner.client
    }

    /// The clock everything here goes by.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        self.inner.client.clock()
    }

    /// The key under which the session of `id` is stored.
    #[must_use]
    pub fn store_key(&self, id: &SessionId) -> StoreKey {
        StoreKey::new(self.settings().layout(), self.settings().cookie_name(), id)
    }

    /// A handle of the session of `id` that reads the store only when something is asked of it.
    #[must_use]
    pub fn session(&self, id: &SessionId) -> AsyncMsal {
        AsyncMsal::stored(self.clone(), self.store_key(id), Some(id.clone()))
    }

    /// A handle of the session under a key met in a listing or kept by a job.
    #[must_use]
    pub fn session_by_key(&self, key: &StoreKey) -> AsyncMsal {
        AsyncMsal::stored(self.clone(), key.clone(), None)
    }

    /// A session of nobody yet, for items of a visitor. It is stored by its first [`AsyncMsal::save`].
    #[must_use]
    pub fn new_session(&self) -> AsyncMsal {
        AsyncMsal::fresh(self.clone())
    }

    /// Reads the session of `id`. `None` where there is none: unknown, ended, expired or unreadable.
    ///
    /// # Errors
    /// [`Error::Store`] when the store cannot be asked: that is not "signed out".
    ///
    /// # Cancel safety
    /// Nothing is left behind.
    pub async fn load_session(&self, id: &SessionId) -> Result<Option<AsyncMsal>, Error> {
        let session = self.session(id);
        Ok(session.load().await?.then_some(session))
    }

    /// The newest live session of the person, mail address or handle asked for.
    ///
    /// # Errors
    /// [`Error::Ambiguous`] when sessions of different people match; nobody is guessed. [`Error::Store`] when the store
    /// cannot be asked.
    ///
    /// # Cancel safety
    /// Nothing is left behind.
    pub async fn for_user(&self, find: &Find) -> Result<Option<AsyncMsal>, Error> {
        self.newest(find, |_| true).await
    }

    /// The newest live session of whom is asked for that holds `scopes`: they were granted to it, and a refresh token or an
    /// unexpired access token is there to use them.
    ///
    /// # Errors
    /// As [`for_user`](Self::for_user). People whose sessions lack the scopes count too: which of two people is meant is
    /// not guessed from what they granted.
    ///
    /// # Cancel safety
    /// Nothing is left behind.
    pub async fn for_user_with(&self, find: &Find, scopes: &Scopes) -> Result<Option<AsyncMsal>, Error> {
        self.newest(find, |loaded| {
            let account = loaded.person.as_ref().map(|person| &person.account);
            account.is_some_and(|account| self.client().holds_scopes(&loaded.cache, account, scopes))
        })
        .await
    }

    /// The live sessions of `find`; where there is none, those of other services too.
    pub(crate) async fn find(&self, find: &Find) -> Result<Vec<Loaded>, Error> {
        let found = user_index::lookup(self, find).await?.sessions;
        if found.is_empty() && self.refresh_index().await? {
            return Ok(user_index::lookup(self, find).await?.sessions);
        }
        Ok(found)
    }

    async fn newest(
        &self,
        find: &Find,
        wanted: impl Fn(&Loaded) -> bool,
    ) -> Result<Option<AsyncMsal>, Error> {
        let found = self.find(find).await?;
        let identities = found.iter().filter_map(|loaded| loaded.person.as_ref());
        let people: BTreeSet<PersonId> = identities.map(|person| PersonId::of(&person.identity)).collect();
        if people.len() > 1 {
            return Err(Error::Ambiguous(people.into_iter().collect()));
        }
        let age = |loaded: &Loaded| {
            let signed_in_at = loaded.person.as_ref().map(|person| person.identity.signed_in_at);
            (signed_in_at, loaded.record.created())
        };
        let newest = found.into_iter().filter(wanted).max_by_key(age);
        Ok(newest.map(|loaded| AsyncMsal::found(self.clone(), loaded)))
    }

    /// Store, authority and keys: each with since when and why.
    #[must_use]
    pub fn health(&self) -> Health {
        Health::new(self.store().health(), self.client().health())
    }

    /// Asks the store whether it is there, so that [`health`](Self::health) knows.
    ///
    /// # Errors
    /// [`Error::Store`] when it is not.
    ///
    /// # Cancel safety
    /// Nothing is left behind.
    pub async fn ping_store(&self) -> Result<(), Error> {
        Ok(self.store().run(Operation::Ping, |store| store.ping()).await?)
    }

    /// Stops background work and waits, at most `limit`, until sign-ins and renewals in flight have ended; `false` where
    /// the time ran out. 10 s is a good limit: the time of one token request.
    ///
    /// # Cancel safety
    /// Dropped, the work goes on unwatched.
    pub async fn shutdown(&self, limit: Duration) -> bool {
        self.inner.background.shutdown(limit).await
    }

    /// Seals a small value for a cookie of the web layer or the application. `place` says where it belongs, such as the
    /// cookie's name; a value moved elsewhere does not open.
    ///
    /// # Errors
    /// When the source of randomness fails.
    pub fn seal(&self, purpose: Purpose, place: &str, value: &[u8]) -> Result<String, SealError> {
        self.cookie_keys().seal_text(self.client().random().as_ref(), purpose, place, value)
    }

    /// Opens what [`seal`](Self::seal) made, with any of the keys. It carries no time: put one into the value.
    ///
    /// # Errors
    /// When it was altered, belongs elsewhere, or was sealed by an unknown key.
    pub fn open(&self, purpose: Purpose, place: &str, sealed: &str) -> Result<Vec<u8>, SealError> {
        self.cookie_keys().open_text(purpose, place, sealed).map(|text| text.to_vec())
    }

    pub(crate) fn store(&self) -> &StoreGuard {
        &self.inner.store
    }

    pub(crate) fn record_keys(&self) -> &KeyRing {
        &self.inner.record_keys
    }

    pub(crate) fn cookie_keys(&self) -> &KeyRing {
        &self.inner.cookie_keys
    }

    pub(crate) fn api(&self) -> &ApiClient {
        &self.inner.api
    }

    pub(crate) fn app_tokens(&self) -> &AppTokens {
        &self.inner.app_tokens
    }

    pub(crate) fn renewals(&self) -> &Renewals {
        &self.inner.renewals
    }

    pub(crate) fn turns(&self) -> &Turns {
        &self.inner.turns
    }

    pub(crate) fn memo(&self) -> &Memo {
        &self.inner.memo
    }

    pub(crate) fn endings(&self) -> &Endings {
        &self.inner.endings
    }

    pub(crate) fn walks(&self) -> &Walks {
        &self.inner.walks
    }

    pub(crate) fn background(&self) -> &Background {
        &self.inner.background
    }
}
