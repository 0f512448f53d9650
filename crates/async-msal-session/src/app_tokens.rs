//! Tokens that belong to no session: the application's own, and those for which a caller's token was exchanged. Kept in this
//! process, bounded, one request at a time for each.

use std::sync::Arc;
use std::time::Duration;

use async_msal::{AccessToken, ClientTokenOptions, OnBehalfOfOptions, Scopes, TokenCache, TokenResult};
use moka::future::Cache;
use tokio::sync::Mutex;

use crate::error::Error;
use crate::msal::Msal;
use crate::session_id::sha256_hex;
use crate::telemetry;

/// Most scope sets, and most callers' tokens, that are remembered.
const SCOPE_SETS: u64 = 256;
const CALLERS: u64 = 2_000;
/// What nobody asked for so long is forgotten; access tokens live about as long.
const IDLE: Duration = Duration::from_secs(3_600);

/// A token cache for each scope set or caller: whoever waits for one token holds up nobody who wants another.
#[derive(Debug)]
pub(crate) struct AppTokens {
    own: Cache<String, Arc<Mutex<TokenCache>>>,
    callers: Cache<String, Arc<Mutex<TokenCache>>>,
}

impl AppTokens {
    pub(crate) fn new() -> Self {
        let cache = |capacity| Cache::builder().max_capacity(capacity).time_to_idle(IDLE).build();
        Self { own: cache(SCOPE_SETS), callers: cache(CALLERS) }
    }
}

impl Msal {
    /// A token for the application itself, for the `.default` scope of one API: from this process's memory, else by a
    /// request, one at a time for each scope set. One that is due for renewal is given at once and renewed in the
    /// background. For an `fmi_path` or claims, and a cache of one's own, see
    /// [`ConfidentialClient::acquire_token_for_client`](async_msal::ConfidentialClient::acquire_token_for_client).
    ///
    /// ```no_run
    /// # // Needs an authority.
    /// # async fn f(msal: async_msal_session::Msal) -> Result<(), async_msal_session::Error> {
    /// use async_msal_session::async_msal::Scopes;
    /// let token = msal.app_token(&Scopes::from(["https://graph.microsoft.com/.default"])).await?;
    /// let header = format!("Bearer {}", token.access_token.expose_secret());
    /// # let _ = header; Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::Protocol`]: scopes that cannot be asked, a registration that is refused, an authority that cannot be
    /// reached. A refusal is remembered for 60 s.
    ///
    /// # Cancel safety
    /// A token that was on its way is asked again.
    pub async fn app_token(&self, scopes: &Scopes) -> Result<TokenResult, Error> {
        let cache = self.app_tokens().own.get_with(scopes.to_string(), async { Arc::default() }).await;
        let options = ClientTokenOptions::default();
        let token = self.client().acquire_token_for_client(&mut *cache.lock().await, scopes, options).await?;
        if token.renew_due {
            let (msal, scopes) = (self.clone(), scopes.clone());
            self.background().spawn_job(format!("renew the application's {scopes}"), async move {
                msal.renew_app_token(&cache, &scopes).await;
            });
        }
        Ok(token)
    }

    /// A token for another API, on behalf of whoever called ours with `assertion`: from this process's memory, by that very
    /// token, else by an exchange, one at a time for each.
    ///
    /// ```no_run
    /// # // Needs an authority.
    /// # async fn f(msal: async_msal_session::Msal, bearer: &str) -> Result<(), async_msal_session::Error> {
    /// use async_msal_session::async_msal::{AccessToken, Scopes};
    /// let incoming = AccessToken::new(bearer); // validated for this API before
    /// let token = msal.token_on_behalf_of(&incoming, &Scopes::from(["User.Read"])).await?;
    /// # let _ = token; Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::Protocol`]; where its `advice()` is to refuse the caller, or the caller's user must act, answer 401.
    ///
    /// # Cancel safety
    /// The same token can be exchanged again.
    ///
    /// # Security
    /// The incoming token must have been validated for this API before: signature, issuer, audience and times. Here only its
    /// expiry is looked at.
    pub async fn token_on_behalf_of(
        &self,
        assertion: &AccessToken,
        scopes: &Scopes,
    ) -> Result<TokenResult, Error> {
        let caller = sha256_hex(assertion.expose_secret().as_bytes());
        let cache =
            self.app_tokens().callers.get_with(format!("{caller} {scopes}"), async { Arc::default() }).await;
        let mut cache = cache.lock().await;
        let options = OnBehalfOfOptions::default();
        Ok(self.client().acquire_token_on_behalf_of(&mut cache, assertion, scopes, options).await?)
    }

    /// On a copy, so that the token at hand is given meanwhile.
    async fn renew_app_token(&self, cache: &Mutex<TokenCache>, scopes: &Scopes) {
        let mut renewed = cache.lock().await.clone();
        let options = ClientTokenOptions::default().renewing();
        match self.client().acquire_token_for_client(&mut renewed, scopes, options).await {
            Ok(_) => *cache.lock().await = renewed,
            Err(error) => tracing::warn!(target: telemetry::TARGET, code = error.code(),
                "renewal ahead of time failed; the application's token still lives"),
        }
    }
}
