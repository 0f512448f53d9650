//! Who a record belongs to, whoever wrote its token last.

use async_msal_axum::async_msal_session::Find;
use serde_json::Value;

use super::beside_both_releases;
use super::world::{Who, World, until};
use crate::app::{ADA, GIL};

beside_both_releases! {
    another_person_signed_in_on_python_in_the_same_record_is_the_person_on_rust,
    a_sign_in_on_python_in_progress_is_nobody_on_rust,
    a_renewal_by_python_makes_the_identity_anew_and_keeps_the_time_of_the_sign_in,
}

async fn another_person_signed_in_on_python_in_the_same_record_is_the_person_on_rust(world: World) {
    let mut browser = world.signed_in_on_rust(ADA).await;
    let key = world.key(&browser);
    // As if Ada had signed in a while ago.
    world.edit(&key, |record| {
        record["session"]["async_msal"]["signed_in_at"] = Value::from(1_700_000_000 + 10_000_000);
    });
    world.sign_in_on_python_here(&mut browser, GIL).await;
    assert_eq!(world.key(&browser), key);
    let left = identity(&world, &key);
    assert_eq!(left["oid"], object_id(&world, ADA).as_str(), "Python leaves the item");

    assert_eq!(world.rust_says(&mut browser).await, Who::user(GIL, "Gil Torres"));
    until("the identity is Gil's", || identity(&world, &key)["oid"] == object_id(&world, GIL).as_str()).await;
    let made = identity(&world, &key);
    for (name, value) in left.as_object().expect("an object") {
        // Of one application and one tenant the version, the issuer and the tenant are the same.
        assert!(["v", "iss", "tid"].contains(&name.as_str()) || made[name] != *value, "{name}: {value}");
    }
    let tenant = world.emulator.tenant_id();
    let found = |person| {
        let find = Find::user(tenant, object_id(&world, person));
        let msal = world.msal.clone();
        async move { msal.for_user(&find).await.expect("one person").map(|session| session.mail()) }
    };
    assert_eq!(found(ADA).await, None);
    assert_eq!(found(GIL).await, Some(Some(GIL.to_owned())));
    assert!(world.msal.for_user(&Find::mail(ADA)).await.expect("nobody").is_none());
}

async fn a_sign_in_on_python_in_progress_is_nobody_on_rust(world: World) {
    let mut browser = world.signed_in_on_rust(ADA).await;
    assert_eq!(world.on_python(&mut browser).get("/login-here").await.status, 302);
    assert_eq!(world.rust_says(&mut browser).await, Who::NOBODY);
    let record = world.record(&world.key(&browser));
    assert!(record["session"]["flow_cache"].is_object(), "Rust left the sign-in alone");
}

async fn a_renewal_by_python_makes_the_identity_anew_and_keeps_the_time_of_the_sign_in(world: World) {
    let mut browser = world.signed_in_on_rust(ADA).await;
    let key = world.key(&browser);
    let before = identity(&world, &key);
    // A sign-in two days ago, in the item and in the account's entry.
    let signed_in_at = before["signed_in_at"].as_i64().expect("a time") - 2 * 86_400;
    world.edit(&key, |record| {
        record["session"]["async_msal"]["signed_in_at"] = signed_in_at.into();
        let cache = record["session"]["token_cache"].as_str().expect("a token cache");
        let mut cache: Value = serde_json::from_str(cache).expect("JSON");
        for account in cache["Account"].as_object_mut().expect("accounts").values_mut() {
            account["async_msal_signed_in_at"] = signed_in_at.to_string().into();
        }
        record["session"]["token_cache"] = cache.to_string().into();
    });
    world.expire_tokens(&key);
    world.python_token(&mut browser).await;
    assert_eq!(
        identity(&world, &key)["id_token_sha256"],
        before["id_token_sha256"],
        "Python leaves the item"
    );

    assert_eq!(world.rust_says(&mut browser).await, Who::user(ADA, "Ada Marsh"));
    until("the identity is made anew", || {
        identity(&world, &key)["id_token_sha256"] != before["id_token_sha256"]
    })
    .await;
    let after = identity(&world, &key);
    assert_eq!(after["signed_in_at"], signed_in_at);
    for name in ["tid", "oid", "sub", "roles"] {
        assert_eq!(after[name], before[name], "{name}");
    }
    assert_eq!(world.python_says(&mut browser).await, Who::user(ADA, "Ada Marsh"));
}

fn identity(world: &World, key: &str) -> Value {
    world.record(key)["session"]["async_msal"].clone()
}

fn object_id(world: &World, username: &str) -> String {
    let users = world.emulator.users();
    let person = users.iter().find(|person| person.username == username).expect("a person");
    person.object_id.clone()
}
