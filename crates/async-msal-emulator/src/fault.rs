use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How many planned faults may wait at once.
pub(crate) const MAX_RULES: usize = 256;

/// An endpoint that can be counted and made to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Endpoint {
    /// `/{tenant}/v2.0/.well-known/openid-configuration`
    Discovery,
    /// `/common/discovery/instance`
    InstanceDiscovery,
    /// `/{tenant}/discovery/v2.0/keys`
    Keys,
    /// `/{tenant}/oauth2/v2.0/authorize`
    Authorize,
    /// `/{tenant}/oauth2/v2.0/token`
    Token,
    /// `/{tenant}/oauth2/v2.0/logout`
    Logout,
    /// `/v1.0/me`
    GraphMe,
    /// `/v1.0/me/manager`
    GraphManager,
    /// `/v1.0/me/photo/$value`
    GraphPhoto,
    /// `/oidc/userinfo`
    UserInfo,
    /// `/metadata/identity/oauth2/token` and `/msi/token`
    ManagedIdentity,
}

/// What happens to a request that a [`FaultRule`] takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Fault {
    /// This answer is given; the request does nothing else.
    Answer {
        /// HTTP status.
        status: u16,
        /// The body; `{}` where it does not matter.
        #[serde(default)]
        body: String,
        /// Default: `application/json`.
        #[serde(default)]
        content_type: Option<String>,
        /// Further headers: `Retry-After`, `WWW-Authenticate`, ...
        #[serde(default)]
        headers: Vec<(String, String)>,
    },
    /// An OAuth error answer in Entra ID's shape with this `error` and AADSTS number.
    #[serde(rename = "oauth_error")]
    OAuthError {
        /// HTTP status.
        status: u16,
        /// `invalid_grant`, `interaction_required`, ...
        error: String,
        /// The AADSTS number.
        code: u32,
        /// `suberror`, if any.
        #[serde(default)]
        suberror: Option<String>,
        /// `claims`: a JSON text inside a string.
        #[serde(default)]
        claims: Option<String>,
    },
    /// The request is served after this many milliseconds, an hour at most.
    DelayMillis(u64),
    /// The request is served, but the connection closes after half of the answer.
    TruncatedBody,
    /// Status 200 with a page of HTML.
    NotJson,
    /// Status 200 with a JSON body of this many bytes, 64 MiB at most.
    LargeBody(usize),
    /// Status 307 to this address, as a misled proxy would answer.
    Redirect(String),
    /// The connection closes without an answer; the request is not served.
    CloseConnection,
    /// The request is served, then the connection closes without an answer.
    CloseAfterServing,
}

/// One planned fault: the next `count` requests at `endpoint` (of `client_id`, where named) get `fault`.
///
/// Scoping by client lets tests that run side by side on one emulator leave each other's faults alone. The discovery
/// and key endpoints carry no client id, so a rule for them takes any caller.
///
/// ```
/// use async_msal_emulator::{Endpoint, Fault, FaultRule};
/// use std::time::Duration;
///
/// let slow = FaultRule::new(Endpoint::Token, Fault::delay(Duration::from_secs(2))).times(3);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct FaultRule {
    /// Where.
    pub endpoint: Endpoint,
    /// What.
    pub fault: Fault,
    /// Whose requests. Default: anybody's.
    #[serde(default)]
    pub client_id: Option<String>,
    /// How many requests. Default: 1.
    #[serde(default = "one")]
    pub count: u32,
}

impl Fault {
    /// A plain answer with this status and body.
    pub fn answer(status: u16, body: impl Into<String>) -> Self {
        Self::Answer { status, body: body.into(), content_type: None, headers: Vec::new() }
    }

    /// An answer with one header, such as `Retry-After`.
    pub fn answer_with_header(status: u16, name: &str, value: &str) -> Self {
        let headers = vec![(name.to_owned(), value.to_owned())];
        Self::Answer { status, body: "{}".into(), content_type: None, headers }
    }

    /// An OAuth error with status 400.
    pub fn oauth_error(error: impl Into<String>, code: u32) -> Self {
        Self::OAuthError { status: 400, error: error.into(), code, suberror: None, claims: None }
    }

    /// Serves the request late, by an hour at most.
    #[must_use]
    pub fn delay(by: Duration) -> Self {
        Self::DelayMillis(u64::try_from(by.as_millis()).unwrap_or(u64::MAX))
    }

    /// A JSON body of ten megabytes.
    #[must_use]
    pub fn ten_megabytes() -> Self {
        Self::LargeBody(10 * 1024 * 1024)
    }
}

impl FaultRule {
    /// The next request at `endpoint`, whoever sends it.
    #[must_use]
    pub fn new(endpoint: Endpoint, fault: Fault) -> Self {
        Self { endpoint, fault, client_id: None, count: 1 }
    }

    /// The next `count` requests. Default: 1.
    #[must_use]
    pub fn times(mut self, count: u32) -> Self {
        self.count = count;
        self
    }

