//! The token that Kubernetes projects into a file (Microsoft Entra Workload ID).

use std::path::PathBuf;

use tokio::io::AsyncReadExt as _;

use super::assertion::{AssertionFuture, AssertionProvider, AssertionRequest, BoxError};
use crate::error::{ConfigError, Error};
use crate::secret::ClientAssertion;

/// Names the file.
const VARIABLE: &str = "AZURE_FEDERATED_TOKEN_FILE";
/// Longer files are no token.
const LONGEST: u64 = 64 * 1024;

/// A file whose content is the assertion. It is read for every request that goes to the authority, since the kubelet
/// replaces it.
#[derive(Debug, Clone)]
pub struct FederatedTokenFile {
    path: PathBuf,
}

impl FederatedTokenFile {
    /// Of this path; it is read at the first request.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The file that `AZURE_FEDERATED_TOKEN_FILE` names.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] where the variable is not set.
    pub fn from_env() -> Result<Self, Error> {
        let path = std::env::var_os(VARIABLE).filter(|path| !path.is_empty());
        Ok(Self::new(path.ok_or(ConfigError::Missing(VARIABLE))?))
    }

    async fn read(&self) -> Result<ClientAssertion, BoxError> {
        let file = tokio::fs::File::open(&self.path).await?;
        let mut text = zeroize::Zeroizing::new(String::new());
        file.take(LONGEST).read_to_string(&mut text).await?;
        Ok(ClientAssertion::new(text.trim()))
    }
}

impl AssertionProvider for FederatedTokenFile {
    fn assertion<'a>(&'a self, _: &'a AssertionRequest) -> AssertionFuture<'a> {
        Box::pin(self.read())
    }

    fn may_reuse(&self) -> bool {
        false
    }
}
