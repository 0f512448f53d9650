//! JSON Web Signature in compact form, read strictly (RFC 7515, RFC 8725).

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, RsaPublicKeyComponents,
    UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::error::IdTokenError;
use crate::authority::signing_keys::{Material, SigningKey};
use crate::json;

/// Larger tokens are refused before anything is decoded.
const LARGEST: usize = 64 * 1024;

/// Signing algorithms that can be allowed (RFC 7518 3.1). There is no symmetric one and no `none`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SigningAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256: the default, and the only one of Entra ID.
    Rs256,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
}

impl SigningAlgorithm {
    pub(crate) fn parse(name: &str) -> Option<Self> {
        match name {
            "RS256" => Some(Self::Rs256),
            "PS256" => Some(Self::Ps256),
            "ES256" => Some(Self::Es256),
            _ => None,
        }
    }
}

/// A token taken apart; nothing in it is trusted before [`Jws::verify_with`].
pub(crate) struct Jws<'a> {
    signed: &'a str,
    payload: Vec<u8>,
    signature: Vec<u8>,
    pub(crate) algorithm: SigningAlgorithm,
    pub(crate) kid: Option<String>,
    pub(crate) typ: Option<String>,
}

impl<'a> Jws<'a> {
    pub(crate) fn parse(token: &'a str, allowed: &[SigningAlgorithm]) -> Result<Self, IdTokenError> {
        if token.len() > LARGEST {
            return Err(IdTokenError::Structure("too long"));
        }
        let parts: Vec<&str> = token.split('.').collect();
        let [header, payload, signature] = parts[..] else {
            let encrypted = parts.len() == 5;
            return Err(if encrypted { IdTokenError::Encrypted } else { IdTokenError::Structure("parts") });
        };
        let signed = &token[..header.len() + 1 + payload.len()];
        let header = json::parse_object(&decode(header)?).map_err(|_| IdTokenError::Structure("header"))?;
        // A signature over nothing is a good one; that nothing is no claims set is seen later.
        let payload = if payload.is_empty() { Vec::new() } else { decode(payload)? };
        let signature = decode(signature)?;
        check_critical(&header)?;
        let algorithm = header.get("alg").and_then(Value::as_str).and_then(SigningAlgorithm::parse);
        let algorithm = algorithm.filter(|found| allowed.contains(found)).ok_or(IdTokenError::Algorithm)?;
        // `jwk`, `jku`, `x5u` and `x5c` are never looked at: the key comes from the authority alone.
        Ok(Self {
            signed,
            payload,
            signature,
            algorithm,
            kid: text(&header, "kid")?,
            typ: text(&header, "typ")?,
        })
    }

    /// The payload, once the signature verifies under this key.
    pub(crate) fn verify_with(&self, key: &SigningKey) -> Result<&[u8], IdTokenError> {
        if !key.fits(self.algorithm) {
            return Err(IdTokenError::Algorithm);
        }
        let signed = self.signed.as_bytes();
        let verified = match (&key.material, self.algorithm) {
            (Material::Rsa { n, e }, SigningAlgorithm::Rs256) => {
                RsaPublicKeyComponents { n, e }.verify(&RSA_PKCS1_2048_8192_SHA256, signed, &self.signature)
            }
            (Material::Rsa { n, e }, SigningAlgorithm::Ps256) => {
                RsaPublicKeyComponents { n, e }.verify(&RSA_PSS_2048_8192_SHA256, signed, &self.signature)
            }
            (Material::P256 { point }, SigningAlgorithm::Es256) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(signed, &self.signature)
            }
            _ => return Err(IdTokenError::Algorithm),
        };
        verified.map_err(|_| IdTokenError::Signature)?;
        Ok(&self.payload)
    }
}

/// The payload of a token from our own cache, signature unseen.
pub(super) fn payload_of_stored(token: &str) -> Result<Map<String, Value>, IdTokenError> {
    let payload = token.split('.').nth(1).ok_or(IdTokenError::Structure("parts"))?;
    // Python's caches may hold `=` at the end.
    let payload = decode(payload.trim_end_matches('='))?;
    json::parse_object(&payload).map_err(|_| IdTokenError::Structure("payload"))
}

/// base64url without padding, and only its one canonical spelling: unused tail bits are zero.
pub(crate) fn decode(part: &str) -> Result<Vec<u8>, IdTokenError> {
    if part.is_empty() {
        return Err(IdTokenError::Structure("empty part"));
    }
    URL_SAFE_NO_PAD.decode(part).map_err(|_| IdTokenError::Structure("base64url"))
}

/// We understand no extension, so each one that must be understood refuses the token.
fn check_critical(header: &Map<String, Value>) -> Result<(), IdTokenError> {
    if header.contains_key("enc") || header.contains_key("zip") {
        return Err(IdTokenError::Encrypted);
    }
    if header.contains_key("crit") || header.contains_key("b64") {
        return Err(IdTokenError::Critical);
    }
    Ok(())
}

fn text(header: &Map<String, Value>, name: &str) -> Result<Option<String>, IdTokenError> {
    match header.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(IdTokenError::Structure("header member")),
    }
}

#[cfg(test)]
mod tests;
