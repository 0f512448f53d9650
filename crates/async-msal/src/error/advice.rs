//! What a web application does about an error.

use super::{AuthResponseError, Error, InteractionRequired, ServerError};

/// One of the few things a web application can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Advice {
    /// Send the user to sign in, with the claims of the error.
    SignIn,
    /// Send the user to consent to the scopes that are missing.
    Consent,
    /// Say that it did not work, and offer a link to try again: the user declined, or the answer was no sign-in's.
    OfferRetry,
    /// Say why; the user cannot mend it now, and another redirect would be a loop.
    ShowMessage,
    /// Go on where somebody is signed in: the same answer was submitted twice. Else start again.
    IgnoreIfSignedIn,
    /// Answer one's own caller with 401: the token it brought is no longer good.
    RefuseCaller,
    /// Keep the session and try later, after `retry_after` where there is one.
    Wait,
    /// Tell whoever runs the application; never send the user to sign in, which would change nothing.
    AlertOperator,
    /// End the session.
    EndSession,
}

impl Error {
    /// What a web application does about this error.
    ///
    /// Decided by the kind, `error` and `suberror`; the AADSTS number refines what those leave open.
    #[must_use]
    pub fn advice(&self) -> Advice {
        match self {
            Self::InteractionRequired(interaction) => interaction.advice(),
            Self::Config(_) | Self::Credential(_) | Self::Random(_) => Advice::AlertOperator,
            Self::Throttled { .. } | Self::Unreachable(_) => Advice::Wait,
            Self::ClientAssertion(_) | Self::InvalidResponse(_) if self.is_retryable() => Advice::Wait,
            Self::ClientAssertion(_) | Self::InvalidResponse(_) => Advice::AlertOperator,
            Self::Server(server) => server.advice(),
            Self::AuthResponse(AuthResponseError::Refused(server)) => server.advice(),
            Self::IdToken(_) | Self::AuthResponse(_) => Advice::OfferRetry,
            Self::RefreshRefused(_) => Advice::EndSession,
            Self::UserAssertion(_) => Advice::RefuseCaller,
            Self::Cache(_) => Advice::SignIn,
        }
    }
}

impl InteractionRequired {
    pub(super) fn advice(&self) -> Advice {
        match &self.server {
            Some(server) => server.advice(),
            None if self.missing_scopes.is_empty() => Advice::SignIn,
            None => Advice::Consent,
        }
    }
}

impl ServerError {
    /// `error` and `suberror` first; Microsoft may change the numbers.
    fn advice(&self) -> Advice {
        match (self.error.as_str(), self.suberror.as_deref()) {
            (_, Some("consent_required")) | ("consent_required", _) => Advice::Consent,
            (_, Some("message_only")) => Advice::ShowMessage,
            (_, Some("basic_action" | "additional_action" | "user_password_expired")) => Advice::SignIn,
            (_, Some("bad_token" | "token_expired")) | ("login_required", _) => Advice::SignIn,
            ("invalid_client" | "unauthorized_client", _) => Advice::AlertOperator,
            ("temporarily_unavailable" | "server_error", _) => Advice::Wait,
            (error, _) => match self.meaning() {
                Some(meaning) => meaning.advice(),
                None if self.is_declined() => Advice::OfferRetry,
                None => by_error(error),
            },
        }
    }
}

/// What RFC 6749 and OpenID Connect Core 3.1.2.6 say alone.
fn by_error(error: &str) -> Advice {
    match error {
        "invalid_grant" | "interaction_required" | "account_selection_required" => Advice::SignIn,
        "access_denied" => Advice::ShowMessage,
        _ => Advice::AlertOperator,
    }
}
