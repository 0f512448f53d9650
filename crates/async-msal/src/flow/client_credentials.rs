//! A token for the application itself (RFC 6749 4.4).

use super::token_result::TokenResult;
use crate::claims_challenge::{self, ClaimsChallenge};
use crate::confidential_client::ConfidentialClient;
use crate::error::{ConfigError, Error};
use crate::scope::Scopes;
use crate::telemetry;
use crate::token_cache::{HeldQuery, Hit, Lookup, MissReason, TokenCache, WriteOccasion, extended_cache_key};
use crate::token_endpoint::Slot;

/// Wishes for one token of the application's own.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ClientTokenOptions {
    /// An API's claims challenge: no token of the cache answers it.
    pub claims: Option<ClaimsChallenge>,
    /// Claims of the caller's own, sent beside a challenge; their tokens are kept apart in the cache.
    pub client_claims: Option<ClaimsChallenge>,
    /// Ties the request to the caller's logs. Default: made here.
    pub correlation_id: Option<String>,
    /// Asks the authority although the cache has a token.
    pub renew: bool,
    /// Path of a federated managed identity; its tokens are kept apart in the cache.
    pub fmi_path: Option<String>,
}

impl ClientTokenOptions {
    /// Carries a claims challenge.
    #[must_use]
    pub fn with_claims(mut self, claims: ClaimsChallenge) -> Self {
        self.claims = Some(claims);
        self
    }

    /// Sends claims of the caller's own.
    #[must_use]
    pub fn with_client_claims(mut self, claims: ClaimsChallenge) -> Self {
        self.client_claims = Some(claims);
        self
    }

    /// Sets the correlation id, a UUID.
    #[must_use]
    pub fn with_correlation_id(mut self, id: impl Into<String>) -> Self {
        self.correlation_id = Some(id.into());
        self
    }

    /// Renews a token whose `renew_due` was set. The one in hand is given where that fails.
    #[must_use]
    pub const fn renewing(mut self) -> Self {
        self.renew = true;
        self
    }

    /// Sets the path of a federated managed identity.
    #[must_use]
    pub fn with_fmi_path(mut self, path: impl Into<String>) -> Self {
        self.fmi_path = Some(path.into());
        self
    }
}

impl ClientTokenOptions {
    /// As MSAL has it: what makes this request's tokens others than a plain one's.
    fn ext_cache_key(&self) -> Option<String> {
        let claims = self.client_claims.as_ref().map(ClaimsChallenge::as_str).unwrap_or_default();
        let pairs = [("client_claims", claims), ("fmi_path", self.fmi_path.as_deref().unwrap_or_default())];
        pairs.iter().any(|(_, value)| !value.is_empty()).then(|| extended_cache_key(&pairs))
    }
}

pub(crate) async fn acquire(
    client: &ConfidentialClient,
    cache: &mut TokenCache,
    scopes: &Scopes,
    options: ClientTokenOptions,
) -> Result<TokenResult, Error> {
    scopes.check_askable()?;
    if scopes.is_empty() {
        return Err(ConfigError::Missing("the scope").into());
    }
    if client.authority().tenant().is_some_and(|tenant| tenant.is_shared()) {
        tracing::warn!("an application's token needs its tenant: common and organizations name none");
    }
    let realm = client.realm().await?;
    let ext_cache_key = options.ext_cache_key();
    let query = query_of(client, &realm, scopes, ext_cache_key.as_deref());
    if options.claims.is_none()
        && !options.renew
        && let Lookup::Hit(hit) = find(client, cache, &query)
    {
        return Ok(hit.into());
    }
    let slot = slot(&query, options.claims.as_ref());
    match unless_told_to_wait(client, &slot, ask(client, cache, &query, &options)).await {
        // A token that was challenged is of no use to whoever challenged it.
        Err(error) if options.claims.is_none() => in_hand(client, cache, &query, &slot, error),
        result => result,
    }
}

