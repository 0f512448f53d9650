//! [`AsyncMsal`]: one user's session, with tokens, API calls and the application's own items.

mod auth_code;
mod state;
mod tokens;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_msal::{Account, IdTokenClaims, TokenCache};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use self::state::{Place, State};
pub use self::tokens::TokenInfo;
use crate::error::Error;
use crate::identity::{Identity, Person};
use crate::msal::Msal;
use crate::patch::Patch;
use crate::record::{SessionRecord, item};
use crate::session::{Loaded, Slide, keep_alive, leaves_room};
use crate::session_id::{Handle, SessionId, StoreKey};

/// Most bytes of one of the application's items, as JSON.
const MAX_ITEM: usize = 64 * 1024;
/// Most bytes of an item's name.
const MAX_ITEM_NAME: usize = 128;

/// One user's session: cheap to clone, and every clone sees the same state.
///
/// A session that was loaded answers who is signed in without asking anybody, and gives an access token that still lives
/// without any I/O. Changes to items are kept in the handle until [`save`](Self::save); a renewed token is saved before it
/// is handed out.
#[derive(Clone)]
pub struct AsyncMsal {
    inner: Arc<Inner>,
}

struct Inner {
    msal: Msal,
    state: Mutex<State>,
}

impl fmt::Debug for AsyncMsal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncMsal").field("session", &self.handle()).finish_non_exhaustive()
    }
}

impl AsyncMsal {
    fn new(msal: Msal, state: State) -> Self {
        Self { inner: Arc::new(Inner { msal, state: Mutex::new(state) }) }
    }

    pub(crate) fn stored(msal: Msal, key: StoreKey, id: Option<SessionId>) -> Self {
        Self::new(msal, State::new(Place::Stored(key), id))
    }

    /// A session that a look-up has read. Nobody has used it by that, so its life is not lengthened.
    pub(crate) fn found(msal: Msal, loaded: Loaded) -> Self {
        let mut state = State::new(Place::Stored(loaded.key.clone()), None);
        state.adopt(loaded);
        Self::new(msal, state)
    }

    pub(crate) fn fresh(msal: Msal) -> Self {
        let record = SessionRecord::new(msal.clock().now());
        Self::unsaved(msal, record, Arc::default(), None)
    }

    /// A session that no store has yet.
    pub(crate) fn unsaved(
        msal: Msal,
        record: SessionRecord,
        cache: Arc<TokenCache>,
        person: Option<Arc<Person>>,
    ) -> Self {
        let mut state = State::new(Place::Unsaved, None);
        state.view(Arc::new(record), cache, person);
        Self::new(msal, state)
    }

    /// The application this session belongs to.
    #[must_use]
    pub fn msal(&self) -> &Msal {
        &self.inner.msal
    }

    /// Reads the session if that has not happened yet; `false` where there is none.
    ///
    /// # Errors
    /// [`Error::Store`] when the store cannot be asked.
    ///
    /// # Cancel safety
    /// Nothing is left behind.
    pub async fn load(&self) -> Result<bool, Error> {
        let (place, is_loaded) = {
            let state = self.state();
            (state.place.clone(), state.is_loaded())
        };
        let key = match place {
            Place::Stored(key) if !is_loaded => key,
            Place::Ended => return Ok(false),
            Place::Stored(_) | Place::Unsaved => return Ok(true),
        };
        let loaded = match self.session_id() {
            Some(id) => match self.msal().load_record_cached(&key).await? {
                None if self.msal().adopt(&id).await? => self.msal().load_record(&key).await?,
                loaded => loaded,
            },
            // Found by its key: a job or a tool asks, and wants what stands in the store now.
            None => self.msal().load_record(&key).await?,
        };
        let Some(loaded) = loaded else {
            self.state().place = Place::Ended;
            return Ok(false);
        };
        keep_alive(self.msal(), &loaded);
        self.state().adopt(loaded);
        Ok(true)
    }

    /// The session id, for the cookie of a session that was just made. A session found by its key has none.
    #[must_use]
    pub fn session_id(&self) -> Option<SessionId> {
        let state = self.state();
        // The id of a session that no store has is nobody's.
        matches!(state.place, Place::Stored(_)).then(|| state.id.clone()).flatten()
    }

