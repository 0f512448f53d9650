//! The authority's error object, kept whole (RFC 6749 5.2 and Entra ID's additions).

use std::fmt;
use std::time::Duration;

use serde_json::{Map, Value};

use super::aadsts::{self, Meaning};
use super::{Error, InteractionRequired};
use crate::claims_challenge::ClaimsChallenge;
use crate::token_endpoint::RawAnswer;

/// Longer texts are cut: they go into logs.
const LONGEST_TEXT: usize = 4_096;

/// An OAuth error with what Entra ID adds to it.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct ServerError {
    /// `error`, for example `invalid_grant`.
    pub error: String,
    /// Entra ID's refinement, for example `basic_action`.
    pub suberror: Option<String>,
    /// Text for logs; begins `AADSTS…` at Entra ID. Never decide by it, escape it when rendering.
    pub description: Option<String>,
    /// AADSTS numbers.
    pub codes: Vec<u64>,
    /// Ties the failure to the authority's log.
    pub correlation_id: Option<String>,
    /// Names the failing server's trace.
    pub trace_id: Option<String>,
    /// A page about the error. Untrusted: show it as text.
    pub error_uri: Option<String>,
    /// Claims that the next authorization request must carry.
    pub claims: Option<ClaimsChallenge>,
    pub(crate) raw: Option<RawAnswer>,
}

impl ServerError {
    /// Reads the token endpoint's error object; `None` without a textual `error`.
    pub(crate) fn from_object(object: &Map<String, Value>) -> Option<Self> {
        let text = |name: &str| object.get(name).and_then(Value::as_str).map(bounded);
        let codes = object.get("error_codes").and_then(Value::as_array);
        let description = text("error_description");
        Some(Self {
            error: text("error")?,
            suberror: text("suberror").filter(|suberror| is_word(suberror)),
            codes: codes.map_or_else(
                || code_in(description.as_deref()),
                |codes| codes.iter().take(16).filter_map(Value::as_u64).collect(),
            ),
            description,
            correlation_id: text("correlation_id").filter(|id| is_id(id)),
            trace_id: text("trace_id").filter(|id| is_id(id)),
            error_uri: text("error_uri"),
            claims: object
                .get("claims")
                .and_then(Value::as_str)
                .and_then(|text| ClaimsChallenge::parse(text).ok()),
            raw: None,
        })
    }

    /// The error of an authorization response.
    pub(crate) fn from_redirect(
        error: &str,
        description: Option<&str>,
        error_uri: Option<&str>,
        subcode: Option<&str>,
    ) -> Self {
        Self {
            error: bounded(error),
            suberror: subcode.map(bounded).filter(|subcode| is_word(subcode)),
            description: description.map(bounded),
            codes: code_in(description),
            correlation_id: word_after(description, "Correlation ID: "),
            trace_id: word_after(description, "Trace ID: "),
            error_uri: error_uri.map(bounded),
            claims: None,
            raw: None,
        }
    }

    pub(crate) fn with_raw_answer(mut self, raw: RawAnswer) -> Self {
        self.raw = Some(raw);
        self
    }

    /// The answer as it came; `None` for an error of an authorization response.
    #[must_use]
    pub const fn raw_answer(&self) -> Option<&RawAnswer> {
        self.raw.as_ref()
    }

    /// Claims for the next authorization request.
    #[must_use]
    pub const fn claims(&self) -> Option<&ClaimsChallenge> {
        self.claims.as_ref()
    }

    /// Ties the failure to the authority's log.
    #[must_use]
    pub fn correlation_id(&self) -> Option<&str> {
        self.correlation_id.as_deref()
    }

    /// What the first known AADSTS number means.
    #[must_use]
    pub fn meaning(&self) -> Option<Meaning> {
        self.codes.iter().find_map(|code| aadsts::meaning(*code))
    }

    /// Will it pass by itself?
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self.error.as_str(), "temporarily_unavailable" | "server_error")
            || self.meaning() == Some(Meaning::Transient)
    }

    /// Did the user decline or cancel at the authority's pages?
    #[must_use]
    pub fn is_declined(&self) -> bool {
        self.error == "access_denied" && self.meaning().is_none_or(|meaning| meaning == Meaning::Declined)
            || self.suberror.as_deref() == Some("cancel")
            || self.meaning() == Some(Meaning::Declined)
    }

    /// Is the refresh token itself dead, rather than one resource's policy unmet?
    #[must_use]
    pub fn is_grant_dead(&self) -> bool {
        self.error == "invalid_grant"
            && matches!(self.suberror.as_deref(), None | Some("bad_token" | "token_expired"))
    }

    /// Who must act. Decided by `error` and `suberror`; the numbers are diagnostic, and change.
    pub(crate) fn classify(self, status: u16, retry_after: Option<Duration>) -> Error {
        let server = Box::new(self);
        if status == 429 || (retry_after.is_some() && (status >= 500 || server.is_transient())) {
            return Error::Throttled { retry_after, server: Some(server) };
        }
        match server.error.as_str() {
            "invalid_client" | "unauthorized_client" => Error::Credential(server),
            "invalid_grant" | "interaction_required" | "login_required" | "consent_required" => {
                let claims = server.claims.clone();
                InteractionRequired { claims, server: Some(server), ..Default::default() }.into()
            }
            _ => Error::Server(server),
        }
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.error)?;
        if let Some(suberror) = &self.suberror {
            write!(formatter, " ({suberror})")?;
        }
        for code in &self.codes {
            write!(formatter, " AADSTS{code}")?;
        }
        if let Some(id) = &self.correlation_id {
            write!(formatter, " correlation id {id}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for ServerError {
    /// The authority's own sentences are left out: they may repeat a secret or a name.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ServerError")
            .field("error", &self.error)
            .field("suberror", &self.suberror)
            .field("codes", &self.codes)
            .field("correlation_id", &self.correlation_id)
            .field("trace_id", &self.trace_id)
            .field("claims", &self.claims)
            .finish_non_exhaustive()
    }
}

