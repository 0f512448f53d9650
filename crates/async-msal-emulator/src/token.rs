//! Tokens: what they claim, and how they are signed.

use std::collections::BTreeSet;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use crate::directory::{Identity, Tenant};
use crate::error::EmulatorError;
use crate::fault::IdTokenFault;
use crate::keys::SigningKey;
use crate::persons::pairwise_subject;
use crate::random;
use crate::resource::GRAPH_APP_ID;
use crate::state::{Shared, lock};

/// Entra ID dates its tokens back by this much, so that a clock a little behind accepts them.
const BACKDATED: i64 = 300;
const OTHER_TENANT: &str = "99999999-9999-9999-9999-999999999999";

/// What an id token is about.
pub(crate) struct IdTokenRequest<'a> {
    pub(crate) identity: &'a Identity,
    /// Which kind of authority issues it.
    pub(crate) tenant: &'a Tenant,
    pub(crate) client_id: &'a str,
    pub(crate) base_url: &'a str,
    pub(crate) nonce: Option<&'a str>,
    pub(crate) sid: &'a str,
    /// Some only where `max_age` was asked.
    pub(crate) auth_time: Option<i64>,
    pub(crate) scopes: &'a BTreeSet<String>,
    pub(crate) fault: Option<IdTokenFault>,
}

/// The id token, or none where the planned fault says so.
///
/// # Errors
/// The crypto library fails.
pub(crate) fn id_token(
    shared: &Shared,
    request: &IdTokenRequest<'_>,
) -> Result<Option<String>, EmulatorError> {
    let mut claims = id_token_claims(shared, request)?;
    let key = lock(&shared.keys).signer();
    let Some(fault) = request.fault else { return sign(&key, &claims, false).map(Some) };
    if fault == IdTokenFault::MissingIdToken {
        return Ok(None);
    }
    spoil_claims(&mut claims, fault, shared.now(), request.base_url);
    sign_with_fault(&key, &claims, fault).map(Some)
}

