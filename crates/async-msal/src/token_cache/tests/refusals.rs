//! Texts that are no caches: each refused by its own name, with its place.

use serde_json::json;

use super::super::*;

fn refusal(text: &str) -> CacheError {
    TokenCache::parse(text).unwrap_err()
}

#[test]
fn malformed_text_is_refused_with_its_place() {
    let places = [
        ("{\n  \"AccessToken\": {\n    oops\n", 3, 5),
        ("[]", 1, 0),
        ("null", 1, 4),
        ("{\"a\":1}\n{", 2, 1),
        ("{\"AccessToken\":{\"k\":{\"secret\":\"", 1, 32),
    ];
    for (text, line, _) in places {
        match refusal(text) {
            CacheError::Json { line: found, .. } => assert_eq!(found, line, "{text}"),
            other => panic!("{text}: {other}"),
        }
    }
    let CacheError::Json { line, column } = refusal(places[0].0) else { panic!() };
    assert_eq!((line, column), (3, 5));
    assert!(refusal(places[0].0).to_string().starts_with("line 3, column 5:"));
}

#[test]
fn name_that_stands_twice_is_refused_at_every_level() {
    for text in [
        r#"{"AccessToken":{},"AccessToken":{}}"#,
        r#"{"Other":{},"Other":{}}"#,
        r#"{"AccessToken":{"k":{},"k":{}}}"#,
        r#"{"AccessToken":{"k":{"secret":"a","secret":"b"}}}"#,
        r#"{"AccessToken":{"k":{"note":1,"note":2}}}"#,
    ] {
        assert!(matches!(refusal(text), CacheError::Json { line: 1, .. }), "{text}");
    }
    let many: String = (0..20).map(|key| format!(r#""k{}":{{}},"#, key % 19)).collect();
    let text = format!(r#"{{"AccessToken":{{{}"z":{{}}}}}}"#, many);
    assert!(matches!(refusal(&text), CacheError::Json { .. }));
}

#[test]
fn section_or_entry_of_the_wrong_type_is_named() {
    for section in ["AccessToken", "RefreshToken", "IdToken", "Account", "AppMetadata"] {
        for wrong in [json!([]), json!(null), json!(1), json!("text"), json!({"k": 1}), json!({"k": []})] {
            let text = json!({section: wrong}).to_string();
            assert_eq!(refusal(&text), CacheError::Shape { section }, "{text}");
        }
    }
}

#[test]
fn time_that_is_no_number_is_named() {
    for field in ["expires_on", "cached_at", "extended_expires_on", "refresh_on", "last_modification_time"] {
        for wrong in [
            json!("soon"),
            json!(""),
            json!("1.5"),
            json!("99999999999999999999"),
            json!(1e300),
            json!(true),
            json!([1]),
        ] {
            let text = json!({"RefreshToken": {"k": {field: wrong}}}).to_string();
            assert_eq!(refusal(&text), CacheError::Number { section: "RefreshToken", field }, "{text}");
        }
        for good in [json!("12"), json!(" 12 "), json!(12), json!(12.9), json!("-1"), json!(null)] {
            let text = json!({"RefreshToken": {"k": {field: good}}}).to_string();
            assert!(TokenCache::parse(&text).is_ok(), "{text}");
        }
    }
}

#[test]
fn fifty_megabytes_are_refused_unless_they_are_allowed() {
    let text = format!(r#"{{"Other":"{}"}}"#, "x".repeat(50_000_000));
    let bytes = text.len();
    assert_eq!(refusal(&text), CacheError::TooLarge { bytes, largest: 8 * 1024 * 1024 });
    assert!(TokenCache::parse_bounded(&text, bytes).is_ok());
    assert_eq!(
        TokenCache::parse_bounded(&text, bytes - 1).unwrap_err(),
        CacheError::TooLarge { bytes, largest: bytes - 1 }
    );
}

#[test]
fn refusals_show_nothing_of_the_text() {
    for text in [
        r#"{"AccessToken":{"canary":{"secret":"canary"#,
        r#"{"AccessToken":"canary"}"#,
        r#"{"AccessToken":{"canary":{"expires_on":"canary"}}}"#,
    ] {
        let refusal = refusal(text);
        assert!(!format!("{refusal} {refusal:?}").contains("canary"), "{refusal}");
    }
}

#[test]
fn lone_surrogates_stay_as_they_are() {
    let text = r#"{"Account":{"k":{"username":"\ud800","home_account_id":"h","environment":"e"}}}"#;
    let cache = TokenCache::parse(text).unwrap();
    assert_eq!(cache.to_json(), text);
    assert_eq!(cache.accounts("e")[0].username(), "");
}
