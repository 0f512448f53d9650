//! Random strings for codes and tokens, and repeatable ids from the seed.

use aws_lc_rs::{digest, rand};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::{Builder, Uuid};

use crate::error::EmulatorError;

/// `bytes` random bytes as base64url.
///
/// # Errors
/// The operating system gives no randomness.
pub(crate) fn token(bytes: usize) -> Result<String, EmulatorError> {
    let mut buffer = vec![0_u8; bytes];
    rand::fill(&mut buffer).map_err(|_| EmulatorError::Keys("no randomness".into()))?;
    Ok(URL_SAFE_NO_PAD.encode(buffer))
}

/// A random GUID, for trace ids and the like.
pub(crate) fn guid() -> String {
    Uuid::new_v4().to_string()
}

/// The GUID that belongs to `label` under `seed`: the same for the same pair, always.
pub(crate) fn seeded_guid(seed: u64, label: &str) -> String {
    let hash = seeded(seed, label);
    let mut bytes = [0_u8; 16];
    bytes.copy_from_slice(&hash[..16]);
    Builder::from_random_bytes(bytes).into_uuid().to_string()
}

/// A pairwise subject: differs per client, as Entra ID's `sub` does.
pub(crate) fn seeded_text(seed: u64, label: &str) -> String {
    URL_SAFE_NO_PAD.encode(seeded(seed, label))
}

/// SHA-256 of a secret as text: what the tables keep instead of codes and refresh tokens.
pub(crate) fn fingerprint(secret: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, secret.as_bytes()))
}

fn seeded(seed: u64, label: &str) -> Vec<u8> {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(&seed.to_be_bytes());
    context.update(label.as_bytes());
    context.finish().as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_id_and_another_seed_another() {
        assert_eq!(seeded_guid(7, "tenant"), seeded_guid(7, "tenant"));
        assert_ne!(seeded_guid(7, "tenant"), seeded_guid(8, "tenant"));
    }
}
