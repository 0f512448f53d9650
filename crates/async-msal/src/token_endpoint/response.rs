//! The token endpoint's answer, read by rule (RFC 6749 5.1 and 5.2).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use crate::error::{Error, InvalidResponse, ServerError};
use crate::http_client::Fetched;
use crate::json;
use crate::scope::Scopes;
use crate::secret::{AccessToken, IdToken, RefreshToken};
use crate::token_endpoint::RawAnswer;

/// A life longer than ten years is cut to that.
const LONGEST_LIFE: i64 = 10 * 365 * 86_400;
/// The life of a token whose answer does not say.
const DEFAULT_LIFE: i64 = 600;

/// A good answer.
#[derive(Debug)]
pub(crate) struct TokenResponse {
    pub(crate) access_token: AccessToken,
    pub(crate) token_type: String,
    pub(crate) expires_in: i64,
    pub(crate) ext_expires_in: Option<i64>,
    pub(crate) refresh_in: Option<i64>,
    pub(crate) scope: Option<Scopes>,
    pub(crate) refresh_token: Option<RefreshToken>,
    pub(crate) id_token: Option<IdToken>,
    /// `uid.utid`; unsigned, so it names cache entries and nothing else.
    pub(crate) home_account_id: Option<String>,
    pub(crate) family_id: Option<String>,
    pub(crate) raw: RawAnswer,
}

impl TokenResponse {
    pub(crate) fn read(fetched: &Fetched, now: i64) -> Result<Self, Error> {
        let status = fetched.status;
        let Ok(object) = json::parse_object(&fetched.body) else {
            return Err(without_words(fetched, InvalidResponse::Json("the token endpoint")));
        };
        let raw = RawAnswer::new(status, &fetched.body);
        // An error stays one whatever the status says, and a failing status makes no token good.
        if let Some(error) = ServerError::from_object(&object) {
            return Err(error.with_raw_answer(raw).classify(status, fetched.retry_after));
        }
        if status != 200 {
            return Err(without_words(fetched, InvalidResponse::Status(status)));
        }
        Self::from_object(&object, raw, now)
    }

    fn from_object(object: &Map<String, Value>, raw: RawAnswer, now: i64) -> Result<Self, Error> {
        let token_type = text(object, "token_type")?.ok_or(InvalidResponse::TokenType)?;
        if !token_type.eq_ignore_ascii_case("bearer") {
            return Err(InvalidResponse::TokenType.into());
        }
        // RFC 6749 A.12; it becomes a header's value, where a line break would begin another.
        let visible =
            |token: &String| !token.is_empty() && token.bytes().all(|byte| matches!(byte, 0x20..=0x7e));
        let access_token = text(object, "access_token")?.filter(visible);
        Ok(Self {
            access_token: AccessToken::new(access_token.ok_or(InvalidResponse::Member("access_token"))?),
            token_type,
            expires_in: life(object, now)?,
            ext_expires_in: seconds(object, "ext_expires_in")?,
            refresh_in: seconds(object, "refresh_in")?.filter(|seconds| *seconds > 0),
            scope: text(object, "scope")?
                .map(|scope| Scopes::parse(&scope))
                .filter(|scopes| !scopes.is_empty()),
            refresh_token: text(object, "refresh_token")?
                .filter(|token| !token.is_empty())
                .map(RefreshToken::new),
            id_token: text(object, "id_token")?.map(IdToken::new),
            home_account_id: text(object, "client_info")?.and_then(|info| home_account_id(&info)),
            family_id: text(object, "foci")?,
            raw,
        })
    }
}

/// What an answer means that says nothing itself: its status, and a pause where it names one.
fn without_words(fetched: &Fetched, on_success: InvalidResponse) -> Error {
    match fetched.status {
        429 => Error::Throttled { retry_after: fetched.retry_after, server: None },
        500.. if fetched.retry_after.is_some() => {
            Error::Throttled { retry_after: fetched.retry_after, server: None }
        }
        200 => on_success.into(),
        status => InvalidResponse::Status(status).into(),
    }
}

/// `uid.utid` of a `client_info` value; `None` where either is missing.
pub(crate) fn home_account_id(client_info: &str) -> Option<String> {
    let bytes = URL_SAFE_NO_PAD.decode(client_info.trim_end_matches('=')).ok()?;
    let object = json::parse_object(&bytes).ok()?;
    let part = |name: &str| object.get(name).and_then(Value::as_str).filter(|part| !part.is_empty());
    let (uid, utid) = (part("uid")?, part("utid")?);
    let plain = |text: &str| text.len() <= 255 && text.bytes().all(|byte| byte.is_ascii_graphic());
    (plain(uid) && plain(utid)).then(|| format!("{uid}.{utid}"))
}

fn text(object: &Map<String, Value>, name: &'static str) -> Result<Option<String>, Error> {
    match object.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(InvalidResponse::Member(name).into()),
    }
}

/// A number, or a number in a string; fractions are cut, ten years are the most.
fn seconds(object: &Map<String, Value>, name: &'static str) -> Result<Option<i64>, Error> {
    let malformed = || Error::from(InvalidResponse::Member(name));
    let number = match object.get(name) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Number(number)) => number.as_f64().ok_or_else(malformed)?,
        Some(Value::String(text)) => text.trim().parse::<f64>().map_err(|_| malformed())?,
        Some(_) => return Err(malformed()),
    };
    if !number.is_finite() {
        return Err(malformed());
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a float becomes the nearest i64, then is cut to ten years"
    )]
    Ok(Some((number as i64).clamp(-1, LONGEST_LIFE)))
}

/// A token that has no life left is refused rather than stored.
fn life(object: &Map<String, Value>, now: i64) -> Result<i64, Error> {
    let life = match seconds(object, "expires_in")? {
        Some(life) => life,
        None => match object.get("expires_on").and_then(time) {
            Some(expires_on) => expires_on.saturating_sub(now).min(LONGEST_LIFE),
            None => DEFAULT_LIFE,
        },
    };
    if life > 0 { Ok(life) } else { Err(InvalidResponse::Member("expires_in").into()) }
}

fn time(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

#[cfg(test)]
mod tests;
