//! The records as texts, for a session library of another language.

use async_msal_emulator::Policy;
use async_msal_session::async_msal::TokenCache;
use async_msal_session::record::{Found, SessionRecord};
use async_msal_session::{Error, Find, ItemChanges, MsalBuilder, SessionId, SessionLayout};
use serde_json::{Value, json};

use crate::support::{ADA, World, user_scopes};

fn aiohttp(builder: MsalBuilder) -> MsalBuilder {
    builder.layout(SessionLayout::Aiohttp)
}

async fn shared() -> World {
    World::with(Policy::default(), aiohttp).await
}

fn record(items: &Value) -> SessionRecord {
    let text = json!({"created": 1, "session": items}).to_string();
    match SessionRecord::parse_json(text.as_bytes()) {
        Found::Session(record) => record,
        other => panic!("{other:?}"),
    }
}

async fn items(world: &World, id: &SessionId) -> Value {
    let text = world.msal.records().read(&world.msal.store_key(id)).await.unwrap().expect("a record");
    serde_json::from_slice::<Value>(&text).unwrap()["session"].clone()
}

#[tokio::test]
async fn items_are_stored_as_the_texts_they_are() {
    let world = shared().await;
    let id = world.msal.records().create(record(&json!({"a": 1})), &[]).await.unwrap();
    let mut changes = ItemChanges::new();
    // Neither fits into the numbers and texts of Rust's own JSON values.
    changes.set("big", "123456789012345678901234567890").unwrap();
    changes.set("lone", "\"\\ud800\"").unwrap();
    changes.remove("a");
    assert!(changes.set("none", "{").is_err());
    let saved = world.msal.records().save(&world.msal.store_key(&id), &changes).await.unwrap();
    assert_eq!(saved.items_to_json(), r#"{"big":123456789012345678901234567890,"lone":"\ud800"}"#);
    assert_eq!(saved.item_text("lone"), Some("\"\\ud800\""));
}

#[tokio::test]
async fn two_savers_and_a_renewal_lose_nothing_of_each_other() {
    let world = shared().await;
    let id = world.expired(ADA).await;
    let (key, records) = (world.msal.store_key(&id), world.msal.records());
    let base = TokenCache::parse(items(&world, &id).await["token_cache"].as_str().unwrap()).unwrap();
    let renewed = records.token(&key, &user_scopes()).await.unwrap();
    // Written by somebody who read the record before the renewal.
    let mut changes = ItemChanges::new();
    changes.change_token_cache(base.clone(), base);
    changes.set("colour", "\"red\"").unwrap();
    records.save(&key, &changes).await.unwrap();
    let items = items(&world, &id).await;
    assert_eq!(items["colour"], "red");
    assert!(items["token_cache"].as_str().unwrap().contains(renewed.token.access_token.expose_secret()));
    assert!(renewed.record.text("token_cache").unwrap().contains(renewed.token.access_token.expose_secret()));
}

#[tokio::test]
async fn a_session_that_has_ended_is_not_brought_back_by_a_save() {
    let world = shared().await;
    let id = world.sign_in(ADA).await;
    let (key, records) = (world.msal.store_key(&id), world.msal.records());
    world.msal.end_session(&key).await.unwrap();
    let mut changes = ItemChanges::new();
    changes.set("colour", "\"red\"").unwrap();
    assert!(matches!(records.save(&key, &changes).await, Err(Error::SessionEnded)));
    assert!(matches!(records.token(&key, &user_scopes()).await, Err(Error::SessionEnded)));
    assert_eq!(&records.read(&key).await.unwrap().unwrap()[..], b"{}");
}

#[tokio::test]
async fn a_new_session_is_found_and_takes_the_place_of_earlier_ones() {
    let world = shared().await;
    let (first, second) = (world.sign_in(ADA).await, world.sign_in(ADA).await);
    let mut taken = items(&world, &first).await;
    taken.as_object_mut().unwrap().remove("async_msal");
    let earlier = [world.msal.store_key(&first), world.msal.store_key(&second)];
    let records = world.msal.records();
    let id = records.create(record(&taken), &earlier).await.unwrap();
    for key in &earlier {
        assert!(records.read(key).await.unwrap().is_none());
    }
    let found = records.find(&Find::mail(ADA), false).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].0, world.msal.store_key(&id));
    assert!(found[0].1.item("async_msal").is_some(), "who it is was not kept");
    assert_eq!(world.store.calls("scan"), 0);
}

#[tokio::test]
async fn a_session_that_python_signed_in_is_indexed_once_it_was_read() {
    let world = shared().await;
    let id = world.signed_in_by_python(ADA, |_| ()).await;
    world.msal.records().read(&world.msal.store_key(&id)).await.unwrap();
    world.settle().await;
    assert_eq!(world.msal.records().find(&Find::mail(ADA), false).await.unwrap().len(), 1);
    assert_eq!(world.store.calls("scan"), 0);
}

#[tokio::test]
async fn a_visitor_without_items_has_a_blank_record() {
    let world = shared().await;
    let id = world.msal.records().create_blank().await.unwrap();
    let text = world.msal.records().read(&world.msal.store_key(&id)).await.unwrap();
    assert_eq!(text.as_deref(), Some(&b"{}"[..]));
}
