//! Renewing by a refresh token (RFC 6749 6, OpenID Connect Core 12).

use std::time::Duration;

use super::auth_code::anchor_mailbox;
use super::token_result::TokenResult;
use crate::account::Account;
use crate::authority::Metadata;
use crate::claims_challenge::{self, ClaimsChallenge};
use crate::confidential_client::ConfidentialClient;
use crate::error::{Error, InteractionRequired, Meaning};
use crate::id_token::verify::Occasion;
use crate::id_token::{IdTokenClaims, IdTokenError, VerifiedIdToken};
use crate::scope::Scopes;
use crate::secret::RefreshToken;
use crate::token_cache::{TokenCache, WriteOccasion, extended_cache_key};
use crate::token_endpoint::Slot;
use crate::token_endpoint::response::TokenResponse;

/// Wishes for one refresh.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct RefreshOptions {
    /// An API's claims challenge.
    pub claims: Option<ClaimsChallenge>,
    /// Ties the request to the caller's logs. Default: made here.
    pub correlation_id: Option<String>,
    /// Claims of the caller's own, laid over the others. The token they bring stands apart in the cache.
    pub client_claims: Option<ClaimsChallenge>,
}

impl RefreshOptions {
    /// Carries a claims challenge.
    #[must_use]
    pub fn with_claims(mut self, claims: ClaimsChallenge) -> Self {
        self.claims = Some(claims);
        self
    }

    /// Sets the correlation id, a UUID.
    #[must_use]
    pub fn with_correlation_id(mut self, id: impl Into<String>) -> Self {
        self.correlation_id = Some(id.into());
        self
    }

    /// Adds claims of the caller's own.
    #[must_use]
    pub fn with_client_claims(mut self, claims: ClaimsChallenge) -> Self {
        self.client_claims = Some(claims);
        self
    }
}

pub(crate) async fn refresh(
    client: &ConfidentialClient,
    cache: &mut TokenCache,
    account: &Account,
    scopes: &Scopes,
    options: RefreshOptions,
) -> Result<TokenResult, Error> {
    scopes.check_askable()?;
    let candidates = cache.refresh_tokens(account, client.client_id());
    let mut refusal =
        Error::from(InteractionRequired { missing_scopes: scopes.clone(), ..Default::default() });
    if candidates.is_empty() {
        return Err(refusal);
    }
    let metadata = client.metadata().await?;
    client.keys_at_hand().await?;
    let correlation_id = options.correlation_id.clone().unwrap_or_else(|| client.new_correlation_id());
    let asking = Asking {
        client,
        metadata: &metadata,
        account,
        scopes,
        options: &options,
        correlation_id: &correlation_id,
    };
    for (key, token) in candidates {
        match asking.ask(&token).await {
            Ok(response) => return asking.keep(cache, &key, &response).await,
            // Another of the account's refresh tokens may still be good.
            Err(Error::InteractionRequired(wanted)) => refusal = naming_scopes(*wanted, scopes).into(),
            Err(error) => return Err(error),
        }
    }
    Err(refusal)
}

/// Where consent is what is missing, the error says for which scopes: the next sign-in has to ask for them.
fn naming_scopes(mut wanted: InteractionRequired, scopes: &Scopes) -> InteractionRequired {
    let meaning = wanted.server.as_ref().and_then(|server| server.meaning());
    if wanted.missing_scopes.is_empty() && meaning == Some(Meaning::ConsentRequired) {
        wanted.missing_scopes = scopes.clone();
    }
    wanted
}

/// Which refreshes are one: a token that was replaced is another's turn, so nothing is remembered of its successor.
pub(super) fn slot(token: &RefreshToken, scopes: &Scopes, options: &RefreshOptions) -> Slot {
    let parts = ["refresh_token", token.expose_secret(), &scopes.to_string()];
    let text =
        |claims: &Option<ClaimsChallenge>| claims.as_ref().map_or("", ClaimsChallenge::as_str).to_owned();
    // No JSON text holds a NUL.
    Slot::new(&parts, &[text(&options.claims), text(&options.client_claims)].join("\0"))
}

