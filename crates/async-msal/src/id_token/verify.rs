//! The only place where an id token becomes proof of who signed in.
//!
//! The checks walk OpenID Connect Core 1.0 section 3.1.3.7 in its order.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq;

use super::claims::IdTokenClaims;
use super::error::IdTokenError;
use super::jws::{Jws, SigningAlgorithm};
use crate::authority::PERSONAL_TENANT;
use crate::authority::issuer::Issuer;
use crate::authority::signing_keys::SigningKey;
use crate::authority::tenant::is_guid;
use crate::json;
use crate::pkce::{nonce_on_the_wire, sha256};
use crate::secret::{AccessToken, IdToken, Nonce};

/// Clocks of two machines may differ by this many seconds.
pub(crate) const SKEW: i64 = 300;
/// An id token issued longer ago, or further ahead, is none of this sign-in.
pub(super) const FARTHEST_ISSUE: i64 = 86_400;

/// An id token whose every check passed; only this module makes one.
#[derive(Debug, Clone)]
pub struct VerifiedIdToken {
    claims: IdTokenClaims,
    raw: IdToken,
}

impl VerifiedIdToken {
    /// What it says.
    #[must_use]
    pub const fn claims(&self) -> &IdTokenClaims {
        &self.claims
    }

    /// The token itself.
    #[must_use]
    pub const fn raw(&self) -> &IdToken {
        &self.raw
    }
}

/// What an id token must agree with.
#[derive(Debug)]
pub(crate) struct Expected<'a> {
    pub(crate) client_id: &'a str,
    pub(crate) issuer: &'a Issuer,
    pub(crate) policy: &'a IdTokenPolicy,
    pub(crate) access_token: Option<&'a AccessToken>,
    pub(crate) now: i64,
    pub(crate) occasion: Occasion<'a>,
}

