//! Randomness comes in from outside, and may fail.

use std::fmt::Debug;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The source of randomness gave nothing.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the source of randomness failed")]
#[non_exhaustive]
pub struct RandomError;

impl RandomError {
    /// For implementations of [`Random`].
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

impl Default for RandomError {
    fn default() -> Self {
        Self::new()
    }
}

/// A cryptographically secure source of random bytes.
pub trait Random: Debug + Send + Sync {
    /// Fills the whole buffer.
    ///
    /// # Errors
    ///
    /// [`RandomError`] when the source cannot; nothing in the buffer may be used then.
    fn fill(&self, buffer: &mut [u8]) -> Result<(), RandomError>;
}

/// The operating system's generator, through aws-lc-rs.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), RandomError> {
        aws_lc_rs::rand::fill(buffer).map_err(|_| RandomError)
    }
}

/// `bytes` random bytes (at most 64) as base64url without padding.
pub(crate) fn token(random: &dyn Random, bytes: usize) -> Result<String, RandomError> {
    let mut buffer = zeroize::Zeroizing::new([0_u8; 64]);
    let chosen = buffer.get_mut(..bytes).ok_or(RandomError)?;
    random.fill(chosen)?;
    Ok(URL_SAFE_NO_PAD.encode(chosen))
}
