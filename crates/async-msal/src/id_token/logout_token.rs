//! The only place where a logout token becomes proof that an authority ended somebody's sessions.
//!
//! The checks walk OpenID Connect Back-Channel Logout 1.0 section 2.6 in its order.

use serde_json::{Map, Value};

use super::claims::IdTokenClaims;
use super::error::IdTokenError;
use super::jws::Jws;
use super::verify::{
    FARTHEST_ISSUE, IdTokenPolicy, SKEW, check_audience, check_issuer, check_tenant, check_times,
    signed_payload,
};
use crate::authority::issuer::Issuer;
use crate::authority::signing_keys::SigningKey;
use crate::json;

/// The member of `events` that makes a token a logout token (section 2.4).
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
/// The header's `typ`, where there is one, in lower case and without `application/` (RFC 7515 4.1.9).
const TYPES: [&str; 2] = ["logout+jwt", "jwt"];
/// Longer names of a session, a user or a token are none.
const LONGEST: usize = 255;

/// A logout token whose every check passed but one: whether its [`jti`](Self::jti) was seen before is for the caller,
/// who has the memory for it.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct LogoutToken {
    /// Issuer.
    pub iss: String,
    /// The user whose sessions end; at least one of this and `sid` is there.
    pub sub: Option<String>,
    /// The authority's session that ended.
    pub sid: Option<String>,
    /// Name of this token, given once.
    pub jti: String,
    /// From when on the token is refused for its age, Unix seconds: no need to remember its `jti` any longer.
    pub refused_from: i64,
}

/// What a logout token must agree with.
#[derive(Debug)]
pub(crate) struct Expected<'a> {
    pub(crate) client_id: &'a str,
    pub(crate) issuer: &'a Issuer,
    pub(crate) policy: &'a IdTokenPolicy,
    pub(crate) now: i64,
}

/// Verifies the signature with one of `candidates`, then each claim.
pub(crate) fn verify(
    jws: &Jws<'_>,
    candidates: &[&SigningKey],
    expected: &Expected<'_>,
) -> Result<LogoutToken, IdTokenError> {
    // RFC 8725 3.11: whatever names itself another kind of token is one. Section 2.4 recommends `logout+jwt`; deployed
    // providers leave it out or write `JWT`, and what those sign is told from an id token by `events` and the missing `nonce`.
    let typ = jws.typ.as_deref().map(str::to_ascii_lowercase);
    if typ.is_some_and(|typ| !TYPES.contains(&typ.strip_prefix("application/").unwrap_or(&typ))) {
        return Err(IdTokenError::Type);
    }
    // Steps 2 and 3 first, so that nothing unsigned is looked at.
    let (key, payload) = signed_payload(jws, candidates)?;
    let payload = json::parse_object(payload).map_err(|_| IdTokenError::Structure("payload"))?;
    // Step 4: as for id tokens.
    let claims = IdTokenClaims::from_logout_payload(&payload)?;
    check_issuer(&claims, key, expected.issuer)?;
    check_audience(&claims, expected.client_id)?;
    check_times(&claims, expected.now)?;
    // A logout token need not name a tenant; where it does, it is one of ours.
    if expected.policy.tenants && claims.tid.is_some() {
        check_tenant(&claims, expected.policy)?;
    }
    // Step 5.
    let sub = name("sub", Some(claims.sub).filter(|_| payload.contains_key("sub")))?;
    let sid = name("sid", claims.sid)?;
    if sub.is_none() && sid.is_none() {
        return Err(IdTokenError::Missing("sub"));
    }
    check_events(&payload)?;
    // Step 7: with a nonce it could be an id token.
    if payload.contains_key("nonce") {
        return Err(IdTokenError::Malformed("nonce"));
    }
    // Step 8 needs the name.
    let jti = match payload.get("jti") {
        None => return Err(IdTokenError::Missing("jti")),
        Some(jti) => name("jti", Some(jti.as_str().unwrap_or_default().to_owned()))?,
    };
    let refused_from = (claims.exp.saturating_add(SKEW)).min(claims.iat.saturating_add(FARTHEST_ISSUE + 1));
    Ok(LogoutToken { iss: claims.iss, sub, sid, jti: jti.unwrap_or_default(), refused_from })
}

/// Step 6: `events` holds the event, whose value is an object.
fn check_events(payload: &Map<String, Value>) -> Result<(), IdTokenError> {
    match payload.get("events") {
        None => Err(IdTokenError::Missing("events")),
        Some(Value::Object(events)) if events.get(EVENT).is_some_and(Value::is_object) => Ok(()),
        Some(_) => Err(IdTokenError::Malformed("events")),
    }
}

/// Where it stands it names something.
fn name(claim: &'static str, text: Option<String>) -> Result<Option<String>, IdTokenError> {
    match text {
        Some(text) if text.is_empty() || text.len() > LONGEST => Err(IdTokenError::Malformed(claim)),
        text => Ok(text),
    }
}

#[cfg(test)]
mod tests;
