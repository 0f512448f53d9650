//! What went wrong, and who must act.

mod aadsts;
mod advice;
mod credential;
mod from;
mod server_error;

use std::sync::Arc;
use std::time::Duration;

pub use aadsts::Meaning;
pub use advice::Advice;
pub use credential::{ClientAssertionError, ClientCertificateError};
pub use server_error::ServerError;

use crate::claims_challenge::ClaimsChallenge;
use crate::id_token::IdTokenError;
use crate::random::RandomError;
use crate::scope::Scopes;
use crate::token_cache::CacheError;

/// Every failure of this crate. Nothing secret is in `Display`, `Debug` or the sources.
///
/// Variants answer who must act; [`code`](Self::code) is stable for logs and metrics, the text of
/// `Display` is not. That text is whole, and [`source`](std::error::Error::source) is only what it does not say yet: a
/// report of the chain says nothing twice.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The user: sign in again, consent, or pass a second factor.
    #[error("{}{}", .0.who_must_act(), .0.detail())]
    InteractionRequired(Box<InteractionRequired>),
    /// The developer: a setting cannot work.
    #[error("configuration: {0}")]
    Config(ConfigError),
    /// The operator: the authority does not accept the application's credential or registration.
    #[error("the authority refused the application: {0}")]
    Credential(Box<ServerError>),
    /// Nobody: wait.
    #[error("the authority asks to wait{}", for_how_long(*.retry_after))]
    #[non_exhaustive]
    Throttled {
        /// How long, where the authority said so (at most an hour).
        retry_after: Option<Duration>,
        /// What it said beside that.
        server: Option<Box<ServerError>>,
    },
    /// Nobody: the authority did not answer in time, or cannot be connected.
    #[error(transparent)]
    Unreachable(Unreachable),
    /// The authority answered with an error that none of the above describes.
    #[error("the authority answered: {0}")]
    Server(Box<ServerError>),
    /// The authority, or somebody between, answered with what the protocol does not allow.
    #[error("invalid response: {0}")]
    InvalidResponse(InvalidResponse),
    /// The id token does not prove who signed in.
    #[error("id token refused: {0}")]
    IdToken(IdTokenError),
    /// The id token of a refresh names somebody or something else: nothing of the answer was stored,
    /// and the session it was for must end (OpenID Connect Core 12.2).
    #[error("refresh refused, the session must end: {0}")]
    RefreshRefused(IdTokenError),
    /// The way back from the authorization endpoint did not bring a good answer.
    #[error("authorization response refused: {0}")]
    AuthResponse(AuthResponseError),
    /// The operator: the assertion that stands for the application's secret could not be made or fetched. Nothing was
    /// sent to the authority.
    #[error(transparent)]
    ClientAssertion(ClientAssertionError),
    /// The token that our caller presented cannot be exchanged: the caller must bring another.
    #[error("the incoming token: {0}")]
    UserAssertion(UserAssertionError),
    /// The token cache cannot be read.
    #[error("token cache: {0}")]
    Cache(CacheError),
    /// The source of randomness failed.
    #[error(transparent)]
    Random(RandomError),
}

