//! Ways to a token without a browser.

use super::ConfidentialClient;
use crate::error::Error;
use crate::flow::{
    ClientTokenOptions, OnBehalfOfOptions, SignInResult, TokenResult, client_credentials, migration,
    on_behalf_of,
};
use crate::scope::Scopes;
use crate::secret::{AccessToken, RefreshToken};
use crate::token_cache::{Lookup, TokenCache};

impl ConfidentialClient {
    /// A token for the application itself, for the `.default` scope of one API: from the cache, else by a request
    /// (RFC 6749 4.4). Keep these in a cache that is no user's. An aging token is returned at once, with `renew_due`.
    ///
    /// ```no_run
    /// # // Needs an authority.
    /// # async fn f(client: async_msal::ConfidentialClient) -> Result<(), async_msal::Error> {
    /// use async_msal::{ClientTokenOptions, Scopes, TokenCache};
    /// let mut cache = TokenCache::new();
    /// let scopes = Scopes::from(["https://graph.microsoft.com/.default"]);
    /// let token = client.acquire_token_for_client(&mut cache, &scopes, ClientTokenOptions::default()).await?;
    /// # let _ = token; Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for scopes that cannot be asked, [`Error::Credential`] where the registration is refused,
    /// and those of the network. The cache is unchanged then. For as long as the authority asks to wait (5 s where it
    /// fails and names no time), and 60 s after it refused this very request, the same error is given without asking.
    ///
    /// # Cancel safety
    ///
    /// Safe: a token that was on its way is asked again.
    #[tracing::instrument(name = "async_msal.client_credentials", skip_all)]
    pub async fn acquire_token_for_client(
        &self,
        cache: &mut TokenCache,
        scopes: &Scopes,
        options: ClientTokenOptions,
    ) -> Result<TokenResult, Error> {
        client_credentials::acquire(self, cache, scopes, options).await
    }

    /// Looks for the application's own token, as [`acquire_token_for_client`](Self::acquire_token_for_client) does before it
    /// asks; no I/O, and the cache stays as it is. Nothing is found before the tenant is known
    /// ([`realm_at_hand`](Self::realm_at_hand)).
    #[must_use]
    pub fn find_client_token(
        &self,
        cache: &TokenCache,
        scopes: &Scopes,
        options: &ClientTokenOptions,
    ) -> Lookup {
        client_credentials::find_at_hand(self, cache, scopes, options)
    }

    /// A token for another API, on behalf of whoever called ours with `assertion`: from the cache, by the hash of that
    /// very token, else by an exchange. What was not granted is named in the result. What a token without a readable
    /// `exp` (one that is no JWT) was exchanged for is given from the cache for five minutes only.
    ///
    /// # Errors
    ///
    /// [`Error::UserAssertion`] for an incoming token that has expired, [`Error::InteractionRequired`] where the
    /// caller's user must act: answer 401 with its claims, so that the caller can. The cache is unchanged then. Errors are
    /// remembered as in [`acquire_token_for_client`](Self::acquire_token_for_client), for each incoming token by itself.
    ///
    /// # Cancel safety
    ///
    /// Safe: the same token can be exchanged again.
    ///
    /// # Security
    ///
    /// The incoming token must have been validated for this API before: signature, issuer, audience and times. Here
    /// only its expiry is looked at. Use a cache that MSAL Python 1.21 does not read
    /// ([`token_cache`](crate::token_cache)).
    #[tracing::instrument(name = "async_msal.on_behalf_of", skip_all)]
    pub async fn acquire_token_on_behalf_of(
        &self,
        cache: &mut TokenCache,
        assertion: &AccessToken,
        scopes: &Scopes,
        options: OnBehalfOfOptions,
    ) -> Result<TokenResult, Error> {
        on_behalf_of::acquire(self, cache, assertion, scopes, options).await
    }

    /// Takes over a refresh token that another library kept: afterwards the account is in the cache as after a
    /// sign-in. Sends no client capabilities.
    ///
    /// # Errors
    ///
    /// [`Error::InteractionRequired`] where the token is dead, [`Error::IdToken`] and [`Error::InvalidResponse`]
    /// where the answer does not prove whose it is. The cache is unchanged then.
    ///
    /// # Cancel safety
    ///
    /// Not safe: dropped while the authority answers, a rotated refresh token is lost. Run it in a
    /// task of its own.
    ///
    /// # Security
    ///
    /// That a browser's session and a refresh token belong together is for the caller to know.
    #[tracing::instrument(name = "async_msal.migrate", skip_all)]
    pub async fn acquire_token_by_refresh_token(
        &self,
        cache: &mut TokenCache,
        refresh_token: &RefreshToken,
        scopes: &Scopes,
    ) -> Result<SignInResult, Error> {
        migration::acquire(self, cache, refresh_token, scopes).await
    }
}
