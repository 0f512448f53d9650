//! The claims of an id token, each of its right type.

use serde_json::{Map, Value};

use super::error::IdTokenError;
use super::jws;

/// Claims of an id token (OpenID Connect Core 2, and Entra ID's).
///
/// # Security
///
/// Identify a person by `tid` and `oid`, or `iss` and `sub`. `email`, `preferred_username` and `name`
/// are set by the user's own administrator: for display only.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct IdTokenClaims {
    /// Issuer.
    pub iss: String,
    /// The user at this issuer, for this client.
    pub sub: String,
    /// Audiences; holds the client id.
    pub aud: Vec<String>,
    /// Expiry, Unix seconds.
    pub exp: i64,
    /// Issue time, Unix seconds.
    pub iat: i64,
    /// Not before, Unix seconds.
    pub nbf: Option<i64>,
    /// Authorized party.
    pub azp: Option<String>,
    /// Hash of the raw nonce.
    pub nonce: Option<String>,
    /// Hash of the access token.
    pub at_hash: Option<String>,
    /// Object id of the user in the tenant `tid`.
    pub oid: Option<String>,
    /// Tenant.
    pub tid: Option<String>,
    /// Session at the authority, for sign-out.
    pub sid: Option<String>,
    /// For display.
    pub name: Option<String>,
    /// For display.
    pub preferred_username: Option<String>,
    /// For display.
    pub email: Option<String>,
    /// Opaque; value of `logout_hint` at sign-out.
    pub login_hint: Option<String>,
    /// Application roles; empty where the claim is absent.
    pub roles: Vec<String>,
    /// Groups; `None` where absent, which may mean that there are too many to list.
    pub groups: Option<Vec<String>>,
    /// When the user last proved who they are, Unix seconds.
    pub auth_time: Option<i64>,
    /// Home of a guest.
    pub idp: Option<String>,
    /// `2.0` at Entra ID.
    pub ver: Option<String>,
    raw: Map<String, Value>,
}

impl IdTokenClaims {
    /// All claims as they stand in the token.
    #[must_use]
    pub const fn raw(&self) -> &Map<String, Value> {
        &self.raw
    }

    /// Reads an id token that comes from our own token cache, where it was verified before it was put.
    ///
    /// # Security
    ///
    /// Neither signature nor times are checked: a cache's own id token is older than its `exp` most of
    /// the time. Never call this with anything a browser or a server sent.
    ///
    /// # Errors
    ///
    /// [`IdTokenError`] where the structure or a claim's type is wrong.
    pub fn from_stored(jwt: &str) -> Result<Self, IdTokenError> {
        // MSAL's caches hold tokens of providers with fewer claims than a fresh sign-in must have.
        let payload = jws::payload_of_stored(jwt)?;
        Reader { claims: &payload }.read(&[])
    }

    /// Types are checked here; values in `verify.rs`.
    pub(super) fn from_payload(payload: &Map<String, Value>) -> Result<Self, IdTokenError> {
        Reader { claims: payload }.read(&["iss", "sub", "exp", "iat"])
    }

    /// The same for a logout token, which may leave `sub` to a `sid`.
    pub(super) fn from_logout_payload(payload: &Map<String, Value>) -> Result<Self, IdTokenError> {
        Reader { claims: payload }.read(&["iss", "exp", "iat"])
    }
}

impl std::fmt::Debug for IdTokenClaims {
    /// Names, mail addresses and hashes stay out of logs.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("IdTokenClaims")
            .field("iss", &self.iss)
            .field("tid", &self.tid)
            .finish_non_exhaustive()
    }
}

struct Reader<'a> {
    claims: &'a Map<String, Value>,
}

impl Reader<'_> {
    fn read(&self, required: &[&str]) -> Result<IdTokenClaims, IdTokenError> {
        Ok(IdTokenClaims {
            iss: self.text_or_empty("iss", required)?,
            sub: self.text_or_empty("sub", required)?,
            aud: self.audiences()?,
            exp: self.time_or_zero("exp", required)?,
            iat: self.time_or_zero("iat", required)?,
            nbf: self.time("nbf")?,
            azp: self.text("azp")?,
            nonce: self.text("nonce")?,
            at_hash: self.text("at_hash")?,
            oid: self.text("oid")?,
            tid: self.text("tid")?,
            sid: self.text("sid")?,
            name: self.text("name")?,
            preferred_username: self.text("preferred_username")?,
            email: self.text("email")?,
            login_hint: self.text("login_hint")?,
            roles: self.texts("roles")?.unwrap_or_default(),
            groups: self.texts("groups")?,
            auth_time: self.time("auth_time")?,
            idp: self.text("idp")?,
            ver: self.text("ver")?,
            raw: self.claims.clone(),
        })
    }

    fn text(&self, name: &'static str) -> Result<Option<String>, IdTokenError> {
        match self.claims.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(IdTokenError::Malformed(name)),
        }
    }

    fn text_or_empty(&self, name: &'static str, required: &[&str]) -> Result<String, IdTokenError> {
        match self.text(name)? {
            Some(text) => Ok(text),
            None if required.contains(&name) => Err(IdTokenError::Missing(name)),
            None => Ok(String::new()),
        }
    }

    /// A JSON number of whole, non-negative seconds; anything else is refused, never skipped.
    fn time(&self, name: &'static str) -> Result<Option<i64>, IdTokenError> {
        // Far enough for any honest time, and small enough to add a skew to.
        const LAST: f64 = 253_402_300_799.0;
        let number = match self.claims.get(name) {
            None => return Ok(None),
            Some(Value::Number(number)) => number,
            Some(_) => return Err(IdTokenError::Malformed(name)),
        };
        let seconds = number.as_f64().filter(|seconds| (0.0..=LAST).contains(seconds));
        #[expect(clippy::cast_possible_truncation, reason = "checked to be within 0 and the year 9999")]
        seconds.map(|seconds| Some(seconds as i64)).ok_or(IdTokenError::Malformed(name))
    }

    fn time_or_zero(&self, name: &'static str, required: &[&str]) -> Result<i64, IdTokenError> {
        match self.time(name)? {
            Some(time) => Ok(time),
            None if required.contains(&name) => Err(IdTokenError::Missing(name)),
            None => Ok(0),
        }
    }

    fn texts(&self, name: &'static str) -> Result<Option<Vec<String>>, IdTokenError> {
        let malformed = IdTokenError::Malformed(name);
        let items = match self.claims.get(name) {
            None => return Ok(None),
            Some(Value::Array(items)) => items,
            Some(_) => return Err(malformed),
        };
        let texts: Option<Vec<_>> = items.iter().map(|item| item.as_str().map(str::to_owned)).collect();
        texts.map(Some).ok_or(malformed)
    }

    /// A string or an array of strings (RFC 7519 4.1.3).
    fn audiences(&self) -> Result<Vec<String>, IdTokenError> {
        let audiences = match self.claims.get("aud") {
            None => return Err(IdTokenError::Missing("aud")),
            Some(Value::String(audience)) => vec![audience.clone()],
            Some(_) => self.texts("aud")?.unwrap_or_default(),
        };
        let empty = audiences.is_empty() || audiences.iter().any(String::is_empty);
        if empty { Err(IdTokenError::Malformed("aud")) } else { Ok(audiences) }
    }
}
