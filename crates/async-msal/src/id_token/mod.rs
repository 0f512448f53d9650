//! Id tokens: who signed in, and the proof of it; logout tokens: whose sessions end, and the proof of that.

mod claims;
mod error;
pub(crate) mod jws;
pub(crate) mod logout_token;
#[cfg(test)]
pub(crate) mod signer;
pub(crate) mod verify;

pub use claims::IdTokenClaims;
pub use error::IdTokenError;
pub use jws::SigningAlgorithm;
pub use logout_token::LogoutToken;
pub use verify::VerifiedIdToken;