    /// The key of the record; `None` while no store has it.
    #[must_use]
    pub fn store_key(&self) -> Option<StoreKey> {
        match &self.state().place {
            Place::Stored(key) => Some(key.clone()),
            Place::Unsaved | Place::Ended => None,
        }
    }

    /// The short name of the session, for logs and lists.
    #[must_use]
    pub fn handle(&self) -> Option<Handle> {
        self.store_key().map(|key| key.handle())
    }

    /// Whether somebody is signed in: a mail and an account with an id token, as Python sees it too.
    /// `false` before [`load`](Self::load).
    #[must_use]
    pub fn is_authenticated(&self) -> bool {
        let state = self.state();
        state.person.is_some() && state.text(item::MAIL).is_some()
    }

    /// The account in the token cache.
    #[must_use]
    pub fn account(&self) -> Option<Account> {
        self.state().person.as_ref().map(|person| person.account.clone())
    }

    /// Who is signed in, by the verified id token.
    #[must_use]
    pub fn identity(&self) -> Option<Identity> {
        self.state().person.as_ref().map(|person| person.identity.clone())
    }

    /// By what the authority knows the user: the id token's `login_hint`, which tells nobody who it is, else the name the
    /// user signs in with. For an authorization request: it identifies nobody.
    #[must_use]
    pub fn login_hint(&self) -> Option<String> {
        let state = self.state();
        let account = &state.person.as_ref()?.account;
        let token = state.cache.id_token(account, self.msal().client().client_id());
        let claims = token.and_then(|token| IdTokenClaims::from_stored(token.expose_secret()).ok());
        let hint = claims.and_then(|claims| claims.login_hint.or(claims.preferred_username));
        hint.or_else(|| Some(account.username().to_owned())).filter(|hint| !hint.is_empty())
    }

    /// The user's mail: Graph's, else the id token's `preferred_username`. For display: it identifies nobody.
    #[must_use]
    pub fn mail(&self) -> Option<String> {
        self.state().text(item::MAIL)
    }

    /// The user's display name.
    #[must_use]
    pub fn name(&self) -> Option<String> {
        self.state().text(item::NAME)
    }

    /// The manager's mail.
    #[must_use]
    pub fn manager_mail(&self) -> Option<String> {
        self.state().text(item::MANAGER_MAIL)
    }

    /// The manager's display name.
    #[must_use]
    pub fn manager_name(&self) -> Option<String> {
        self.state().text(item::MANAGER_NAME)
    }

    /// Application roles of the id token.
    #[must_use]
    pub fn roles(&self) -> Vec<String> {
        self.state().person.as_ref().map(|person| person.identity.roles.clone()).unwrap_or_default()
    }

    /// One of the application's own items; `None` where it is not there.
    ///
    /// # Errors
    /// [`Error::Item`] when it is of another type.
    pub fn item<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Error> {
        let Some(value) = self.state().item(name) else { return Ok(None) };
        serde_json::from_value(value)
            .map(Some)
            .map_err(|_| Error::Item { name: name.to_owned(), reason: "the stored value has another type" })
    }

    /// Sets one of the application's own items: kept here until [`save`](Self::save).
    ///
    /// # Errors
    /// [`Error::Item`] when the name is one of the library's or too long, or the value is over 64 KiB or no JSON.
    pub fn set_item<T: Serialize + ?Sized>(&self, name: &str, value: &T) -> Result<(), Error> {
        let refuse = |reason| Error::Item { name: name.chars().take(MAX_ITEM_NAME).collect(), reason };
        own_name(name)?;
        let value = serde_json::to_value(value).map_err(|_| refuse("the value is no JSON"))?;
        if value.to_string().len() > MAX_ITEM {
            return Err(refuse("the value is over 64 KiB"));
        }
        self.state().patch.set(name, value);
        Ok(())
    }

    /// Removes one of the application's own items, at the next [`save`](Self::save).
    ///
    /// # Errors
    /// [`Error::Item`] when the name is one of the library's.
    pub fn remove_item(&self, name: &str) -> Result<(), Error> {
        own_name(name)?;
        self.state().patch.remove(name);
        Ok(())
    }