fn id_token_claims(
    shared: &Shared,
    request: &IdTokenRequest<'_>,
) -> Result<Map<String, Value>, EmulatorError> {
    let IdTokenRequest { identity, client_id, base_url, .. } = request;
    let Identity { person, tenant_id, object_id } = identity;
    let now = shared.now();
    let seed = lock(&shared.directory).seed;
    let mut claims = object(json!({
        "aud": client_id,
        "iss": issuer_for(request.tenant, tenant_id, base_url),
        "iat": now - BACKDATED,
        "nbf": now - BACKDATED,
        "exp": now + shared.policy().id_token_lifetime,
        "aio": random::token(48)?,
        "oid": object_id,
        "sub": pairwise_subject(seed, client_id, object_id),
        "sid": request.sid,
        "tid": tenant_id,
        "uti": random::token(16)?,
        "rh": format!("1.{}.", random::token(24)?),
        "ver": "2.0",
        "login_hint": person.login_hint(),
    }));
    if request.scopes.contains("profile") {
        claims.insert("name".into(), json!(person.display_name));
        claims.insert("preferred_username".into(), json!(person.username));
    }
    let home = format!("https://sts.windows.net/{}/", person.home_tenant_id);
    let optional = [
        ("nonce", request.nonce.map(|n| json!(n))),
        ("auth_time", request.auth_time.map(|t| json!(t))),
        ("idp", (person.home_tenant_id != *tenant_id).then(|| json!(home))),
        ("roles", (!person.roles.is_empty()).then(|| json!(person.roles))),
        ("email", person.mail.as_ref().filter(|_| request.scopes.contains("email")).map(|m| json!(m))),
    ];
    claims.extend(optional.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    match request.tenant {
        Tenant::B2c { policy, .. } => as_b2c(&mut claims, policy, person.mail.as_deref(), object_id),
        Tenant::Adfs(_) => as_adfs(&mut claims, &person.user_principal_name),
        Tenant::Provider(_) => as_provider(&mut claims),
        _ => {}
    }
    Ok(claims)
}

/// At a tenant-independent authority the person's own tenant issues the token.
fn issuer_for(tenant: &Tenant, tenant_id: &str, base_url: &str) -> String {
    match tenant {
        Tenant::B2c { .. } | Tenant::Adfs(_) | Tenant::Provider(_) => tenant.issuer(base_url),
        _ => Tenant::Id(tenant_id.to_owned()).issuer(base_url),
    }
}

/// B2C names the policy, lists mail addresses, and has neither `tid` nor `preferred_username`.
fn as_b2c(claims: &mut Map<String, Value>, policy: &str, mail: Option<&str>, object_id: &str) {
    for name in ["tid", "preferred_username", "login_hint", "aio", "rh", "uti", "email"] {
        claims.remove(name);
    }
    let emails: Vec<&str> = mail.into_iter().collect();
    let own = json!({"ver": "1.0", "tfp": policy, "sub": object_id, "emails": emails});
    claims.extend(object(own));
}

/// AD FS knows `upn` and `unique_name`, and no directory's ids.
fn as_adfs(claims: &mut Map<String, Value>, upn: &str) {
    for name in ["tid", "oid", "preferred_username", "login_hint", "aio", "rh", "uti"] {
        claims.remove(name);
    }
    claims.extend(object(json!({"ver": "1.0", "upn": upn, "unique_name": upn})));
}

/// Nothing that OpenID Connect Core does not name.
fn as_provider(claims: &mut Map<String, Value>) {
    for name in ["tid", "oid", "ver", "idp", "login_hint", "aio", "rh", "uti"] {
        claims.remove(name);
    }
}

fn spoil_claims(claims: &mut Map<String, Value>, fault: IdTokenFault, now: i64, base_url: &str) {
    let mut set = |name: &str, value: Value| {
        claims.insert(name.to_owned(), value);
    };
    match fault {
        IdTokenFault::WrongAudience => set("aud", json!("00000000-0000-0000-0000-00000000dead")),
        IdTokenFault::SeveralAudiences => {
            let own = claims.get("aud").cloned();
            claims.insert("aud".into(), json!([own, "00000000-0000-0000-0000-00000000dead"]));
            claims.insert("azp".into(), json!("00000000-0000-0000-0000-00000000dead"));
        }
        IdTokenFault::WrongIssuer => set("iss", json!(format!("{base_url}/{OTHER_TENANT}/v2.0"))),
        IdTokenFault::WrongTenant => set("tid", json!(OTHER_TENANT)),
        IdTokenFault::WrongNonce => {
            set("nonce", json!("0000000000000000000000000000000000000000000000000000000000000000"))
        }
        IdTokenFault::Expired => set("exp", json!(now - 3600)),
        IdTokenFault::NotYetValid => set("nbf", json!(now + 3600)),
        IdTokenFault::OtherSubject => {
            set("sub", json!("another-subject"));
            set("oid", json!("00000000-0000-0000-0000-00000000beef"));
        }
        IdTokenFault::OldAuthenticationTime => set("auth_time", json!(now - 86_400)),
        IdTokenFault::MissingAudience => drop(claims.remove("aud")),
        IdTokenFault::MissingNonce => drop(claims.remove("nonce")),
        IdTokenFault::MissingIssuedAt => drop(claims.remove("iat")),
        IdTokenFault::MissingSubject => drop(claims.remove("sub")),
        IdTokenFault::AlgorithmNone
        | IdTokenFault::Hs256WithPublicKey
        | IdTokenFault::UnknownKeyId
        | IdTokenFault::MissingKeyId
        | IdTokenFault::BadSignature
        | IdTokenFault::MissingIdToken => {}
    }
}

fn sign_with_fault(
    key: &SigningKey,
    claims: &Map<String, Value>,
    fault: IdTokenFault,
) -> Result<String, EmulatorError> {
    let kid = key.kid();
    match fault {
        IdTokenFault::AlgorithmNone => {
            Ok(format!("{}.", signing_input(&json!({"typ": "JWT", "alg": "none"}), claims)))
        }
        IdTokenFault::Hs256WithPublicKey => {
            let input = signing_input(&json!({"typ": "JWT", "alg": "HS256", "kid": kid}), claims);
            let signature = key.sign_hs256(&input);
            Ok(format!("{input}.{signature}"))
        }
        IdTokenFault::UnknownKeyId => {
            rs256(key, &json!({"typ": "JWT", "alg": "RS256", "kid": "unknown-key"}), claims)
        }
        IdTokenFault::MissingKeyId => rs256(key, &json!({"typ": "JWT", "alg": "RS256"}), claims),
        IdTokenFault::BadSignature => {
            let good = sign(key, claims, false)?;
            let (input, _) = good.rsplit_once('.').unwrap_or((&good, ""));
            let other = key.sign("something else")?;
            Ok(format!("{input}.{other}"))
        }
        _ => sign(key, claims, false),
    }
}

/// A Graph access token: version 1 claims, as Entra ID gives for Graph whatever endpoint was asked.
///
/// # Errors
/// The crypto library fails.
pub(crate) fn graph_token(
    shared: &Shared,
    identity: &Identity,
    client_id: &str,
    scopes: &BTreeSet<String>,
) -> Result<String, EmulatorError> {
    let Identity { person, tenant_id, object_id } = identity;
    let now = shared.now();
    let seed = lock(&shared.directory).seed;
    let claims = object(json!({
        "aud": GRAPH_APP_ID,
        "iss": format!("https://sts.windows.net/{tenant_id}/"),
        "iat": now - BACKDATED,
        "nbf": now - BACKDATED,
        "exp": now + shared.policy().access_token_lifetime,
        "acct": u8::from(person.home_tenant_id != *tenant_id),
        "app_displayname": "Demo application",
        "appid": client_id,
        "appidacr": "1",
        "idtyp": "user",
        "name": person.display_name,
        "oid": object_id,
        "scp": scopes.iter().cloned().collect::<Vec<_>>().join(" "),
        "sub": pairwise_subject(seed, GRAPH_APP_ID, object_id),
        "tid": tenant_id,
        "unique_name": person.username,
        "upn": person.user_principal_name,
        "uti": random::token(16)?,
        "ver": "1.0",
    }));
    let key = lock(&shared.keys).signer();
    sign(&key, &claims, true)
}

/// An access token for the client's own API (version 2 claims). Without an identity it is the application's own.
///
/// # Errors
/// The crypto library fails.
pub(crate) fn own_token(
    shared: &Shared,
    identity: Option<&Identity>,
    client_id: &str,
    base_url: &str,
) -> Result<String, EmulatorError> {
    let now = shared.now();
    let seed = lock(&shared.directory).seed;
    let service_principal = random::seeded_guid(seed, &format!("service principal {client_id}"));
    let object_id = identity.map_or(service_principal.as_str(), |i| i.object_id.as_str());
    let tenant_id = identity.map_or(shared.tenant_id.as_str(), |i| i.tenant_id.as_str());
    let subject = identity.map(|_| pairwise_subject(seed, client_id, object_id));
    let mut claims = object(json!({
        "aio": random::token(48)?,
        "aud": client_id,
        "azp": client_id,
        "azpacr": "1",
        "exp": now + shared.policy().access_token_lifetime,
        "iat": now - BACKDATED,
        "iss": format!("{base_url}/{tenant_id}/v2.0"),
        "nbf": now - BACKDATED,
        "oid": object_id,
        "rh": format!("1.{}.", random::token(24)?),
        "sub": subject.as_deref().unwrap_or(object_id),
        "tid": tenant_id,
        "uti": random::token(16)?,
        "ver": "2.0",
        "xms_ftd": random::token(32)?,
    }));
    if let Some(identity) = identity {
        claims.insert("scp".into(), json!("access_as_user"));
        claims.insert("name".into(), json!(identity.person.display_name));
        claims.insert("preferred_username".into(), json!(identity.person.username));
    }
    let key = lock(&shared.keys).signer();
    sign(&key, &claims, false)
}

/// An application's own Graph token.
///
/// # Errors
/// The crypto library fails.
pub(crate) fn graph_app_token(shared: &Shared, client_id: &str) -> Result<String, EmulatorError> {
    let now = shared.now();
    let seed = lock(&shared.directory).seed;
    let service_principal = random::seeded_guid(seed, &format!("service principal {client_id}"));
    let claims = object(json!({
        "aud": GRAPH_APP_ID,
        "iss": format!("https://sts.windows.net/{}/", shared.tenant_id),
        "iat": now - BACKDATED,
        "nbf": now - BACKDATED,
        "exp": now + shared.policy().access_token_lifetime,
        "appid": client_id,
        "appidacr": "1",
        "idtyp": "app",
        "oid": service_principal,
        "roles": [],
        "sub": service_principal,
        "tid": shared.tenant_id,
        "uti": random::token(16)?,
        "ver": "1.0",
    }));
    let key = lock(&shared.keys).signer();
    sign(&key, &claims, true)
}

/// A token that an issuer other than the directory would sign: of a managed identity, or of a cluster.
///
/// # Errors
/// The crypto library fails.
pub(crate) fn exchange_token(
    shared: &Shared,
    (issuer, subject, audience): (&str, &str, &str),
    lifetime: i64,
) -> Result<String, EmulatorError> {
    let now = shared.now();
    let claims = object(json!({
        "iss": issuer, "sub": subject, "aud": audience, "iat": now, "nbf": now, "exp": now + lifetime,
        "jti": random::guid(),
    }));
    let key = lock(&shared.keys).signer();
    sign(&key, &claims, false)
}

/// Why a bearer token is refused, in Graph's words.
pub(crate) fn check_graph_token(shared: &Shared, token: &str) -> Result<Map<String, Value>, &'static str> {
    let claims = check_token(shared, token)?;
    if claims.get("aud").and_then(Value::as_str) != Some(GRAPH_APP_ID) {
        return Err("Access token validation failure. Invalid audience.");
    }
    if claims.get("exp").and_then(Value::as_i64).is_none_or(|exp| exp <= shared.now()) {
        return Err("Lifetime validation failed, the token is expired.");
    }
    Ok(claims)
}

