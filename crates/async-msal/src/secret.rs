//! A type for every secret: redacted `Debug`, no `Display`, no derived equality, wiped on drop.

use std::fmt;
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use subtle::ConstantTimeEq;

/// A secret that several hold: a copy of the holder copies nothing, the last one wipes it.
pub(crate) type Shared = Arc<SecretString>;

pub(crate) fn shared(text: Box<str>) -> Shared {
    Arc::new(SecretString::new(text))
}

macro_rules! secrets {
    ($($(#[$meta:meta])* $name:ident;)+) => {$(
        $(#[$meta])*
        ///
        /// # Security
        ///
        /// `Debug` shows the name of the type only; the memory is wiped when the value and its clones, which share it, are
        /// dropped.
        #[derive(Clone)]
        pub struct $name(Shared);

        impl $name {
            /// Takes the text in.
            pub fn new(text: impl Into<String>) -> Self {
                Self(shared(text.into().into_boxed_str()))
            }

            /// The text itself. Every use of this name is a place to look at in a review.
            #[must_use]
            pub fn expose_secret(&self) -> &str {
                self.0.expose_secret()
            }

            /// Compares in constant time; only the lengths may be learnt from the time it takes.
            #[must_use]
            pub fn ct_eq(&self, other: &Self) -> bool {
                self.expose_secret().as_bytes().ct_eq(other.expose_secret().as_bytes()).into()
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(concat!(stringify!($name), "([redacted])"))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.expose_secret())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer).map(Self::new)
            }
        }
    )+};
}

/// The tokens of the cache.
macro_rules! kept {
    ($($name:ident)+) => {$(
        impl $name {
            pub(crate) const fn from_shared(shared: Shared) -> Self {
                Self(shared)
            }

            pub(crate) fn to_shared(&self) -> Shared {
                Arc::clone(&self.0)
            }
        }
    )+};
}

kept! { AccessToken RefreshToken IdToken }

secrets! {
    /// What the application proves itself with at the token endpoint.
    ClientSecret;
    /// A signed statement by which the application proves itself in place of a secret (RFC 7523 2.2).
    ClientAssertion;
    /// Opens an encrypted private key.
    Passphrase;
    /// The bearer token for an API.
    AccessToken;
    /// The token that buys new access tokens.
    RefreshToken;
    /// The single-use code of the authorization response (RFC 6749 4.1.2).
    AuthorizationCode;
    /// Ties the authorization response to the browser that started (RFC 6749 10.12).
    State;
    /// The raw value whose hash comes back in the id token (OpenID Connect Core 3.1.2.1).
    Nonce;
    /// The PKCE secret of one sign-in (RFC 7636 4.1).
    CodeVerifier;
    /// A raw id token (a JWT in compact form).
    IdToken;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_never_shows_the_text() {
        assert_eq!(format!("{:?}", ClientSecret::new("canary")), "ClientSecret([redacted])");
    }

    #[test]
    fn equality_is_by_the_whole_text() {
        assert!(State::new("abc").ct_eq(&State::new("abc")));
        assert!(!State::new("abc").ct_eq(&State::new("abd")));
        assert!(!State::new("abc").ct_eq(&State::new("ab")));
    }
}
