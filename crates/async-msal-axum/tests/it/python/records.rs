//! Cookie and record, as they lie in the browser and in Redis.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::beside_both_releases;
use super::world::{COOKIE, World, now};
use crate::app::ADA;

/// 90 days, aiohttp_msal's.
const MAX_AGE: i64 = 90 * 86_400;

beside_both_releases! {
    the_cookie_has_the_attributes_that_pythons_has,
    a_removal_reaches_the_cookie_that_the_other_side_set,
    the_record_is_one_of_aiohttp_session,
}

async fn the_cookie_has_the_attributes_that_pythons_has(world: World) {
    let mut browser = world.browser();
    let of_rust = world.sign_in_on_rust(&mut browser, ADA).await;
    let of_python = world.sign_in_on_python(&mut browser, ADA).await;
    let [(rust_id, rust), (python_id, python)] =
        [of_rust, of_python].map(|answer| parts(answer.set_cookie(COOKIE).expect("a session cookie")));
    assert_eq!(rust, python);
    for wanted in ["domain=example.com", "samesite=none", "httponly", "secure", "path=/", "max-age=7776000"] {
        assert!(rust.contains(wanted), "{wanted}: {rust:?}");
    }
    for id in [rust_id, python_id] {
        assert!(id.len() == 32 && id.bytes().all(|byte| b"0123456789abcdef".contains(&byte)));
    }
}

async fn a_removal_reaches_the_cookie_that_the_other_side_set(world: World) {
    let mut browser = world.signed_in_on_rust(ADA).await;
    let of_rust = world.on_rust(&mut browser).follow("/user/logout").await;
    let mut browser = world.signed_in_on_rust(ADA).await;
    let of_python = world.on_python(&mut browser).get("/user/logout").await;
    let [(_, rust), (_, python)] =
        [of_rust, of_python].map(|answer| parts(answer.set_cookie(COOKIE).expect("a session cookie")));
    // A browser finds the cookie to remove by name, domain and path (RFC 6265 5.3).
    for attribute in ["domain=example.com", "path=/", "max-age=0"] {
        assert!(rust.contains(attribute) && python.contains(attribute), "{rust:?} {python:?}");
    }
}

async fn the_record_is_one_of_aiohttp_session(world: World) {
    let mut browser = world.signed_in_on_rust(ADA).await;
    let key = world.key(&browser);
    let record = world.record(&key);
    let names: Vec<&String> = record.as_object().expect("an object").keys().collect();
    assert_eq!(names, ["created", "session"]);
    let created = record["created"].as_i64().expect("an integer");
    assert!((now() - 60..=now()).contains(&created), "{created}");
    assert!((MAX_AGE - 60..=MAX_AGE).contains(&world.ttl(&key)), "{}", world.ttl(&key));
    assert!(record["session"]["token_cache"].is_string());
    // What Python makes of it is all of it.
    let items = world.on_python(&mut browser).get("/items").await.json();
    assert_eq!(items, record["session"]);
    for (name, value) in
        [("mail", ADA), ("name", "Ada Marsh"), ("m_mail", "ben@contoso.example"), ("m_name", "Ben Okoye")]
    {
        assert_eq!(items[name], json!(value));
    }
    // Written by Python, the same members are there.
    world.on_python(&mut browser).get("/count").await;
    let of_python: Value = world.record(&key);
    let names: Vec<&String> = of_python.as_object().expect("an object").keys().collect();
    assert_eq!(names, ["created", "session"]);
}

/// The value and the attributes of a `Set-Cookie` line, in lower case; `expires` says what `Max-Age` says.
fn parts(line: &str) -> (String, BTreeSet<String>) {
    let mut parts = line.split(';').map(str::trim);
    let (_, value) = parts.next().and_then(|pair| pair.split_once('=')).expect("name and value");
    let attributes = parts.map(str::to_ascii_lowercase).filter(|part| !part.starts_with("expires="));
    (value.trim_matches('"').to_owned(), attributes.collect())
}
