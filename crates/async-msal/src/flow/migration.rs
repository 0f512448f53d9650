//! Taking over a refresh token that another library kept (RFC 6749 6).

use super::refresh_token::{RefreshOptions, slot};
use super::token_result::SignInResult;
use crate::confidential_client::ConfidentialClient;
use crate::error::{ConfigError, Error, InvalidResponse};
use crate::id_token::verify::Occasion;
use crate::scope::Scopes;
use crate::secret::RefreshToken;
use crate::token_cache::{TokenCache, WriteOccasion};

/// As a sign-in without a browser: the id token says whose it is, and comes before anything is stored.
pub(crate) async fn acquire(
    client: &ConfidentialClient,
    cache: &mut TokenCache,
    refresh_token: &RefreshToken,
    scopes: &Scopes,
) -> Result<SignInResult, Error> {
    scopes.check_askable()?;
    if refresh_token.expose_secret().is_empty() {
        return Err(ConfigError::Missing("the refresh token").into());
    }
    let clock = client.clock();
    let slot = slot(refresh_token, scopes, &RefreshOptions::default());
    client.throttle().check(&slot, clock.monotonic())?;
    let metadata = client.metadata().await?;
    client.keys_at_hand().await?;
    let correlation_id = client.new_correlation_id();
    let form = vec![
        ("refresh_token", refresh_token.expose_secret().to_owned()),
        ("scope", scopes.decorated().to_string()),
    ];
    let asked = client.request_token("refresh_token", form, &correlation_id, None).await;
    let mut response = asked.inspect_err(|error| client.throttle().note(&slot, error, clock.monotonic()))?;
    let raw = response.id_token.clone().ok_or(InvalidResponse::NoIdToken)?;
    let occasion = Occasion::Refresh { previous: None };
    let id_token = client.verify_id_token(&metadata, &raw, &response.access_token, occasion).await?;
    // An authority that does not rotate leaves the old one in force.
    response.refresh_token.get_or_insert_with(|| refresh_token.clone());
    let home = response.home_account_id.clone().unwrap_or_else(|| id_token.claims().sub.clone());
    let grant = client.grant(&metadata, &response, scopes, Some(&id_token));
    cache.write(&grant.to_write(Some(&home), WriteOccasion::Exchange));
    let account = cache.account_written(&home, client.environment(), metadata.realm());
    let account = account.ok_or(InvalidResponse::Member("client_info"))?;
    let token = grant.into_result(correlation_id);
    Ok(SignInResult { token, account, id_token })
}
