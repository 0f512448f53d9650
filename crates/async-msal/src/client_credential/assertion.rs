//! Assertions that somebody else makes (RFC 7521 4.2, RFC 7523 2.2).

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use crate::secret::ClientAssertion;

/// Whatever went wrong in a callback.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What a provider returns.
pub type AssertionFuture<'a> = Pin<Box<dyn Future<Output = Result<ClientAssertion, BoxError>> + Send + 'a>>;

/// Whom an assertion is for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AssertionRequest {
    /// The application: `iss` and `sub` of an assertion that it signs itself.
    pub client_id: String,
    /// The address it is sent to.
    pub token_endpoint: String,
    /// What `aud` has to say: the token endpoint, or the configured issuer of a generic provider, whose metadata could
    /// name an endpoint that belongs to another.
    pub audience: String,
}

impl AssertionRequest {
    pub(crate) fn new(client_id: &str, token_endpoint: &str, audience: &str) -> Self {
        let own = str::to_owned;
        Self { client_id: own(client_id), token_endpoint: own(token_endpoint), audience: own(audience) }
    }
}

/// A source of client assertions. Closures become one by
/// [`ClientCredential::assertion`](super::ClientCredential::assertion).
pub trait AssertionProvider: fmt::Debug + Send + Sync {
    /// Makes or fetches an assertion. The future is dropped at the client's time limit, and where the request is.
    fn assertion<'a>(&'a self, request: &'a AssertionRequest) -> AssertionFuture<'a>;

    /// May an assertion be used again until a minute before its `exp`? Default: yes.
    fn may_reuse(&self) -> bool {
        true
    }
}

/// A closure as a provider.
pub(super) struct Callback<F>(pub(super) F);

impl<F> fmt::Debug for Callback<F> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Callback")
    }
}

impl<F, Fut> AssertionProvider for Callback<F>
where
    F: Fn(AssertionRequest) -> Fut + Send + Sync,
    Fut: Future<Output = Result<ClientAssertion, BoxError>> + Send + 'static,
{
    fn assertion<'a>(&'a self, request: &'a AssertionRequest) -> AssertionFuture<'a> {
        Box::pin((self.0)(request.clone()))
    }
}
