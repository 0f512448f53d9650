mod properties;
mod refusals;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::account::Account;
use crate::scope::Scopes;
use crate::token_endpoint::response::TokenResponse;

const HOME: &str = "u.t";
const NOW: i64 = 1_767_225_600;

fn cache(value: &Value) -> TokenCache {
    TokenCache::parse(&value.to_string()).unwrap()
}

fn value(cache: &TokenCache) -> Value {
    serde_json::from_str(&cache.to_json()).unwrap()
}

fn response() -> TokenResponse {
    let body =
        json!({"access_token": "AT-2", "token_type": "Bearer", "expires_in": 3600, "refresh_token": "RT-2"});
    let body = zeroize::Zeroizing::new(body.to_string().into_bytes());
    let fetched = crate::http_client::Fetched { status: 200, body, max_age: None, retry_after: None };
    TokenResponse::read(&fetched, NOW).unwrap()
}

fn write(cache: &mut TokenCache, requested: &str, granted: &str, used_key: &str) {
    cache.write(&TokenWrite {
        client_id: "cid",
        environment: "login.microsoftonline.com",
        realm: "tid",
        home_account_id: Some(HOME),
        ext_cache_key: None,
        response: &response(),
        requested: &Scopes::parse(requested),
        granted: &Scopes::parse(granted),
        id_token: None,
        now: NOW,
        occasion: WriteOccasion::Refresh { used_key },
    });
}

fn access_token(target: &str, expires_on: Value) -> Value {
    json!({
        "credential_type": "AccessToken", "secret": "AT-1", "home_account_id": HOME,
        "environment": "login.microsoftonline.com", "client_id": "cid", "target": target, "realm": "tid",
        "token_type": "Bearer", "cached_at": (NOW - 10).to_string(), "expires_on": expires_on,
        "extended_expires_on": (NOW + 9_000).to_string(), "tool_note": "kept",
    })
}

fn account() -> Account {
    let entry = json!({"home_account_id": HOME, "environment": "login.microsoftonline.com", "realm": "tid",
        "local_account_id": "oid", "username": "u", "authority_type": "MSSTS"});
    cache(&json!({"Account": {"k": entry}})).accounts("login.microsoftonline.com").remove(0)
}

fn find(cache: &TokenCache, scopes: &str) -> Lookup {
    let scopes = Scopes::parse(scopes);
    cache.find(&AccessTokenQuery { account: &account(), client_id: "cid", scopes: &scopes }, NOW)
}

#[test]
fn empty_text_is_an_empty_cache() {
    for text in ["", "  \n", "{}"] {
        assert!(TokenCache::parse(text).unwrap().is_empty());
    }
}

