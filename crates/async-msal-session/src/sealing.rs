//! Sealing: AES-256-GCM with a key id in the value and the place it belongs to as associated data.
//!
//! A sealed record is the JSON object `{"kid","nonce","ct"}` with base64url values; a sealed cookie is the same three
//! joined by dots. The associated data is the purpose and, for records, the store key: a value moved to another place does
//! not open there.

use std::fmt;

use async_msal::{ClientSecret, Random};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::{hkdf, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::session_id::{hex, sha256_hex};

/// Bytes of a key.
const KEY_BYTES: usize = 32;

/// What a sealed value is for. Values of one purpose never open as another's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Purpose {
    /// A session record under its store key.
    Record,
    /// A sign-in between its two legs, in a cookie.
    Flow,
    /// The outcome of a sign-in under its mark.
    Outcome,
    /// The small cookie that brings a signed-out browser back to where it was.
    PostLogout,
    /// Small cookies of the web layer, and of the application.
    Cookie,
    /// What is remembered about a renewal that failed.
    Failure,
}

impl Purpose {
    fn name(self) -> &'static str {
        match self {
            Self::Record => "record",
            Self::Flow => "flow",
            Self::Outcome => "outcome",
            Self::PostLogout => "post-logout",
            Self::Cookie => "cookie",
            Self::Failure => "failure",
        }
    }
}

/// Why a value was not sealed or opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// It does not have the form of a sealed value.
    #[error("not a sealed value")]
    Malformed,
    /// It was sealed by a key that is not in the list.
    #[error("sealed by an unknown key")]
    UnknownKey,
    /// It was altered, or belongs to another place or purpose.
    #[error("the seal is broken")]
    Broken,
    /// The source of randomness or the cipher failed.
    #[error("sealing failed")]
    Failed,
}

impl SealError {
    /// A stable word for counters.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Malformed => "not_sealed",
            Self::UnknownKey => "unknown_key",
            Self::Broken => "broken_seal",
            Self::Failed => "sealing_failed",
        }
    }
}

/// Keys of one kind: the first seals, all open.
pub(crate) struct KeyRing {
    keys: Vec<RingKey>,
}

struct RingKey {
    kid: String,
    cipher: LessSafeKey,
    index: hmac::Key,
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { keys } = self;
        f.debug_list().entries(keys.iter().map(|key| &key.kid)).finish()
    }
}

/// The JSON form.
#[derive(Serialize, Deserialize)]
struct Sealed<'a> {
    kid: &'a str,
    nonce: &'a str,
    ct: &'a str,
}

impl KeyRing {
    /// A ring of the given 32-byte keys; `None` where there is none or one has another length.
    pub(crate) fn new(keys: &[Zeroizing<Vec<u8>>]) -> Option<Self> {
        let keys = keys.iter().map(|key| RingKey::new(key)).collect::<Option<Vec<_>>>()?;
        (!keys.is_empty()).then_some(Self { keys })
    }

    /// A ring derived from client secrets, present one first, so that all nodes agree without configuration
    /// (HKDF-SHA256, RFC 5869). `info` tells the rings of one secret apart.
    pub(crate) fn derive(secrets: &[ClientSecret], info: &str) -> Option<Self> {
        let derived: Vec<_> = secrets
            .iter()
            .map(|secret| expand(secret.expose_secret().as_bytes(), info))
            .collect::<Option<_>>()?;
        Self::new(&derived)
    }

    /// Seals as JSON, for a store.
    pub(crate) fn seal_json(
        &self,
        random: &dyn Random,
        purpose: Purpose,
        place: &str,
        plain: &[u8],
    ) -> Result<Vec<u8>, SealError> {
        let (kid, nonce, ct) = self.seal(random, purpose, place, plain)?;
        serde_json::to_vec(&Sealed { kid, nonce: &nonce, ct: &ct }).map_err(|_| SealError::Failed)
    }

    /// Opens the JSON form; `true` beside the text when another key than the first opened it. The text is not wiped: what is
    /// parsed from it lives on.
    pub(crate) fn open_json(
        &self,
        purpose: Purpose,
        place: &str,
        sealed: &[u8],
    ) -> Result<(Vec<u8>, bool), SealError> {
        let sealed = std::str::from_utf8(sealed).map_err(|_| SealError::Malformed)?;
        let parts: Sealed<'_> = serde_json::from_str(sealed).map_err(|_| SealError::Malformed)?;
        let plain = self.open(purpose, place, (parts.kid, parts.nonce, parts.ct))?;
        Ok((plain, self.keys.first().is_some_and(|first| first.kid != parts.kid)))
    }

