//! The admin API over HTTP, and who may use it.

use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use crate::support::{ADA, emulator, http, sign_in};

fn with_json(request: RequestBuilder, body: &Value) -> RequestBuilder {
    request.json(body)
}

async fn status(request: RequestBuilder) -> StatusCode {
    request.send().await.unwrap().status()
}

#[tokio::test]
async fn a_foreign_host_is_refused() {
    let emulator = emulator().await;
    let url = format!("{}/_admin/policy", emulator.base_url());
    for host in ["evil.example", "evil.example:80", "127.0.0.1:1", "127.0.0.1"] {
        assert_eq!(status(http().get(&url).header("host", host)).await, 403, "{host}");
    }
    let own = format!("localhost:{}", emulator.address().port());
    assert_eq!(status(http().get(&url).header("host", own)).await, 200);
}

#[tokio::test]
async fn a_foreign_origin_or_site_is_refused() {
    let emulator = emulator().await;
    let url = format!("{}/_admin/policy", emulator.base_url());
    assert_eq!(status(http().get(&url).header("origin", "https://evil.example")).await, 403);
    assert_eq!(status(http().get(&url).header("origin", "null")).await, 403);
    assert_eq!(status(http().get(&url).header("sec-fetch-site", "cross-site")).await, 403);
    assert_eq!(status(http().get(&url).header("origin", emulator.base_url())).await, 200);
}

#[tokio::test]
async fn a_form_cannot_change_anything() {
    let emulator = emulator().await;
    let url = format!("{}/_admin/keys/rotate", emulator.base_url());
    assert_eq!(status(http().post(url).form(&[("a", "b")])).await, 415);
}

#[tokio::test]
async fn the_overview_names_addresses_people_and_keys_but_no_secret() {
    let emulator = emulator().await;
    let answer = http().get(format!("{}/_admin", emulator.base_url())).send().await.unwrap();
    let text = answer.text().await.unwrap();
    assert!(!text.contains(&emulator.client_secret()));
    let body: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(body["authority"], emulator.authority_url());
    assert_eq!(body["users"].as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn the_address_itself_says_what_is_here() {
    let emulator = emulator().await;
    let page = http().get(emulator.base_url()).send().await.unwrap().text().await.unwrap();
    assert!(page.contains(&emulator.authority_url()));
}

#[tokio::test]
async fn policy_fields_that_are_named_change_and_the_others_stay() {
    let emulator = emulator().await;
    let url = format!("{}/_admin/policy", emulator.base_url());
    let change = json!({ "access_token_lifetime": 60, "refresh_in": 30 });
    let answer = with_json(http().patch(&url), &change).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(emulator.admin().policy().access_token_lifetime, 60);
    assert_eq!(emulator.admin().policy().refresh_in, Some(30));
    assert_eq!(emulator.admin().policy().code_lifetime, 600);
    assert_eq!(status(with_json(http().patch(&url), &json!({ "no_such": 1 }))).await, 422);
}

#[tokio::test]
async fn a_policy_change_that_is_no_object_is_refused() {
    let emulator = emulator().await;
    let url = format!("{}/_admin/policy", emulator.base_url());
    for change in [json!([]), json!(null), json!(1)] {
        assert_eq!(status(with_json(http().patch(&url), &change)).await, 400, "{change}");
    }
}

#[tokio::test]
async fn a_fault_with_a_field_that_does_not_exist_is_refused() {
    let emulator = emulator().await;
    let base = format!("{}/_admin", emulator.base_url());
    let rules = [
        ("faults", json!({ "endpoint": "keys", "fault": "not_json", "times": 2 })),
        ("faults", json!({ "endpoint": "keys", "fault": { "answer": { "status": 503, "text": "" } } })),
        ("id-token-faults", json!({ "fault": "expired", "client": "x" })),
    ];
    for (path, rule) in rules {
        assert_eq!(status(with_json(http().post(format!("{base}/{path}")), &rule)).await, 422, "{rule}");
    }
    let (faults, id_token_faults) = emulator.admin().faults();
    assert!(faults.is_empty() && id_token_faults.is_empty());
}

#[tokio::test]
async fn faults_counters_and_keys_work_over_http() {
    let emulator = emulator().await;
    let base = format!("{}/_admin", emulator.base_url());
    let fault = json!({ "endpoint": "keys", "fault": { "answer": { "status": 503 } }, "count": 1 });
    assert_eq!(status(with_json(http().post(format!("{base}/faults")), &fault)).await, 200);
    let keys = format!("{}/discovery/v2.0/keys", emulator.authority_url());
    assert_eq!(status(http().get(&keys)).await, 503);
    assert_eq!(status(http().get(&keys)).await, 200);
    let counters: Value = http().get(format!("{base}/counters")).send().await.unwrap().json().await.unwrap();
    assert_eq!(counters["keys"], 2);
    let before = emulator.admin().published_keys();
    assert_eq!(status(with_json(http().post(format!("{base}/keys/rotate")), &json!({}))).await, 200);
    assert_ne!(emulator.admin().published_keys(), before);
    assert_eq!(status(http().request(Method::DELETE, format!("{base}/counters"))).await, 200);
    assert_eq!(emulator.admin().counters().keys, 0);
}

#[tokio::test]
async fn clients_roles_clock_and_revocation_work_over_http() {
    let emulator = emulator().await;
    let base = format!("{}/_admin", emulator.base_url());
    sign_in(&emulator, ADA).await;
    let revoked = with_json(http().post(format!("{base}/revoke")), &json!({ "person": ADA }));
    let revoked: Value = revoked.send().await.unwrap().json().await.unwrap();
    assert_eq!(revoked["revoked"], 1);
    let client =
        json!({ "client_id": "x", "client_secret": "y", "redirect_uris": ["https://app.example/cb"] });
    assert_eq!(status(with_json(http().post(format!("{base}/clients")), &client)).await, 200);
    assert_eq!(emulator.admin().clients().len(), 2);
    let bad = json!({ "client_id": "x", "client_secret": "y", "redirect_uris": ["/relative"] });
    assert_eq!(status(with_json(http().post(format!("{base}/clients")), &bad)).await, 400);
    let roles = json!({ "person": ADA, "roles": ["R"] });
    assert_eq!(status(with_json(http().post(format!("{base}/roles")), &roles)).await, 200);
    assert_eq!(emulator.users()[0].roles, ["R"]);
    let clock = json!({ "seconds": 10 });
    assert_eq!(status(with_json(http().post(format!("{base}/clock")), &clock)).await, 200);
    let nobody = json!({ "person": "nobody" });
    assert_eq!(status(with_json(http().post(format!("{base}/revoke")), &nobody)).await, 404);
}

#[tokio::test]
async fn a_logout_token_is_made_over_http_and_signed_by_the_published_key() {
    let emulator = emulator().await;
    let base = format!("{}/_admin", emulator.base_url());
    let wanted = json!({ "person": ADA, "sid": "s1" });
    let answer = with_json(http().post(format!("{base}/logout-token")), &wanted).send().await.unwrap();
    let answer: Value = answer.json().await.unwrap();
    let token = answer["logout_token"].as_str().unwrap();
    let claims = crate::support::claims(token);
    assert_eq!(claims["sid"], "s1");
    assert!(claims["sub"].is_string() && claims["jti"].is_string() && claims.get("nonce").is_none());
    let bad = json!({ "person": "nobody" });
    assert_eq!(status(with_json(http().post(format!("{base}/logout-token")), &bad)).await, 404);
    let bad = json!({ "fault": "no such fault" });
    assert_eq!(status(with_json(http().post(format!("{base}/logout-token")), &bad)).await, 422);
}
