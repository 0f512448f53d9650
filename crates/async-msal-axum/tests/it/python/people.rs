//! All four people of the emulator: with manager and mail, without manager, without mail, and a guest.

use async_msal_axum::async_msal_session::{Find, Identity};
use async_msal_emulator::Person;
use futures_util::{StreamExt as _, pin_mut};

use super::beside_both_releases;
use super::world::{Who, World, until};
use crate::app::{ADA, CLEO, GIL};

beside_both_releases! {
    whoever_signed_in_on_rust_uses_renews_and_signs_out_on_python,
    whoever_signed_in_on_python_uses_renews_and_signs_out_on_rust,
    a_guest_is_one_person_on_both_sides,
    a_user_without_mail_is_one_person_on_both_sides,
}

/// Graph's mail, else the user's name at the authority.
fn shown_mail(person: &Person) -> &str {
    person.mail.as_deref().unwrap_or(&person.username)
}

/// Ben and Cleo among them, whom the package cannot sign in itself.
async fn whoever_signed_in_on_rust_uses_renews_and_signs_out_on_python(world: World) {
    for person in world.emulator.users() {
        let mut browser = world.signed_in_on_rust(&person.username).await;
        let user = Who::user(shown_mail(&person), &person.display_name);
        assert_eq!(world.python_says(&mut browser).await, user);
        let token = world.python_token(&mut browser).await;
        assert_eq!(world.rust_token(&mut browser).await, token);
        let graph = world.on_python(&mut browser).get("/graph").await.json();
        assert_eq!(graph["me"]["id"], person.object_id.as_str(), "{graph}");
        world.expire_tokens(&world.key(&browser));
        let renewed = world.python_token(&mut browser).await;
        assert_ne!(renewed, token);
        assert_eq!(world.rust_token(&mut browser).await, renewed);
        assert_eq!(world.rust_says(&mut browser).await, user);
        let mut copy = browser.clone();
        world.on_python(&mut browser).get("/user/logout").await;
        assert_eq!(world.rust_says(&mut copy).await, Who::NOBODY);
    }
    assert_eq!(world.refreshes(), 4);
}

async fn whoever_signed_in_on_python_uses_renews_and_signs_out_on_rust(world: World) {
    for (person, name) in [(ADA, "Ada Marsh"), (GIL, "Gil Torres")] {
        let mut browser = world.signed_in_on_python(person).await;
        assert_eq!(world.rust_says(&mut browser).await, Who::user(person, name));
        let token = world.rust_token(&mut browser).await;
        assert_eq!(world.python_token(&mut browser).await, token);
        world.expire_tokens(&world.key(&browser));
        let renewed = world.rust_token(&mut browser).await;
        assert_ne!(renewed, token);
        assert_eq!(world.python_token(&mut browser).await, renewed);
        assert_eq!(world.python_says(&mut browser).await, Who::user(person, name));
        let mut copy = browser.clone();
        world.on_rust(&mut browser).follow("/user/logout").await;
        assert_eq!(world.python_says(&mut copy).await, Who::NOBODY);
    }
    assert_eq!(world.refreshes(), 2);
}

async fn a_guest_is_one_person_on_both_sides(world: World) {
    let gil = person(&world, GIL);
    let mut on_python = world.signed_in_on_python(GIL).await;
    let mut on_rust = world.signed_in_on_rust(GIL).await;
    for browser in [&mut on_python, &mut on_rust] {
        assert_eq!(world.rust_says(browser).await, Who::user(GIL, "Gil Torres"));
        assert_eq!(world.python_says(browser).await, Who::user(GIL, "Gil Torres"));
    }
    both_are(&world, &gil).await;
    each_is_found(&world, &gil, [world.key(&on_python), world.key(&on_rust)]).await;
}

/// The package stores this user without a mail and so counts them as signed out; the record still tells who it is.
async fn a_user_without_mail_is_one_person_on_both_sides(world: World) {
    let cleo = person(&world, CLEO);
    let mut on_python = world.signed_in_on_python(CLEO).await;
    let mut on_rust = world.signed_in_on_rust(CLEO).await;
    assert_eq!(world.python_says(&mut on_python).await, Who::NOBODY);
    assert_eq!(world.rust_says(&mut on_python).await, Who::NOBODY);
    assert_eq!(world.rust_says(&mut on_rust).await, Who::user(CLEO, "Cleo Lind"));
    assert_eq!(world.python_says(&mut on_rust).await, Who::user(CLEO, "Cleo Lind"));
    both_are(&world, &cleo).await;
    each_is_found(&world, &cleo, [world.key(&on_python), world.key(&on_rust)]).await;
}

fn person(world: &World, username: &str) -> Person {
    world.emulator.users().into_iter().find(|person| person.username == username).expect("a person")
}

fn is(person: &Person, world: &World, identity: &Identity) -> bool {
    (identity.tid.as_deref(), identity.oid.as_deref())
        == (Some(world.emulator.tenant_id()), Some(person.object_id.as_str()))
}

/// Two sessions are there, and both are this person's.
async fn both_are(world: &World, person: &Person) {
    let sessions = world.msal.sessions();
    pin_mut!(sessions);
    let mut identities = Vec::new();
    while let Some(session) = sessions.next().await {
        identities.extend(session.expect("a session").identity);
    }
    assert_eq!(identities.len(), 2);
    assert!(identities.iter().all(|identity| is(person, world, identity)), "{identities:?}");
}

/// Each of the sessions is found by the person, the one when the other is gone. Ada's is not.
async fn each_is_found(world: &World, person: &Person, keys: [String; 2]) {
    world.signed_in_on_rust(ADA).await;
    let find = Find::user(world.emulator.tenant_id(), &person.object_id);
    for key in &keys {
        until("the record is indexed", || world.record(key)["session"]["async_msal"].is_object()).await;
    }
    let first = world.msal.for_user(&find).await.expect("one person").expect("a session");
    let first = first.store_key().expect("a key").as_str().to_owned();
    assert!(keys.contains(&first), "{first}");
    assert_eq!(world.redis.cli(&["DEL", &first]), "1");
    let second = world.msal.for_user(&find).await.expect("one person").expect("a session");
    let second = second.store_key().expect("a key").as_str().to_owned();
    assert!(keys.contains(&second) && second != first, "{second}");
}
