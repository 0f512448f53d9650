//! Proof Key for Code Exchange, S256 only (RFC 7636); `plain` cannot be reached.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::random::{Random, RandomError, token};
use crate::secret::{CodeVerifier, Nonce};

/// A new verifier of 43 characters from 32 random bytes (RFC 7636 4.1).
pub(crate) fn new_verifier(random: &dyn Random) -> Result<CodeVerifier, RandomError> {
    token(random, 32).map(CodeVerifier::new)
}

/// base64url(SHA-256(verifier)) without padding (RFC 7636 4.2).
pub(crate) fn challenge(verifier: &CodeVerifier) -> String {
    URL_SAFE_NO_PAD.encode(sha256(verifier.expose_secret().as_bytes()))
}

/// What of the nonce travels: the lower-case hexadecimal SHA-256 of the raw value. Whoever reads the
/// id token or the request learns nothing that could be replayed as the raw nonce.
pub(crate) fn nonce_on_the_wire(nonce: &Nonce) -> String {
    hex(&sha256(nonce.expose_secret().as_bytes()))
}

pub(crate) fn sha256(bytes: &[u8]) -> Vec<u8> {
    aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes).as_ref().to_vec()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        text.push(char::from_digit(u32::from(byte >> 4), 16).unwrap_or('0'));
        text.push(char::from_digit(u32::from(byte & 15), 16).unwrap_or('0'));
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SystemRandom;

    #[test]
    fn rfc_7636_appendix_b_pair_verifies() {
        let verifier = CodeVerifier::new("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
        assert_eq!(challenge(&verifier), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn challenge_accepts_the_whole_unreserved_alphabet() {
        let verifier = CodeVerifier::new("arxQNaCl9W3jiSDGDEKYmjzNewtVrrHqomwgN.zv1v4");
        assert_eq!(challenge(&verifier), "KPjoxNxz_5T8mq9ccZ59awFh4WzEz5S4sgGUpZNpdkg");
    }

    #[test]
    fn nonce_travels_as_its_hash() {
        let expected = "c6c97c8fbc7254f75e0627443555811aad7d802390a350066806650a7679d9c8";
        assert_eq!(nonce_on_the_wire(&Nonce::new("6HlOHt5lEjbN_oW3rlqrPg")), expected);
    }

    #[test]
    fn verifiers_have_43_characters_and_do_not_repeat() {
        let mut seen = std::collections::HashSet::new();
        for _ in 0..1_000 {
            let verifier = new_verifier(&SystemRandom).unwrap();
            assert_eq!(verifier.expose_secret().len(), 43);
            assert!(seen.insert(verifier.expose_secret().to_owned()));
        }
    }
}
