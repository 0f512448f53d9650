//! Why an API call gave no answer that can be used.

use std::time::Duration;

/// A call to an API that failed. No address, header or body is repeated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApiError {
    /// The host is neither Graph's nor allowed; the token stayed here.
    #[error("the user's token may not be sent to {host}")]
    HostNotAllowed {
        /// The host.
        host: String,
    },
    /// The address is not https.
    #[error("the user's token may not be sent to {host} without TLS")]
    Insecure {
        /// The host.
        host: String,
    },
    /// The address cannot be parsed, or names a user.
    #[error("the address of the API call is not valid")]
    InvalidUrl,
    /// A header cannot be sent, or is not the application's to set.
    #[error("header {name} cannot be set")]
    InvalidHeader {
        /// Its name.
        name: String,
    },
    /// The body cannot be made.
    #[error("the body of the API call is no JSON")]
    InvalidBody,
    /// An allowed host that is not Graph's needs scopes of its own.
    #[error("scopes are needed for {host}")]
    ScopesNeeded {
        /// The host.
        host: String,
    },
    /// The authority names no Graph host.
    #[error("the authority names no Microsoft Graph host")]
    NoGraph,
    /// Nobody answered.
    #[error("the API cannot be reached")]
    Unreachable(#[source] reqwest::Error),
    /// No answer came in time.
    #[error("the API did not answer in time")]
    Timeout,
    /// The answer leads from address to address.
    #[error("the API redirected too often")]
    TooManyRedirects,
    /// The answer is longer than it may be.
    #[error("the API's answer is longer than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// The answer broke off or is not what was asked for.
    #[error("the API's answer is not {wanted}")]
    Unusable {
        /// What was wanted.
        wanted: &'static str,
    },
    /// The API refused; for callers that wanted a success.
    #[error("the API answered {status}{}", api_code.as_deref().map(|code| format!(" ({code})")).unwrap_or_default())]
    Status {
        /// The HTTP status.
        status: u16,
        /// Graph's error code.
        api_code: Option<String>,
        /// How long to wait, where it said so.
        retry_after: Option<Duration>,
    },
}

impl ApiError {
    /// A stable code for logs, pages and metrics.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::HostNotAllowed { .. } => "api_host_not_allowed",
            Self::Insecure { .. } => "api_insecure",
            Self::InvalidUrl | Self::InvalidHeader { .. } | Self::InvalidBody => "api_invalid_request",
            Self::ScopesNeeded { .. } => "api_scopes_needed",
            Self::NoGraph => "api_no_graph",
            Self::Unreachable(_) => "api_unreachable",
            Self::Timeout => "api_timeout",
            Self::TooManyRedirects => "api_redirects",
            Self::TooLarge { .. } => "api_too_large",
            Self::Unusable { .. } => "api_unusable",
            Self::Status { .. } => "api_status",
        }
    }

    /// What to do, for a developer.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::HostNotAllowed { .. } => {
                "Name the host in ALLOWED_HOSTS if it is the application's own API."
            }
            Self::Insecure { .. } => {
                "Use https; loopback over http needs DANGEROUS_ALLOW_LOOPBACK_AUTHORITY."
            }
            Self::InvalidUrl => "Give a path of Graph or an absolute https address.",
            Self::InvalidHeader { .. } => "Authorization, Cookie and Host are set by the library.",
            Self::InvalidBody => "Give a value that serialises to JSON.",
            Self::ScopesNeeded { .. } => "Call .scopes(..) with scopes of that API.",
            Self::NoGraph => "Set GRAPH_URL.",
            Self::Unreachable(_) | Self::Timeout => "Try again later.",
            Self::TooManyRedirects | Self::Unusable { .. } => "See whether the address is an API's.",
            Self::TooLarge { .. } => "Read the answer as a stream, or raise its limit.",
            Self::Status { status: 429 | 500..=599, .. } => {
                "The API has trouble of its own; try again later."
            }
            Self::Status { status: 401 | 403, .. } => {
                "The user or the token may not do this; often a scope is missing."
            }
            Self::Status { .. } => "The API's code says what it missed.",
        }
    }

    /// Whether the same call can succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Timeout => true,
            Self::Status { status, .. } => matches!(status, 429 | 502..=504),
            _ => false,
        }
    }

    /// How long to wait, where the API said so.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}
