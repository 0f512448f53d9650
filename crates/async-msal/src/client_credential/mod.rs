//! How the client proves itself at the token endpoint.

mod assertion;
mod certificate;
mod federated_token_file;
mod key;
mod managed_identity;
#[cfg(feature = "pfx")]
mod pfx;
pub(crate) mod proof;

use std::future::Future;
use std::sync::Arc;

pub use assertion::{AssertionFuture, AssertionProvider, AssertionRequest, BoxError};
pub use certificate::{AssertionAlgorithm, ClientCertificate};
pub use federated_token_file::FederatedTokenFile;
pub use key::Passphrase;
pub use managed_identity::ManagedIdentity;

use crate::error::Error;
use crate::secret::{ClientAssertion, ClientSecret};

/// The one credential of a confidential client.
///
/// ```
/// use async_msal::{ClientAssertion, ClientCredential};
/// let from_a_vault = ClientCredential::assertion(|request| async move {
///     assert!(!request.token_endpoint.is_empty());
///     Ok(ClientAssertion::new("header.payload.signature"))
/// });
/// # let _ = from_a_vault;
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ClientCredential {
    /// A shared secret, sent in the request's body (`client_secret_post`), or by HTTP Basic where a
    /// generic provider lists nothing else.
    Secret(ClientSecret),
    /// A registered certificate, which signs an assertion (`private_key_jwt`, OpenID Connect Core 9). One assertion
    /// is used for nine minutes; at a generic provider, each attempt to send a request has its own.
    Certificate(ClientCertificate),
    /// An assertion that somebody else makes (RFC 7523 2.2): asked for under the client's time limit, and used again
    /// until a minute before its `exp`.
    Assertion(Arc<dyn AssertionProvider>),
    /// The managed identity of the Azure machine or App Service, whose token is the assertion (a federated
    /// credential of the registration).
    ManagedIdentity(ManagedIdentity),
}

impl ClientCredential {
    /// An assertion from a callback, which may ask a vault or a signing service.
    pub fn assertion<F, Fut>(callback: F) -> Self
    where
        F: Fn(AssertionRequest) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<ClientAssertion, BoxError>> + Send + 'static,
    {
        Self::Assertion(Arc::new(assertion::Callback(callback)))
    }

    /// The projected token of a Kubernetes workload identity, in the file that `AZURE_FEDERATED_TOKEN_FILE` names.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] where the variable is not set.
    pub fn workload_identity() -> Result<Self, Error> {
        Ok(Self::Assertion(Arc::new(FederatedTokenFile::from_env()?)))
    }
}

impl From<ClientSecret> for ClientCredential {
    fn from(secret: ClientSecret) -> Self {
        Self::Secret(secret)
    }
}

impl From<ClientCertificate> for ClientCredential {
    fn from(certificate: ClientCertificate) -> Self {
        Self::Certificate(certificate)
    }
}

impl From<ManagedIdentity> for ClientCredential {
    fn from(identity: ManagedIdentity) -> Self {
        Self::ManagedIdentity(identity)
    }
}

#[cfg(test)]
mod tests;