/// A sign-in brings a nonce; a refresh brings the id token of before.
#[derive(Debug)]
pub(crate) enum Occasion<'a> {
    SignIn { nonce: &'a Nonce, max_age: Option<u64> },
    Refresh { previous: Option<&'a IdTokenClaims> },
}

/// What the client's builder decided about id tokens.
#[derive(Debug, Clone)]
pub(crate) struct IdTokenPolicy {
    pub(crate) algorithms: Vec<SigningAlgorithm>,
    pub(crate) allowed_tenants: Vec<String>,
    pub(crate) allow_personal: bool,
    pub(crate) entra: bool,
    /// Must tokens name a tenant that is allowed?
    pub(crate) tenants: bool,
}

/// Verifies the signature with one of `candidates`, then each claim.
pub(crate) fn verify(
    raw: &IdToken,
    jws: &Jws<'_>,
    candidates: &[&SigningKey],
    expected: &Expected<'_>,
) -> Result<VerifiedIdToken, IdTokenError> {
    // RFC 8725 3.11: another kind of token, well signed by the same authority, is no id token.
    if jws.typ.as_deref().is_some_and(|typ| !typ.eq_ignore_ascii_case("JWT")) {
        return Err(IdTokenError::Type);
    }
    // Step 6 first, so that nothing unsigned is looked at.
    let (key, payload) = signed_payload(jws, candidates)?;
    let payload = json::parse_object(payload).map_err(|_| IdTokenError::Structure("payload"))?;
    if payload.contains_key("events") {
        return Err(IdTokenError::Type);
    }
    let claims = IdTokenClaims::from_payload(&payload)?;
    check_issuer(&claims, key, expected.issuer)?;
    check_audience(&claims, expected.client_id)?;
    check_subject(&claims)?;
    check_times(&claims, expected.now)?;
    check_access_token_hash(&claims, expected.access_token)?;
    if expected.policy.tenants {
        check_tenant(&claims, expected.policy)?;
    }
    match &expected.occasion {
        Occasion::SignIn { nonce, max_age } => {
            check_nonce(&claims, nonce)?;
            check_auth_time(&claims, *max_age, expected.now)?;
        }
        Occasion::Refresh { previous: Some(previous) } => check_unchanged(&claims, previous)?,
        Occasion::Refresh { previous: None } => {}
    }
    Ok(VerifiedIdToken { claims, raw: raw.clone() })
}

/// Step 6 and 7: the signature, by a key of the authority whose algorithm agrees.
pub(super) fn signed_payload<'a, 'k>(
    jws: &'a Jws<'_>,
    candidates: &[&'k SigningKey],
) -> Result<(&'k SigningKey, &'a [u8]), IdTokenError> {
    let mut refusal = IdTokenError::KeyNotFound;
    for key in candidates {
        match jws.verify_with(key) {
            Ok(payload) => return Ok((key, payload)),
            Err(error) => refusal = error,
        }
    }
    Err(refusal)
}

/// Step 2: `iss` exactly; where keys carry an issuer of their own, that one too.
pub(super) fn check_issuer(
    claims: &IdTokenClaims,
    key: &SigningKey,
    issuer: &Issuer,
) -> Result<(), IdTokenError> {
    let wanted = issuer.for_tenant(claims.tid.as_deref());
    if wanted.as_deref() != Some(claims.iss.as_str()) {
        let expected = issuer.as_str().to_owned();
        return Err(IdTokenError::Issuer { expected, found: claims.iss.chars().take(256).collect() });
    }
    match &key.issuer {
        Some(issuer) if issuer.for_tenant(claims.tid.as_deref()).as_deref() != Some(claims.iss.as_str()) => {
            Err(IdTokenError::KeyIssuer)
        }
        _ => Ok(()),
    }
}

/// Steps 3 to 5: for this client and nobody else; `azp` beside several audiences.
pub(super) fn check_audience(claims: &IdTokenClaims, client_id: &str) -> Result<(), IdTokenError> {
    if claims.aud.iter().any(|audience| audience != client_id) {
        return Err(IdTokenError::Audience);
    }
    match &claims.azp {
        Some(party) if party != client_id => Err(IdTokenError::AuthorizedParty),
        None if claims.aud.len() > 1 => Err(IdTokenError::AuthorizedParty),
        _ => Ok(()),
    }
}

/// Section 2: `sub` has at most 255 ASCII characters.
fn check_subject(claims: &IdTokenClaims) -> Result<(), IdTokenError> {
    let sub = &claims.sub;
    let fits = !sub.is_empty() && sub.len() <= 255 && sub.is_ascii();
    if fits { Ok(()) } else { Err(IdTokenError::Malformed("sub")) }
}

/// Steps 9 and 10, and RFC 7519 4.1.5.
pub(super) fn check_times(claims: &IdTokenClaims, now: i64) -> Result<(), IdTokenError> {
    if now >= claims.exp.saturating_add(SKEW) {
        return Err(IdTokenError::Expired { exp: claims.exp, now });
    }
    if let Some(nbf) = claims.nbf.filter(|nbf| *nbf > now.saturating_add(SKEW)) {
        return Err(IdTokenError::NotYetValid { nbf, now });
    }
    let ahead = claims.iat > now.saturating_add(SKEW);
    let long_ago = claims.iat < now.saturating_sub(FARTHEST_ISSUE);
    if ahead || long_ago { Err(IdTokenError::IssuedAt { iat: claims.iat, now }) } else { Ok(()) }
}

/// Section 3.1.3.8: the left half of the access token's hash, when the claim is there.
fn check_access_token_hash(
    claims: &IdTokenClaims,
    access_token: Option<&AccessToken>,
) -> Result<(), IdTokenError> {
    let (Some(found), Some(token)) = (&claims.at_hash, access_token) else { return Ok(()) };
    let wanted = half_hash(token.expose_secret());
    let same: bool = found.as_bytes().ct_eq(wanted.as_bytes()).into();
    if same { Ok(()) } else { Err(IdTokenError::AccessTokenHash) }
}

fn half_hash(token: &str) -> String {
    let hash = sha256(token.as_bytes());
    URL_SAFE_NO_PAD.encode(&hash[..hash.len() / 2])
}

/// Entra ID, and wherever tenants are listed: `tid` is a GUID that the issuer holds too, and one of those allowed.
pub(super) fn check_tenant(claims: &IdTokenClaims, policy: &IdTokenPolicy) -> Result<(), IdTokenError> {
    let tid = claims.tid.as_deref().ok_or(IdTokenError::Missing("tid"))?;
    if !is_guid(tid) {
        return Err(IdTokenError::Malformed("tid"));
    }
    if !claims.iss.split('/').any(|segment| segment.eq_ignore_ascii_case(tid)) {
        return Err(IdTokenError::Tenant);
    }
    let allowed = &policy.allowed_tenants;
    if !allowed.is_empty() && !allowed.iter().any(|tenant| tenant.eq_ignore_ascii_case(tid)) {
        return Err(IdTokenError::TenantNotAllowed);
    }
    if tid.eq_ignore_ascii_case(PERSONAL_TENANT) && !policy.allow_personal {
        return Err(IdTokenError::PersonalAccount);
    }
    Ok(())
}

/// Step 11, in constant time: the hash of this sign-in's raw nonce.
fn check_nonce(claims: &IdTokenClaims, nonce: &Nonce) -> Result<(), IdTokenError> {
    let found = claims.nonce.as_deref().ok_or(IdTokenError::Missing("nonce"))?;
    let same: bool = found.as_bytes().ct_eq(nonce_on_the_wire(nonce).as_bytes()).into();
    if same { Ok(()) } else { Err(IdTokenError::Nonce) }
}

/// Step 13: when `max_age` was asked, `auth_time` says how long ago the user proved anything.
fn check_auth_time(claims: &IdTokenClaims, max_age: Option<u64>, now: i64) -> Result<(), IdTokenError> {
    let Some(max_age) = max_age else { return Ok(()) };
    let auth_time = claims.auth_time.ok_or(IdTokenError::Missing("auth_time"))?;
    let max_age = i64::try_from(max_age).unwrap_or(i64::MAX);
    let latest = auth_time.saturating_add(max_age).saturating_add(SKEW);
    let ahead = auth_time > now.saturating_add(SKEW);
    if now > latest || ahead { Err(IdTokenError::AuthTime) } else { Ok(()) }
}

/// OpenID Connect Core 12.2: a refresh keeps who, for whom, and when. It may leave the nonce out.
fn check_unchanged(claims: &IdTokenClaims, previous: &IdTokenClaims) -> Result<(), IdTokenError> {
    // A cache written by another library may hold an id token without these two: nothing to compare.
    if !previous.iss.is_empty() && claims.iss != previous.iss {
        return Err(IdTokenError::Changed("iss"));
    }
    if !previous.sub.is_empty() && claims.sub != previous.sub {
        return Err(IdTokenError::Changed("sub"));
    }
    if claims.aud != previous.aud {
        return Err(IdTokenError::Changed("aud"));
    }
    if claims.azp != previous.azp {
        return Err(IdTokenError::Changed("azp"));
    }
    if claims.oid.is_some() && previous.oid.is_some() && claims.oid != previous.oid {
        return Err(IdTokenError::Changed("oid"));
    }
    let moved =
        claims.auth_time.is_some() && previous.auth_time.is_some() && claims.auth_time != previous.auth_time;
    if moved { Err(IdTokenError::Changed("auth_time")) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
