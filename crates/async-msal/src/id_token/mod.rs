//! Id tokens: who signed in, and the proof of it.

mod claims;
mod error;
pub(crate) mod jws;
pub(crate) mod verify;

pub use claims::IdTokenClaims;
pub use error::IdTokenError;
pub use jws::SigningAlgorithm;
pub use verify::VerifiedIdToken;