    /// Seals as text without characters that a cookie cannot carry.
    pub(crate) fn seal_text(
        &self,
        random: &dyn Random,
        purpose: Purpose,
        place: &str,
        plain: &[u8],
    ) -> Result<String, SealError> {
        let (kid, nonce, ct) = self.seal(random, purpose, place, plain)?;
        Ok(format!("{kid}.{nonce}.{ct}"))
    }

    /// Opens the text form.
    pub(crate) fn open_text(
        &self,
        purpose: Purpose,
        place: &str,
        sealed: &str,
    ) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let mut parts = sealed.split('.');
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(kid), Some(nonce), Some(ct), None) => {
                self.open(purpose, place, (kid, nonce, ct)).map(Zeroizing::new)
            }
            _ => Err(SealError::Malformed),
        }
    }

    /// Keyed hashes of `text`, the first key's first: names of index sets that tell a reader of the store nothing.
    pub(crate) fn index_names(&self, text: &str) -> impl Iterator<Item = String> + use<'_> {
        let text = text.to_owned();
        self.keys.iter().map(move |key| hex(hmac::sign(&key.index, text.as_bytes()).as_ref()))
    }

    fn seal(
        &self,
        random: &dyn Random,
        purpose: Purpose,
        place: &str,
        plain: &[u8],
    ) -> Result<(&str, String, String), SealError> {
        let key = self.keys.first().ok_or(SealError::Failed)?;
        let mut nonce = [0_u8; NONCE_LEN];
        random.fill(&mut nonce).map_err(|_| SealError::Failed)?;
        let mut text = plain.to_vec();
        key.cipher
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad(purpose, place), &mut text)
            .map_err(|_| SealError::Failed)?;
        Ok((&key.kid, URL_SAFE_NO_PAD.encode(nonce), URL_SAFE_NO_PAD.encode(text)))
    }

    fn open(
        &self,
        purpose: Purpose,
        place: &str,
        (kid, nonce, ct): (&str, &str, &str),
    ) -> Result<Vec<u8>, SealError> {
        let key = self.keys.iter().find(|key| key.kid == kid).ok_or(SealError::UnknownKey)?;
        let nonce = URL_SAFE_NO_PAD.decode(nonce).map_err(|_| SealError::Malformed)?;
        let nonce = Nonce::try_assume_unique_for_key(&nonce).map_err(|_| SealError::Malformed)?;
        let mut text = URL_SAFE_NO_PAD.decode(ct).map_err(|_| SealError::Malformed)?;
        let plain =
            key.cipher.open_in_place(nonce, aad(purpose, place), &mut text).map_err(|_| SealError::Broken)?;
        let length = plain.len();
        text.truncate(length);
        Ok(text)
    }
}

impl RingKey {
    fn new(key: &[u8]) -> Option<Self> {
        if key.len() != KEY_BYTES {
            return None;
        }
        let index = expand(key, "async-msal user index v1")?;
        // The key id is a hash of the key, so that all nodes name it alike without being told.
        let kid = sha256_hex(&expand(key, "async-msal key id v1")?)[..8].to_owned();
        let cipher = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).ok()?);
        Some(Self { kid, cipher, index: hmac::Key::new(hmac::HMAC_SHA256, &index) })
    }
}

/// Reads one key of SESSION_KEYS or COOKIE_KEYS: 32 bytes in base64, base64url or hexadecimal.
pub(crate) fn parse_key(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let decoded = if text.len() == KEY_BYTES * 2 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
    } else {
        STANDARD
            .decode(text)
            .or_else(|_| URL_SAFE.decode(text))
            .or_else(|_| URL_SAFE_NO_PAD.decode(text))
            .ok()
    };
    decoded.filter(|bytes| bytes.len() == KEY_BYTES).map(Zeroizing::new)
}

fn aad(purpose: Purpose, place: &str) -> Aad<Vec<u8>> {
    Aad::from([purpose.name().as_bytes(), b"\0", place.as_bytes()].concat())
}

