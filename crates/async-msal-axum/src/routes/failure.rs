//! A sign-in that came to nothing: which page says so.

use async_msal::error::{AuthResponseError, Meaning};
use async_msal::{Error as ProtocolError, ServerError};
use async_msal_session::Error;
use axum::response::Response;
use http::StatusCode;

use crate::headers;
use crate::pages::{Page, texts, texts::PageText};
use crate::visit::Visit;

/// Bytes of the reference that stands on the page and in the log.
const REFERENCE_BYTES: usize = 8;

/// The page, with a reference under which the log tells the rest. Nothing of what the authority wrote is shown but
/// its error numbers and correlation id.
pub(crate) fn respond(visit: &Visit, error: &Error, return_to: &str) -> Response {
    let shared = visit.shared();
    let text = text_for(error);
    let reference = reference(visit);
    log(visit, error, text, &reference);
    let numbers = server_of(error)
        .map(|server| server.codes.iter().map(|code| format!("AADSTS{code}")).collect::<Vec<_>>().join(" "));
    let mut page = Page::new(text);
    if let Error::Refused(reason) = error {
        page = page.with_detail(reason);
    }
    let retry = if text.status == StatusCode::FORBIDDEN {
        format!("{}?prompt=select_account", shared.site.login_returning_to(return_to))
    } else {
        shared.site.login_returning_to(return_to)
    };
    let mut response = page
        .with_link("Try again", retry)
        .with_link("Back to the application", shared.return_to.default_page().to_owned())
        .with_reference("Reference", Some(reference))
        .with_reference("Correlation id", error.correlation_id().map(str::to_owned))
        .with_reference("Error", numbers.filter(|numbers| !numbers.is_empty()))
        .respond(&shared.site);
    if text.status == StatusCode::SERVICE_UNAVAILABLE {
        headers::retry_after(response.headers_mut(), error.retry_after().unwrap_or(headers::RETRY_AFTER));
    }
    response
}

fn text_for(error: &Error) -> PageText {
    match error.root() {
        Error::Store(_) => texts::STORE_DOWN,
        Error::Refused(_) => texts::REFUSED,
        Error::SignInExpired => texts::EXPIRED,
        Error::Protocol(protocol) => protocol_text(protocol),
        Error::Settings(_) => texts::OPERATOR,
        // The same answer as the first submit got, of which only the code was kept.
        Error::Earlier(failure) => match failure.code.as_str() {
            "refused" => texts::REFUSED,
            "credential" | "config" | "settings" => texts::OPERATOR,
            _ if failure.retryable => texts::AUTHORITY_DOWN,
            _ => texts::SIGN_IN_FAILED,
        },
        other if other.is_retryable() => texts::AUTHORITY_DOWN,
        _ => texts::SIGN_IN_FAILED,
    }
}

fn protocol_text(error: &ProtocolError) -> PageText {
    match error {
        ProtocolError::Config(_) | ProtocolError::Credential(_) => texts::OPERATOR,
        ProtocolError::AuthResponse(AuthResponseError::Refused(server)) | ProtocolError::Server(server) => {
            server_text(server)
        }
        // The sealed flow under this cookie's name is another sign-in's: the browser sent what does not belong together.
        ProtocolError::AuthResponse(AuthResponseError::StateMissing | AuthResponseError::StateMismatch) => {
            texts::EXPIRED
        }
        ProtocolError::InteractionRequired(wanted) => {
            match wanted.server.as_ref().and_then(|server| server.meaning()) {
                // The code was too old, or somebody redeemed it before.
                Some(Meaning::Expired | Meaning::CodeRedeemed) => texts::EXPIRED,
                _ => texts::INTERACTION_FAILED,
            }
        }
        other if other.is_retryable() => texts::AUTHORITY_DOWN,
        ProtocolError::ClientAssertion(_) => texts::OPERATOR,
        _ => texts::SIGN_IN_FAILED,
    }
}

fn server_text(server: &ServerError) -> PageText {
    match (server.meaning(), server.error.as_str()) {
        (Some(Meaning::AdminConsent | Meaning::NotAssigned), _) => texts::ADMIN_CONSENT,
        _ if server.is_declined() => texts::CANCELLED,
        _ if server.is_transient() => texts::AUTHORITY_DOWN,
        (_, "access_denied" | "consent_required" | "interaction_required" | "login_required") => {
            texts::INTERACTION_FAILED
        }
        (
            _,
            "invalid_client"
            | "unauthorized_client"
            | "invalid_request"
            | "invalid_scope"
            | "invalid_resource",
        ) => texts::OPERATOR,
        _ => texts::SIGN_IN_FAILED,
    }
}

fn server_of(error: &Error) -> Option<&ServerError> {
    match error.root() {
        Error::Protocol(protocol) => protocol.server(),
        _ => None,
    }
}

/// Only an operator can mend a refused credential, so it is the one that is logged as an error.
fn log(visit: &Visit, error: &Error, text: PageText, reference: &str) {
    let client = visit.client_address();
    let (code, hint) = (error.code(), error.hint());
    if text.status == StatusCode::INTERNAL_SERVER_ERROR {
        tracing::error!(target: "async_msal::sign_in", reference, %code, %error, %hint, ?client, "an operator must act");
    } else {
        tracing::warn!(target: "async_msal::sign_in", reference, %code, %error, ?client, "sign-in failed");
    }
}

fn reference(visit: &Visit) -> String {
    let mut bytes = [0; REFERENCE_BYTES];
    // Without randomness the page still comes, only without a reference of its own.
    let _ = visit.shared().msal.client().random().fill(&mut bytes);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
