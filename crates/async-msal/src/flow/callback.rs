//! The checks of an authorization response; redeeming takes the proof that they passed.

use super::auth_code_flow::AuthCodeFlow;
use super::auth_response::AuthResponse;
use crate::authority::Metadata;
use crate::error::{AuthResponseError, ServerError};
use crate::secret::AuthorizationCode;

/// A response that belongs to this flow and brings a code; only [`validate`] makes one.
pub(super) struct ValidatedCallback {
    pub(super) code: AuthorizationCode,
    /// Unsigned; a routing hint and nothing else.
    pub(super) client_info: Option<String>,
}

/// In this order: state, issuer, error, code.
pub(super) fn validate(
    flow: &AuthCodeFlow,
    metadata: &Metadata,
    response: AuthResponse,
) -> Result<ValidatedCallback, AuthResponseError> {
    let state = response.state.as_ref().ok_or(AuthResponseError::StateMissing)?;
    // An empty state in the record must match nothing.
    if flow.state.expose_secret().is_empty() || !state.ct_eq(&flow.state) {
        return Err(AuthResponseError::StateMismatch);
    }
    check_issuer(flow, metadata, response.iss.as_deref())?;
    if let Some(error) = &response.error {
        let description = response.error_description.as_deref();
        let error_uri = response.error_uri.as_deref();
        let subcode = response.error_subcode.as_deref();
        let server = ServerError::from_redirect(error, description, error_uri, subcode);
        return Err(AuthResponseError::Refused(Box::new(server)));
    }
    let code = response.code.filter(|code| !code.expose_secret().is_empty());
    let code = code.ok_or(AuthResponseError::CodeMissing)?;
    Ok(ValidatedCallback { code, client_info: response.client_info })
}

/// RFC 9207 2.4, for errors too; and the flow must have been started at this very issuer.
fn check_issuer(
    flow: &AuthCodeFlow,
    metadata: &Metadata,
    found: Option<&str>,
) -> Result<(), AuthResponseError> {
    if flow.issuer.as_deref().is_some_and(|started| started != metadata.issuer()) {
        return Err(AuthResponseError::IssuerMismatch);
    }
    match found {
        Some(found) if !metadata.issuer_rule().accepts(found) => Err(AuthResponseError::IssuerMismatch),
        None if metadata.authorization_response_iss_parameter_supported() => {
            Err(AuthResponseError::IssuerMissing)
        }
        _ => Ok(()),
    }
}
