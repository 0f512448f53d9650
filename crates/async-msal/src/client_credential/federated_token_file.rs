//! The token that Kubernetes projects into a file (Microsoft Entra Workload ID).

use std::path::PathBuf;

use tokio::io::AsyncReadExt as _;

use super::assertion::{AssertionFuture, AssertionProvider, AssertionRequest, BoxError};
use crate::error::{ConfigError, Error};
use crate::secret::ClientAssertion;

/// Names the file.
const VARIABLE: &str = "AZURE_FEDERATED_TOKEN_FILE";
/// Longer files are no token.
const LONGEST: usize = 64 * 1024;

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
        // The system's errors do not say which file.
        let named = |error: std::io::Error| format!("{}: {error}", self.path.display());
        let file = tokio::fs::File::open(&self.path).await.map_err(named)?;
        let mut text = zeroize::Zeroizing::new(String::new());
        // One byte beyond the bound, so that a longer file is refused rather than cut.
        let length = file.take(LONGEST as u64 + 1).read_to_string(&mut text).await.map_err(named)?;
        if length > LONGEST {
            return Err(format!("{}: over {LONGEST} bytes are no token", self.path.display()).into());
        }
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
