//! The client: one method for each way to a token.

mod accounts;
mod builder;
mod grant;
mod unattended;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use builder::ConfidentialClientBuilder;
use url::Url;

use crate::account::Account;
use crate::authority::discovery::Discovery;
use crate::authority::signing_keys::KeySet;
use crate::authority::{Authority, AuthorityKind, Metadata, Tenant};
use crate::claims_challenge::ClaimsChallenge;
use crate::client_credential::AssertionRequest;
use crate::client_credential::proof::{Means, Prover, Proving};
use crate::clock::Clock;
use crate::error::Error;
use crate::flow::{
    AuthCodeFlow, AuthCodeRequest, AuthResponse, RefreshOptions, SignInResult, SignOutRequest, TokenResult,
    auth_code, refresh_token, sign_out, silent,
};
use crate::health::ClientHealth;
use crate::http_client::{HttpClient, HttpOptions};
use crate::id_token::jws::Jws;
use crate::id_token::verify::{Expected, IdTokenPolicy, Occasion, verify};
use crate::id_token::{IdTokenError, LogoutToken, VerifiedIdToken, logout_token};
use crate::random::Random;
use crate::scope::Scopes;
use crate::secret::{AccessToken, IdToken};
use crate::token_cache::{Hit, Lookup, TokenCache};
use crate::token_endpoint::response::TokenResponse;
use crate::token_endpoint::{self, SendGate, Throttle, TokenRequest};

/// An application that can keep a secret. Cheap to clone; make one for each process.
#[derive(Clone)]
pub struct ConfidentialClient {
    inner: Arc<Inner>,
    gate: Option<Arc<SendGate>>,
}

struct Inner {
    client_id: String,
    prover: Prover,
    capabilities: Vec<String>,
    policy: IdTokenPolicy,
    http: HttpClient,
    http_options: HttpOptions,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    discovery: Arc<Discovery>,
    throttle: Throttle,
}

impl ConfidentialClient {
    /// Starts building; nothing is asked of the network before the first use.
    ///
    /// ```
    /// use async_msal::{Authority, ClientSecret, ConfidentialClient};
    /// let client = ConfidentialClient::builder("33333333-3333-3333-3333-333333333333")
    ///     .authority(Authority::parse("https://login.microsoftonline.com/contoso.onmicrosoft.com")?)
    ///     .client_secret(ClientSecret::new("from your vault"))
    ///     .build()?;
    /// assert_eq!(client.environment(), "login.microsoftonline.com");
    /// # Ok::<(), async_msal::Error>(())
    /// ```
    pub fn builder(client_id: impl Into<String>) -> ConfidentialClientBuilder {
        ConfidentialClientBuilder::new(client_id.into())
    }

    /// The registered application.
    #[must_use]
    pub fn client_id(&self) -> &str {
        &self.inner.client_id
    }

    /// Where tokens come from.
    #[must_use]
    pub fn authority(&self) -> &Authority {
        &self.inner.discovery.authority
    }

    /// The authority's host, lower-case.
    #[must_use]
    pub fn environment(&self) -> &str {
        self.authority().environment()
    }