fn expand(input: &[u8], info: &str) -> Option<Zeroizing<Vec<u8>>> {
    let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, b"async-msal");
    let extracted = salt.extract(input);
    let info = [info.as_bytes()];
    let output = extracted.expand(&info, hkdf::HKDF_SHA256).ok()?;
    let mut key = Zeroizing::new(vec![0_u8; KEY_BYTES]);
    output.fill(&mut key).ok()?;
    Some(key)
}

#[cfg(test)]
mod tests {
    use async_msal::SystemRandom;

    use super::*;

    fn ring(keys: &[u8]) -> KeyRing {
        let keys: Vec<_> = keys.iter().map(|byte| Zeroizing::new(vec![*byte; KEY_BYTES])).collect();
        KeyRing::new(&keys).unwrap()
    }

    #[test]
    fn what_the_first_key_sealed_opens_after_it_moved_back_in_the_list() {
        let sealed = ring(&[1]).seal_json(&SystemRandom::default(), Purpose::Record, "k", b"text").unwrap();
        let (plain, old_key) = ring(&[2, 1]).open_json(Purpose::Record, "k", &sealed).unwrap();
        assert_eq!((plain.as_slice(), old_key), (&b"text"[..], true));
        assert_eq!(ring(&[2]).open_json(Purpose::Record, "k", &sealed).unwrap_err(), SealError::UnknownKey);
    }

    #[test]
    fn a_value_moved_to_another_users_key_does_not_open() {
        let sealed = ring(&[1]).seal_json(&SystemRandom::default(), Purpose::Record, "ada", b"text").unwrap();
        assert_eq!(ring(&[1]).open_json(Purpose::Record, "ben", &sealed).unwrap_err(), SealError::Broken);
    }

    #[test]
    fn a_value_of_one_purpose_does_not_open_as_another() {
        let sealed = ring(&[1]).seal_text(&SystemRandom::default(), Purpose::Flow, "", b"text").unwrap();
        assert!(ring(&[1]).open_text(Purpose::Flow, "", &sealed).is_ok());
        assert_eq!(ring(&[1]).open_text(Purpose::PostLogout, "", &sealed).unwrap_err(), SealError::Broken);
    }

    #[test]
    fn an_altered_value_does_not_open() {
        let sealed = ring(&[1]).seal_text(&SystemRandom::default(), Purpose::Flow, "", b"text").unwrap();
        for at in 0..sealed.len() {
            let mut altered = sealed.clone().into_bytes();
            altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
            let altered = String::from_utf8(altered).unwrap();
            if altered != sealed {
                assert!(ring(&[1]).open_text(Purpose::Flow, "", &altered).is_err(), "byte {at}");
            }
        }
    }

    #[test]
    fn nonces_of_two_values_differ() {
        let one = ring(&[1]).seal_text(&SystemRandom::default(), Purpose::Flow, "", b"text").unwrap();
        let two = ring(&[1]).seal_text(&SystemRandom::default(), Purpose::Flow, "", b"text").unwrap();
        assert_ne!(one, two);
    }

    #[test]
    fn records_and_cookies_get_different_keys_from_one_secret() {
        let secret = [ClientSecret::new("s")];
        let records = KeyRing::derive(&secret, "records").unwrap();
        let cookies = KeyRing::derive(&secret, "cookies").unwrap();
        let sealed = records.seal_text(&SystemRandom::default(), Purpose::Flow, "", b"text").unwrap();
        assert_eq!(cookies.open_text(Purpose::Flow, "", &sealed).unwrap_err(), SealError::UnknownKey);
    }

    #[test]
    fn a_key_is_read_in_base64_and_hex_and_only_with_32_bytes() {
        assert_eq!(parse_key(&"0a".repeat(32)).unwrap().as_slice(), &[10_u8; 32]);
        assert_eq!(parse_key(&STANDARD.encode([7_u8; 32])).unwrap().as_slice(), &[7_u8; 32]);
        assert_eq!(parse_key(&URL_SAFE_NO_PAD.encode([255_u8; 32])).unwrap().as_slice(), &[255_u8; 32]);
        assert!(parse_key(&STANDARD.encode([7_u8; 31])).is_none());
        assert!(parse_key("hunter2").is_none());
    }
}
