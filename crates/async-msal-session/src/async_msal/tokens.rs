//! Tokens of a session: from its cache without I/O, else by the one renewal.

use std::sync::Arc;

use async_msal::{ClaimsChallenge, Lookup, Scopes, TokenCache, TokenResult};

use super::{AsyncMsal, Place};
use crate::error::Error;
use crate::identity::Person;
use crate::renewal::{self, Cause, Request, is_final, token_hash};
use crate::telemetry;

/// What can be told of an access token without telling the token.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct TokenInfo {
    /// When it expires, unix seconds.
    pub expires_on: i64,
    /// Scopes the authority granted.
    pub scopes: Scopes,
}

impl AsyncMsal {
    /// An access token for `scopes`: from the session's cache without any I/O while it lives long enough, else renewed.
    ///
    /// However many ask at once, on however many nodes, one renewal is made. A token due for renewal ahead of time is
    /// handed out at once and renewed behind the caller's back. A renewal that fails while the old token still lives
    /// gives the old token.
    ///
    /// # Errors
    /// [`Error::NotSignedIn`] or [`Error::SessionEnded`] when there is nobody; [`Error::Protocol`] as the authority
    /// answered; [`Error::Store`] when the record cannot be read.
    ///
    /// # Cancel safety
    /// A renewal that has begun goes on and is saved; only its answer to this caller is lost.
    pub async fn get_token(&self, scopes: &Scopes) -> Result<TokenResult, Error> {
        self.load().await?;
        let (cache, person) = self.tokens()?;
        match self.msal().client().find_access_token(&cache, &person.account, scopes) {
            Lookup::Hit(hit) => {
                telemetry::count_one(telemetry::TOKEN_HITS);
                let token = TokenResult::from(hit);
                if token.renew_due {
                    self.renew_ahead(scopes);
                }
                Ok(token)
            }
            _ => self.renew(scopes, Cause::Expired).await,
        }
    }

    /// When the session's token for `scopes` expires and what it grants; `None` where there is none or it has expired.
    /// Nothing is renewed.
    #[must_use]
    pub fn token_info(&self, scopes: &Scopes) -> Option<TokenInfo> {
        let (cache, person) = self.tokens().ok()?;
        let token = self.msal().client().find_unexpired_token(&cache, &person.account, scopes)?.token;
        Some(TokenInfo { expires_on: token.expires_on, scopes: token.scopes })
    }

    /// Whether [`get_token`](Self::get_token) needs no renewal.
    pub(crate) fn holds_token(&self, scopes: &Scopes) -> bool {
        let Ok((cache, person)) = self.tokens() else { return false };
        matches!(self.msal().client().find_access_token(&cache, &person.account, scopes), Lookup::Hit(_))
    }

    /// Changes the token cache itself and saves it, merged with what others saved meanwhile. For tools that repair or
    /// age a session; an application has no need of it.
    ///
    /// # Errors
    /// As [`save`](Self::save).
    ///
    /// # Cancel safety
    /// Dropped, the change was saved or it was not.
    pub async fn update_token_cache(&self, change: impl FnOnce(&mut TokenCache)) -> Result<(), Error> {
        self.load().await?;
        let (cache, _) = self.tokens()?;
        let mut ours = TokenCache::clone(&cache);
        change(&mut ours);
        self.change_cache(&cache, ours);
        match self.place() {
            Place::Stored(_) => self.save().await,
            Place::Unsaved | Place::Ended => Ok(()),
        }
    }

    /// A token that meets `challenge`, in place of the one an API refused.
    pub(crate) async fn renew_for(
        &self,
        scopes: &Scopes,
        challenge: ClaimsChallenge,
        refused: &TokenResult,
    ) -> Result<TokenResult, Error> {
        let refused = token_hash(&refused.access_token);
        self.renew(scopes, Cause::Claims { challenge, refused }).await
    }

    async fn renew(&self, scopes: &Scopes, cause: Cause) -> Result<TokenResult, Error> {
        let key = match self.place() {
            Place::Stored(key) => key,
            Place::Unsaved => return self.renew_unsaved(scopes, cause).await,
            Place::Ended => return Err(Error::SessionEnded),
        };
        let since = self.msal().clock().now();
        let request = Request { key, scopes: scopes.clone(), cause, since };
        let renewed = self.ended_by(renewal::renew(self.msal(), request).await)?;
        self.state().adopt(renewed.loaded);
        Ok(renewed.token)
    }

    /// Renews a token that is due, in the background, unless that is under way.
    fn renew_ahead(&self, scopes: &Scopes) {
        let Place::Stored(key) = self.place() else { return };
        let (session, scopes) = (self.clone(), scopes.clone());
        let name = format!("renew {} {scopes}", key.as_str());
        self.msal().background().spawn_job(name, async move {
            if let Err(error) = session.renew(&scopes, Cause::Aging).await {
                tracing::warn!(target: telemetry::TARGET, session = %key.handle(), code = %error.code(),
                    "renewal ahead of time failed; the token still lives");
            }
        });
    }

    /// Before a session is stored there is one holder of it, and nobody to share a renewal with.
    async fn renew_unsaved(&self, scopes: &Scopes, cause: Cause) -> Result<TokenResult, Error> {
        let (base, person) = self.tokens()?;
        let (mut cache, options, refused) = cause.prepare(&base);
        cache.mark_unchanged();
        let result = self.msal().client().refresh(&mut cache, &person.account, scopes, options).await;
        if cache.has_changed() || refused && is_final(&result) {
            self.change_cache(&base, cache);
        }
        Ok(result?)
    }

    fn change_cache(&self, base: &TokenCache, ours: TokenCache) {
        let mut state = self.state();
        state.patch.change_cache(base.clone(), ours.clone());
        state.cache = Arc::new(ours);
    }

    fn tokens(&self) -> Result<(Arc<TokenCache>, Arc<Person>), Error> {
        let state = self.state();
        match (&state.place, &state.person) {
            (Place::Ended, _) => Err(Error::SessionEnded),
            (_, None) => Err(Error::NotSignedIn),
            (_, Some(person)) => Ok((Arc::clone(&state.cache), Arc::clone(person))),
        }
    }
}
