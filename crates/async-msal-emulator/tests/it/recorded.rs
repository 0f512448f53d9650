//! The answers have the fields, statuses and codes of those recorded from Entra ID.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::{claims, emulator, header, http, post_token, text};

fn recording(name: &str) -> Value {
    let path = format!("{}/tests/fixtures/entra/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn names(value: &Value) -> BTreeSet<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

/// Same status, same fields; fixed values equal, placeholders `{..}` filled with something.
fn assert_like(recording: &Value, (status, body): (reqwest::StatusCode, &Value)) {
    let recorded = &recording["response"];
    assert_eq!(u64::from(status.as_u16()), recorded["status"].as_u64().unwrap());
    assert_eq!(names(body), names(&recorded["body"]), "{body}");
    for (name, expected) in recorded["body"].as_object().unwrap() {
        match expected.as_str() {
            Some(template) => assert_matches(template, &body[name]),
            None => assert_eq!(&body[name], expected, "{name}"),
        }
    }
}

/// Every fixed piece of the template occurs in the value, in order.
fn assert_matches(template: &str, value: &Value) {
    let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut rest = value.as_str();
    for piece in template.split('{').flat_map(|p| p.rsplit_once('}').map(|(_, fixed)| fixed).or(Some(p))) {
        let at = rest.find(piece).unwrap_or_else(|| panic!("{piece:?} is not in {value:?}"));
        rest = &rest[at + piece.len()..];
    }
}

#[tokio::test]
async fn a_wrong_secret_is_answered_as_recorded() {
    let emulator = emulator().await;
    let (status, body) = post_token(
        &emulator,
        &[
            ("grant_type", "client_credentials"),
            ("client_secret", "wrong"),
            ("scope", "https://graph.microsoft.com/.default"),
        ],
    )
    .await;
    assert_like(&recording("token-error-invalid-client"), (status, &body));
}

#[tokio::test]
async fn an_unknown_client_is_answered_as_recorded() {
    let emulator = emulator().await;
    let unknown = "00000000-0000-0000-0000-000000000001";
    let (status, body) =
        post_token(&emulator, &[("grant_type", "client_credentials"), ("client_id", unknown)]).await;
    assert_like(&recording("token-error-unknown-client"), (status, &body));
}

#[tokio::test]
async fn an_unsupported_grant_is_answered_as_recorded() {
    let emulator = emulator().await;
    let (status, body) = post_token(&emulator, &[("grant_type", "no_such_grant")]).await;
    assert_like(&recording("token-error-unsupported-grant-type"), (status, &body));
}

#[tokio::test]
async fn an_unknown_resource_is_answered_as_recorded() {
    let emulator = emulator().await;
    let scope = "api://not-a-registered-resource/.default";
    let (status, body) =
        post_token(&emulator, &[("grant_type", "client_credentials"), ("scope", scope)]).await;
    assert_like(&recording("token-error-invalid-scope"), (status, &body));
}

#[tokio::test]
async fn client_credentials_are_answered_as_recorded() {
    let emulator = emulator().await;
    let scope = format!("{}/.default", emulator.client_id());
    let (status, body) =
        post_token(&emulator, &[("grant_type", "client_credentials"), ("scope", &scope)]).await;
    let recorded = recording("token-client-credentials");
    assert_eq!(u64::from(status.as_u16()), recorded["response"]["status"].as_u64().unwrap());
    assert_eq!(names(&body), names(&recorded["response"]["body"]));
    let token = recording("token-claims-client-credentials");
    let access_token = text(&body, "access_token");
    let (header, claims) = (header(access_token), claims(access_token));
    let expected: BTreeSet<&str> =
        token["claimNames"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(names(&claims), expected);
    assert_eq!(header["alg"], token["header"]["alg"]);
    assert_eq!(header["typ"], token["header"]["typ"]);
    assert_eq!(header["x5t"], token["header"]["x5t"]);
    assert_eq!(claims["ver"], token["structural"]["ver"]);
    assert_eq!(claims["aud"], emulator.client_id());
    assert_eq!(claims["tid"], emulator.tenant_id());
}

#[tokio::test]
async fn discovery_has_the_recorded_fields_and_no_others() {
    let emulator = emulator().await;
    let golden = recording("oidc-discovery");
    for tenant in [emulator.tenant_id(), "common", "organizations"] {
        let url = format!("{}/{tenant}/v2.0/.well-known/openid-configuration", emulator.base_url());
        let answer = http().get(url).send().await.unwrap();
        assert_eq!(answer.headers()["cache-control"], "max-age=86400, private");
        let body: Value = answer.json().await.unwrap();
        let expected: BTreeSet<&str> =
            golden["required_fields"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        assert_eq!(names(&body), expected);
        for (name, value) in golden["entra_boolean_values"].as_object().unwrap() {
            if value.is_boolean() && name != "tls_client_certificate_bound_access_tokens" {
                assert_eq!(&body[name], value, "{name}");
            }
        }
    }
}

#[tokio::test]
async fn discovery_has_the_recorded_values() {
    let emulator = emulator().await;
    let golden = recording("oidc-discovery");
    let url = format!("{}/v2.0/.well-known/openid-configuration", emulator.authority_url());
    let body: Value = http().get(url).send().await.unwrap().json().await.unwrap();
    let list = |value: &Value| -> BTreeSet<String> {
        value.as_array().unwrap().iter().filter_map(|v| v.as_str().map(str::to_owned)).collect()
    };
    let values = &golden["protocol_values"];
    assert_eq!(body["subject_types_supported"], values["subject_types_supported_equals"]);
    for name in ["response_types_supported", "response_modes_supported"] {
        assert!(list(&body[name]).is_subset(&list(&values[format!("{name}_subset_of")])), "{name}");
    }
    for name in ["scopes_supported", "claims_supported"] {
        assert!(list(&values[format!("{name}_must_include")]).is_subset(&list(&body[name])), "{name}");
    }
    let methods = list(&body["token_endpoint_auth_methods_supported"]);
    assert!(list(&values["token_endpoint_auth_methods_must_include"]).is_subset(&methods));
    assert!(methods.is_subset(&list(&values["token_endpoint_auth_methods_subset_of"])));
}
