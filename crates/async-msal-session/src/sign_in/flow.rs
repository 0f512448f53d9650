//! What the browser keeps between the two legs: sealed, small, and for 15 minutes.

use async_msal::error::AuthResponseError;
use async_msal::{AuthCodeFlow, AuthResponse, CodeVerifier, Nonce, Scopes, State};
use serde::{Deserialize, Serialize};
use url::Url;

use super::{FLOW_LIFE, SignInHooks, redeem};
use crate::error::Error;
use crate::msal::Msal;
use crate::sealing::Purpose;
use crate::session_id::{SessionId, StoreKey};

/// Longest sealed flow: with its name it stays under 1.5 KB.
const MAX_SEALED: usize = 1400;
/// Longest return address.
const MAX_RETURN_TO: usize = 2048;

/// The flow, with short names since every byte travels in a cookie. The authority's address and the claims are not
/// in it: at redemption the code itself carries what was demanded.
#[derive(Serialize, Deserialize)]
pub(super) struct StoredFlow {
    #[serde(rename = "s")]
    state: String,
    #[serde(rename = "n")]
    nonce: String,
    #[serde(rename = "v")]
    verifier: String,
    #[serde(rename = "i")]
    issuer: String,
    /// Relative to PUBLIC_URL where it begins with it.
    #[serde(rename = "r")]
    redirect_uri: String,
    #[serde(rename = "c", default, skip_serializing_if = "Option::is_none")]
    scopes: Option<String>,
    #[serde(rename = "m", default, skip_serializing_if = "Option::is_none")]
    max_age: Option<u64>,
    #[serde(rename = "t")]
    return_to: String,
    #[serde(rename = "a")]
    issued_at: i64,
    /// Digits of the present session's store key.
    #[serde(rename = "f", default, skip_serializing_if = "Option::is_none")]
    from: Option<String>,
}

impl StoredFlow {
    pub(super) fn new(msal: &Msal, flow: &AuthCodeFlow, return_to: String, from: Option<&StoreKey>) -> Self {
        let redirect_uri = flow.redirect_uri().map_or("", Url::as_str);
        let base = msal.settings().public_url().as_str().trim_end_matches('/');
        Self {
            state: flow.state().expose_secret().to_owned(),
            nonce: flow.nonce().expose_secret().to_owned(),
            verifier: flow.code_verifier().expose_secret().to_owned(),
            issuer: flow.issuer().unwrap_or_default().to_owned(),
            redirect_uri: redirect_uri.strip_prefix(base).unwrap_or(redirect_uri).to_owned(),
            scopes: flow.scopes().map(ToString::to_string),
            max_age: flow.max_age(),
            return_to,
            issued_at: msal.clock().now(),
            from: from.map(|key| key.digits().to_owned()),
        }
    }

    /// Seals it. Where it would grow too large the scopes are left out, and so from redemption, where they are optional
    /// (RFC 6749 4.1.3); then the return address.
    pub(super) fn seal(mut self, msal: &Msal) -> Result<String, Error> {
        let mut sealed = self.seal_as_is(msal)?;
        if sealed.len() > MAX_SEALED && self.scopes.take().is_some() {
            sealed = self.seal_as_is(msal)?;
        }
        if sealed.len() > MAX_SEALED {
            "/".clone_into(&mut self.return_to);
            sealed = self.seal_as_is(msal)?;
        }
        Ok(sealed)
    }

    fn seal_as_is(&self, msal: &Msal) -> Result<String, Error> {
        let text = zeroize::Zeroizing::new(serde_json::to_vec(self).unwrap_or_default());
        Ok(msal.seal(Purpose::Flow, "", &text)?)
    }

    /// Opens it; what is none of ours, altered, or over 15 minutes old is an expired sign-in.
    pub(super) fn open(msal: &Msal, sealed: &str) -> Result<Self, Error> {
        let flow = Self::open_of_any_age(msal, sealed)?;
        let age = msal.clock().now().saturating_sub(flow.issued_at);
        let life = FLOW_LIFE.as_secs().cast_signed();
        if (-life..life).contains(&age) { Ok(flow) } else { Err(Error::SignInExpired) }
    }

