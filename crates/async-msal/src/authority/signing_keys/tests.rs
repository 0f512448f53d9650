use serde_json::json;

use super::*;
use crate::id_token::signer::{encode, p256_jwk, rsa_jwk};

fn usable(jwk: &Value) -> bool {
    SigningKey::from_jwk(jwk.as_object().unwrap()).is_some()
}

fn parse(keys: &[Value]) -> Result<KeySet, Error> {
    KeySet::parse(json!({ "keys": keys }).to_string().as_bytes())
}

fn rsa_with(member: &str, value: Value) -> Value {
    let mut jwk = rsa_jwk();
    jwk[member] = value;
    jwk
}

#[test]
fn keys_for_other_uses_are_left_out() {
    for (member, value) in [
        ("use", json!("enc")),
        ("use", json!(1)),
        ("key_ops", json!(["encrypt"])),
        ("key_ops", json!("verify")),
        ("alg", json!("RSA-OAEP")),
        ("alg", json!("ES256")),
        ("kty", json!("oct")),
        ("kty", json!("OKP")),
    ] {
        assert!(!usable(&rsa_with(member, value.clone())), "{member} {value}");
    }
}

#[test]
fn private_and_symmetric_members_disqualify_a_key() {
    for member in ["d", "p", "q", "dp", "dq", "qi", "k"] {
        assert!(!usable(&rsa_with(member, json!("AQAB"))), "{member}");
    }
}

#[test]
fn weak_rsa_keys_are_left_out() {
    assert!(!usable(&rsa_with("n", json!(encode([0xff; 128])))));
    assert!(!usable(&rsa_with("n", json!(encode([0xff; 2_000])))));
    for exponent in ["AQ", "Ag", "AQAA", "AQAAAAAB"] {
        assert!(!usable(&rsa_with("e", json!(exponent))), "{exponent}");
    }
}

#[test]
fn leading_zeros_do_not_make_a_key_longer() {
    let padded = [vec![0; 200], vec![0xff; 128]].concat();
    assert!(!usable(&rsa_with("n", json!(encode(padded)))));
}

#[test]
fn point_of_the_wrong_size_or_curve_is_left_out() {
    let mut jwk = p256_jwk();
    assert!(usable(&jwk));
    jwk["crv"] = "P-384".into();
    assert!(!usable(&jwk));
    let mut jwk = p256_jwk();
    jwk["x"] = encode([1; 31]).into();
    assert!(!usable(&jwk));
}

#[test]
fn one_bad_key_does_not_spoil_the_set() {
    let keys = parse(&[json!({"kty": "RSA"}), json!(1), rsa_with("use", json!("enc")), rsa_jwk()]).unwrap();
    assert_eq!(keys.candidates(Some("rsa"), SigningAlgorithm::Rs256).len(), 1);
}

#[test]
fn two_different_keys_of_one_name_spoil_the_set() {
    let mut other = rsa_jwk();
    other["e"] = "Aw".into();
    assert!(parse(&[rsa_jwk(), other]).is_err());
    assert!(parse(&[rsa_jwk(), rsa_jwk()]).is_ok());
}

#[test]
fn set_without_usable_keys_is_refused() {
    for body in ["{}", r#"{"keys":[]}"#, r#"{"keys":{}}"#, r#"{"keys":[{"kty":"oct","k":"AQAB"}]}"#, "", "[]"]
    {
        assert!(KeySet::parse(body.as_bytes()).is_err(), "{body}");
    }
}

#[test]
fn only_the_first_hundred_keys_are_looked_at() {
    let mut keys = vec![json!({"kty": "oct"}); 100];
    keys.push(rsa_jwk());
    assert!(parse(&keys).is_err());
}
