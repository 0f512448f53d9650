//! The signing keys: made here, published at `jwks_uri`, rotated in one step or in three.

use std::sync::Arc;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair};
use aws_lc_rs::{digest, hmac, signature};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::error::EmulatorError;

/// How many keys may be published at once; an emulator that rotates in a loop does not grow without end.
const MAX_KEYS: usize = 16;

/// A signing key as it is kept in the data folder: base64 of DER.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct StoredKey {
    private_key: String,
    certificate: String,
}

/// The published keys and the one that signs.
#[derive(Clone)]
pub(crate) struct KeyRing {
    keys: Vec<Arc<SigningKey>>,
    signer: usize,
}

pub(crate) struct SigningKey {
    pair: RsaKeyPair,
    stored: StoredKey,
    thumbprint: String,
    modulus: String,
    exponent: String,
}

impl SigningKey {
    /// Makes a 2048-bit key with a self-signed certificate. Takes tens of milliseconds: call it off the executor.
    ///
    /// # Errors
    /// The crypto library fails.
    pub(crate) fn generate() -> Result<Self, EmulatorError> {
        let pair = aws_lc_rs::rsa::KeyPair::generate(KeySize::Rsa2048).map_err(failed("RSA key"))?;
        let pkcs8: Pkcs8V1Der<'_> = pair.as_der().map_err(failed("PKCS#8"))?;
        let certificate = certificate(pkcs8.as_ref()).map_err(|e| EmulatorError::Keys(e.to_string()))?;
        Self::from_der(pkcs8.as_ref(), &certificate)
    }

    fn from_der(pkcs8: &[u8], certificate: &[u8]) -> Result<Self, EmulatorError> {
        let pair = RsaKeyPair::from_pkcs8(pkcs8).map_err(failed("private key"))?;
        let public = pair.public_key();
        let (n, e) = (public.modulus(), public.exponent());
        // Entra ID names a key by the SHA-1 thumbprint of its certificate: `kid` equals `x5t`.
        let thumbprint = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, certificate);
        let modulus = URL_SAFE_NO_PAD.encode(n.big_endian_without_leading_zero());
        let exponent = URL_SAFE_NO_PAD.encode(e.big_endian_without_leading_zero());
        let stored =
            StoredKey { private_key: STANDARD.encode(pkcs8), certificate: STANDARD.encode(certificate) };
        let thumbprint = URL_SAFE_NO_PAD.encode(thumbprint);
        Ok(Self { pair, stored, thumbprint, modulus, exponent })
    }

    pub(crate) fn restore(stored: &StoredKey) -> Result<Self, EmulatorError> {
        let pkcs8 = STANDARD.decode(&stored.private_key).map_err(failed("private key"))?;
        let certificate = STANDARD.decode(&stored.certificate).map_err(failed("certificate"))?;
        Self::from_der(&pkcs8, &certificate)
    }

    pub(crate) fn stored(&self) -> StoredKey {
        self.stored.clone()
    }

    pub(crate) fn kid(&self) -> &str {
        &self.thumbprint
    }

    /// RS256 over the signing input of a JWT (RFC 7515 5.1).
    ///
    /// # Errors
    /// The crypto library fails.
    pub(crate) fn sign(&self, input: &str) -> Result<String, EmulatorError> {
        let mut out = vec![0; self.pair.public_modulus_len()];
        self.pair
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), input.as_bytes(), &mut out)
            .map_err(failed("signature"))?;
        Ok(URL_SAFE_NO_PAD.encode(out))
    }

    /// HMAC with the public key as the secret: the algorithm confusion attack, for a fault.
    pub(crate) fn sign_hs256(&self, input: &str) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.pair.public_key().as_ref());
        URL_SAFE_NO_PAD.encode(hmac::sign(&key, input.as_bytes()))
    }

    /// Whether `signature` (base64url) is this key's RS256 over `input`.
    pub(crate) fn verify(&self, input: &str, signature: &str) -> bool {
        let Ok(signature) = URL_SAFE_NO_PAD.decode(signature) else { return false };
        let public = self.pair.public_key().as_ref();
        signature::UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public)
            .verify(input.as_bytes(), &signature)
            .is_ok()
    }

    /// The key as Entra ID publishes it: no `alg`, but an `issuer` of its own.
    pub(crate) fn jwk(&self, issuer: &str) -> Value {
        json!({
            "kty": "RSA", "use": "sig", "kid": self.thumbprint, "x5t": self.thumbprint,
            "n": self.modulus, "e": self.exponent, "x5c": [self.stored.certificate],
            "cloud_instance_name": "microsoftonline.com", "issuer": issuer,
        })
    }
}

impl KeyRing {
    pub(crate) fn restore(keys: &[StoredKey], signer: usize) -> Result<Self, EmulatorError> {
        let keys =
            keys.iter().map(|k| SigningKey::restore(k).map(Arc::new)).collect::<Result<Vec<_>, _>>()?;
        if signer >= keys.len() {
            return Err(EmulatorError::Keys("no signing key".into()));
        }
        Ok(Self { keys, signer })
    }

    pub(crate) fn stored(&self) -> (Vec<StoredKey>, usize) {
        (self.keys.iter().map(|k| k.stored()).collect(), self.signer)
    }

    pub(crate) fn signer(&self) -> Arc<SigningKey> {
        Arc::clone(&self.keys[self.signer])
    }

    pub(crate) fn find(&self, kid: &str) -> Option<Arc<SigningKey>> {
        self.keys.iter().find(|k| k.kid() == kid).cloned()
    }

    pub(crate) fn jwks(&self, issuer: &str) -> Value {
        json!({ "keys": self.keys.iter().map(|k| k.jwk(issuer)).collect::<Vec<_>>() })
    }

    pub(crate) fn kids(&self) -> Vec<String> {
        self.keys.iter().map(|k| k.kid().to_owned()).collect()
    }

    /// Publishes one more key; the signer stays.
    pub(crate) fn publish(&mut self, key: SigningKey) -> Result<(), EmulatorError> {
        if self.keys.len() >= MAX_KEYS {
            return Err(EmulatorError::TooMany(format!(
                "{MAX_KEYS} keys are published; remove the old ones"
            )));
        }
        self.keys.push(Arc::new(key));
        Ok(())
    }

    /// The newest published key signs from now on.
    pub(crate) fn switch_to_newest(&mut self) {
        self.signer = self.keys.len() - 1;
    }

    /// Stops publishing every key but the signer.
    pub(crate) fn remove_others(&mut self) {
        let signer = self.signer();
        self.keys = vec![signer];
        self.signer = 0;
    }
}

fn certificate(pkcs8: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
    let pair = rcgen::KeyPair::from_pkcs8_der_and_sign_algo(&pkcs8.to_vec().into(), &rcgen::PKCS_RSA_SHA256)?;
    let mut params = rcgen::CertificateParams::new(Vec::new())?;
    let mut name = rcgen::DistinguishedName::new();
    name.push(rcgen::DnType::CommonName, "async-msal emulator signing key");
    params.distinguished_name = name;
    Ok(params.self_signed(&pair)?.der().to_vec())
}

fn failed<E>(what: &'static str) -> impl Fn(E) -> EmulatorError {
    move |_| EmulatorError::Keys(format!("{what} failed"))
}