    pub(super) fn open_of_any_age(msal: &Msal, sealed: &str) -> Result<Self, Error> {
        let text = msal.open(Purpose::Flow, "", sealed).map_err(|error| {
            tracing::debug!(target: crate::telemetry::TARGET, %error, "flow cookie does not open");
            Error::SignInExpired
        })?;
        serde_json::from_slice(&text).map_err(|_| Error::SignInExpired)
    }

    pub(super) fn state(&self) -> &str {
        &self.state
    }

    pub(super) fn return_to(&self) -> &str {
        local_path(&self.return_to)
    }

    /// Compares the answer's state with the flow's, in constant time.
    pub(super) fn check_state(&self, response: &AuthResponse) -> Result<(), Error> {
        check_state(response, &State::new(self.state.as_str()))
    }

    /// Redeems the code; the new session's id.
    pub(super) async fn redeem(
        self,
        msal: &Msal,
        response: AuthResponse,
        hooks: &SignInHooks,
    ) -> Result<SessionId, Error> {
        let base = msal.settings().public_url().as_str().trim_end_matches('/');
        let address = if self.redirect_uri.starts_with('/') {
            format!("{base}{}", self.redirect_uri)
        } else {
            self.redirect_uri
        };
        let redirect_uri = Url::parse(&address).map_err(|_| Error::SignInExpired)?;
        let (nonce, verifier) = (Nonce::new(self.nonce), CodeVerifier::new(self.verifier));
        let mut flow = AuthCodeFlow::restore(State::new(self.state), nonce, verifier, redirect_uri);
        if !self.issuer.is_empty() {
            flow = flow.with_issuer(self.issuer);
        }
        if let Some(scopes) = self.scopes {
            flow = flow.with_scopes(Scopes::parse(&scopes));
        }
        if let Some(seconds) = self.max_age {
            flow = flow.with_max_age(seconds);
        }
        let settings = msal.settings();
        let from = self
            .from
            .and_then(|digits| StoreKey::from_digits(settings.layout(), settings.cookie_name(), &digits));
        let session = redeem(msal, &flow, response, from, hooks).await?;
        session.session_id().ok_or(Error::SessionEnded)
    }
}

/// Compares the state of an answer with the one the sign-in began with, in constant time. The protocol does so too before
/// it redeems; here it is done before the sign-in counts as used.
pub(crate) fn check_state(response: &AuthResponse, state: &State) -> Result<(), Error> {
    let problem = match response.state() {
        Some(answered) if answered.ct_eq(state) => return Ok(()),
        Some(_) => AuthResponseError::StateMismatch,
        None => AuthResponseError::StateMissing,
    };
    Err(async_msal::Error::from(problem).into())
}

/// A path inside the application, or `/`: one leading slash, nothing that a browser takes for another host or a new header.
pub(super) fn local_path(path: &str) -> &str {
    let mut bytes = path.bytes();
    let begins_locally = bytes.next() == Some(b'/') && !matches!(bytes.next(), Some(b'/' | b'\\'));
    let plain = path.len() <= MAX_RETURN_TO && !path.contains('\\') && !path.chars().any(char::is_control);
    if begins_locally && plain { path } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_return_address_stays_inside_the_application() {
        for good in ["/", "/a/b?c=d#e", "/ä"] {
            assert_eq!(local_path(good), good);
        }
        for bad in
            ["", "a", "//evil", "/\\evil", "\\\\evil", "https://evil", "/a\r\nb", "/\t/evil", "javascript:a"]
        {
            assert_eq!(local_path(bad), "/", "{bad:?}");
        }
        assert_eq!(local_path(&format!("/{}", "a".repeat(5000))), "/");
    }
}