    /// Names of the application's own items.
    #[must_use]
    pub fn item_names(&self) -> Vec<String> {
        self.state().names().into_iter().filter(|name| !item::RESERVED.contains(&name.as_str())).collect()
    }

    /// Whether [`save`](Self::save) would write anything.
    #[must_use]
    pub fn is_changed(&self) -> bool {
        !self.state().patch.is_empty()
    }

    /// Saves what was changed since the last save: merged with what others saved meanwhile, never over it.
    /// A session that no store has yet is created; its [`session_id`](Self::session_id) is then for the cookie.
    /// Where nothing was changed, nothing is written.
    ///
    /// # Errors
    /// [`Error::SessionEnded`] when the session is signed out by now: the changes are dropped, nothing brings it back.
    /// [`Error::Store`] when the store failed: the changes stay in the handle.
    ///
    /// # Cancel safety
    /// Dropped, the changes were saved or they were not, and stay in the handle.
    pub async fn save(&self) -> Result<(), Error> {
        let patch = self.state().patch.clone();
        if patch.is_empty() {
            return Ok(());
        }
        match self.place() {
            Place::Stored(key) => {
                let from = self.state().loaded();
                let saved = self.ended_by(self.msal().save_patch(&key, &patch, Slide::No, from).await)?;
                self.state().saved(saved, &patch);
                Ok(())
            }
            Place::Unsaved => {
                let (record, identity) = self.state().whole();
                self.create(record, identity.as_ref()).await
            }
            Place::Ended => Err(Error::SessionEnded),
        }
    }

    /// Ends the session here and in the store. The provider's own session goes on: see [`Msal::sign_out`].
    ///
    /// # Errors
    /// [`Error::Store`] when the store failed: the session is still there.
    ///
    /// # Cancel safety
    /// Dropped, the session was ended or it was not.
    pub async fn clear(&self) -> Result<(), Error> {
        if let Place::Stored(key) = self.place() {
            self.msal().end_record(&key, "sign_out").await?;
        }
        self.state().end();
        Ok(())
    }

    /// Creates the record of a session that no store has yet.
    pub(crate) async fn create(
        &self,
        record: SessionRecord,
        identity: Option<&Identity>,
    ) -> Result<(), Error> {
        leaves_room(&record)?;
        // One id over all attempts, so that one that only seemed to fail leaves no second record.
        let known = self.state().id.clone();
        let id = match known {
            Some(id) => id,
            None => SessionId::generate(self.msal().client().random().as_ref())?,
        };
        self.state().id = Some(id.clone());
        let key = self.msal().create_record(&id, &record, identity).await?;
        let loaded = self.msal().load_record(&key).await?;
        let mut state = self.state();
        state.place = Place::Stored(key);
        state.patch = Patch::default();
        if let Some(loaded) = loaded {
            state.adopt(loaded);
        }
        Ok(())
    }

    /// Record and person as this handle sees them, changes included.
    pub(crate) fn whole(&self) -> (SessionRecord, Option<Identity>) {
        self.state().whole()
    }

    /// Remembers that the session has ended, where an answer says so.
    fn ended_by<T>(&self, result: Result<T, Error>) -> Result<T, Error> {
        if matches!(result, Err(Error::SessionEnded)) {
            self.state().end();
        }
        result
    }

    fn place(&self) -> Place {
        self.state().place.clone()
    }

    /// Never held over an await.
    fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_own(&self, name: &str, value: Option<Value>) {
        let mut state = self.state();
        match value {
            Some(value) => state.patch.set(name, value),
            None => state.patch.remove(name),
        }
    }

    pub(crate) fn own(&self, name: &str) -> Option<Value> {
        self.state().item(name)
    }
}

/// A name the application may write under.
fn own_name(name: &str) -> Result<(), Error> {
    let reason = if name.is_empty() || name.len() > MAX_ITEM_NAME {
        "a name of 1 to 128 bytes is wanted"
    } else if item::RESERVED.contains(&name) {
        "the name belongs to the library"
    } else {
        return Ok(());
    };
    Err(Error::Item { name: name.chars().take(MAX_ITEM_NAME).collect(), reason })
}
