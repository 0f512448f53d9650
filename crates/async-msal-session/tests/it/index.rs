//! Finding sessions by their user.

use async_msal_emulator::{Endpoint, Fault, FaultRule};
use async_msal_session::async_msal::{Clock as _, ManualClock};
use async_msal_session::{Error, Find};
use futures_util::TryStreamExt as _;

use crate::support::{ADA, BEN, World, request};

#[tokio::test]
async fn a_user_is_found_by_mail_and_by_ids_and_only_exactly() {
    let world = World::new().await;
    world.sign_in(ADA).await;
    let ada = &world.emulator.users()[0];
    let by_ids = Find::user(world.emulator.tenant_id(), &ada.object_id);
    assert!(world.msal.for_user(&by_ids).await.unwrap().unwrap().is_authenticated());
    assert!(world.msal.for_user(&Find::mail("ADA@Contoso.example")).await.unwrap().is_some());
    for near in ["da@contoso.example", "", "ada@contoso.example ", "*", "%", "ada@contoso.example\r\n"] {
        assert!(world.msal.for_user(&Find::mail(near)).await.unwrap().is_none(), "{near:?}");
    }
    let swapped = Find::user(&ada.object_id, world.emulator.tenant_id());
    assert!(world.msal.for_user(&swapped).await.unwrap().is_none());
}

#[tokio::test]
async fn the_newest_session_of_a_user_is_taken() {
    let world = World::new().await;
    world.sign_in(ADA).await;
    world.clock.advance(10);
    let newest = world.sign_in(ADA).await;
    let found = world.msal.for_user(&Find::mail(ADA)).await.unwrap().unwrap();
    assert_eq!(found.handle(), Some(newest.handle()));
}

#[tokio::test]
async fn two_people_with_one_mail_are_never_guessed() {
    let world = World::new().await;
    world.sign_in(ADA).await;
    // Ben's record claims Ada's mail address, as his administrator could have it.
    let ben = world.sign_in(BEN).await;
    world.pretend_mail(&ben, ADA).await;
    assert!(matches!(world.msal.for_user(&Find::mail(ADA)).await, Err(Error::Ambiguous(_))));
}

#[tokio::test]
async fn signing_out_everywhere_ends_all_sessions_of_one_person_alone() {
    let world = World::new().await;
    let (one, two, other) = (world.sign_in(ADA).await, world.sign_in(ADA).await, world.sign_in(BEN).await);
    let ada = Find::user(world.emulator.tenant_id(), &world.emulator.users()[0].object_id);
    assert_eq!(world.msal.sign_out_everywhere(&ada).await.unwrap(), 2);
    for ended in [one, two] {
        assert!(world.msal.load_session(&ended).await.unwrap().is_none());
    }
    assert!(world.msal.load_session(&other).await.unwrap().is_some());
}

#[tokio::test]
async fn a_listing_meets_every_session_and_no_secret() {
    let world = World::new().await;
    let ids = [world.sign_in(ADA).await, world.sign_in(BEN).await];
    let sessions: Vec<_> = world.msal.sessions().try_collect().await.unwrap();
    assert_eq!(sessions.len(), 2);
    let shown = format!("{sessions:?}");
    assert!(ids.iter().all(|id| !shown.contains(id.expose_secret())));
    assert!(ids.iter().all(|id| sessions.iter().any(|session| session.handle == id.handle())));
}

#[tokio::test]
async fn an_entry_that_points_to_nothing_is_ignored_and_removed_once_it_is_old() {
    let world = World::new().await;
    let first = world.sign_in(ADA).await;
    // A node that stopped between the two writes leaves the entry behind.
    world.store.fail("index_remove", 99);
    let second = world.sign_in_as(request().with_present_session(&first), ADA).await.unwrap();
    world.store.fail("index_remove", 0);
    let before = world.store.calls("index_remove");
    assert!(world.msal.for_user(&Find::mail(ADA)).await.unwrap().is_some());
    assert_eq!(world.store.calls("index_remove"), before, "a young entry was removed");
    world.clock.advance(61);
    let found = world.msal.for_user(&Find::mail(ADA)).await.unwrap().unwrap();
    assert_eq!(found.handle(), Some(second.session_id.handle()));
    assert_eq!(world.store.calls("index_remove"), before + 1);
}

#[tokio::test]
async fn a_mail_that_the_profile_brings_later_is_found_and_the_former_one_is_not() {
    let world = World::new().await;
    let (admin, real) = (world.emulator.admin(), "ada.lovelace@contoso.example");
    admin.fail_next(FaultRule::new(Endpoint::GraphMe, Fault::answer(403, "{}"))).unwrap();
    let id = world.sign_in(ADA).await;
    assert!(world.msal.for_user(&Find::mail(ADA)).await.unwrap().is_some());
    let answer = Fault::answer(200, format!(r#"{{"id":"x","mail":"{real}"}}"#));
    admin.fail_next(FaultRule::new(Endpoint::GraphMe, answer)).unwrap();
    world.load(&id).await.complete_profile().await.unwrap();
    let found = world.msal.for_user(&Find::mail(real)).await.unwrap().expect("found by the mail it has now");
    assert_eq!(found.handle(), Some(id.handle()));
    let removed = world.store.calls("index_remove");
    assert!(removed > 0, "the entry of the former mail stays");
    assert!(world.msal.for_user(&Find::mail(ADA)).await.unwrap().is_none());
}

#[tokio::test]
async fn a_reader_with_a_wrong_clock_takes_nobody_out_of_the_index() {
    let world = World::new().await;
    world.sign_in(ADA).await;
    let clock = ManualClock::new(world.clock.now() + 2 * 86_400);
    let ahead = world.node_at(&clock, |builder| builder);
    assert!(ahead.for_user(&Find::mail(ADA)).await.unwrap().is_none(), "it has ended by that clock");
    world.clock.advance(61);
    assert_eq!(world.store.calls("index_remove"), 0);
    assert!(world.msal.for_user(&Find::mail(ADA)).await.unwrap().is_some());
}

#[tokio::test]
async fn a_store_that_takes_no_writes_answers_a_look_up_that_meets_a_dangling_entry() {
    let world = World::new().await;
    let first = world.sign_in(ADA).await;
    world.store.fail("index_remove", 99);
    let second = world.sign_in_as(request().with_present_session(&first), ADA).await.unwrap();
    world.clock.advance(61);
    world.store.refuse("index_remove");
    let found = world.msal.for_user(&Find::mail(ADA)).await.unwrap().unwrap();
    assert_eq!(found.handle(), Some(second.session_id.handle()));
}