/// No control characters and a bounded length: the text ends up in logs.
fn bounded(text: &str) -> String {
    text.chars().take(LONGEST_TEXT).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn code_in(description: Option<&str>) -> Vec<u64> {
    let digits = |text: &str| text.chars().take_while(char::is_ascii_digit).collect::<String>();
    let found = description.and_then(|text| text.split_once("AADSTS"));
    found.and_then(|(_, rest)| digits(rest).parse().ok()).into_iter().collect()
}

fn word_after(description: Option<&str>, label: &str) -> Option<String> {
    let (_, rest) = description?.split_once(label)?;
    rest.split_whitespace().next().filter(|id| is_id(id)).map(str::to_owned)
}

/// What is shown of an answer has the form it should have: an authority may repeat a secret anywhere.
fn is_word(suberror: &str) -> bool {
    (1..=64).contains(&suberror.len())
        && suberror.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

fn is_id(id: &str) -> bool {
    id.len() == 36 && uuid::Uuid::try_parse(id).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> ServerError {
        ServerError::from_object(serde_json::from_str::<Value>(text).unwrap().as_object().unwrap()).unwrap()
    }

    fn code(text: &str) -> &'static str {
        error(text).classify(400, None).code()
    }

    #[test]
    fn wrong_secret_is_for_the_operator() {
        assert_eq!(code(r#"{"error":"invalid_client","error_codes":[7000215]}"#), "credential");
    }

    #[test]
    fn second_factor_is_for_the_user_and_carries_the_claims() {
        let answer =
            r#"{"error":"invalid_grant","suberror":"basic_action","claims":"{\"access_token\":{}}"}"#;
        let error = error(answer).classify(400, None);
        assert_eq!(error.code(), "interaction_required");
        assert_eq!(error.claims().unwrap().as_str(), r#"{"access_token":{}}"#);
    }

    #[test]
    fn transient_errors_can_be_retried() {
        assert!(error(r#"{"error":"temporarily_unavailable"}"#).classify(400, None).is_retryable());
    }

    #[test]
    fn cancelled_page_counts_as_declined() {
        let error = ServerError::from_redirect("access_denied", None, None, Some("cancel"));
        assert!(error.is_declined());
    }

    #[test]
    fn ids_are_found_in_the_text_of_a_redirect() {
        const TRACE: &str = "00000000-0000-0000-0000-000000000001";
        const CORRELATION: &str = "00000000-0000-0000-0000-000000000002";
        let text = format!(
            "AADSTS65004: User declined. Trace ID: {TRACE} Correlation ID: {CORRELATION} Timestamp: 2026"
        );
        let error = ServerError::from_redirect("access_denied", Some(&text), None, None);
        assert_eq!(error.codes, [65004]);
        let ids = (error.trace_id.as_deref(), error.correlation_id.as_deref());
        assert_eq!(ids, (Some(TRACE), Some(CORRELATION)));
    }

    #[test]
    fn control_characters_do_not_reach_the_log() {
        let error = ServerError::from_redirect("a\r\nb", None, None, None);
        assert_eq!(error.error, "a  b");
    }

    #[test]
    fn secret_that_the_authority_repeats_anywhere_is_not_shown() {
        let members = ["error_description", "suberror", "correlation_id", "trace_id", "error_uri"];
        let mut answer = serde_json::json!({"error": "invalid_grant"});
        members.iter().for_each(|name| answer[name] = "CANARY.1-secret".into());
        let error = error(&answer.to_string());
        assert!(!format!("{error} {error:?}").contains("CANARY"), "{error:?}");
    }

    #[test]
    fn expired_grant_is_dead_and_a_policy_is_not() {
        assert!(error(r#"{"error":"invalid_grant","suberror":"bad_token"}"#).is_grant_dead());
        assert!(!error(r#"{"error":"invalid_grant","suberror":"message_only"}"#).is_grant_dead());
    }
}
