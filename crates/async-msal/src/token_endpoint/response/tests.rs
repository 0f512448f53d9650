use std::time::Duration;

use serde_json::json;

use super::*;

const NOW: i64 = 1_767_225_600;

fn fetched(status: u16, body: &str) -> Fetched {
    let body = zeroize::Zeroizing::new(body.as_bytes().to_vec());
    Fetched { status, body, max_age: None, retry_after: None }
}

fn with(member: &str, value: Value) -> Result<TokenResponse, Error> {
    let mut body = json!({"access_token": "a", "token_type": "Bearer", "expires_in": 3_600});
    body[member] = value;
    TokenResponse::read(&fetched(200, &body.to_string()), NOW)
}

#[test]
fn life_may_be_a_number_or_a_string() {
    for life in [json!(60), json!("60"), json!(60.9), json!("60.9")] {
        assert_eq!(with("expires_in", life).unwrap().expires_in, 60);
    }
}

#[test]
fn missing_life_is_taken_from_expires_on_or_600_seconds() {
    assert_eq!(with("expires_in", Value::Null).unwrap().expires_in, 600);
    let body = json!({"access_token": "a", "token_type": "Bearer", "expires_on": (NOW + 90).to_string()});
    assert_eq!(TokenResponse::read(&fetched(200, &body.to_string()), NOW).unwrap().expires_in, 90);
}

#[test]
fn huge_life_is_cut_to_ten_years() {
    assert_eq!(with("expires_in", json!(1e18)).unwrap().expires_in, LONGEST_LIFE);
}

#[test]
fn token_without_life_is_refused() {
    for life in [json!(0), json!(-1), json!("-60"), json!("soon"), json!([]), json!("inf"), json!("NaN")] {
        assert!(with("expires_in", life.clone()).is_err(), "{life}");
    }
}

#[test]
fn access_token_of_characters_that_no_header_has_is_refused() {
    for token in ["", "a\r\nX: y", "a\0", "\u{e4}"] {
        assert!(with("access_token", json!(token)).is_err(), "{token:?}");
    }
    assert!(with("access_token", json!("a~b c.d")).is_ok());
}

#[test]
fn token_type_is_bearer_in_any_case() {
    assert!(with("token_type", json!("bEARER")).is_ok());
    for other in [json!("pop"), json!(""), Value::Null, json!(1)] {
        assert!(with("token_type", other.clone()).is_err(), "{other}");
    }
}

#[test]
fn members_of_the_wrong_type_are_refused() {
    for member in ["access_token", "refresh_token", "id_token", "scope", "client_info"] {
        assert!(with(member, json!(1)).is_err(), "{member}");
    }
}

#[test]
fn empty_access_token_is_refused() {
    assert!(with("access_token", json!("")).is_err());
}

#[test]
fn client_info_names_the_home_account_only_when_whole() {
    use crate::id_token::signer::encode;
    let info = |text: &str| home_account_id(&encode(text));
    assert_eq!(info(r#"{"uid":"u","utid":"t"}"#).as_deref(), Some("u.t"));
    for text in
        [r#"{"uid":"u"}"#, r#"{"utid":"t"}"#, r#"{"uid":"","utid":"t"}"#, r#"{"uid":"u v","utid":"t"}"#, "[]"]
    {
        assert_eq!(info(text), None, "{text}");
    }
}

#[test]
fn pause_without_words_is_throttling() {
    for (status, body) in [(429, ""), (429, "{}"), (503, "<html>"), (503, "{}")] {
        let mut answer = fetched(status, body);
        answer.retry_after = Some(Duration::from_secs(9));
        let error = TokenResponse::read(&answer, NOW).unwrap_err();
        assert_eq!(error.retry_after(), Some(Duration::from_secs(9)), "{status} {body}");
    }
}

#[test]
fn debug_of_an_answer_shows_no_token() {
    let mut body = json!({"access_token": "canary", "token_type": "Bearer"});
    for member in ["refresh_token", "id_token"] {
        body[member] = "canary".into();
    }
    let response = TokenResponse::read(&fetched(200, &body.to_string()), NOW).unwrap();
    assert!(!format!("{response:?}").contains("canary"));
}
