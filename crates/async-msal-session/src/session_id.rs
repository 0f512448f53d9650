//! The session id, the key its record is stored under, and the short handle people may see.

use std::fmt;

use async_msal::{Random, RandomError};
use aws_lc_rs::digest;
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

/// Bytes of randomness in a session id: 128 bits.
const ID_BYTES: usize = 16;
/// Hexadecimal digits of a session id, as aiohttp_session writes them (a UUID without dashes).
const ID_DIGITS: usize = 32;
/// Hexadecimal digits of a SHA-256.
const HASH_DIGITS: usize = 64;

/// The value of the session cookie: 128 random bits as 32 lower-case hexadecimal digits.
///
/// # Security
/// Whoever holds it is the user. It has no `Display`, and its `Debug` shows the [`Handle`] only.
#[derive(Clone)]
pub struct SessionId(SecretString);

impl SessionId {
    /// Makes a new id from the client's source of randomness.
    ///
    /// # Errors
    /// When the source of randomness fails.
    pub fn generate(random: &dyn Random) -> Result<Self, RandomError> {
        let mut bytes = [0_u8; ID_BYTES];
        random.fill(&mut bytes)?;
        Ok(Self(SecretString::from(hex(&bytes))))
    }

    /// Takes the value of a cookie: exactly 32 lower-case hexadecimal digits, nothing else.
    /// Anything else is no id of ours, so `None`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        is_hex(text, ID_DIGITS).then(|| Self(SecretString::from(text)))
    }

    /// The id as it stands in the cookie.
    #[must_use]
    pub fn expose_secret(&self) -> &str {
        self.0.expose_secret()
    }

    /// Compares in constant time.
    #[must_use]
    pub fn ct_eq(&self, other: &Self) -> bool {
        self.expose_secret().as_bytes().ct_eq(other.expose_secret().as_bytes()).into()
    }

    /// The first 12 hexadecimal digits of the id's SHA-256: enough to name a session in a log or a list,
    /// and of no use to anybody who wants to be its user.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle(sha256_hex(self.expose_secret().as_bytes())[..Handle::DIGITS].to_owned())
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(_secret) = self;
        write!(f, "SessionId({})", self.handle())
    }
}

/// A short public name of a session: the first 12 hexadecimal digits of the SHA-256 of its id.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Handle(String);

impl Handle {
    /// Digits of a handle.
    const DIGITS: usize = 12;

    /// Takes a handle as printed: 12 lower-case hexadecimal digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        is_hex(text, Self::DIGITS).then(|| Self(text.to_owned()))
    }
}

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How the stored record looks and how its key is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum SessionLayout {
    /// Key: cookie name, `_`, hexadecimal SHA-256 of the id. Value: sealed by AES-256-GCM.
    #[default]
    Sealed,
    /// aiohttp_session's plain record under `<cookie name>_<id>`, for sharing users with Python services.
    /// Whoever reads the store reads the tokens, and the key holds the session id.
    Aiohttp,
}

/// The key a session's record is stored under.
///
/// # Security
/// In the sealed layout the key tells nothing; in layout aiohttp it contains the session id, so `Debug`
/// shows the [`Handle`] only, in both.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StoreKey(String);

impl StoreKey {
    /// The key of `id` under `cookie_name`.
    #[must_use]
    pub fn new(layout: SessionLayout, cookie_name: &str, id: &SessionId) -> Self {
        match layout {
            SessionLayout::Sealed => {
                Self(format!("{cookie_name}_{}", sha256_hex(id.expose_secret().as_bytes())))
            }
            SessionLayout::Aiohttp => Self(format!("{cookie_name}_{}", id.expose_secret())),
        }
    }

    /// Takes a key met in a scan: the cookie name, `_`, and exactly 64 (sealed) or 32 (aiohttp) lower-case
    /// hexadecimal digits. Another application's cookie name may begin with ours, so nothing else counts.
    #[must_use]
    pub fn parse(layout: SessionLayout, cookie_name: &str, key: &str) -> Option<Self> {
        let digits = key.strip_prefix(cookie_name)?.strip_prefix('_')?;
        let wanted = match layout {
            SessionLayout::Sealed => HASH_DIGITS,
            SessionLayout::Aiohttp => ID_DIGITS,
        };
        is_hex(digits, wanted).then(|| Self(key.to_owned()))
    }

    /// The key as the store knows it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The layout of the record under this key: its digits tell.
    #[must_use]
    pub fn layout(&self) -> SessionLayout {
        if self.digits().len() == HASH_DIGITS { SessionLayout::Sealed } else { SessionLayout::Aiohttp }
    }

    /// The handle of the session this record belongs to.
    #[must_use]
    pub fn handle(&self) -> Handle {
        let digits = self.digits();
        match self.layout() {
            SessionLayout::Sealed => Handle(digits[..Handle::DIGITS].to_owned()),
            SessionLayout::Aiohttp => Handle(sha256_hex(digits.as_bytes())[..Handle::DIGITS].to_owned()),
        }
    }

    /// Wraps a key that a store gives back as it was given to it, for implementations of a store.
    #[must_use]
    pub fn from_store(key: String) -> Self {
        Self(key)
    }

    /// The part after the cookie name, which is what a sealed flow keeps of it.
    pub(crate) fn digits(&self) -> &str {
        self.0.rsplit('_').next().unwrap_or_default()
    }

    /// The key of a record whose digits are known.
    pub(crate) fn from_digits(layout: SessionLayout, cookie_name: &str, digits: &str) -> Option<Self> {
        Self::parse(layout, cookie_name, &format!("{cookie_name}_{digits}"))
    }
}

impl fmt::Debug for StoreKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(_key) = self;
        write!(f, "StoreKey({})", self.handle())
    }
}

/// Lower-case hexadecimal text of `bytes`.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

/// Lower-case hexadecimal SHA-256 of `bytes`.
pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn an_id_is_32_lower_case_hex_digits_and_nothing_else() {
        assert!(SessionId::parse(ID).is_some());
        for bad in ["", "0123", &ID.to_uppercase(), &format!("{ID}0"), &format!("{} ", &ID[..31]), "*"] {
            assert!(SessionId::parse(bad).is_none(), "{bad:?}");
        }
        assert!(SessionId::parse(&"é".repeat(16)).is_none());
    }

    #[test]
    fn debug_shows_neither_the_id_nor_the_key() {
        let id = SessionId::parse(ID).unwrap();
        let key = StoreKey::new(SessionLayout::Aiohttp, "AIOHTTP_SESSION", &id);
        assert!(!format!("{id:?} {key:?}").contains(ID));
        assert_eq!(id.handle(), key.handle());
    }

    #[test]
    fn both_layouts_name_one_session_by_one_handle() {
        let id = SessionId::parse(ID).unwrap();
        let sealed = StoreKey::new(SessionLayout::Sealed, "c", &id);
        assert_eq!(sealed.handle(), id.handle());
        assert!(!sealed.as_str().contains(ID));
    }

    #[test]
    fn a_key_of_another_cookie_name_is_not_ours() {
        let id = SessionId::parse(ID).unwrap();
        let other = StoreKey::new(SessionLayout::Sealed, "app_two", &id);
        assert!(StoreKey::parse(SessionLayout::Sealed, "app", other.as_str()).is_none());
        assert!(StoreKey::parse(SessionLayout::Sealed, "app_two", other.as_str()).is_some());
        assert!(StoreKey::parse(SessionLayout::Aiohttp, "app_two", other.as_str()).is_none());
    }
}
