//! A signer for this crate's own tests.

use std::sync::LazyLock;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256, RSA_PSS_SHA256,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

static RSA: LazyLock<KeyPair> = LazyLock::new(|| KeyPair::generate(KeySize::Rsa2048).unwrap());
static P256: LazyLock<EcdsaKeyPair> =
    LazyLock::new(|| EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap());

pub(crate) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A token signed as its header's `alg` says.
pub(crate) fn sign(header: &Value, payload: &Value) -> String {
    sign_text(&header.to_string(), &payload.to_string(), header["alg"].as_str().unwrap())
}

pub(crate) fn sign_text(header: &str, payload: &str, algorithm: &str) -> String {
    let signed = format!("{}.{}", encode(header), encode(payload));
    let random = SystemRandom::new();
    let mut signature = vec![0; RSA.public_modulus_len()];
    let signature = match algorithm {
        "RS256" => {
            RSA.sign(&RSA_PKCS1_SHA256, &random, signed.as_bytes(), &mut signature).unwrap();
            signature
        }
        "PS256" => {
            RSA.sign(&RSA_PSS_SHA256, &random, signed.as_bytes(), &mut signature).unwrap();
            signature
        }
        _ => P256.sign(&random, signed.as_bytes()).unwrap().as_ref().to_vec(),
    };
    format!("{signed}.{}", encode(signature))
}

/// The public RSA key: a DER sequence of a modulus of 257 bytes with its sign, and the exponent.
pub(crate) fn rsa_jwk() -> Value {
    let der = RSA.public_key().as_ref().to_vec();
    json!({"kty": "RSA", "kid": "rsa", "use": "sig", "n": encode(&der[9..265]), "e": "AQAB"})
}

pub(crate) fn p256_jwk() -> Value {
    let point = P256.public_key().as_ref().to_vec();
    json!({"kty": "EC", "crv": "P-256", "kid": "ec", "x": encode(&point[1..33]), "y": encode(&point[33..])})
}