/// The claims of a token that this emulator signed.
pub(crate) fn check_token(shared: &Shared, token: &str) -> Result<Map<String, Value>, &'static str> {
    let malformed = "IDX14100: JWT is not well formed, there are no dots (.).";
    let (input, signature) = token.rsplit_once('.').ok_or(malformed)?;
    let (header, payload) = input.split_once('.').ok_or(malformed)?;
    let header = decode(header).ok_or(malformed)?;
    let claims = decode(payload).ok_or(malformed)?;
    let kid = header.get("kid").and_then(Value::as_str).unwrap_or_default();
    let key: Option<Arc<SigningKey>> = lock(&shared.keys).find(kid);
    let good = header.get("alg").and_then(Value::as_str) == Some("RS256")
        && key.is_some_and(|key| key.verify(input, signature));
    if good { Ok(claims) } else { Err("Signature verification failed.") }
}

fn decode(part: &str) -> Option<Map<String, Value>> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

/// `x5t` stands in the header of version 1 tokens only.
fn sign(key: &SigningKey, claims: &Map<String, Value>, x5t: bool) -> Result<String, EmulatorError> {
    let mut header = json!({"typ": "JWT", "alg": "RS256", "kid": key.kid()});
    if x5t {
        header["x5t"] = json!(key.kid());
    }
    rs256(key, &header, claims)
}

pub(crate) fn rs256(
    key: &SigningKey,
    header: &Value,
    claims: &Map<String, Value>,
) -> Result<String, EmulatorError> {
    let input = signing_input(header, claims);
    let signature = key.sign(&input)?;
    Ok(format!("{input}.{signature}"))
}

pub(crate) fn signing_input(header: &Value, claims: &Map<String, Value>) -> String {
    let claims = serde_json::to_string(claims).unwrap_or_default();
    format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims))
}

pub(crate) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}