#[test]
fn unreadable_texts_are_refused() {
    let deep = format!(r#"{{"Other":{}{}}}"#, "[".repeat(40), "]".repeat(40));
    for text in ["[]", "null", "{", r#"{"AccessToken":[]}"#, r#"{"AccessToken":{"k":1}}"#, deep.as_str()] {
        assert!(TokenCache::parse(text).is_err(), "{text}");
    }
    assert_eq!(TokenCache::parse_bounded("{}", 1).err(), Some(CacheError::TooLarge { bytes: 2, largest: 1 }));
}

#[test]
fn unknown_sections_and_fields_survive() {
    let before = json!({"Other": [1], "AccessToken": {"k": access_token("a", json!(NOW + 900))}});
    assert_eq!(value(&cache(&before)), before);
}

#[test]
fn times_may_be_numbers_or_strings() {
    for expires_on in [json!(NOW + 3_600), json!((NOW + 3_600).to_string())] {
        let cache = cache(&json!({"AccessToken": {"k": access_token("a b", expires_on)}}));
        assert!(matches!(find(&cache, "a"), Lookup::Hit(_)));
    }
}

#[test]
fn entries_are_found_by_their_fields_whatever_their_key() {
    let cache = cache(&json!({"AccessToken": {"foreign key": access_token("b a", json!(NOW + 3_600))}}));
    assert!(matches!(find(&cache, "a b"), Lookup::Hit(_)));
    assert!(matches!(find(&cache, "A"), Lookup::Miss(MissReason::NotFound)));
}

#[test]
fn extended_entry_never_answers_a_plain_question() {
    let mut entry = access_token("a", json!(NOW + 3_600));
    entry["ext_cache_key"] = "x".into();
    assert!(matches!(find(&cache(&json!({"AccessToken": {"k": entry}})), "a"), Lookup::Miss(_)));
}

#[test]
fn entry_with_unsorted_target_is_renewed_in_place_and_keeps_unknown_fields() {
    let mut cache = cache(&json!({"AccessToken": {"old-key": access_token("b a", json!(NOW + 60))}}));
    write(&mut cache, "a b", "a b", "rt");
    let entries = value(&cache)["AccessToken"].clone();
    assert_eq!(entries.as_object().unwrap().len(), 1);
    assert_eq!(entries["old-key"]["secret"], "AT-2");
    assert_eq!(entries["old-key"]["tool_note"], "kept");
    assert_eq!(entries["old-key"]["target"], "a b");
}

#[test]
fn rotated_token_overwrites_its_entry_and_keeps_the_target() {
    let entry = json!({"secret": "RT-1", "home_account_id": HOME, "environment": "login.microsoftonline.com",
        "client_id": "cid", "target": "z y", "last_modification_time": "1"});
    let mut cache = cache(&json!({"RefreshToken": {"rt-key": entry}}));
    write(&mut cache, "a", "a", "rt-key");
    let entries = value(&cache)["RefreshToken"].clone();
    assert_eq!(entries["rt-key"]["secret"], "RT-2");
    assert_eq!(entries["rt-key"]["target"], "z y");
    assert_eq!(entries["rt-key"]["last_modification_time"], NOW.to_string());
}

#[test]
fn newest_refresh_token_comes_first() {
    let entry = |secret: &str, modified: Value| {
        json!({"secret": secret, "home_account_id": HOME, "environment": "login.windows.net", "client_id": "cid",
            "target": null, "last_modification_time": modified})
    };
    let cache = cache(&json!({"RefreshToken": {
        "a": entry("old", json!("5")), "b": entry("new", json!(7)), "c": entry("none", Value::Null),
    }}));
    let found = cache.refresh_tokens(&account(), "cid");
    let secrets: Vec<&str> = found.iter().map(|(_, token)| token.expose_secret()).collect();
    assert_eq!(secrets, ["new", "old", "none"]);
}

#[test]
fn writing_removes_what_expired_and_keeps_what_expires_now() {
    let mut cache = cache(&json!({"AccessToken": {
        "past": access_token("x", json!(NOW - 1)), "now": access_token("y", json!(NOW)),
    }}));
    write(&mut cache, "a", "a", "rt");
    let entries = value(&cache)["AccessToken"].clone();
    assert!(entries.get("past").is_none() && entries.get("now").is_some());
}

#[test]
fn times_are_written_as_decimal_strings() {
    let mut cache = TokenCache::new();
    write(&mut cache, "a", "a", "rt");
    let entry = value(&cache)["AccessToken"].as_object().unwrap().values().next().unwrap().clone();
    assert_eq!(entry["cached_at"], NOW.to_string());
    assert_eq!(entry["expires_on"], (NOW + 3_600).to_string());
}

#[test]
fn newest_eight_asked_sets_are_remembered() {
    let mut cache = TokenCache::new();
    for index in 0..10 {
        let long = format!("https://graph.microsoft.com/S{index}");
        write(&mut cache, &long, "S0 S1 S2 S3 S4 S5 S6 S7 S8 S9", "rt");
    }
    let entry = value(&cache)["AccessToken"].as_object().unwrap().values().next().unwrap().clone();
    let asked = entry[REQUESTED].as_array().unwrap();
    assert_eq!(asked.len(), 8);
    assert_eq!(asked[7], "https://graph.microsoft.com/S9");
}

#[test]
fn asked_set_that_the_grant_does_not_cover_is_not_remembered() {
    let mut cache = TokenCache::new();
    write(&mut cache, "a missing", "a", "rt");
    let entry = value(&cache)["AccessToken"].as_object().unwrap().values().next().unwrap().clone();
    assert!(entry.get(REQUESTED).is_none());
}

#[test]
fn removal_leaves_other_clients_refresh_tokens_and_the_metadata() {
    let text = include_str!("../../tests/fixtures/example_token_cache.json");
    let mut cache = TokenCache::parse(text).unwrap();
    let account = cache.accounts("login.microsoftonline.com").remove(0);
    cache.remove_account(&account, "another client");
    let after = value(&cache);
    assert_eq!(after["RefreshToken"].as_object().unwrap().len(), 1);
    assert_eq!(after["IdToken"], json!({}));
    assert_eq!(after["AppMetadata"].as_object().unwrap().len(), 1);
    // The application's own token belongs to nobody.
    assert_eq!(after["AccessToken"].as_object().unwrap().len(), 1);
}

fn tokens(secret: &str, cached_at: i64) -> Value {
    json!({"secret": secret, "cached_at": cached_at.to_string(), "expires_on": "9"})
}

#[test]
fn merge_takes_the_newer_entry() {
    let base = cache(&json!({"AccessToken": {"k": tokens("base", 1)}}));
    let ours = cache(&json!({"AccessToken": {"k": tokens("ours", 3)}}));
    let theirs = cache(&json!({"AccessToken": {"k": tokens("theirs", 2)}}));
    assert_eq!(value(&TokenCache::merge(&base, &ours, &theirs))["AccessToken"]["k"]["secret"], "ours");
    assert_eq!(value(&TokenCache::merge(&base, &theirs, &ours))["AccessToken"]["k"]["secret"], "ours");
}

#[test]
fn merge_lets_a_deletion_win_over_what_its_writer_had_seen() {
    let base = cache(&json!({"AccessToken": {"k": tokens("base", 1)}}));
    let gone = cache(&json!({"AccessToken": {}}));
    assert!(TokenCache::merge(&base, &gone, &base).is_empty());
    assert!(TokenCache::merge(&base, &base, &gone).is_empty());
}

#[test]
fn merge_keeps_what_a_deletion_had_not_seen() {
    let base = cache(&json!({"AccessToken": {"k": tokens("base", 1)}}));
    let renewed = cache(&json!({"AccessToken": {"k": tokens("renewed", 2)}}));
    let gone = cache(&json!({"AccessToken": {}}));
    assert_eq!(value(&TokenCache::merge(&base, &renewed, &gone))["AccessToken"]["k"]["secret"], "renewed");
}

#[test]
fn renewal_does_not_bring_a_removed_account_back() {
    let text = include_str!("../../tests/fixtures/example_token_cache.json");
    let base = TokenCache::parse(text).unwrap();
    let account = base.accounts("login.microsoftonline.com").remove(0);
    let (mut signed_out, mut renewed) = (base.clone(), value(&base));
    signed_out.remove_account(&account, "33333333-3333-3333-3333-333333333333");
    for entry in renewed["RefreshToken"].as_object_mut().unwrap().values_mut() {
        entry["secret"] = "RT-2".into();
        entry["last_modification_time"] = "1999999999".into();
    }
    let merged = TokenCache::merge(&base, &cache(&renewed), &signed_out);
    assert_eq!(value(&merged)["RefreshToken"], json!({}));
}

#[test]
fn merge_keeps_unknown_fields_of_both() {
    let base = cache(&json!({"AccessToken": {"k": tokens("base", 1)}}));
    let with = |secret: &str, at: i64, field: &str| {
        let mut entry = tokens(secret, at);
        entry[field] = 1.into();
        cache(&json!({"AccessToken": {"k": entry}}))
    };
    let merged = value(&TokenCache::merge(&base, &with("ours", 2, "mine"), &with("theirs", 3, "yours")));
    let entry = &merged["AccessToken"]["k"];
    assert_eq!((&entry["secret"], &entry["mine"], &entry["yours"]), (&json!("theirs"), &json!(1), &json!(1)));
}

/// How much longer something takes with 32 times as many names: about as often by a way that is linear, a thousand times
/// by one that is quadratic.
fn growth(run: impl Fn(usize)) -> f64 {
    let fastest = |names: usize| {
        let times = (0..3).map(|_| {
            let started = std::time::Instant::now();
            run(names);
            started.elapsed().as_secs_f64()
        });
        times.fold(f64::INFINITY, f64::min)
    };
    fastest(32_000) / fastest(1_000)
}

/// `{"0":{},"1":{},...}` or numbers in the place of the objects, beginning elsewhere for each `from`.
fn many_names(names: usize, from: usize, value: &str) -> String {
    let members: Vec<_> = (from..from + names).map(|name| format!("\"{name}\":{value}")).collect();
    format!("{{{}}}", members.join(","))
}

const FAR_FROM_QUADRATIC: f64 = 250.0;

#[test]
fn many_unknown_sections_are_read_and_merged_in_time_that_grows_with_them() {
    let factor = growth(|names| {
        let parsed = |from| TokenCache::parse(&many_names(names, from, "{}")).unwrap();
        let merged = TokenCache::merge(&TokenCache::new(), &parsed(0), &parsed(names / 2));
        assert_eq!(merged.sections.len(), names + names / 2);
    });
    assert!(factor < FAR_FROM_QUADRATIC, "{factor}");
}

#[test]
fn many_unknown_fields_are_read_and_merged_in_time_that_grows_with_them() {
    let factor = growth(|names| {
        let parsed = |from| {
            let entry = many_names(names, from, "1");
            TokenCache::parse(&format!("{{\"AccessToken\":{{\"key\":{entry}}}}}")).unwrap()
        };
        let (ours, theirs) = (parsed(0), parsed(names / 2));
        assert!(ours.says_the_same(&parsed(0)) && !ours.says_the_same(&theirs));
        let merged = TokenCache::merge(&TokenCache::new(), &ours, &theirs);
        assert_eq!(merged.rows(Kind::AccessToken)[0].entry.other_names().count(), names + names / 2);
    });
    assert!(factor < FAR_FROM_QUADRATIC, "{factor}");
}

#[test]
fn unknown_name_that_stands_twice_is_refused() {
    for text in [r#"{"a":1,"b":2,"a":1}"#, r#"{"AccessToken":{"key":{"a":1,"b":2,"a":1}}}"#] {
        assert!(matches!(TokenCache::parse(text), Err(CacheError::Json { line: 1, .. })), "{text}");
    }
}

#[test]
fn removed_access_token_stays_removed_beside_another_writers_work() {
    let entries = |others: Value| {
        let mut entries = json!({"refused": tokens("refused", 5)});
        entries.as_object_mut().unwrap().extend(others.as_object().unwrap().clone());
        cache(&json!({ "AccessToken": entries }))
    };
    let base = entries(json!({"other": tokens("other", 1)}));
    let mut ours = base.clone();
    assert!(ours.remove_access_tokens(|token| token.expose_secret() == "refused"));
    assert!(ours.has_changed());
    assert!(!ours.remove_access_tokens(|token| token.expose_secret() == "refused"));
    let theirs = entries(json!({"other": tokens("other", 9), "new": tokens("new", 9)}));
    let merged = TokenCache::merge(&base, &ours, &theirs);
    let found = value(&merged);
    let mut names: Vec<_> = found["AccessToken"].as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["new", "other"]);
}

