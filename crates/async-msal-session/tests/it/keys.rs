//! Keys come and go: every function works with a former key, none opens what a lost one sealed, and a dump tells nothing.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_msal_emulator::Policy;
use async_msal_session::admin::RepairOptions;
use async_msal_session::async_msal::ClientSecret;
use async_msal_session::store::{SessionStore, SqliteStore};
use async_msal_session::{Find, Msal, SessionId, SessionLayout, SignInHooks};
use futures_util::TryStreamExt as _;

use crate::support::{ADA, BEN, World, request, signed_in, user_scopes};

/// The application on the same store with a new client secret in front, and the former one behind it or lost.
fn rotated(world: &World, former: bool) -> Msal {
    let former = former.then(|| world.emulator.client_secret());
    let secrets = ["a new secret".to_owned()].into_iter().chain(former).map(ClientSecret::new);
    world.node(|builder| builder.keys_from_secrets(secrets))
}

fn ada(world: &World) -> Find {
    Find::user(world.emulator.tenant_id(), &world.emulator.users()[0].object_id)
}

#[tokio::test]
async fn with_a_new_key_in_front_every_background_and_tool_function_works_on_former_records() {
    let world = World::new().await;
    let id = world.expired(ADA).await;
    let both = rotated(&world, true);
    for find in [Find::mail(ADA), ada(&world), Find::Handle(id.handle())] {
        let session = both.for_user(&find).await.unwrap().expect("the former name is looked up too");
        session.get_token(&user_scopes()).await.unwrap();
    }
    assert_eq!(world.refreshes(), 1);
    assert!(both.for_user_with(&Find::mail(ADA), &user_scopes()).await.unwrap().is_some());
    let listed: Vec<_> = both.sessions().try_collect().await.unwrap();
    assert_eq!(listed.len(), 1);
    let stats: Vec<_> = both.stats().try_collect().await.unwrap();
    assert_eq!((stats[0].live, stats[0].unreadable.len()), (1, 0));
    // The renewal has sealed it anew: the former key may go.
    assert!(rotated(&world, false).load_session(&id).await.unwrap().is_some());
    assert_eq!(both.sign_out_everywhere(&ada(&world)).await.unwrap(), 1);
    assert!(both.load_session(&id).await.unwrap().is_none());
}

#[tokio::test]
async fn a_repair_moves_the_index_to_the_new_key_and_cleaning_and_sid_reach_former_records() {
    let world = World::new().await;
    let one = world.sign_in(ADA).await;
    let sid = world.load(&one).await.identity().unwrap().sid.expect("a sid");
    let both = rotated(&world, true);
    let steps: Vec<_> = both.repair(RepairOptions::new()).try_collect().await.unwrap();
    assert_eq!((steps[0].indexed, steps[0].removed.len(), steps[0].left.len()), (1, 0, 0));
    let steps: Vec<_> = both.repair(RepairOptions::new()).try_collect().await.unwrap();
    assert_eq!(steps[0].indexed, 0);
    assert_eq!(both.sign_out_by_sid(&sid, None).await.unwrap(), 1);
    world.sign_in(BEN).await;
    let steps: Vec<_> = both.clean(Duration::ZERO).try_collect().await.unwrap();
    assert_eq!(steps[0].removed, 1);
    assert!(both.for_user(&Find::mail(BEN)).await.unwrap().is_none());
}

#[tokio::test]
async fn a_lost_key_means_sign_in_again_for_everybody_and_an_error_for_nobody() {
    let world = World::new().await;
    let id = world.sign_in(ADA).await;
    let lost = rotated(&world, false);
    assert!(lost.load_session(&id).await.unwrap().is_none());
    assert!(lost.for_user(&Find::mail(ADA)).await.unwrap().is_none());
    assert!(lost.session(&id).get_token(&user_scopes()).await.unwrap_err().is_interaction_required());
    assert_eq!(lost.sign_out_everywhere(&Find::mail(ADA)).await.unwrap(), 0);
    let page = "https://app.example/user/signed-out".parse().unwrap();
    assert!(!lost.sign_out(&id, &page, None).await.unwrap().was_signed_in);
    // The sign-out has deleted what it could not read.
    assert!(world.msal.load_session(&id).await.unwrap().is_none());
    let again = world.sign_in(ADA).await;
    let stats: Vec<_> = lost.stats().try_collect().await.unwrap();
    assert_eq!((stats[0].live, stats[0].unreadable["unknown_key"]), (0, 1));
    drop(again);
}