    /// The clock of this client.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.inner.clock
    }

    /// The randomness of this client.
    #[must_use]
    pub fn random(&self) -> &Arc<dyn Random> {
        &self.inner.random
    }

    /// The options its HTTP client was built from, for a second client under the same rules.
    #[must_use]
    pub fn http_options(&self) -> &HttpOptions {
        &self.inner.http_options
    }

    /// State of the authority as last seen; asks nothing.
    #[must_use]
    pub fn health(&self) -> ClientHealth {
        let (authority, keys) = self.inner.discovery.health();
        ClientHealth { authority, keys }
    }

    /// The authority's metadata: fetched on first use, shared, kept while the authority is down.
    ///
    /// # Errors
    ///
    /// [`Error::Unreachable`], [`Error::InvalidResponse`], or [`Error::Config`] when the document is
    /// not this authority's.
    ///
    /// # Cancel safety
    ///
    /// Safe: a fetch that others wait for goes on.
    pub async fn metadata(&self) -> Result<Arc<Metadata>, Error> {
        self.inner.discovery.metadata().await
    }

    /// The metadata as last fetched, without asking.
    #[must_use]
    pub fn metadata_at_hand(&self) -> Option<Arc<Metadata>> {
        self.inner.discovery.metadata_at_hand()
    }

    /// The same client, whose token requests leave only while `gate` is open: for one call that may be given up.
    #[must_use]
    pub fn with_send_gate(&self, gate: Arc<SendGate>) -> Self {
        Self { inner: Arc::clone(&self.inner), gate: Some(gate) }
    }

    /// As [`initiate_auth_code_flow`](Self::initiate_auth_code_flow), without asking the network: the page's address is
    /// the metadata's where they are at hand, else the one that Entra ID, B2C, CIAM and ADFS have by rule. `None` where
    /// neither is known: at another provider before its metadata were fetched.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for a request that cannot work.
    pub fn initiate_without_network(&self, request: AuthCodeRequest) -> Result<Option<AuthCodeFlow>, Error> {
        auth_code::initiate_at_hand(self, request)
    }

    /// Starts a sign-in: send the browser to [`AuthCodeFlow::auth_uri`] and keep the flow.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for a request that cannot work, and those of [`metadata`](Self::metadata).
    ///
    /// # Cancel safety
    ///
    /// Safe: nothing is kept here.
    #[tracing::instrument(name = "async_msal.initiate", skip_all)]
    pub async fn initiate_auth_code_flow(&self, request: AuthCodeRequest) -> Result<AuthCodeFlow, Error> {
        auth_code::initiate(self, request).await
    }

    /// Finishes a sign-in: checks the response, redeems the code, verifies the id token, and only then
    /// writes the cache.
    ///
    /// # Errors
    ///
    /// [`Error::AuthResponse`] before anything is sent; then those of the token endpoint and
    /// [`Error::IdToken`]. The cache is unchanged in every case.
    ///
    /// # Cancel safety
    ///
    /// Not safe: dropped during redemption, the code is spent and its tokens are lost. Run it in a
    /// task of its own.
    #[tracing::instrument(name = "async_msal.redeem", skip_all)]
    pub async fn acquire_token_by_auth_code_flow(
        &self,
        cache: &mut TokenCache,
        flow: &AuthCodeFlow,
        response: AuthResponse,
    ) -> Result<SignInResult, Error> {
        auth_code::redeem(self, cache, flow, response).await
    }

    /// Looks for a usable access token; no I/O, and the cache stays as it is.
    #[must_use]
    pub fn find_access_token(&self, cache: &TokenCache, account: &Account, scopes: &Scopes) -> Lookup {
        silent::find(self, cache, account, scopes)
    }

    /// As [`find_access_token`](Self::find_access_token), in MSAL's order where several would do: the token of exactly these
    /// scopes, then the first that covers them. `client_claims` are those of
    /// [`RefreshOptions::client_claims`]: tokens that were had with them stand apart.
    #[must_use]
    pub fn find_first_access_token(
        &self,
        cache: &TokenCache,
        account: &Account,
        scopes: &Scopes,
        client_claims: Option<&ClaimsChallenge>,
    ) -> Lookup {
        silent::find_first(self, cache, account, scopes, client_claims)
    }

    /// Looks for a token that has not expired, however soon it will: for whoever cannot renew, or found that another just
    /// did. No I/O, and the cache stays as it is.
    #[must_use]
    pub fn find_unexpired_token(
        &self,
        cache: &TokenCache,
        account: &Account,
        scopes: &Scopes,
    ) -> Option<Hit> {
        silent::find_unexpired(self, cache, account, scopes)
    }

    /// Whether the scopes were granted to `account`, as far as the cache knows, and a token for them is there or can be had by
    /// a refresh. No I/O, and the cache stays as it is.
    #[must_use]
    pub fn holds_scopes(&self, cache: &TokenCache, account: &Account, scopes: &Scopes) -> bool {
        silent::holds(self, cache, account, scopes)
    }

    /// Renews by the account's refresh token, newest first.
    ///
    /// # Errors
    ///
    /// [`Error::InteractionRequired`] where there is none, it is dead, or fewer scopes were granted: the
    /// cache then holds what was granted, so save whenever [`TokenCache::has_changed`] says so.
    /// [`Error::RefreshRefused`] where the new id token is somebody else's.
    ///
    /// What the token endpoint answered is remembered for the same refresh token, scopes and claims, and given again
    /// without asking: as long as the authority asks to wait, 5 s where it fails and names no time, 60 s after a refusal.
    /// A token that replaced the refused one is asked with at once. See [`refresh_pause`](Self::refresh_pause).
    ///
    /// # Cancel safety
    ///
    /// Not safe: dropped while the authority answers, a rotated refresh token is lost. Run it in a
    /// task of its own.
    #[tracing::instrument(name = "async_msal.refresh", skip_all)]
    pub async fn refresh(
        &self,
        cache: &mut TokenCache,
        account: &Account,
        scopes: &Scopes,
        options: RefreshOptions,
    ) -> Result<TokenResult, Error> {
        refresh_token::refresh(self, cache, account, scopes, options).await
    }

    /// For how long [`refresh`](Self::refresh) would be answered by the error of before, without asking; `None` where it
    /// would ask. For whoever keeps back-offs of its own, so that none is waited for after the other. No I/O.
    #[must_use]
    pub fn refresh_pause(
        &self,
        cache: &TokenCache,
        account: &Account,
        scopes: &Scopes,
        options: &RefreshOptions,
    ) -> Option<Duration> {
        refresh_token::pause(self, cache, account, scopes, options)
    }

    /// For whoever goes on with a token in hand after `error` of a [`refresh`](Self::refresh): for five seconds the same is
    /// answered without asking, so that nobody else waits for an authority that does not answer.
    pub fn hold_refresh(&self, cache: &TokenCache, account: &Account, scopes: &Scopes, error: &Error) {
        refresh_token::hold(self, cache, account, scopes, error);
    }

    /// From the cache, else by a refresh. A refresh that fails while a token in hand has not expired
    /// gives that token, and a warning in the log.
    ///
    /// # Errors
    ///
    /// As [`refresh`](Self::refresh).
    ///
    /// # Cancel safety
    ///
    /// As [`refresh`](Self::refresh).
    pub async fn acquire_token_silent(
        &self,
        cache: &mut TokenCache,
        account: &Account,
        scopes: &Scopes,
    ) -> Result<TokenResult, Error> {
        silent::acquire(self, cache, account, scopes).await
    }

    /// Where to send the browser to sign out; `None` where the provider has no such page.
    ///
    /// # Errors
    ///
    /// Those of [`metadata`](Self::metadata).
    ///
    /// # Cancel safety
    ///
    /// Safe: nothing is kept here.
    pub async fn sign_out_url(&self, request: SignOutRequest) -> Result<Option<Url>, Error> {
        sign_out::sign_out_url(self, request).await
    }

    /// Verifies a logout token that the authority, or anybody, sent (OpenID Connect Back-Channel Logout 1.0 section
    /// 2.6). The keys and rules are those of id tokens.
    ///
    /// # Errors
    ///
    /// [`Error::IdToken`] where the token proves nothing; [`Error::Unreachable`] and those of
    /// [`metadata`](Self::metadata) where that cannot be told now.
    ///
    /// # Cancel safety
    ///
    /// Safe: nothing is kept here.
    ///
    /// # Security
    ///
    /// Whether its `jti` was seen before is for the caller to check.
    pub async fn verify_logout_token(&self, token: &str) -> Result<LogoutToken, Error> {
        let policy = &self.inner.policy;
        let jws = Jws::parse(token, &policy.algorithms)?;
        let metadata = self.metadata().await?;
        let keys = self.keys_for(&jws).await?;
        let expected = logout_token::Expected {
            client_id: self.client_id(),
            issuer: metadata.issuer_rule(),
            policy,
            now: self.inner.clock.now(),
        };
        Ok(logout_token::verify(&jws, &keys.candidates(jws.kid.as_deref(), jws.algorithm), &expected)?)
    }

    pub(crate) fn capabilities(&self) -> &[String] {
        &self.inner.capabilities
    }

    pub(crate) fn throttle(&self) -> &Throttle {
        &self.inner.throttle
    }

    /// The tenant's name in cache entries, where it is known without asking: it is configured by its id, or for many
    /// tenants, or the metadata were fetched.
    #[must_use]
    pub fn realm_at_hand(&self) -> Option<String> {
        match (self.authority().kind(), self.authority().tenant()) {
            (AuthorityKind::Entra, Some(Tenant::Id(id))) => Some(id.clone()),
            (AuthorityKind::Entra, Some(tenant)) if tenant.is_shared() => Some(tenant.as_str().to_owned()),
            _ => Some(self.metadata_at_hand()?.realm().to_owned()),
        }
    }

    /// As [`realm_at_hand`](Self::realm_at_hand), else learnt from the metadata.
    pub(crate) async fn realm(&self) -> Result<String, Error> {
        match self.realm_at_hand() {
            Some(realm) => Ok(realm),
            None => Ok(self.metadata().await?.realm().to_owned()),
        }
    }

    pub(crate) fn new_correlation_id(&self) -> String {
        uuid::Uuid::new_v4().to_string()
    }

    pub(crate) async fn request_token(
        &self,
        grant: &'static str,
        form: Vec<(&'static str, String)>,
        correlation_id: &str,
        anchor_mailbox: Option<String>,
    ) -> Result<TokenResponse, Error> {
        let metadata = self.metadata().await?;
        let request = TokenRequest {
            endpoint: metadata.token_endpoint(),
            grant,
            form,
            correlation_id,
            anchor_mailbox: anchor_mailbox.filter(|_| self.authority().kind() != AuthorityKind::Oidc),
            basic: metadata.only_basic(),
            repeatable: grant != "authorization_code",
            gate: self.gate.as_deref(),
        };
        let inner = &self.inner;
        let means = Means { http: &inner.http, clock: inner.clock.as_ref(), random: inner.random.as_ref() };
        let endpoint = request.endpoint.as_str();
        let generic = self.authority().kind() == AuthorityKind::Oidc;
        let audience = if generic { metadata.issuer() } else { endpoint };
        let asked = AssertionRequest::new(&inner.client_id, endpoint, audience);
        let proving = Proving { prover: &inner.prover, asked, means };
        token_endpoint::send(&proving, &request).await.inspect_err(|error| {
            if matches!(error, Error::Credential(_)) {
                inner.prover.forget();
            }
        })
    }

    /// Asked before a token request is sent: an answer whose id token could not be checked for want of
    /// keys would have spent a single-use code or refresh token for nothing.
    pub(crate) async fn keys_at_hand(&self) -> Result<(), Error> {
        self.inner.discovery.keys().await.map(drop)
    }

    pub(crate) async fn verify_id_token(
        &self,
        metadata: &Metadata,
        raw: &IdToken,
        access_token: &AccessToken,
        occasion: Occasion<'_>,
    ) -> Result<VerifiedIdToken, Error> {
        let policy = &self.inner.policy;
        let jws = Jws::parse(raw.expose_secret(), &policy.algorithms)?;
        let keys = self.keys_for(&jws).await?;
        let expected = Expected {
            client_id: self.client_id(),
            issuer: metadata.issuer_rule(),
            policy,
            access_token: Some(access_token),
            now: self.inner.clock.now(),
            occasion,
        };
        Ok(verify(raw, &jws, &keys.candidates(jws.kid.as_deref(), jws.algorithm), &expected)?)
    }

    /// The authority's keys, fetched again where they lack the one that the token names.
    async fn keys_for(&self, jws: &Jws<'_>) -> Result<Arc<KeySet>, Error> {
        let kid = jws.kid.as_deref();
        // Entra ID always names its key; another provider with one key need not.
        if kid.is_none() && self.inner.policy.entra {
            return Err(IdTokenError::KeyNotFound.into());
        }
        let keys = self.inner.discovery.keys().await?;
        if let Some(kid) = kid.filter(|kid| !keys.names(kid))
            && let Some(fetched) = self.inner.discovery.keys_again(kid).await?
        {
            return Ok(fetched);
        }
        Ok(keys)
    }
}

impl fmt::Debug for ConfidentialClient {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ConfidentialClient")
            .field("client_id", &self.inner.client_id)
            .field("authority", self.authority())
            .finish_non_exhaustive()
    }
}
