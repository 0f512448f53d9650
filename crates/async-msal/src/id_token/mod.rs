//! Id tokens: who signed in, and the proof of it.

mod claims;
mod error;
pub(crate) mod jws;
#[cfg(test)]
pub(crate) mod signer;
pub(crate) mod verify;

pub use claims::IdTokenClaims;
pub use error::IdTokenError;
pub use jws::SigningAlgorithm;
pub use verify::VerifiedIdToken;
