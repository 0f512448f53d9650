use serde_json::json;

use super::super::jws::SigningAlgorithm;
use super::super::signer::{rsa_jwk, sign, sign_text};
use super::*;
use crate::authority::signing_keys::KeySet;

const NOW: i64 = 1_767_225_600;
const CLIENT: &str = "33333333-3333-3333-3333-333333333333";
const ISSUER: &str = "https://id.example";

fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": CLIENT, "iat": NOW, "exp": NOW + 120, "jti": "one", "sub": "ada", "sid": "s1",
        "events": {EVENT: {}},
    })
}

fn signed(claims: &Value) -> String {
    sign(&json!({"alg": "RS256", "kid": "rsa", "typ": "logout+jwt"}), claims)
}

fn check(token: &str) -> Result<LogoutToken, IdTokenError> {
    check_at(token, NOW)
}

fn check_at(token: &str, now: i64) -> Result<LogoutToken, IdTokenError> {
    let policy = IdTokenPolicy {
        algorithms: vec![SigningAlgorithm::Rs256],
        allowed_tenants: Vec::new(),
        allow_personal: true,
        entra: false,
        tenants: false,
    };
    let keys = KeySet::parse(&json!({"keys": [rsa_jwk()]}).to_string().into_bytes()).unwrap();
    let jws = Jws::parse(token, &policy.algorithms)?;
    let issuer = Issuer::new(ISSUER);
    let expected = Expected { client_id: CLIENT, issuer: &issuer, policy: &policy, now };
    verify(&jws, &keys.candidates(jws.kid.as_deref(), jws.algorithm), &expected)
}

fn with(member: &str, value: Value) -> Result<LogoutToken, IdTokenError> {
    let mut claims = claims();
    claims[member] = value;
    check(&signed(&claims))
}

fn without(member: &str) -> Result<LogoutToken, IdTokenError> {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(member);
    check(&signed(&claims))
}

#[test]
fn a_good_token_names_issuer_user_session_and_itself() {
    let token = check(&signed(&claims())).unwrap();
    assert_eq!((token.iss.as_str(), token.jti.as_str()), (ISSUER, "one"));
    assert_eq!((token.sub.as_deref(), token.sid.as_deref()), (Some("ada"), Some("s1")));
}

#[test]
fn either_of_sub_and_sid_is_enough() {
    assert_eq!(without("sub").unwrap().sub, None);
    assert_eq!(without("sid").unwrap().sid, None);
    let mut claims = claims();
    claims.as_object_mut().unwrap().retain(|name, _| name != "sub" && name != "sid");
    assert_eq!(check(&signed(&claims)), Err(IdTokenError::Missing("sub")));
}

#[test]
fn each_claim_is_required_and_of_its_type() {
    for claim in ["iss", "aud", "iat", "exp", "jti", "events"] {
        assert_eq!(without(claim), Err(IdTokenError::Missing(claim)));
        assert!(with(claim, json!(true)).is_err(), "{claim}");
        assert!(with(claim, Value::Null).is_err(), "{claim}");
    }
    for claim in ["sub", "sid", "jti"] {
        for bad in [json!(""), json!(7), json!("x".repeat(256))] {
            assert_eq!(with(claim, bad), Err(IdTokenError::Malformed(claim)));
        }
    }
}

#[test]
fn another_issuer_or_audience_is_refused() {
    assert!(matches!(with("iss", json!("https://evil.example")), Err(IdTokenError::Issuer { .. })));
    assert_eq!(with("aud", json!("another")), Err(IdTokenError::Audience));
    assert_eq!(with("aud", json!([CLIENT, "another"])), Err(IdTokenError::Audience));
    assert!(with("aud", json!([CLIENT])).is_ok());
}

#[test]
fn the_event_must_be_there_as_an_object() {
    for events in [json!({}), json!([EVENT]), json!({EVENT: true}), json!({"other": {}})] {
        assert_eq!(with("events", events), Err(IdTokenError::Malformed("events")));
    }
}

#[test]
fn a_nonce_is_forbidden() {
    assert_eq!(with("nonce", json!("n")), Err(IdTokenError::Malformed("nonce")));
    assert_eq!(with("nonce", Value::Null), Err(IdTokenError::Malformed("nonce")));
}

fn typed(typ: Option<&str>, claims: &Value) -> Result<LogoutToken, IdTokenError> {
    let mut header = json!({"alg": "RS256", "kid": "rsa"});
    if let Some(typ) = typ {
        header["typ"] = json!(typ);
    }
    check(&sign(&header, claims))
}

/// None, the general one, and the one section 2.4 recommends, as RFC 7515 4.1.9 lets them be written.
const TYPED: [Option<&str>; 7] = [
    None,
    Some("JWT"),
    Some("jwt"),
    Some("application/jwt"),
    Some("logout+jwt"),
    Some("LOGOUT+JWT"),
    Some("application/logout+jwt"),
];

#[test]
fn the_type_is_its_own_or_the_general_one_or_absent() {
    for typ in TYPED {
        assert!(typed(typ, &claims()).is_ok(), "{typ:?}");
    }
}

#[test]
fn any_other_type_is_refused() {
    for typ in
        ["at+jwt", "application/at+jwt", "id_token+jwt", "secevent+jwt", "JOSE", "application/", "", " JWT"]
    {
        assert_eq!(typed(Some(typ), &claims()), Err(IdTokenError::Type), "{typ:?}");
    }
}

#[test]
fn under_each_type_the_event_is_required_and_a_nonce_forbidden() {
    for typ in TYPED {
        let mut no_event = claims();
        no_event.as_object_mut().unwrap().remove("events");
        assert_eq!(typed(typ, &no_event), Err(IdTokenError::Missing("events")), "{typ:?}");
        let mut nonce = claims();
        nonce["nonce"] = json!("n");
        assert_eq!(typed(typ, &nonce), Err(IdTokenError::Malformed("nonce")), "{typ:?}");
    }
}

#[test]
fn an_unsigned_or_altered_token_is_refused() {
    let none = sign_text(r#"{"alg":"none"}"#, &claims().to_string(), "RS256");
    assert_eq!(check(&none), Err(IdTokenError::Algorithm));
    let good = signed(&claims());
    let (head, rest) = good.split_once('.').unwrap();
    let other = signed(&json!({"iss": ISSUER}));
    let payload = other.split('.').nth(1).unwrap();
    let altered = format!("{head}.{payload}.{}", rest.split_once('.').unwrap().1);
    assert_eq!(check(&altered), Err(IdTokenError::Signature));
}

#[test]
fn a_token_is_remembered_for_as_long_as_it_would_be_taken() {
    for exp in [NOW + 120, NOW + 1_000_000] {
        let mut claims = claims();
        claims["exp"] = json!(exp);
        let token = signed(&claims);
        let refused_from = check(&token).unwrap().refused_from;
        assert!(check_at(&token, refused_from - 1).is_ok());
        assert!(check_at(&token, refused_from).is_err());
    }
}

#[test]
fn an_id_token_is_no_logout_token() {
    let id_token = json!({
        "iss": ISSUER, "sub": "ada", "aud": CLIENT, "exp": NOW + 3_600, "iat": NOW, "nonce": "n", "sid": "s1", "jti": "one",
    });
    for header in [json!({"alg": "RS256", "kid": "rsa"}), json!({"alg": "RS256", "kid": "rsa", "typ": "JWT"})]
    {
        assert!(check(&sign(&header, &id_token)).is_err());
    }
}
