//! How the client proves itself at the token endpoint.

use crate::secret::ClientSecret;

/// The one credential of a confidential client.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ClientCredential {
    /// A shared secret, sent in the request's body (`client_secret_post`), or by HTTP Basic where a
    /// generic provider lists nothing else.
    Secret(ClientSecret),
}

impl From<ClientSecret> for ClientCredential {
    fn from(secret: ClientSecret) -> Self {
        Self::Secret(secret)
    }
}
