use serde_json::{Value, json};

use super::super::signer::{rsa_jwk, sign, sign_text};
use super::*;
use crate::authority::signing_keys::KeySet;

const NOW: i64 = 1_767_225_600;
const CLIENT: &str = "33333333-3333-3333-3333-333333333333";
const TENANT: &str = "11111111-1111-1111-1111-111111111111";
const OTHER: &str = "22222222-2222-2222-2222-222222222222";
/// The raw nonce and what of it is in the token.
const NONCE: (&str, &str) =
    ("6HlOHt5lEjbN_oW3rlqrPg", "c6c97c8fbc7254f75e0627443555811aad7d802390a350066806650a7679d9c8");

fn issuer_of(tenant: &str) -> String {
    format!("https://login.microsoftonline.com/{tenant}/v2.0")
}

fn claims() -> Value {
    json!({
        "iss": issuer_of(TENANT), "sub": "subject", "aud": CLIENT, "exp": NOW + 3_600, "iat": NOW, "nbf": NOW,
        "nonce": NONCE.1, "tid": TENANT, "oid": OTHER, "auth_time": NOW - 100,
    })
}

struct Case {
    token: String,
    issuer: Issuer,
    policy: IdTokenPolicy,
    key: Value,
    access_token: Option<AccessToken>,
    max_age: Option<u64>,
    previous: Option<IdTokenClaims>,
    refresh: bool,
}

impl Case {
    fn of(claims: &Value) -> Self {
        Self {
            token: sign(&json!({"alg": "RS256", "kid": "rsa", "typ": "JWT"}), claims),
            issuer: Issuer::new(issuer_of(TENANT)),
            policy: IdTokenPolicy {
                algorithms: vec![SigningAlgorithm::Rs256],
                allowed_tenants: Vec::new(),
                allow_personal: true,
                entra: true,
                tenants: true,
            },
            key: rsa_jwk(),
            access_token: None,
            max_age: None,
            previous: None,
            refresh: false,
        }
    }

    fn with(member: &str, value: Value) -> Self {
        let mut claims = claims();
        claims[member] = value;
        Self::of(&claims)
    }

    fn without(member: &str) -> Self {
        let mut claims = claims();
        claims.as_object_mut().unwrap().remove(member);
        Self::of(&claims)
    }

    fn verify(&self) -> Result<VerifiedIdToken, IdTokenError> {
        let raw = IdToken::new(self.token.clone());
        let jws = Jws::parse(&self.token, &self.policy.algorithms)?;
        let keys = KeySet::parse(json!({"keys": [self.key]}).to_string().as_bytes()).unwrap();
        let nonce = Nonce::new(NONCE.0);
        let occasion = match self.refresh {
            true => Occasion::Refresh { previous: self.previous.as_ref() },
            false => Occasion::SignIn { nonce: &nonce, max_age: self.max_age },
        };
        let expected = Expected {
            client_id: CLIENT,
            issuer: &self.issuer,
            policy: &self.policy,
            access_token: self.access_token.as_ref(),
            now: NOW,
            occasion,
        };
        verify(&raw, &jws, &keys.candidates(jws.kid.as_deref(), jws.algorithm), &expected)
    }

    fn refusal(&self) -> IdTokenError {
        self.verify().expect_err("accepted")
    }

    fn after(mut self, previous: &Value) -> Self {
        self.refresh = true;
        self.previous = IdTokenClaims::from_payload(previous.as_object().unwrap()).ok();
        self
    }
}

#[test]
fn good_token_is_accepted() {
    assert_eq!(Case::of(&claims()).verify().unwrap().claims().sub, "subject");
}

#[test]
fn required_claims_may_not_be_missing() {
    for name in ["iss", "sub", "aud", "exp", "iat", "nonce", "tid"] {
        assert_eq!(Case::without(name).refusal(), IdTokenError::Missing(name), "{name}");
    }
}

#[test]
fn times_must_be_numbers_within_reason() {
    for name in ["exp", "iat", "nbf", "auth_time"] {
        for value in
            [json!("1767225600"), json!(-1), json!(null), json!([1]), json!({}), json!(true), json!(1e300)]
        {
            assert_eq!(
                Case::with(name, value.clone()).refusal(),
                IdTokenError::Malformed(name),
                "{name} {value}"
            );
        }
    }
}

