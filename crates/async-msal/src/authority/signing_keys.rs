//! The authority's public keys (RFC 7517), the usable ones alone.

use serde_json::{Map, Value};

use super::issuer::Issuer;
use crate::error::{Error, InvalidResponse};
use crate::id_token::SigningAlgorithm;
use crate::id_token::jws::decode;
use crate::json;

/// More keys than this are not looked at.
const MOST_KEYS: usize = 100;

/// Keys of one issuer.
#[derive(Debug, Default)]
pub(crate) struct KeySet {
    keys: Vec<SigningKey>,
}

/// One key that may verify a signature.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SigningKey {
    kid: Option<String>,
    algorithm: Option<SigningAlgorithm>,
    /// Entra ID names an issuer beside each key of its tenant-independent set.
    pub(crate) issuer: Option<Issuer>,
    pub(crate) material: Material,
}

/// Public key material.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Material {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    P256 { point: Vec<u8> },
}

impl KeySet {
    /// Reads a set. A key that cannot be used is left out and spoils nothing; two different keys of
    /// one name spoil the set, since nobody could say which one is meant.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, Error> {
        let document = json::parse_object(body).map_err(|_| InvalidResponse::Json("keys"))?;
        let listed = document.get("keys").and_then(Value::as_array).ok_or(InvalidResponse::Member("keys"))?;
        let objects = listed.iter().take(MOST_KEYS).filter_map(Value::as_object);
        let mut keys: Vec<SigningKey> = Vec::new();
        for key in objects.filter_map(SigningKey::from_jwk) {
            let twin = keys
                .iter()
                .find(|other| other.kid.is_some() && other.kid == key.kid && other.same_type(&key));
            match twin {
                Some(twin) if twin.material != key.material => {
                    return Err(InvalidResponse::AmbiguousKeys.into());
                }
                Some(_) => {}
                None => keys.push(key),
            }
        }
        if keys.is_empty() { Err(InvalidResponse::NoKeys.into()) } else { Ok(Self { keys }) }
    }

    pub(crate) fn names(&self, kid: &str) -> bool {
        self.keys.iter().any(|key| key.kid.as_deref() == Some(kid))
    }

    /// The keys that may have signed: those of this name, or all of the algorithm where a token of a
    /// generic provider names none (RFC 7515 4.1.4 makes `kid` optional).
    pub(crate) fn candidates(&self, kid: Option<&str>, algorithm: SigningAlgorithm) -> Vec<&SigningKey> {
        let named = |key: &&SigningKey| match kid {
            Some(kid) => key.kid.as_deref() == Some(kid),
            None => key.fits(algorithm),
        };
        self.keys.iter().filter(named).collect()
    }
}

impl SigningKey {
    /// Does the key agree with the algorithm, by its type and by its own `alg`?
    pub(crate) fn fits(&self, algorithm: SigningAlgorithm) -> bool {
        let by_type = match self.material {
            Material::Rsa { .. } => algorithm != SigningAlgorithm::Es256,
            Material::P256 { .. } => algorithm == SigningAlgorithm::Es256,
        };
        by_type && self.algorithm.is_none_or(|own| own == algorithm)
    }

    fn same_type(&self, other: &Self) -> bool {
        std::mem::discriminant(&self.material) == std::mem::discriminant(&other.material)
    }

    /// `None` for every key that must not verify: encryption keys, symmetric ones, private ones, weak ones.
    pub(crate) fn from_jwk(jwk: &Map<String, Value>) -> Option<Self> {
        let text = |name: &str| jwk.get(name).and_then(Value::as_str);
        let private = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];
        if private.iter().any(|member| jwk.contains_key(*member)) {
            return None;
        }
        if jwk.contains_key("use") && text("use") != Some("sig") {
            return None;
        }
        if let Some(operations) = jwk.get("key_ops")
            && !operations.as_array().is_some_and(|operations| operations.contains(&Value::from("verify")))
        {
            return None;
        }
        let algorithm = match jwk.get("alg") {
            None => None,
            Some(name) => Some(name.as_str().and_then(SigningAlgorithm::parse)?),
        };
        let material = match text("kty")? {
            "RSA" => rsa(text("n")?, text("e")?)?,
            "EC" if text("crv") == Some("P-256") => p256(text("x")?, text("y")?)?,
            _ => return None,
        };
        let key = Self {
            kid: text("kid").map(str::to_owned),
            algorithm,
            issuer: text("issuer").map(Issuer::new),
            material,
        };
        let agrees = algorithm.is_none_or(|algorithm| key.fits(algorithm));
        agrees.then_some(key)
    }
}

/// At least 2048 bits, an odd exponent above 2 of at most 32 bits (RFC 7518 3.3; RFC 8017 3.1).
fn rsa(n: &str, e: &str) -> Option<Material> {
    let (n, e) = (strip_zeros(decode(n).ok()?), strip_zeros(decode(e).ok()?));
    let bits = n.len().checked_mul(8)?.checked_sub(n.first()?.leading_zeros() as usize)?;
    let exponent =
        e.iter().try_fold(0_u64, |value, byte| (e.len() <= 4).then_some(value << 8 | u64::from(*byte)))?;
    let sane = (2_048..=8_192).contains(&bits) && exponent >= 3 && exponent % 2 == 1;
    sane.then_some(Material::Rsa { n, e })
}

/// An uncompressed point; coordinates have exactly 32 bytes (RFC 7518 6.2.1.2).
fn p256(x: &str, y: &str) -> Option<Material> {
    let (x, y) = (decode(x).ok()?, decode(y).ok()?);
    let fits = x.len() == 32 && y.len() == 32;
    fits.then(|| Material::P256 { point: [&[4_u8][..], &x, &y].concat() })
}

fn strip_zeros(bytes: Vec<u8>) -> Vec<u8> {
    bytes.into_iter().skip_while(|byte| *byte == 0).collect()
}

#[cfg(test)]
mod tests;
