//! What is kept between the redirect and the callback.

use serde::{Deserialize, Serialize};
use url::Url;

use crate::scope::Scopes;
use crate::secret::{CodeVerifier, Nonce, State};

/// One sign-in under way. Serialised it is MSAL's own record, with the issuer added.
///
/// # Security
///
/// Bind it to the browser, use it once, let it expire within 15 minutes. `Debug` shows no secret;
/// the serialised form holds all of them.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(from = "Record", into = "Record")]
pub struct AuthCodeFlow {
    pub(super) state: State,
    pub(super) nonce: Nonce,
    pub(super) code_verifier: CodeVerifier,
    pub(super) redirect_uri: Option<Url>,
    pub(super) scopes: Option<Scopes>,
    pub(super) max_age: Option<u64>,
    pub(super) issuer: Option<String>,
    pub(super) auth_uri: Option<AuthUri>,
    pub(super) claims_challenge: Option<String>,
}

/// The address a browser is sent to; it holds the state.
#[derive(Clone)]
pub(super) struct AuthUri(pub(super) Url);

impl std::fmt::Debug for AuthUri {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("AuthUri([redacted])")
    }
}

impl AuthCodeFlow {
    /// Rebuilds a flow from what a sealed cookie keeps.
    #[must_use]
    pub const fn restore(state: State, nonce: Nonce, code_verifier: CodeVerifier, redirect_uri: Url) -> Self {
        Self {
            state,
            nonce,
            code_verifier,
            redirect_uri: Some(redirect_uri),
            scopes: None,
            max_age: None,
            issuer: None,
            auth_uri: None,
            claims_challenge: None,
        }
    }

    /// Sets the issuer the sign-in was started at.
    #[must_use]
    pub fn with_issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuer = Some(issuer.into());
        self
    }

    /// Sets the scopes that were asked.
    #[must_use]
    pub fn with_scopes(mut self, scopes: Scopes) -> Self {
        self.scopes = Some(scopes.undecorated());
        self
    }

    /// Sets the age that was asked, in seconds.
    #[must_use]
    pub const fn with_max_age(mut self, seconds: u64) -> Self {
        self.max_age = Some(seconds);
        self
    }

    /// Ties the answer to the browser.
    #[must_use]
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// The raw nonce.
    #[must_use]
    pub const fn nonce(&self) -> &Nonce {
        &self.nonce
    }

    /// The PKCE secret.
    #[must_use]
    pub const fn code_verifier(&self) -> &CodeVerifier {
        &self.code_verifier
    }

    /// The issuer the sign-in was started at.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.issuer.as_deref()
    }

    /// The scopes that were asked, without the reserved ones.
    #[must_use]
    pub const fn scopes(&self) -> Option<&Scopes> {
        self.scopes.as_ref()
    }

    /// The redirect address, sent again at redemption byte by byte.
    #[must_use]
    pub const fn redirect_uri(&self) -> Option<&Url> {
        self.redirect_uri.as_ref()
    }

    /// The age that was asked, in seconds.
    #[must_use]
    pub const fn max_age(&self) -> Option<u64> {
        self.max_age
    }

    /// Where to send the browser; `None` in a restored flow.
    #[must_use]
    pub fn auth_uri(&self) -> Option<&Url> {
        self.auth_uri.as_ref().map(|uri| &uri.0)
    }
}

/// MSAL's record: the scopes with the reserved ones, `claims_challenge` always there.
#[derive(Serialize, Deserialize)]
struct Record {
    state: State,
    redirect_uri: Option<Url>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scope: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    auth_uri: Option<Url>,
    code_verifier: CodeVerifier,
    nonce: Nonce,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_age: Option<u64>,
    #[serde(default)]
    claims_challenge: Option<String>,
    /// Ours; MSAL passes over it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    issuer: Option<String>,
}

impl From<Record> for AuthCodeFlow {
    fn from(record: Record) -> Self {
        Self {
            state: record.state,
            nonce: record.nonce,
            code_verifier: record.code_verifier,
            redirect_uri: record.redirect_uri,
            scopes: record.scope.map(|scopes| scopes.into_iter().collect::<Scopes>().undecorated()),
            max_age: record.max_age,
            issuer: record.issuer,
            auth_uri: record.auth_uri.map(AuthUri),
            claims_challenge: record.claims_challenge,
        }
    }
}

impl From<AuthCodeFlow> for Record {
    fn from(flow: AuthCodeFlow) -> Self {
        Self {
            state: flow.state,
            redirect_uri: flow.redirect_uri,
            scope: flow.scopes.map(|scopes| scopes.decorated().iter().map(str::to_owned).collect()),
            auth_uri: flow.auth_uri.map(|uri| uri.0),
            code_verifier: flow.code_verifier,
            nonce: flow.nonce,
            max_age: flow.max_age,
            claims_challenge: flow.claims_challenge,
            issuer: flow.issuer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: &str = r#"{"state":"s","redirect_uri":"https://app.example/cb","scope":["openid","User.Read","profile","offline_access"],"auth_uri":"https://login.example/?state=s","code_verifier":"v","nonce":"n","claims_challenge":null}"#;

    #[test]
    fn record_of_msal_opens() {
        let flow: AuthCodeFlow = serde_json::from_str(RECORD).unwrap();
        assert_eq!(flow.scopes(), Some(&Scopes::from(["User.Read"])));
        assert_eq!(flow.state().expose_secret(), "s");
    }

    #[test]
    fn record_has_msals_fields() {
        let flow: AuthCodeFlow = serde_json::from_str(RECORD).unwrap();
        let written = serde_json::to_value(&flow).unwrap();
        assert_eq!(written["claims_challenge"], serde_json::Value::Null);
        assert_eq!(written["scope"].as_array().unwrap().len(), 4);
        assert_eq!(written["nonce"], "n");
    }

    #[test]
    fn redirect_address_and_scopes_may_be_absent() {
        assert!(
            serde_json::from_str::<AuthCodeFlow>(r#"{"state":"s","code_verifier":"v","nonce":"n"}"#).is_ok()
        );
    }

    #[test]
    fn record_without_its_secrets_does_not_open() {
        for text in [
            r#"{"code_verifier":"v","nonce":"n"}"#,
            r#"{"state":"s","nonce":"n"}"#,
            r#"{"state":"s","code_verifier":"v"}"#,
        ] {
            assert!(serde_json::from_str::<AuthCodeFlow>(text).is_err());
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let record = RECORD
            .replace("\"s\"", "\"canary\"")
            .replace("\"n\"", "\"canary\"")
            .replace("\"v\"", "\"canary\"");
        let flow: AuthCodeFlow = serde_json::from_str(&record).unwrap();
        assert!(!format!("{flow:?}").contains("canary"));
    }
}