/// How long [`refresh`] would send nothing: as it goes through the tokens, so does this.
pub(crate) fn pause(
    client: &ConfidentialClient,
    cache: &TokenCache,
    account: &Account,
    scopes: &Scopes,
    options: &RefreshOptions,
) -> Option<Duration> {
    let now = client.clock().monotonic();
    let mut shortest = None;
    for (_, token) in cache.refresh_tokens(account, client.client_id()) {
        let slot = slot(&token, scopes, options);
        let (error, left) = client.throttle().remembered(&slot, now)?;
        shortest = Some(shortest.map_or(left, |shortest: Duration| shortest.min(left)));
        if !matches!(error, Error::InteractionRequired(_)) {
            break;
        }
    }
    shortest
}

/// There is a token to live with, and whoever gets it need not wait for another attempt each time.
pub(crate) fn hold(
    client: &ConfidentialClient,
    cache: &TokenCache,
    account: &Account,
    scopes: &Scopes,
    error: &Error,
) {
    if let Some((_, token)) = cache.refresh_tokens(account, client.client_id()).first() {
        client.throttle().hold(
            &slot(token, scopes, &RefreshOptions::default()),
            error,
            client.clock().monotonic(),
        );
    }
}

/// Of tokens that were had with the caller's own claims.
pub(super) fn ext_cache_key(client_claims: Option<&ClaimsChallenge>) -> Option<String> {
    client_claims.map(|claims| extended_cache_key(&[("client_claims", claims.as_str())]))
}

struct Asking<'a> {
    client: &'a ConfidentialClient,
    metadata: &'a Metadata,
    account: &'a Account,
    scopes: &'a Scopes,
    options: &'a RefreshOptions,
    correlation_id: &'a str,
}

impl Asking<'_> {
    async fn ask(&self, token: &RefreshToken) -> Result<TokenResponse, Error> {
        let (client, clock) = (self.client, self.client.clock());
        let slot = slot(token, self.scopes, self.options);
        client.throttle().check(&slot, clock.monotonic())?;
        let claims = claims_challenge::merged_with(
            self.options.claims.as_ref(),
            client.capabilities(),
            self.options.client_claims.as_ref(),
        );
        let form = vec![
            ("refresh_token", token.expose_secret().to_owned()),
            ("scope", self.scopes.decorated().to_string()),
            ("claims", claims.unwrap_or_default()),
        ];
        let anchor = anchor_mailbox(self.account.home_account_id());
        let asked = client.request_token("refresh_token", form, self.correlation_id, Some(anchor)).await;
        asked.inspect_err(|error| client.throttle().note(&slot, error, clock.monotonic()))
    }

    /// The id token first; only then is anything stored, and what is missing named after that.
    async fn keep(
        &self,
        cache: &mut TokenCache,
        key: &str,
        response: &TokenResponse,
    ) -> Result<TokenResult, Error> {
        let id_token = self.verify(cache, response).await?;
        let ext_cache_key = ext_cache_key(self.options.client_claims.as_ref());
        let grant = self.client.grant(self.metadata, response, self.scopes, id_token.as_ref());
        let grant = grant.under(ext_cache_key.as_deref());
        let occasion = WriteOccasion::Refresh { used_key: key };
        cache.write(&grant.to_write(Some(self.account.home_account_id()), occasion));
        let result = grant.into_result(self.correlation_id.to_owned());
        if result.missing_scopes.is_empty() {
            return Ok(result);
        }
        Err(InteractionRequired { missing_scopes: result.missing_scopes, ..Default::default() }.into())
    }

    /// A bad id token refuses the whole answer; another person's ends the session too.
    async fn verify(
        &self,
        cache: &TokenCache,
        response: &TokenResponse,
    ) -> Result<Option<VerifiedIdToken>, Error> {
        let Some(raw) = &response.id_token else { return Ok(None) };
        let stored = cache.id_token(self.account, self.client.client_id());
        let previous = stored.and_then(|token| IdTokenClaims::from_stored(token.expose_secret()).ok());
        let occasion = Occasion::Refresh { previous: previous.as_ref() };
        let verified =
            self.client.verify_id_token(self.metadata, raw, &response.access_token, occasion).await;
        let verified = verified.map_err(|error| match error {
            Error::IdToken(reason) if reason.names_another() => Error::RefreshRefused(reason),
            other => other,
        })?;
        let claims = verified.claims();
        let subject = claims.oid.as_ref().unwrap_or(&claims.sub);
        if self.account.local_account_id().is_some_and(|known| known != subject) {
            return Err(Error::RefreshRefused(IdTokenError::Changed("oid")));
        }
        Ok(Some(verified))
    }
}
