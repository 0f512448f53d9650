//! The auth code flow kept in the session itself, for applications with routes of their own.

use async_msal::{AuthCodeFlow, AuthCodeRequest, AuthResponse};
use serde::Deserialize as _;
use serde_json::Value;
use url::Url;

use super::AsyncMsal;
use crate::error::Error;
use crate::patch::Patch;
use crate::record::item;
use crate::session::Slide;
use crate::sign_in::{FLOW_LIFE, SignInHooks, check_state, redeem};
use crate::store::{MarkKey, Operation, PutOnce};
use crate::telemetry;

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
        self.set_own(item::FLOW_STARTED, Some(self.msal().clock().now().into()));
        self.save().await?;
        Ok(auth_uri)
    }

    /// Completes the sign-in kept in this session, once. The user is signed in in a new session with a new id, which is
    /// returned: set its cookie. This one ends.
    ///
    /// # Errors
    /// [`Error::SignInExpired`] when no sign-in is kept here, it was used, or it began over 15 minutes ago; [`Error::Protocol`] as the authority
    /// answered; [`Error::Store`] when the store cannot be asked.
    ///
    /// # Cancel safety
    /// Dropped after the code was sent, the sign-in is lost and must be started again.
    pub async fn acquire_token_by_auth_code_flow(&self, response: AuthResponse) -> Result<AsyncMsal, Error> {
        self.load().await?;
        let kept = self.state().item(item::FLOW_CACHE).ok_or(Error::SignInExpired)?;
        let flow = AuthCodeFlow::deserialize(&kept).map_err(|_| Error::SignInExpired)?;
        check_state(&response, flow.state())?;
        let result = self.redeem_kept(&flow, response).await;
        match &result {
            Ok(_) => self.state().end(),
            // The store's trouble may have come before the flow was marked as used.
            Err(Error::Store(_)) => {}
            Err(_) => self.forget_flow(&kept).await,
        }
        result
    }

    async fn redeem_kept(&self, flow: &AuthCodeFlow, response: AuthResponse) -> Result<AsyncMsal, Error> {
        let started = self.own(item::FLOW_STARTED).and_then(|started| started.as_i64());
        let life = FLOW_LIFE.as_secs().cast_signed();
        let age = started.map(|started| self.msal().clock().now().saturating_sub(started));
        if !age.is_some_and(|age| (-life..life).contains(&age)) {
            return Err(Error::SignInExpired);
        }
        let mark = MarkKey::of(flow.state().expose_secret());
        let store = self.msal().store();
        let marking =
            store.run(Operation::PutOnce, |store| store.put_once(&mark, "flow_cache".into(), FLOW_LIFE));
        if marking.await? != PutOnce::First {
            return Err(Error::SignInExpired);
        }
        redeem(self.msal(), flow, response, self.store_key(), &SignInHooks::new()).await
    }

    /// Takes a flow that is used up, and nothing else, out of the session. One that began meanwhile stays.
    async fn forget_flow(&self, kept: &Value) {
        let Some(key) = self.store_key() else { return };
        let Ok(Some(loaded)) = self.msal().load_record(&key).await else { return };
        if loaded.record.item(item::FLOW_CACHE).as_ref() != Some(kept) {
            return;
        }
        let mut patch = Patch::default();
        patch.remove(item::FLOW_CACHE);
        patch.remove(item::FLOW_STARTED);
        match self.msal().save_patch(&key, &patch, Slide::No, Some(loaded)).await {
            Ok(saved) => self.state().saved(saved, &patch),
            Err(error) => {
                tracing::debug!(target: telemetry::TARGET, code = %error.code(), "a used flow stays in the session");
            }
        }
    }
}