prop_compose! {
    fn any_cache()(entries in prop::collection::btree_map("[a-d]", (0..4_i64, "[xyz]"), 0..4)) -> TokenCache {
        let entries: Map<String, Value> =
            entries.into_iter().map(|(key, (at, secret))| (key, tokens(&secret, at))).collect();
        cache(&json!({"AccessToken": entries}))
    }
}

proptest! {
    #[test]
    fn any_cache_is_written_back_unchanged(cache in any_cache()) {
        prop_assert_eq!(value(&TokenCache::parse(&cache.to_json()).unwrap()), value(&cache));
    }

    #[test]
    fn side_that_changed_nothing_takes_the_others_work(base in any_cache(), other in any_cache()) {
        prop_assert_eq!(value(&TokenCache::merge(&base, &base, &other)), value(&other));
        prop_assert_eq!(value(&TokenCache::merge(&base, &other, &base)), value(&other));
    }

    #[test]
    fn same_work_twice_is_that_work(base in any_cache(), both in any_cache()) {
        prop_assert_eq!(value(&TokenCache::merge(&base, &both, &both)), value(&both));
    }

    #[test]
    fn merge_invents_nothing(base in any_cache(), ours in any_cache(), theirs in any_cache()) {
        let merged = TokenCache::merge(&base, &ours, &theirs);
        for row in merged.rows(Kind::AccessToken) {
            let of = |cache: &TokenCache| {
                cache.rows(Kind::AccessToken).iter().any(|other| other.key == row.key && other.entry == row.entry)
            };
            prop_assert!(of(&ours) || of(&theirs));
        }
    }

    #[test]
    fn parsing_never_panics(text in ".{0,200}") {
        let _ = TokenCache::parse(&text);
    }
}
