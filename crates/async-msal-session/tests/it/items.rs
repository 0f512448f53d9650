//! The application's own items: patches that merge, limits, and nothing written where nothing changed.

use std::sync::Arc;

use async_msal_session::Error;
use serde_json::json;
use tokio::task::JoinSet;

use crate::support::{ADA, World};

#[tokio::test]
async fn two_requests_that_change_different_items_both_keep_their_work() {
    let world = World::new().await;
    let id = world.sign_in(ADA).await;
    let (one, two) = (world.load(&id).await, world.load(&id).await);
    one.set_item("a", &1).unwrap();
    two.set_item("b", &2).unwrap();
    one.save().await.unwrap();
    two.save().await.unwrap();
    let after = world.load(&id).await;
    assert_eq!((after.item::<i32>("a").unwrap(), after.item::<i32>("b").unwrap()), (Some(1), Some(2)));
    assert!(after.is_authenticated());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_hundred_writers_at_once_lose_nothing() {
    let world = Arc::new(World::new().await);
    let id = world.sign_in(ADA).await;
    let mut writers = JoinSet::new();
    for number in 0..200 {
        let session = world.load(&id).await;
        writers.spawn(async move {
            session.set_item(&format!("n{number}"), &number).unwrap();
            session.save().await
        });
    }
    for saved in writers.join_all().await {
        saved.unwrap();
    }
    assert_eq!(world.load(&id).await.item_names().len(), 200);
}

#[tokio::test]
async fn a_removed_item_stays_removed_beside_another_writer() {
    let world = World::new().await;
    let id = world.sign_in(ADA).await;
    let session = world.load(&id).await;
    session.set_item("a", &1).unwrap();
    session.save().await.unwrap();
    let (one, two) = (world.load(&id).await, world.load(&id).await);
    one.remove_item("a").unwrap();
    two.set_item("b", &2).unwrap();
    two.save().await.unwrap();
    one.save().await.unwrap();
    assert_eq!(world.load(&id).await.item_names(), ["b"]);
}

#[tokio::test]
async fn an_unchanged_session_is_not_written() {
    let world = World::new().await;
    let session = world.load(&world.sign_in(ADA).await).await;
    let writes = world.store.writes();
    session.save().await.unwrap();
    assert_eq!(world.store.writes(), writes);
}

#[tokio::test]
async fn a_change_to_a_session_that_ended_is_dropped_and_told() {
    let world = World::new().await;
    let id = world.sign_in(ADA).await;
    let (one, two) = (world.load(&id).await, world.load(&id).await);
    two.clear().await.unwrap();
    one.set_item("a", &1).unwrap();
    assert!(matches!(one.save().await, Err(Error::SessionEnded)));
    assert!(world.msal.load_session(&id).await.unwrap().is_none());
}

#[tokio::test]
async fn changes_survive_a_store_that_failed() {
    let world = World::new().await;
    let id = world.sign_in(ADA).await;
    let session = world.load(&id).await;
    session.set_item("a", &1).unwrap();
    world.store.fail("compare_and_set", 1);
    assert!(matches!(session.save().await, Err(Error::Store(_))));
    assert!(session.is_changed());
    session.save().await.unwrap();
    assert_eq!(world.load(&id).await.item::<i32>("a").unwrap(), Some(1));
}

#[tokio::test]
async fn items_of_the_library_and_oversized_ones_are_refused() {
    let world = World::new().await;
    let session = world.load(&world.sign_in(ADA).await).await;
    for name in ["token_cache", "mail", "async_msal", "", &"n".repeat(200)] {
        assert!(matches!(session.set_item(name, "x"), Err(Error::Item { .. })), "{name}");
    }
    assert!(session.set_item("big", &"x".repeat(70_000)).is_err());
    session.set_item("a", &json!({"n": [1, 2]})).unwrap();
    assert!(matches!(session.item::<i32>("a"), Err(Error::Item { .. })), "another type");
}

#[tokio::test]
async fn a_visitors_session_is_created_by_its_first_save() {
    let world = World::new().await;
    let visitor = world.msal.new_session();
    visitor.save().await.unwrap();
    assert!(visitor.session_id().is_none(), "an empty session was stored");
    visitor.set_item("cart", &1).unwrap();
    visitor.save().await.unwrap();
    let again = world.load(&visitor.session_id().unwrap()).await;
    assert_eq!(again.item::<i32>("cart").unwrap(), Some(1));
    assert!(!again.is_authenticated());
}
