//! Signing out, here first.

use std::time::Duration;

use async_msal_emulator::{LogoutTokenRequest, Policy};
use async_msal_session::{Error, SessionId, SessionLayout};

use crate::support::{ADA, World, user_scopes};

fn page() -> url::Url {
    "https://app.example/user/signed-out".parse().unwrap()
}

#[tokio::test]
async fn signing_out_ends_the_record_and_names_the_authoritys_address() {
    let world = World::new().await;
    let id = world.sign_in(ADA).await;
    let session = world.load(&id).await;
    let signed_out = world.msal.sign_out(&id, &page(), Some("back")).await.unwrap();
    let url = signed_out.end_session_url.unwrap();
    let query: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    assert!(query.contains(&("post_logout_redirect_uri".to_owned(), page().to_string())));
    assert!(query.contains(&("state".to_owned(), "back".to_owned())));
    assert!(world.msal.load_session(&id).await.unwrap().is_none());
    world.clock.advance(3601);
    assert!(
        matches!(session.get_token(&user_scopes()).await, Err(Error::SessionEnded)),
        "an old handle renews"
    );
}

#[tokio::test]
async fn signing_out_of_nothing_is_no_error() {
    let world = World::new().await;
    let unknown = SessionId::parse(&"0".repeat(32)).unwrap();
    let signed_out = world.msal.sign_out(&unknown, &page(), None).await.unwrap();
    assert!(!signed_out.was_signed_in && signed_out.end_session_url.is_none());
}

#[tokio::test]
async fn a_sign_out_that_the_store_missed_is_done_when_it_is_back() {
    let world = World::new().await;
    let id = world.sign_in(ADA).await;
    world.store.fail("delete", 1);
    assert!(matches!(world.msal.sign_out(&id, &page(), None).await, Err(Error::Store(_))));
    assert!(world.msal.shutdown(Duration::from_secs(20)).await);
    assert!(world.msal.load_session(&id).await.unwrap().is_none());
}

#[tokio::test]
async fn a_front_channel_sign_out_ends_the_sessions_of_its_sid_and_no_other() {
    let world = World::new().await;
    let (one, other) = (world.sign_in(ADA).await, world.sign_in(ADA).await);
    let sid = world.load(&one).await.identity().unwrap().sid.expect("the emulator sends sid");
    assert_eq!(world.msal.sign_out_by_sid(&sid, Some("https://evil.example")).await.unwrap(), 0);
    assert_eq!(world.msal.sign_out_by_sid("", None).await.unwrap(), 0);
    assert_eq!(world.msal.sign_out_by_sid("unknown", None).await.unwrap(), 0);
    assert_eq!(world.msal.sign_out_by_sid(&sid, None).await.unwrap(), 1);
    assert!(world.msal.load_session(&one).await.unwrap().is_none());
    assert!(world.msal.load_session(&other).await.unwrap().is_some());
}

fn logout_token(world: &World) -> String {
    world.emulator.admin().logout_token(&LogoutTokenRequest::of_person(ADA)).unwrap()
}

#[tokio::test]
async fn a_logout_token_that_cannot_be_marked_for_trouble_ends_nothing_and_may_come_again() {
    let world = World::new().await;
    let id = world.sign_in(ADA).await;
    let token = logout_token(&world);
    world.store.fail("put_once", 1);
    let refused = world.msal.sign_out_by_logout_token(&token).await;
    assert!(matches!(refused, Err(Error::Store(_))), "{refused:?}");
    assert!(world.msal.load_session(&id).await.unwrap().is_some());
    assert_eq!(world.msal.sign_out_by_logout_token(&token).await.unwrap(), 1);
    let again = world.msal.sign_out_by_logout_token(&token).await.unwrap_err();
    assert_eq!(again.code(), "id_token", "it works once");
}

#[tokio::test]
async fn a_logout_token_ends_sessions_in_a_store_without_room_for_its_mark() {
    let world = World::new().await;
    let id = world.sign_in(ADA).await;
    world.store.refuse("put_once");
    world.store.refuse("replace_once");
    assert_eq!(world.msal.sign_out_by_logout_token(&logout_token(&world)).await.unwrap(), 1);
    assert!(world.msal.load_session(&id).await.unwrap().is_none());
}

#[tokio::test]
async fn a_record_taken_over_while_its_user_signs_out_is_signed_out_too() {
    let name = "both";
    let world =
        World::with(Policy::default(), |builder| builder.cookie_name(name).layout(SessionLayout::Aiohttp))
            .await;
    let id = world.sign_in(ADA).await;
    let sealed = world.node(|builder| builder.cookie_name(name));
    let before = world.store.calls("load");
    let gate = world.store.gate("load");
    gate.add_permits(1);
    let (node, same) = (sealed.clone(), id.clone());
    let page = "https://app.example/user/signed-out".parse().unwrap();
    let ending = tokio::spawn(async move { node.sign_out(&same, &page, None).await.unwrap().was_signed_in });
    // Between its two records, another request of the same browser comes.
    while world.store.calls("load") < before + 2 {
        tokio::task::yield_now().await;
    }
    world.store.fail("load", 0);
    drop(sealed.load_session(&id).await.unwrap());
    gate.add_permits(10);
    assert!(ending.await.unwrap());
    assert!(sealed.load_session(&id).await.unwrap().is_none());
}