#[test]
fn number_that_overflows_is_refused() {
    let text = claims().to_string().replace(&(NOW + 3_600).to_string(), "1e999");
    let mut case = Case::of(&claims());
    case.token = sign_text(r#"{"alg":"RS256","kid":"rsa"}"#, &text, "RS256");
    assert_eq!(case.refusal(), IdTokenError::Structure("payload"));
}

#[test]
fn empty_payload_is_refused() {
    let mut case = Case::of(&claims());
    case.token = sign_text(r#"{"alg":"RS256","kid":"rsa"}"#, "", "RS256");
    assert_eq!(case.refusal(), IdTokenError::Structure("payload"));
}

#[test]
fn duplicate_claim_is_refused() {
    let text = claims().to_string().replacen('{', &format!(r#"{{"aud":"{CLIENT}","#), 1);
    let mut case = Case::of(&claims());
    case.token = sign_text(r#"{"alg":"RS256","kid":"rsa"}"#, &text, "RS256");
    assert_eq!(case.refusal(), IdTokenError::Structure("payload"));
}

#[test]
fn expiry_has_a_skew_of_300_seconds() {
    assert!(Case::with("exp", json!(NOW - 299)).verify().is_ok());
    assert!(matches!(Case::with("exp", json!(NOW - 300)).refusal(), IdTokenError::Expired { .. }));
}

#[test]
fn not_before_has_a_skew_of_300_seconds() {
    assert!(Case::with("nbf", json!(NOW + 300)).verify().is_ok());
    assert!(matches!(Case::with("nbf", json!(NOW + 301)).refusal(), IdTokenError::NotYetValid { .. }));
}

#[test]
fn issue_time_far_away_is_refused() {
    assert!(Case::with("iat", json!(NOW + 300)).verify().is_ok());
    assert!(matches!(Case::with("iat", json!(NOW + 301)).refusal(), IdTokenError::IssuedAt { .. }));
    assert!(Case::with("iat", json!(NOW - 86_400)).verify().is_ok());
    assert!(matches!(Case::with("iat", json!(NOW - 86_401)).refusal(), IdTokenError::IssuedAt { .. }));
}

#[test]
fn issuer_is_compared_exactly() {
    for issuer in [issuer_of(OTHER), format!("{}/", issuer_of(TENANT)), issuer_of(TENANT).to_uppercase()] {
        assert!(
            matches!(Case::with("iss", json!(issuer)).refusal(), IdTokenError::Issuer { .. }),
            "{issuer}"
        );
    }
}

#[test]
fn audience_is_this_client_alone() {
    assert!(Case::with("aud", json!([CLIENT])).verify().is_ok());
    assert_eq!(Case::with("aud", json!(CLIENT.replace('3', "4"))).refusal(), IdTokenError::Audience);
    assert_eq!(Case::with("aud", json!([CLIENT, "other"])).refusal(), IdTokenError::Audience);
    for empty in [json!(""), json!([]), json!([""]), json!(1), json!([1])] {
        assert_eq!(Case::with("aud", empty).refusal(), IdTokenError::Malformed("aud"));
    }
}

#[test]
fn authorized_party_is_this_client() {
    assert!(Case::with("azp", json!(CLIENT)).verify().is_ok());
    assert_eq!(Case::with("azp", json!("other")).refusal(), IdTokenError::AuthorizedParty);
    assert_eq!(Case::with("aud", json!([CLIENT, CLIENT])).refusal(), IdTokenError::AuthorizedParty);
}

#[test]
fn subject_is_bounded_ascii() {
    assert!(Case::with("sub", json!("a".repeat(255))).verify().is_ok());
    for sub in ["".to_owned(), "a".repeat(256), "ä".to_owned()] {
        assert_eq!(Case::with("sub", json!(sub)).refusal(), IdTokenError::Malformed("sub"));
    }
}

#[test]
fn nonce_is_the_hash_of_this_sign_ins() {
    for nonce in [NONCE.0, "", &NONCE.1.to_uppercase(), &NONCE.1[1..]] {
        assert_eq!(Case::with("nonce", json!(nonce)).refusal(), IdTokenError::Nonce);
    }
}

#[test]
fn lists_of_the_wrong_type_are_refused() {
    for name in ["roles", "groups"] {
        for value in [json!("Admin"), json!({}), json!([1]), json!(null)] {
            assert_eq!(
                Case::with(name, value.clone()).refusal(),
                IdTokenError::Malformed(name),
                "{name} {value}"
            );
        }
    }
}

#[test]
fn missing_groups_are_not_an_empty_list() {
    assert_eq!(Case::of(&claims()).verify().unwrap().claims().groups, None);
}

#[test]
fn access_token_hash_of_openid_connect_core_verifies() {
    let mut case = Case::with("at_hash", json!("77QmUPtjPfzWtF2AnpK9RQ"));
    case.access_token = Some(AccessToken::new("jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y"));
    assert!(case.verify().is_ok());
    case.access_token = Some(AccessToken::new("another"));
    assert_eq!(case.refusal(), IdTokenError::AccessTokenHash);
}

#[test]
fn max_age_demands_a_recent_auth_time() {
    let mut case = Case::with("auth_time", json!(NOW - 400));
    case.max_age = Some(100);
    assert!(case.verify().is_ok());
    case.max_age = Some(99);
    assert_eq!(case.refusal(), IdTokenError::AuthTime);
    let mut case = Case::without("auth_time");
    case.max_age = Some(100);
    assert_eq!(case.refusal(), IdTokenError::Missing("auth_time"));
}

#[test]
fn template_takes_each_tenant_and_only_with_its_own_tid() {
    let mut case = Case::of(&claims());
    case.issuer = Issuer::new(issuer_of("{tenantid}"));
    assert!(case.verify().is_ok());
    let mut case = Case::with("tid", json!(OTHER));
    case.issuer = Issuer::new(issuer_of("{tenantid}"));
    assert!(matches!(case.refusal(), IdTokenError::Issuer { .. }));
    let mut case = Case::with("tid", json!("{tenantid}"));
    case.issuer = Issuer::new(issuer_of("{tenantid}"));
    assert!(matches!(case.refusal(), IdTokenError::Issuer { .. }));
}

#[test]
fn tid_is_a_guid_and_agrees_with_the_issuer() {
    assert_eq!(Case::with("tid", json!("contoso")).refusal(), IdTokenError::Malformed("tid"));
    assert_eq!(Case::with("tid", json!(OTHER)).refusal(), IdTokenError::Tenant);
}

#[test]
fn tenant_off_the_list_is_refused() {
    let mut case = Case::of(&claims());
    case.policy.allowed_tenants = vec![OTHER.to_owned()];
    assert_eq!(case.refusal(), IdTokenError::TenantNotAllowed);
    case.policy.allowed_tenants.push(TENANT.to_uppercase());
    assert!(case.verify().is_ok());
}

#[test]
fn personal_accounts_can_be_refused() {
    let mut claims = claims();
    claims["tid"] = PERSONAL_TENANT.into();
    claims["iss"] = issuer_of(PERSONAL_TENANT).into();
    let mut case = Case::of(&claims);
    case.issuer = Issuer::new(issuer_of("{tenantid}"));
    assert!(case.verify().is_ok());
    case.policy.allow_personal = false;
    assert_eq!(case.refusal(), IdTokenError::PersonalAccount);
}

#[test]
fn key_of_another_issuer_does_not_count() {
    let mut case = Case::of(&claims());
    case.key["issuer"] = issuer_of(OTHER).into();
    assert_eq!(case.refusal(), IdTokenError::KeyIssuer);
    case.key["issuer"] = issuer_of("{tenantid}").into();
    assert!(case.verify().is_ok());
}

#[test]
fn other_kinds_of_tokens_are_refused() {
    let mut case = Case::of(&claims());
    for typ in ["logout+jwt", "at+jwt", "client-authentication+jwt"] {
        case.token = sign(&json!({"alg": "RS256", "kid": "rsa", "typ": typ}), &claims());
        assert_eq!(case.refusal(), IdTokenError::Type, "{typ}");
    }
    assert_eq!(Case::with("events", json!({})).refusal(), IdTokenError::Type);
}

#[test]
fn kid_is_data_and_no_more() {
    let mut case = Case::of(&claims());
    for kid in
        ["../rsa".to_owned(), "rsa\0".to_owned(), "rsa\r\n".to_owned(), "a".repeat(10_000), "*".to_owned()]
    {
        case.token = sign(&json!({"alg": "RS256", "kid": kid}), &claims());
        assert_eq!(case.refusal(), IdTokenError::KeyNotFound);
    }
}

#[test]
fn signature_of_other_content_is_refused() {
    let mut case = Case::of(&claims());
    let (one, two) = (case.token.clone(), Case::with("sub", json!("other")).token);
    let payload = two.split('.').nth(1).unwrap();
    let parts: Vec<&str> = one.split('.').collect();
    case.token = format!("{}.{payload}.{}", parts[0], parts[2]);
    assert_eq!(case.refusal(), IdTokenError::Signature);
}

#[test]
fn refresh_needs_no_nonce() {
    assert!(Case::without("nonce").after(&claims()).verify().is_ok());
}

#[test]
fn refresh_keeps_who_for_whom_and_when() {
    let mut previous = claims();
    previous["azp"] = CLIENT.into();
    assert_eq!(Case::of(&claims()).after(&previous).refusal(), IdTokenError::Changed("azp"));
    for (name, value) in [("sub", json!("another")), ("oid", json!(TENANT)), ("auth_time", json!(NOW))] {
        let case = Case::with(name, value).after(&claims());
        let Err(IdTokenError::Changed(changed)) = case.verify() else { panic!("{name}") };
        assert_eq!(changed, name);
    }
}

#[test]
fn debug_of_claims_shows_no_mail() {
    let verified = Case::with("email", json!("canary@contoso.example")).verify().unwrap();
    assert!(!format!("{verified:?}").contains("canary"));
}
