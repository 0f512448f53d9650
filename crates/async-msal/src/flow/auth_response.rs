//! The authorization response as it arrives, before anything of it is believed.

use std::fmt;

use crate::error::{AuthResponseError, Error};
use crate::secret::{AuthorizationCode, State};

/// More fields, or longer ones, are refused.
const MOST_FIELDS: usize = 20;
const LONGEST_FIELD: usize = 8 * 1024;

/// Fields of a callback (RFC 6749 4.1.2). Unknown ones are passed over, `session_state` among them.
#[derive(Clone, Default)]
pub struct AuthResponse {
    pub(super) state: Option<State>,
    pub(super) code: Option<AuthorizationCode>,
    pub(super) iss: Option<String>,
    pub(super) client_info: Option<String>,
    pub(super) error: Option<String>,
    pub(super) error_description: Option<String>,
    pub(super) error_uri: Option<String>,
    pub(super) error_subcode: Option<String>,
}

impl AuthResponse {
    /// Reads a form body or a query.
    ///
    /// # Errors
    ///
    /// [`Error::AuthResponse`] for more than 20 fields, a field over 8 KiB, or one named twice.
    pub fn parse(urlencoded: &str) -> Result<Self, Error> {
        if urlencoded.len() > MOST_FIELDS * LONGEST_FIELD {
            return Err(AuthResponseError::Malformed.into());
        }
        let mut response = Self::default();
        for (index, (name, value)) in form_urlencoded::parse(urlencoded.as_bytes()).enumerate() {
            if index >= MOST_FIELDS || name.len() > LONGEST_FIELD || value.len() > LONGEST_FIELD {
                return Err(AuthResponseError::Malformed.into());
            }
            response.take(&name, value.into_owned())?;
        }
        Ok(response)
    }

    /// The state, unchecked: to find the flow it belongs to.
    #[must_use]
    pub const fn state(&self) -> Option<&State> {
        self.state.as_ref()
    }

    fn take(&mut self, name: &str, value: String) -> Result<(), AuthResponseError> {
        match name {
            "state" => once("state", &mut self.state, State::new(value)),
            "code" => once("code", &mut self.code, AuthorizationCode::new(value)),
            "iss" => once("iss", &mut self.iss, value),
            "client_info" => once("client_info", &mut self.client_info, value),
            "error" => once("error", &mut self.error, value),
            "error_description" => once("error_description", &mut self.error_description, value),
            "error_uri" => once("error_uri", &mut self.error_uri, value),
            "error_subcode" => once("error_subcode", &mut self.error_subcode, value),
            _ => Ok(()),
        }
    }
}

/// RFC 6749 3.1: no parameter twice.
fn once<T>(name: &'static str, slot: &mut Option<T>, value: T) -> Result<(), AuthResponseError> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(AuthResponseError::Duplicate(name)),
    }
}

impl fmt::Debug for AuthResponse {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { state, code, iss, client_info, error, error_description, error_uri, error_subcode } = self;
        formatter
            .debug_struct("AuthResponse")
            .field("state", state)
            .field("code", code)
            .field("iss", iss)
            .field("client_info", &client_info.is_some())
            .field("error", error)
            .field("error_description", &error_description.is_some())
            .field("error_uri", &error_uri.is_some())
            .field("error_subcode", error_subcode)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duplicate_of_any_protocol_field_is_refused() {
        for name in ["code", "state", "error", "iss"] {
            assert!(AuthResponse::parse(&format!("{name}=a&{name}=a")).is_err(), "{name}");
        }
    }

    #[test]
    fn too_many_fields_are_refused() {
        let many: Vec<String> = (0..21).map(|index| format!("f{index}=x")).collect();
        assert!(AuthResponse::parse(&many.join("&")).is_err());
        assert!(AuthResponse::parse(&many[..20].join("&")).is_ok());
    }

    #[test]
    fn field_over_8_kib_is_refused() {
        assert!(AuthResponse::parse(&format!("code={}", "a".repeat(8_192))).is_ok());
        assert!(AuthResponse::parse(&format!("code={}", "a".repeat(8_193))).is_err());
    }

    #[test]
    fn debug_shows_neither_code_nor_state() {
        let response = AuthResponse::parse("code=canary&state=canary&client_info=canary").unwrap();
        assert!(!format!("{response:?}").contains("canary"));
    }
}
