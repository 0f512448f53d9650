//! From the cache, else by a refresh.

use super::refresh_token::{self, RefreshOptions};
use super::token_result::TokenResult;
use crate::account::Account;
use crate::claims_challenge::ClaimsChallenge;
use crate::confidential_client::ConfidentialClient;
use crate::error::Error;
use crate::scope::Scopes;
use crate::telemetry;
use crate::token_cache::{AccessTokenQuery, Hit, Lookup, TokenCache};

pub(crate) fn find(
    client: &ConfidentialClient,
    cache: &TokenCache,
    account: &Account,
    scopes: &Scopes,
) -> Lookup {
    let query = AccessTokenQuery { account, client_id: client.client_id(), scopes };
    counted(cache.find(&query, client.clock().now()))
}

pub(crate) fn find_first(
    client: &ConfidentialClient,
    cache: &TokenCache,
    account: &Account,
    scopes: &Scopes,
    client_claims: Option<&ClaimsChallenge>,
) -> Lookup {
    let query = AccessTokenQuery { account, client_id: client.client_id(), scopes };
    let ext_cache_key = refresh_token::ext_cache_key(client_claims);
    counted(cache.find_first(&query, ext_cache_key.as_deref(), client.clock().now()))
}

fn counted(lookup: Lookup) -> Lookup {
    telemetry::cache_lookup(match &lookup {
        Lookup::Hit(hit) if hit.renew_due => "aging",
        Lookup::Hit(_) => "hit",
        Lookup::Miss(_) => "miss",
    });
    lookup
}

/// A token inside the leeway: renewing it is due.
pub(crate) fn find_unexpired(
    client: &ConfidentialClient,
    cache: &TokenCache,
    account: &Account,
    scopes: &Scopes,
) -> Option<Hit> {
    let query = AccessTokenQuery { account, client_id: client.client_id(), scopes };
    cache.find_unexpired(&query, client.clock().now()).map(|token| Hit { token, renew_due: true })
}

/// Whether a cache holds the scopes, reserved ones aside: a sign-in is granted those anyway.
pub(crate) fn holds(
    client: &ConfidentialClient,
    cache: &TokenCache,
    account: &Account,
    scopes: &Scopes,
) -> bool {
    let scopes = scopes.undecorated();
    let query = AccessTokenQuery { account, client_id: client.client_id(), scopes: &scopes };
    cache.holds(&query, client.clock().now())
}

pub(crate) async fn acquire(
    client: &ConfidentialClient,
    cache: &mut TokenCache,
    account: &Account,
    scopes: &Scopes,
) -> Result<TokenResult, Error> {
    // An aging token is returned at once: whoever keeps the cache renews it without making anybody wait.
    if let Lookup::Hit(hit) = find(client, cache, account, scopes) {
        return Ok(hit.into());
    }
    let error = match refresh_token::refresh(client, cache, account, scopes, RefreshOptions::default()).await
    {
        Ok(result) => return Ok(result),
        // Whose session this is has become doubtful: no token of it is handed out.
        Err(error) if error.ends_session() => return Err(error),
        Err(error) => error,
    };
    match find_unexpired(client, cache, account, scopes) {
        Some(hit) => {
            refresh_token::hold(client, cache, account, scopes, &error);
            tracing::warn!(code = error.code(), "the renewal failed; the token in hand has not expired yet");
            Ok(hit.into())
        }
        None => Err(error),
    }
}