/// A sign-in of each of two people through a store of its own, and all the words a thief would like to read.
async fn used(store: Arc<dyn SessionStore>) -> Vec<String> {
    let world = World::on(store, Policy::default(), |builder| builder).await;
    let mut words = vec![ADA.to_owned(), BEN.to_owned(), "token_cache".to_owned(), "eyJ0eXAi".to_owned()];
    for person in [ADA, BEN] {
        let id: SessionId = world.sign_in(person).await;
        let session = world.load(&id).await;
        session.set_item("cart", "a secret book").unwrap();
        session.save().await.unwrap();
        let (started, response) = world.answered_to(request().with_present_session(&id), person).await;
        let again =
            world.msal.complete_sign_in(&started.sealed, response, &SignInHooks::new()).await.unwrap();
        let new = signed_in(again).session_id;
        let token = world.load(&new).await.get_token(&user_scopes()).await.unwrap();
        let identity = world.load(&new).await.identity().unwrap();
        words.extend([id.expose_secret().to_owned(), new.expose_secret().to_owned()]);
        words.extend([token.access_token.expose_secret().to_owned(), identity.oid.unwrap()]);
        words.extend([identity.sid.unwrap(), "a secret book".to_owned()]);
        // A renewal, a refused one and its mark, and a job's look-ups leave their traces too.
        world.clock.advance(3601);
        let job = world.msal.for_user(&Find::mail(person)).await.unwrap().unwrap();
        job.get_token(&user_scopes()).await.unwrap();
    }
    assert!(world.msal.shutdown(Duration::from_secs(10)).await);
    words
}

fn tells_nothing(dump: &[u8], words: &[String]) {
    assert!(dump.len() > 1000, "an empty dump proves nothing");
    for word in words {
        let found = dump.windows(word.len()).any(|window| window.eq_ignore_ascii_case(word.as_bytes()));
        assert!(!found, "the dump tells {word}");
    }
}

fn file_and_journal(folder: &Path) -> Vec<u8> {
    std::fs::read_dir(folder).unwrap().flat_map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect()
}

#[tokio::test]
async fn a_dump_of_sqlite_yields_neither_cookies_nor_mail_addresses() {
    let folder = tempfile::tempdir().unwrap();
    // Kept open: its last handle would move the journal into the file while both are read.
    let store = Arc::new(SqliteStore::open_lazy(folder.path().join("s.db")));
    let words = used(Arc::clone(&store) as _).await;
    tells_nothing(&file_and_journal(folder.path()), &words);
}

#[cfg(feature = "redis")]
#[tokio::test]
async fn a_dump_of_redis_yields_neither_cookies_nor_mail_addresses() {
    let server = async_msal_test_servers::RedisServer::builder().args(["--rdbcompression", "no"]).start();
    let words = used(Arc::new(crate::redis::open(&server.url()))).await;
    assert_eq!(server.cli(&["SAVE"]).trim(), "OK");
    tells_nothing(&file_and_journal(server.folder()), &words);
}

/// Sessions of two people, one with items, before a change of layout.
async fn before(layout: SessionLayout) -> (World, SessionId, SessionId) {
    let world = World::with(Policy::default(), |builder| builder.layout(layout).cookie_name("c")).await;
    let (one, two) = (world.sign_in(ADA).await, world.sign_in(ADA).await);
    let session = world.load(&one).await;
    session.set_item("cart", &["a book"]).unwrap();
    session.save().await.unwrap();
    (world, one, two)
}

#[tokio::test]
async fn a_change_of_layout_loses_no_item_no_token_and_nobody_to_sign_out() {
    for (from, to) in
        [(SessionLayout::Sealed, SessionLayout::Aiohttp), (SessionLayout::Aiohttp, SessionLayout::Sealed)]
    {
        let (world, one, two) = before(from).await;
        let after = world.node(|builder| builder.layout(to).cookie_name("c"));
        world.emulator.admin().reset_counters();
        // A job comes first, on a record nobody has used since.
        let job = after.for_user(&Find::mail(ADA)).await.unwrap().unwrap();
        job.get_token(&user_scopes()).await.unwrap();
        let session = after.load_session(&one).await.unwrap().expect("taken over");
        assert_eq!(session.item::<Vec<String>>("cart").unwrap().unwrap(), ["a book"]);
        session.get_token(&user_scopes()).await.unwrap();
        assert_eq!(world.emulator.admin().counters().token(), 0, "a token was lost");
        let listed: Vec<_> = after.sessions().try_collect().await.unwrap();
        assert_eq!(listed.len(), 2);
        // One is of the new layout by now, one of the former: both end.
        assert_eq!(after.sign_out_everywhere(&ada(&world)).await.unwrap(), 2);
        for id in [one, two] {
            assert!(after.load_session(&id).await.unwrap().is_none());
        }
    }
}

#[tokio::test]
async fn a_sign_out_during_the_taking_over_of_a_record_stays_one() {
    for (from, to) in
        [(SessionLayout::Sealed, SessionLayout::Aiohttp), (SessionLayout::Aiohttp, SessionLayout::Sealed)]
    {
        let (world, id, _) = before(from).await;
        let after = world.node(|builder| builder.layout(to).cookie_name("c"));
        // The new record is about to be made: the old one has been read.
        let gate = world.store.gate_once("create");
        let taking = {
            let (after, id) = (after.clone(), id.clone());
            tokio::spawn(async move { after.load_session(&id).await })
        };
        while world.store.calls("create") < 3 {
            tokio::task::yield_now().await;
        }
        // A node that has not been restarted yet.
        let page = "https://app.example/user/signed-out".parse().unwrap();
        world.msal.sign_out(&id, &page, None).await.unwrap();
        gate.add_permits(1);
        assert!(taking.await.unwrap().unwrap().is_none(), "the session lives again");
        assert!(after.load_session(&id).await.unwrap().is_none());
        assert!(world.msal.load_session(&id).await.unwrap().is_none());
    }
}
