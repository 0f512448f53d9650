//! Jobs that work in a user's name without a browser: whose session they get, and what their renewals do.

use std::sync::Arc;

use async_msal_emulator::Policy;
use async_msal_session::async_msal::Scopes;
use async_msal_session::{Error, Find};
use tokio::task::JoinSet;

use crate::support::{ADA, BEN, World, mail_scopes, request, user_scopes};

const DAY: i64 = 86_400;

#[tokio::test]
async fn a_session_is_found_by_its_handle() {
    let world = World::new().await;
    let (ada, _ben) = (world.sign_in(ADA).await, world.sign_in(BEN).await);
    let found = world.msal.for_user(&Find::Handle(ada.handle())).await.unwrap().unwrap();
    assert_eq!(found.mail().as_deref(), Some(ADA));
}

#[tokio::test]
async fn a_look_up_reads_each_record_once_and_its_session_not_again() {
    let world = World::new().await;
    world.sign_in(ADA).await;
    world.sign_in(ADA).await;
    let before = world.store.calls("load");
    let found = world.msal.for_user(&Find::mail(ADA)).await.unwrap().unwrap();
    found.get_token(&user_scopes()).await.unwrap();
    assert_eq!(world.store.calls("load"), before + 2);
}

#[tokio::test]
async fn only_a_session_that_holds_the_scopes_is_taken_where_they_are_asked_for() {
    let world = World::new().await;
    let api = Scopes::parse(&format!("api://{}/.default", world.emulator.client_id()));
    let older = world.sign_in(ADA).await;
    world.load(&older).await.get_token(&api).await.unwrap();
    world.clock.advance(10);
    let newer = world.sign_in(ADA).await;
    let find = Find::mail(ADA);
    let any = world.msal.for_user(&find).await.unwrap().unwrap();
    assert_eq!(any.handle(), Some(newer.handle()));
    let holder = world.msal.for_user_with(&find, &api).await.unwrap().unwrap();
    assert_eq!(holder.handle(), Some(older.handle()));
    // Its access token has expired; the grant has not.
    world.clock.advance(3700);
    let holder = world.msal.for_user_with(&find, &api).await.unwrap().unwrap();
    holder.get_token(&api).await.unwrap();
    let never = Scopes::from(["Calendars.ReadWrite"]);
    assert!(world.msal.for_user_with(&find, &never).await.unwrap().is_none());
}

#[tokio::test]
async fn two_people_of_one_mail_are_named_as_choices_whatever_either_granted() {
    let world = World::new().await;
    world.sign_in_as(request().with_scopes(mail_scopes()), ADA).await.unwrap();
    let ben = world.sign_in(BEN).await;
    world.pretend_mail(&ben, ADA).await;
    let Err(Error::Ambiguous(choices)) = world.msal.for_user_with(&Find::mail(ADA), &mail_scopes()).await
    else {
        panic!("somebody was guessed");
    };
    let mut found = Vec::new();
    for choice in choices {
        found.push(
            world.msal.for_user(&choice.into()).await.unwrap().unwrap().identity().unwrap().oid.unwrap(),
        );
    }
    let users = world.emulator.users();
    found.sort();
    let mut wanted = vec![users[0].object_id.clone(), users[1].object_id.clone()];
    wanted.sort();
    assert_eq!(found, wanted);
}

#[tokio::test]
async fn a_job_and_the_users_requests_share_one_renewal_and_its_result() {
    let mut policy = Policy::default();
    policy.single_use_refresh_tokens = true;
    let world = Arc::new(World::with(policy, |builder| builder).await);
    let id = world.expired(ADA).await;
    let mut askers = JoinSet::new();
    for number in 0..20 {
        let (world, id) = (Arc::clone(&world), id.clone());
        askers.spawn(async move {
            let session = match number % 2 {
                0 => world.load(&id).await,
                _ => world.msal.for_user(&Find::mail(ADA)).await.unwrap().unwrap(),
            };
            session.get_token(&user_scopes()).await
        });
    }
    for token in askers.join_all().await {
        token.unwrap();
    }
    assert_eq!(world.refreshes(), 1);
    let saved = world.load(&id).await;
    saved.get_token(&user_scopes()).await.unwrap();
    assert_eq!(world.refreshes(), 1, "the job's renewal was not saved");
}

#[tokio::test]
async fn a_jobs_renewal_merges_with_what_a_request_saves_meanwhile() {
    let world = Arc::new(World::new().await);
    let id = world.expired(ADA).await;
    let job = world.msal.for_user(&Find::mail(ADA)).await.unwrap().unwrap();
    let request = world.load(&id).await;
    request.set_item("cart", &["a book"]).unwrap();
    let gate = world.store.gate("compare_and_set");
    let renewing = tokio::spawn(async move { job.get_token(&user_scopes()).await });
    while world.store.calls("compare_and_set") == 0 {
        tokio::task::yield_now().await;
    }
    let saving = tokio::spawn(async move { request.save().await });
    gate.add_permits(100);
    renewing.await.unwrap().unwrap();
    saving.await.unwrap().unwrap();
    let both = world.load(&id).await;
    assert_eq!(both.item::<Vec<String>>("cart").unwrap().unwrap(), ["a book"]);
    both.get_token(&user_scopes()).await.unwrap();
    assert_eq!(world.refreshes(), 1);
}

#[tokio::test]
async fn a_job_does_not_lengthen_the_session_of_a_user_who_is_away() {
    let world = World::new().await;
    let id = world.sign_in(ADA).await;
    for _ in 0..5 {
        world.clock.advance(DAY / 5);
        if let Some(session) = world.msal.for_user(&Find::mail(ADA)).await.unwrap() {
            session.get_token(&user_scopes()).await.unwrap();
        }
    }
    world.clock.advance(1);
    assert!(world.msal.load_session(&id).await.unwrap().is_none());
    assert!(world.msal.for_user(&Find::mail(ADA)).await.unwrap().is_none());
}