pub(crate) fn find_at_hand(
    client: &ConfidentialClient,
    cache: &TokenCache,
    scopes: &Scopes,
    options: &ClientTokenOptions,
) -> Lookup {
    let Some(realm) = client.realm_at_hand() else { return Lookup::Miss(MissReason::NotFound) };
    let ext_cache_key = options.ext_cache_key();
    let query = query_of(client, &realm, scopes, ext_cache_key.as_deref());
    find(client, cache, &query)
}

fn query_of<'a>(
    client: &'a ConfidentialClient,
    realm: &'a str,
    scopes: &'a Scopes,
    ext_cache_key: Option<&'a str>,
) -> HeldQuery<'a> {
    HeldQuery {
        client_id: client.client_id(),
        environment: client.environment(),
        realm,
        scopes,
        ext_cache_key,
        application: true,
        since: None,
    }
}

/// Asks, and keeps what is said about waiting; where that was said lately, it is the answer and nobody is asked.
pub(super) async fn unless_told_to_wait(
    client: &ConfidentialClient,
    slot: &Slot,
    asking: impl Future<Output = Result<TokenResult, Error>>,
) -> Result<TokenResult, Error> {
    client.throttle().check(slot, client.clock().monotonic())?;
    asking.await.inspect_err(|error| client.throttle().note(slot, error, client.clock().monotonic()))
}

/// What is left of the token before, where no other could be had.
pub(super) fn in_hand(
    client: &ConfidentialClient,
    cache: &TokenCache,
    query: &HeldQuery<'_>,
    slot: &Slot,
    error: Error,
) -> Result<TokenResult, Error> {
    let Some(token) = cache.find_held_unexpired(query, client.clock().now()) else { return Err(error) };
    client.throttle().hold(slot, &error, client.clock().monotonic());
    tracing::warn!(code = error.code(), "the renewal failed; the token in hand has not expired yet");
    Ok(Hit { token, renew_due: true }.into())
}

/// Which requests wait together. Parameters of the request's own, claims of the caller's, and the token that is exchanged
/// are in the extended key.
pub(super) fn slot(query: &HeldQuery<'_>, challenge: Option<&ClaimsChallenge>) -> Slot {
    let grant = if query.application { "client_credentials" } else { "on_behalf_of" };
    let scopes = query.scopes.to_string();
    let ext_cache_key = query.ext_cache_key.unwrap_or_default();
    let parts = [grant, query.environment, query.realm, query.client_id, &scopes, ext_cache_key];
    Slot::new(&parts, challenge.map(ClaimsChallenge::as_str).unwrap_or_default())
}

pub(super) fn find(client: &ConfidentialClient, cache: &TokenCache, query: &HeldQuery<'_>) -> Lookup {
    let lookup = cache.find_held(query, client.clock().now());
    telemetry::cache_lookup(match &lookup {
        Lookup::Hit(hit) if hit.renew_due => "aging",
        Lookup::Hit(_) => "hit",
        Lookup::Miss(_) => "miss",
    });
    lookup
}

async fn ask(
    client: &ConfidentialClient,
    cache: &mut TokenCache,
    query: &HeldQuery<'_>,
    options: &ClientTokenOptions,
) -> Result<TokenResult, Error> {
    let metadata = client.metadata().await?;
    let correlation_id = options.correlation_id.clone().unwrap_or_else(|| client.new_correlation_id());
    let claims = claims_challenge::merged_with(
        options.claims.as_ref(),
        client.capabilities(),
        options.client_claims.as_ref(),
    );
    let form = vec![
        ("scope", query.scopes.to_string()),
        ("claims", claims.unwrap_or_default()),
        ("fmi_path", options.fmi_path.clone().unwrap_or_default()),
    ];
    let response = client.request_token("client_credentials", form, &correlation_id, None).await?;
    let grant = client.grant(&metadata, &response, query.scopes, None);
    let grant = grant.undecorated().under(query.ext_cache_key);
    cache.write(&grant.to_write(None, WriteOccasion::Application));
    Ok(grant.into_result(correlation_id))
}