impl Error {
    /// A stable name for logs, metrics and other languages.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::InteractionRequired(_) => "interaction_required",
            Self::Config(_) => "config",
            Self::Credential(_) => "credential",
            Self::Throttled { .. } => "throttled",
            Self::Unreachable(_) => "unreachable",
            Self::Server(_) => "server",
            Self::InvalidResponse(_) => "invalid_response",
            Self::IdToken(_) => "id_token",
            Self::RefreshRefused(_) => "refresh_refused",
            Self::AuthResponse(_) => "auth_response",
            Self::ClientAssertion(_) => "client_assertion",
            Self::UserAssertion(_) => "user_assertion",
            Self::Cache(_) => "cache",
            Self::Random(_) => "random",
        }
    }

    /// What to do about it, for the developer or the operator.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        if let Some(meaning) = self.server().and_then(ServerError::meaning) {
            return meaning.hint();
        }
        match self {
            Self::InteractionRequired(_) => {
                "Send the user to sign in, with the claims and scopes of this error."
            }
            Self::Config(_) => "Correct the named setting; trying again will not help.",
            Self::Credential(_) => "Check the client id and its secret in the application's registration.",
            Self::Throttled { .. } => "Wait as long as the error says, then try again.",
            Self::Unreachable(_) => {
                "Check the network, the proxy and the certificate authorities; then try again."
            }
            Self::Server(_) => {
                "Look the error up by its code and correlation id in the authority's sign-in log."
            }
            Self::InvalidResponse(InvalidResponse::ClaimsChallenge) => {
                "Pass on what the API sent: a JSON object of at most 8 KiB, decoded from its base64."
            }
            Self::InvalidResponse(_) => {
                "Something answers in the authority's place; check the address and the proxy."
            }
            Self::IdToken(_) => "Check the clock, the client id, the tenant and the authority.",
            Self::RefreshRefused(_) => "End this session and let the user sign in again.",
            Self::AuthResponse(_) => "Let the user start again; the answer did not belong to this sign-in.",
            Self::ClientAssertion(_) => "Check the callback, the token file or the managed identity.",
            Self::UserAssertion(_) => "Answer the caller with 401: it must get a new token for this API.",
            Self::Cache(_) => "The stored token cache is damaged; let the user sign in again.",
            Self::Random(_) => "The operating system gave no randomness; nothing can be done safely.",
        }
    }

    /// Can the same call succeed later without anybody acting?
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Throttled { .. } | Self::Unreachable(_) => true,
            Self::ClientAssertion(reason) => reason.is_retryable(),
            Self::Server(server) => server.is_transient(),
            Self::InvalidResponse(reason) => {
                matches!(reason, InvalidResponse::Status(status) if *status >= 500)
            }
            _ => false,
        }
    }

    /// Must the session whose token this was end?
    #[must_use]
    pub const fn ends_session(&self) -> bool {
        matches!(self, Self::RefreshRefused(_))
    }

    /// Claims to pass to the next authorization request.
    #[must_use]
    pub fn claims(&self) -> Option<&ClaimsChallenge> {
        match self {
            Self::InteractionRequired(interaction) => interaction.claims.as_ref(),
            _ => self.server().and_then(ServerError::claims),
        }
    }

    /// How long to wait, where the authority said so.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Throttled { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// The authority's own words, where it had some.
    #[must_use]
    pub fn server(&self) -> Option<&ServerError> {
        match self {
            Self::InteractionRequired(interaction) => interaction.server.as_deref(),
            Self::Credential(server) | Self::Server(server) => Some(server),
            Self::Throttled { server, .. } => server.as_deref(),
            Self::AuthResponse(AuthResponseError::Refused(server)) => Some(server),
            _ => None,
        }
    }

    /// Ties this failure to the authority's logs.
    #[must_use]
    pub fn correlation_id(&self) -> Option<&str> {
        self.server().and_then(ServerError::correlation_id)
    }
}

fn for_how_long(pause: Option<Duration>) -> String {
    pause.map(|pause| format!(" {} s", pause.as_secs_f64().ceil())).unwrap_or_default()
}

/// Why the user must interact, and what to ask for then.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct InteractionRequired {
    /// Claims to pass to the next authorization request.
    pub claims: Option<ClaimsChallenge>,
    /// Scopes that were asked and not granted.
    pub missing_scopes: Scopes,
    /// The authority's error, where it answered with one.
    pub server: Option<Box<ServerError>>,
}

impl InteractionRequired {
    /// In words, what [`Error::advice`] says.
    fn who_must_act(&self) -> &'static str {
        match self.advice() {
            Advice::RefuseCaller => "the incoming token is no longer good, its caller must bring another",
            Advice::ShowMessage => "the user is not let in",
            Advice::AlertOperator => "the operator must act",
            Advice::Wait => "the authority asks to wait",
            _ => "the user must interact",
        }
    }

    fn detail(&self) -> String {
        match &self.server {
            Some(server) => format!(": {server}"),
            None if self.missing_scopes.is_empty() => ": there is no token to renew with".to_owned(),
            None => format!(": not granted, or nothing is there to renew it with: {}", self.missing_scopes),
        }
    }
}

