//! Logout tokens (OpenID Connect Back-Channel Logout 1.0 section 2.4), right and wrong ones, for whoever tests a receiver.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::directory::Tenant;
use crate::error::EmulatorError;
use crate::persons::pairwise_subject;
use crate::random;
use crate::state::{Shared, lock};
use crate::token::{object, rs256, signing_input};

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
/// A logout token's life, as the specification recommends at most.
const LIFETIME: i64 = 120;

/// What a logout token names. Entra ID sends none; the emulator makes them for receivers that serve other providers too.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct LogoutTokenRequest {
    /// The person, named by username, mail or id: makes the `sub`.
    #[serde(default)]
    pub person: Option<String>,
    /// The session.
    #[serde(default)]
    pub sid: Option<String>,
    /// For whom. Default: the first client.
    #[serde(default)]
    pub client_id: Option<String>,
    /// What is wrong with it.
    #[serde(default)]
    pub fault: Option<LogoutTokenFault>,
}

impl LogoutTokenRequest {
    /// All sessions of a person.
    pub fn of_person(person: impl Into<String>) -> Self {
        Self { person: Some(person.into()), ..Self::default() }
    }

    /// One session.
    pub fn of_session(sid: impl Into<String>) -> Self {
        Self { sid: Some(sid.into()), ..Self::default() }
    }

    /// Spoils the token.
    #[must_use]
    pub fn with_fault(mut self, fault: LogoutTokenFault) -> Self {
        self.fault = Some(fault);
        self
    }
}

/// What is wrong with a logout token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LogoutTokenFault {
    /// `aud` of another client.
    WrongAudience,
    /// `iss` of somebody else.
    WrongIssuer,
    /// No `events`.
    MissingEvents,
    /// `events` with another event.
    OtherEvent,
    /// A `nonce`.
    NoncePresent,
    /// No `jti`.
    MissingTokenId,
    /// No `iat`.
    MissingIssuedAt,
    /// Neither `sub` nor `sid`.
    NobodyNamed,
    /// Expired an hour ago.
    Expired,
    /// Issued an hour from now.
    IssuedAhead,
    /// `typ` `at+jwt`.
    AccessTokenType,
    /// `alg` none, no signature.
    AlgorithmNone,
    /// `alg` HS256, keyed by the public key.
    Hs256WithPublicKey,
    /// A `kid` that is not published.
    UnknownKeyId,
    /// The signature does not fit.
    BadSignature,
}

pub(crate) fn make(shared: &Shared, request: &LogoutTokenRequest) -> Result<String, EmulatorError> {
    let claims = claims(shared, request)?;
    let key = lock(&shared.keys).signer();
    let mut header = json!({"typ": "logout+jwt", "alg": "RS256", "kid": key.kid()});
    match request.fault {
        Some(LogoutTokenFault::AlgorithmNone) => {
            Ok(format!("{}.", signing_input(&json!({"typ": "logout+jwt", "alg": "none"}), &claims)))
        }
        Some(LogoutTokenFault::Hs256WithPublicKey) => {
            header["alg"] = json!("HS256");
            let input = signing_input(&header, &claims);
            let signature = key.sign_hs256(&input);
            Ok(format!("{input}.{signature}"))
        }
        Some(LogoutTokenFault::BadSignature) => {
            let other = key.sign("something else")?;
            Ok(format!("{}.{other}", signing_input(&header, &claims)))
        }
        Some(LogoutTokenFault::UnknownKeyId) => {
            header["kid"] = json!("unknown-key");
            rs256(&key, &header, &claims)
        }
        Some(LogoutTokenFault::AccessTokenType) => {
            header["typ"] = json!("at+jwt");
            rs256(&key, &header, &claims)
        }
        _ => rs256(&key, &header, &claims),
    }
}

fn claims(shared: &Shared, request: &LogoutTokenRequest) -> Result<Map<String, Value>, EmulatorError> {
    let now = shared.now();
    let first = || lock(&shared.clients).first().map(|client| client.client_id.clone()).unwrap_or_default();
    let client_id = request.client_id.clone().unwrap_or_else(first);
    let mut claims = object(json!({
        "iss": format!("{}/{}/v2.0", shared.base_url(), shared.tenant_id),
        "aud": client_id,
        "iat": now,
        "exp": now + LIFETIME,
        "jti": random::token(24)?,
        "events": {EVENT: {}},
    }));
    if let Some(person) = &request.person {
        let directory = shared.directory();
        let identity = directory.identity(&Tenant::Id(shared.tenant_id.clone()), person);
        let identity = identity.ok_or_else(|| EmulatorError::UnknownPerson(person.clone()))?;
        claims.insert("sub".into(), json!(pairwise_subject(directory.seed, &client_id, &identity.object_id)));
    }
    claims.extend(request.sid.as_ref().map(|sid| ("sid".to_owned(), json!(sid))));
    if let Some(fault) = request.fault {
        spoil(&mut claims, fault, now);
    }
    Ok(claims)
}

fn spoil(claims: &mut Map<String, Value>, fault: LogoutTokenFault, now: i64) {
    let mut set = |name: &str, value: Value| {
        claims.insert(name.to_owned(), value);
    };
    match fault {
        LogoutTokenFault::WrongAudience => set("aud", json!("00000000-0000-0000-0000-00000000dead")),
        LogoutTokenFault::WrongIssuer => set("iss", json!("https://evil.example")),
        LogoutTokenFault::OtherEvent => set("events", json!({"https://events.example/other": {}})),
        LogoutTokenFault::NoncePresent => set("nonce", json!("n")),
        LogoutTokenFault::Expired => set("exp", json!(now - 3600)),
        LogoutTokenFault::IssuedAhead => set("iat", json!(now + 3600)),
        LogoutTokenFault::MissingEvents => drop(claims.remove("events")),
        LogoutTokenFault::MissingTokenId => drop(claims.remove("jti")),
        LogoutTokenFault::MissingIssuedAt => drop(claims.remove("iat")),
        LogoutTokenFault::NobodyNamed => claims.retain(|name, _| name != "sub" && name != "sid"),
        LogoutTokenFault::AccessTokenType
        | LogoutTokenFault::AlgorithmNone
        | LogoutTokenFault::Hs256WithPublicKey
        | LogoutTokenFault::UnknownKeyId
        | LogoutTokenFault::BadSignature => {}
    }
}
