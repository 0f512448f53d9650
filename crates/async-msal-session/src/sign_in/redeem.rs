//! From the code to a stored session.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use async_msal::{AuthCodeFlow, AuthResponse, IdTokenClaims, SignInResult, TokenCache};
use futures_util::FutureExt as _;
use serde_json::Value;
use tokio::time::Instant;

use super::SignInHooks;
use crate::error::Error;
use crate::graph::{PROFILE_TIME, is_for_graph};
use crate::handle::AsyncMsal;
use crate::identity::{Identity, Person, SIGNED_IN_AT};
use crate::msal::Msal;
use crate::record::{SessionRecord, item};
use crate::session::Loaded;
use crate::session_id::StoreKey;
use crate::telemetry;

/// Attempts to create the record of a sign-in that has succeeded: its code cannot be redeemed again.
const CREATE_ATTEMPTS: u32 = 4;
/// Pause after the first of them; each later one is twice as long.
const CREATE_PAUSE: Duration = Duration::from_millis(100);

/// Redeems, validates, fetches the profile, runs the callbacks, creates the new session and ends the old one.
pub(crate) async fn redeem(
    msal: &Msal,
    flow: &AuthCodeFlow,
    response: AuthResponse,
    from: Option<StoreKey>,
    hooks: &SignInHooks,
) -> Result<AsyncMsal, Error> {
    let mut cache = TokenCache::new();
    let signed_in = {
        let _room = msal.background().token_requests().acquire().await;
        msal.client().acquire_token_by_auth_code_flow(&mut cache, flow, response).await?
    };
    let now = msal.clock().now();
    let identity = Identity::new(signed_in.id_token.claims(), signed_in.id_token.raw(), now);
    let earlier = earlier_session(msal, from.as_ref()).await;
    let record = new_record(&signed_in, &identity, &mut cache, earlier.as_ref());
    let person = Person { identity: identity.clone(), account: signed_in.account.clone(), made_anew: false };
    let session = AsyncMsal::unsaved(msal.clone(), record, Arc::new(cache), Some(Arc::new(person)));
    fetch_profile(msal, &session, &signed_in).await;
    for callback in &hooks.callbacks {
        // A panic of the application's is an outcome like any other: whoever submits again is told the same.
        let called = AssertUnwindSafe(callback.on_sign_in(&session)).catch_unwind().await;
        called
            .map_err(|_| Error::CallbackPanicked)?
            .map_err(|refused| Error::Refused(refused.message().to_owned()))?;
    }
    create(&session, &identity).await?;
    if let Some(key) = &from {
        end_earlier(msal, key).await;
    }
    tracing::info!(target: telemetry::TARGET, session = session.handle().map(tracing::field::display), "signed in");
    Ok(session)
}

/// The session the flow started from. Should it be out of reach, the sign-in goes on without its items.
async fn earlier_session(msal: &Msal, from: Option<&StoreKey>) -> Option<Loaded> {
    match msal.load_record(from?).await {
        Ok(loaded) => loaded,
        Err(error) => {
            tracing::warn!(target: telemetry::TARGET, code = %error.code(), "earlier session cannot be read");
            None
        }
    }
}

/// The new record. The same verified person keeps items and tokens of the earlier session, another person nothing.
fn new_record(
    signed_in: &SignInResult,
    identity: &Identity,
    cache: &mut TokenCache,
    earlier: Option<&Loaded>,
) -> SessionRecord {
    let mut record = SessionRecord::new(identity.signed_in_at);
    let same = earlier.filter(|earlier| {
        earlier.person.as_ref().is_some_and(|person| person.identity.is_same_person(identity))
    });
    if let Some(earlier) = same {
        record.take_own_items(&earlier.record);
        *cache = TokenCache::merge(&TokenCache::new(), cache, &earlier.cache);
    }
    let signed_in_at = Value::from(identity.signed_in_at.to_string());
    cache.set_account_extra(&signed_in.account, SIGNED_IN_AT, signed_in_at);
    let claims = signed_in.id_token.claims();
    let mut set = |name: &str, value: Value| record.set(name, &value);
    set(item::TOKEN_CACHE, cache.to_json().into());
    set(item::IDENTITY, identity.to_value());
    set(item::MAIL, mail(claims).into());
    let name = claims.name.as_deref().filter(|name| !name.trim().is_empty());
    // All four are there, whatever Graph says: aiohttp_msal's `session_clean` deletes a record that lacks one of them.
    set(item::NAME, name.unwrap_or_default().into());
    set(item::MANAGER_MAIL, "".into());
    set(item::MANAGER_NAME, "".into());
    // Graph's words stand until Graph is asked again, which a token for another API does not allow.
    if let Some(earlier) = same {
        record.take_profile(&earlier.record);
    }
    record
}

/// Never empty: Python counts a session without mail as signed out. It identifies nobody.
fn mail(claims: &IdTokenClaims) -> String {
    let candidates =
        [claims.preferred_username.as_ref(), claims.email.as_ref(), claims.oid.as_ref(), Some(&claims.sub)];
    candidates.into_iter().flatten().find(|text| !text.trim().is_empty()).cloned().unwrap_or_default()
}

/// A failure here is none of the sign-in: the profile is fetched by the next request that asks for it.
async fn fetch_profile(msal: &Msal, session: &AsyncMsal, signed_in: &SignInResult) {
    let deadline = Instant::now() + PROFILE_TIME;
    let graph = tokio::time::timeout_at(deadline, msal.api().graph_url(msal.client())).await;
    match graph {
        // A token of another API is not shown to Graph.
        Ok(Ok(graph)) if is_for_graph(&signed_in.token.scopes, &graph) => {
            session.fetch_profile_by(deadline).await;
        }
        _ => tracing::debug!(target: telemetry::TARGET, "no Graph to ask for the profile"),
    }
}

async fn create(session: &AsyncMsal, identity: &Identity) -> Result<(), Error> {
    let mut pause = CREATE_PAUSE;
    for attempt in 1.. {
        let (record, _) = session.whole();
        match session.create(record, Some(identity)).await {
            Err(Error::Store(error)) if attempt < CREATE_ATTEMPTS && error.is_retryable() => {
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
            other => return other,
        }
    }
    Ok(())
}

/// The old record must not outlive the new one. Should the store fail now, it is tried again in the background.
async fn end_earlier(msal: &Msal, key: &StoreKey) {
    if let Err(error) = msal.end_record(key, "replaced").await {
        tracing::warn!(target: telemetry::TARGET, session = %key.handle(), code = %error.code(), "earlier session ends later");
        msal.end_later(std::slice::from_ref(key), "replaced");
    }
}