/// The authority could not be asked.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{what} did not answer: {reason}")]
#[non_exhaustive]
pub struct Unreachable {
    /// Which of the authority's endpoints.
    pub what: &'static str,
    /// `timeout`, `connect`, `tls`, `request` or `body`.
    pub reason: &'static str,
    /// The cause, without its address.
    #[source]
    pub source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

/// A setting that cannot work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The authority is no https address with a tenant.
    #[error("the authority's address is not usable: {0}")]
    Authority(&'static str),
    /// The tenant is neither a GUID, a domain, nor one of the three words.
    #[error("the tenant is neither a GUID, nor a domain, nor common, organizations or consumers")]
    Tenant,
    /// A loopback authority needs `dangerous_allow_loopback_authority`.
    #[error("a loopback authority was not allowed by dangerous_allow_loopback_authority")]
    LoopbackAuthority,
    /// The builder lacks something.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// The scope is added by this library.
    #[error("the scope {0} is added by the library and may not be asked by name")]
    ReservedScope(String),
    /// A scope with characters that RFC 6749 3.3 does not allow.
    #[error("a scope holds a character that is not allowed")]
    ScopeSyntax,
    /// An extra query parameter would replace one of the protocol's.
    #[error("the query parameter {0} belongs to the protocol")]
    ReservedParameter(String),
    /// The redirect address is unusable (RFC 6749 3.1.2: no fragment).
    #[error("the redirect address may have no fragment and must be http or https")]
    RedirectUri,
    /// Not a PEM certificate.
    #[error("the certificate authority is not a PEM certificate")]
    Certificate,
    /// The client's own certificate or key is unusable.
    #[error("the client certificate: {0}")]
    ClientCertificate(ClientCertificateError),
    /// The managed identity's endpoint is no http or https address, or its header's value is none.
    #[error("the managed identity's endpoint or header is not usable")]
    ManagedIdentity,
    /// The HTTP client cannot be built.
    #[error("the HTTP client cannot be built: {0}")]
    HttpClient(String),
    /// The metadata's issuer is not the one configured (OpenID Connect Discovery 4.3).
    #[error("the authority's metadata names another issuer")]
    IssuerMismatch,
    /// The authority's host is unknown, and instance discovery does not know it either.
    #[error("the authority's host is none of Microsoft's")]
    UnknownInstance,
    /// The metadata has no document for this authority.
    #[error("the authority has no metadata (status {0}): does the tenant exist?")]
    NoMetadata(u16),
}

/// What the protocol does not allow in a response.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidResponse {
    /// Not one JSON object, or too deep, or with a member named twice.
    #[error("{0} did not answer with a JSON object")]
    Json(&'static str),
    /// More bytes than the limit.
    #[error("{0} answered with too many bytes")]
    TooLarge(&'static str),
    /// A status that says neither success nor an OAuth error.
    #[error("unexpected status {0}")]
    Status(u16),
    /// A redirect, which is not part of the protocol and never followed.
    #[error("unexpected redirect (status {0})")]
    Redirect(u16),
    /// A member is missing or of the wrong type.
    #[error("the member {0} is missing or malformed")]
    Member(&'static str),
    /// Not a bearer token.
    #[error("the token type is not known")]
    TokenType,
    /// An address in the metadata is not https or on a foreign host.
    #[error("the metadata's {0} is not an allowed address")]
    Endpoint(&'static str),
    /// Metadata changed its issuer or hosts from one fetch to the next.
    #[error("the metadata suddenly changed its issuer or hosts")]
    SuddenChange,
    /// A key set without one usable key.
    #[error("the key set has no usable key")]
    NoKeys,
    /// Two keys of one name.
    #[error("the key set has two keys of one kid")]
    AmbiguousKeys,
    /// Claims that are no JSON object.
    #[error("the claims challenge is no JSON object")]
    ClaimsChallenge,
    /// An OpenID sign-in without an id token.
    #[error("the answer has no id token")]
    NoIdToken,
}

/// Why an incoming token is not exchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UserAssertionError {
    /// Empty, longer than 64 KiB, or with characters that no bearer token has (RFC 6750 2.1).
    #[error("it is no bearer token")]
    Malformed,
    /// Its `exp` has passed.
    #[error("it has expired")]
    Expired,
}

/// Why an authorization response is refused.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum AuthResponseError {
    /// Not a form, or too large.
    #[error("the response is no form of at most 20 fields and 8 KiB each")]
    Malformed,
    /// A parameter twice (RFC 6749 3.1).
    #[error("the response names {0} twice")]
    Duplicate(&'static str),
    /// No `state`.
    #[error("the response has no state")]
    StateMissing,
    /// Another `state`.
    #[error("the response belongs to another sign-in")]
    StateMismatch,
    /// The authority promised an `iss` (RFC 9207 2.4).
    #[error("the response has no iss")]
    IssuerMissing,
    /// Another `iss` (RFC 9207 2.4), or the authority's issuer changed meanwhile.
    #[error("the response comes from another issuer")]
    IssuerMismatch,
    /// The authority's error, kept whole.
    #[error("{0}")]
    Refused(Box<ServerError>),
    /// Neither a code nor an error.
    #[error("the response has no code")]
    CodeMissing,
}

impl AuthResponseError {
    /// Did the user decline or cancel?
    #[must_use]
    pub fn is_declined(&self) -> bool {
        matches!(self, Self::Refused(server) if server.is_declined())
    }
}
