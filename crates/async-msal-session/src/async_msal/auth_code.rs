//! The auth code flow kept in the session itself, for applications with routes of their own.

use async_msal::{AuthCodeFlow, AuthCodeRequest, AuthResponse};
use serde::Deserialize as _;
use url::Url;

use super::AsyncMsal;
use crate::error::Error;
use crate::record::item;
use crate::sign_in::{FLOW_LIFE, SignInHooks, check_state, redeem};
use crate::store::{MarkKey, Operation, PutOnce};

impl AsyncMsal {
    /// Starts a sign-in whose flow is kept in this session, and saves it: a session that no store has yet is created.
    /// The address is where to send the browser.
    ///
    /// [`Msal::initiate_sign_in`](crate::Msal::initiate_sign_in) keeps the flow in a cookie instead and stores nothing; a cookie with
    /// `SameSite=Lax` does not come along with a form post from the authority, so use response mode query with this one.
    ///
    /// # Errors
    /// [`Error::Protocol`] when the authority's endpoints cannot be had; errors of [`save`](Self::save).
    ///
    /// # Cancel safety
    /// Dropped, a flow may be kept that nobody completes.
    pub async fn initiate_auth_code_flow(&self, request: AuthCodeRequest) -> Result<Url, Error> {
        self.load().await?;
        let flow = self.msal().client().initiate_auth_code_flow(request).await?;
        let auth_uri = flow.auth_uri().cloned().ok_or(Error::SignInExpired)?;
        let kept = serde_json::to_value(&flow)
            .map_err(|_| Error::Item { name: item::FLOW_CACHE.to_owned(), reason: "the flow is no JSON" })?;
        self.set_own(item::FLOW_CACHE, Some(kept));
        self.save().await?;
        Ok(auth_uri)
    }

    /// Completes the sign-in kept in this session, once. The user is signed in in a new session with a new id, which is
    /// returned: set its cookie. This one ends.
    ///
    /// # Errors
    /// [`Error::SignInExpired`] when no sign-in is kept here or it was used; [`Error::Protocol`] as the authority
    /// answered; [`Error::Store`] when the store cannot be asked.
    ///
    /// # Cancel safety
    /// Dropped after the code was sent, the sign-in is lost and must be started again.
    pub async fn acquire_token_by_auth_code_flow(&self, response: AuthResponse) -> Result<AsyncMsal, Error> {
        self.load().await?;
        let kept = self.state().item(item::FLOW_CACHE).ok_or(Error::SignInExpired)?;
        let flow = AuthCodeFlow::deserialize(&kept).map_err(|_| Error::SignInExpired)?;
        check_state(&response, flow.state())?;
        let mark = MarkKey::of(flow.state().expose_secret());
        let store = self.msal().store();
        let marking =
            store.run(Operation::PutOnce, |store| store.put_once(&mark, "flow_cache".into(), FLOW_LIFE));
        if marking.await? != PutOnce::First {
            return Err(Error::SignInExpired);
        }
        let session = redeem(self.msal(), &flow, response, self.store_key(), &SignInHooks::new()).await?;
        self.state().end();
        Ok(session)
    }
}
