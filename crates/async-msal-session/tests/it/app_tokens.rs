//! Tokens of no session: the application's own, and those a caller's token was exchanged for.

use async_msal_emulator::{Endpoint, Fault, FaultRule};
use async_msal_session::async_msal::{AccessToken, Scopes, TokenSource};
use futures_util::future::join_all;

use crate::support::{ADA, BEN, World, request, user_scopes};

fn graph() -> Scopes {
    Scopes::from(["https://graph.microsoft.com/.default"])
}

fn asked(world: &World) -> (u64, u64) {
    let counters = world.emulator.admin().counters();
    (counters.token_client_credentials, counters.token_on_behalf_of)
}

/// A token for this very application's API.
async fn incoming(world: &World, person: &str) -> AccessToken {
    world.sign_in(person).await;
    let scopes = Scopes::from([format!("api://{}/access_as_user", world.emulator.client_id())]);
    let id = world.sign_in_as(request().with_scopes(scopes.clone()), person).await.unwrap().session_id;
    world.load(&id).await.get_token(&scopes).await.unwrap().access_token
}

#[tokio::test]
async fn hundred_who_want_the_applications_token_cost_one_request() {
    let world = World::new().await;
    let scopes = graph();
    let tokens = join_all((0..100).map(|_| world.msal.app_token(&scopes))).await;
    assert!(tokens.iter().all(Result::is_ok));
    assert_eq!(asked(&world), (1, 0));
    world.clock.advance(3_601);
    assert_eq!(world.msal.app_token(&scopes).await.unwrap().source, TokenSource::IdentityProvider);
}

#[tokio::test]
async fn applications_token_that_is_due_is_given_at_once_and_renewed_behind() {
    let world = World::new().await;
    let answer = r#"{"access_token":"first","token_type":"Bearer","expires_in":3600,"refresh_in":60}"#;
    world.emulator.admin().fail_next(FaultRule::new(Endpoint::Token, Fault::answer(200, answer))).unwrap();
    let first = world.msal.app_token(&graph()).await.unwrap();
    world.clock.advance(61);
    let second = world.msal.app_token(&graph()).await.unwrap();
    assert!(second.renew_due && second.access_token.ct_eq(&first.access_token));
    world.settle().await;
    assert_eq!(asked(&world), (2, 0));
    assert!(!world.msal.app_token(&graph()).await.unwrap().renew_due);
}

#[tokio::test]
async fn refusal_of_the_application_is_not_asked_again_and_again() {
    let world = World::new().await;
    let refusal = Fault::answer(400, r#"{"error":"invalid_scope"}"#);
    world.emulator.admin().fail_next(FaultRule::new(Endpoint::Token, refusal)).unwrap();
    for _ in 0..2 {
        assert_eq!(world.msal.app_token(&graph()).await.unwrap_err().code(), "server");
    }
    assert_eq!(asked(&world), (1, 0));
}

#[tokio::test]
async fn callers_token_is_exchanged_once_and_for_nobody_else() {
    let world = World::new().await;
    let (adas, bens) = (incoming(&world, ADA).await, incoming(&world, BEN).await);
    let scopes = user_scopes();
    let ada = join_all((0..20).map(|_| world.msal.token_on_behalf_of(&adas, &scopes))).await;
    assert_eq!(asked(&world), (0, 1));
    let ben = world.msal.token_on_behalf_of(&bens, &scopes).await.unwrap();
    assert_eq!(asked(&world), (0, 2));
    assert!(ada.into_iter().all(|token| !token.unwrap().access_token.ct_eq(&ben.access_token)));
}