    /// Only requests of this client. Default: anybody's.
    #[must_use]
    pub fn for_client(mut self, client_id: impl Into<String>) -> Self {
        self.client_id = Some(client_id.into());
        self
    }
}

/// What is wrong with an id token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum IdTokenFault {
    /// `aud` of another client.
    WrongAudience,
    /// `aud` is an array of this client and another, `azp` is the other.
    SeveralAudiences,
    /// No `aud`.
    MissingAudience,
    /// `iss` of another tenant.
    WrongIssuer,
    /// `tid` of another tenant.
    WrongTenant,
    /// Another `nonce`.
    WrongNonce,
    /// No `nonce`.
    MissingNonce,
    /// Expired an hour ago.
    Expired,
    /// Valid an hour from now.
    NotYetValid,
    /// No `iat`.
    MissingIssuedAt,
    /// No `sub`.
    MissingSubject,
    /// Another `sub` and `oid`: on a refresh, another person.
    OtherSubject,
    /// `auth_time` a day old.
    OldAuthenticationTime,
    /// `alg` none, no signature.
    AlgorithmNone,
    /// `alg` HS256, keyed by the public key.
    Hs256WithPublicKey,
    /// A `kid` that is not published.
    UnknownKeyId,
    /// No `kid`.
    MissingKeyId,
    /// The signature does not fit.
    BadSignature,
    /// The answer holds no id token at all.
    MissingIdToken,
}

/// One planned id token fault: the next `count` id tokens (of `client_id`, of `grant_type`, where named) are wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct IdTokenFaultRule {
    /// What is wrong.
    pub fault: IdTokenFault,
    /// Whose tokens. Default: anybody's.
    #[serde(default)]
    pub client_id: Option<String>,
    /// `authorization_code` or `refresh_token`. Default: both.
    #[serde(default)]
    pub grant_type: Option<String>,
    /// How many tokens. Default: 1.
    #[serde(default = "one")]
    pub count: u32,
}

impl IdTokenFaultRule {
    /// The next id token, of any client and grant.
    #[must_use]
    pub fn new(fault: IdTokenFault) -> Self {
        Self { fault, client_id: None, grant_type: None, count: 1 }
    }

    /// The next `count` id tokens. Default: 1.
    #[must_use]
    pub fn times(mut self, count: u32) -> Self {
        self.count = count;
        self
    }

    /// Only this client's. Default: anybody's.
    #[must_use]
    pub fn for_client(mut self, client_id: impl Into<String>) -> Self {
        self.client_id = Some(client_id.into());
        self
    }

    /// Only those of refreshes. Default: any grant.
    #[must_use]
    pub fn on_refresh(mut self) -> Self {
        self.grant_type = Some("refresh_token".into());
        self
    }
}

/// The planned faults, first in first out.
#[derive(Debug, Default)]
pub(crate) struct FaultPlan {
    pub(crate) rules: Vec<FaultRule>,
    pub(crate) id_token_rules: Vec<IdTokenFaultRule>,
}

impl FaultPlan {
    pub(crate) fn take(&mut self, endpoint: Endpoint, client_id: Option<&str>) -> Option<Fault> {
        let fits = |r: &FaultRule| {
            r.endpoint == endpoint && r.client_id.as_deref().is_none_or(|wanted| Some(wanted) == client_id)
        };
        let index = self.rules.iter().position(fits)?;
        let rule = &mut self.rules[index];
        rule.count = rule.count.saturating_sub(1);
        let fault = rule.fault.clone();
        self.rules.retain(|r| r.count > 0);
        Some(fault)
    }

    pub(crate) fn take_id_token(&mut self, client_id: &str, grant_type: &str) -> Option<IdTokenFault> {
        let fits = |r: &IdTokenFaultRule| {
            r.client_id.as_deref().is_none_or(|wanted| wanted == client_id)
                && r.grant_type.as_deref().is_none_or(|wanted| wanted == grant_type)
        };
        let index = self.id_token_rules.iter().position(fits)?;
        let rule = &mut self.id_token_rules[index];
        rule.count = rule.count.saturating_sub(1);
        let fault = rule.fault;
        self.id_token_rules.retain(|r| r.count > 0);
        Some(fault)
    }
}

fn one() -> u32 {
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_for_one_client_leaves_the_others_alone() {
        let rule = FaultRule::new(Endpoint::Token, Fault::NotJson).for_client("a").times(2);
        let mut plan = FaultPlan { rules: vec![rule], ..FaultPlan::default() };
        assert_eq!(plan.take(Endpoint::Token, Some("b")), None);
        assert_eq!(plan.take(Endpoint::Keys, Some("a")), None);
        assert_eq!(plan.take(Endpoint::Token, Some("a")), Some(Fault::NotJson));
        assert_eq!(plan.take(Endpoint::Token, Some("a")), Some(Fault::NotJson));
        assert_eq!(plan.take(Endpoint::Token, Some("a")), None);
    }
}
