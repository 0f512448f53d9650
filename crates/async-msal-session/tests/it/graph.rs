//! The questions to Graph.

use std::time::{Duration, Instant};

use async_msal_emulator::{Endpoint, Fault, FaultRule};
use async_msal_session::Error;
use async_msal_session::api_client::ApiError;
use futures_util::TryStreamExt as _;

use crate::support::{ADA, BEN, CLEO, World};

#[tokio::test]
async fn me_and_manager_are_told() {
    let world = World::new().await;
    let ada = world.load(&world.sign_in(ADA).await).await;
    assert_eq!(ada.me().await.unwrap().mail.as_deref(), Some(ADA));
    assert_eq!(ada.manager().await.unwrap().unwrap().mail.as_deref(), Some(BEN));
    let ben = world.load(&world.sign_in(BEN).await).await;
    assert!(ben.manager().await.unwrap().is_none());
}

#[tokio::test]
async fn a_photo_comes_with_its_type_and_its_bytes() {
    let world = World::new().await;
    let ada = world.load(&world.sign_in(ADA).await).await;
    let photo = ada.photo().await.unwrap().unwrap();
    assert_eq!(photo.content_type, "image/png");
    let bytes: Vec<u8> = photo.stream.try_collect::<Vec<_>>().await.unwrap().concat();
    assert_eq!(Some(bytes), world.emulator.users()[0].photo());
    let cleo = world.load(&world.sign_in(CLEO).await).await;
    assert!(cleo.photo().await.unwrap().is_none());
}

#[tokio::test]
async fn a_photo_that_is_no_image_is_refused() {
    let world = World::new().await;
    let ada = world.load(&world.sign_in(ADA).await).await;
    world.emulator.admin().fail_next(FaultRule::new(Endpoint::GraphPhoto, Fault::NotJson)).unwrap();
    let refused = ada.photo().await.unwrap_err();
    assert!(matches!(refused, Error::Api(ApiError::Unusable { .. })), "{refused:?}");
}

#[tokio::test]
async fn an_answer_of_ten_megabytes_is_cut() {
    let world = World::new().await;
    let ada = world.load(&world.sign_in(ADA).await).await;
    world.emulator.admin().fail_next(FaultRule::new(Endpoint::GraphMe, Fault::ten_megabytes())).unwrap();
    assert!(matches!(ada.me().await, Err(Error::Api(ApiError::TooLarge { .. }))));
}

#[tokio::test]
async fn a_failing_manager_keeps_nobody_from_the_user_and_is_asked_once_a_minute() {
    let world = World::new().await;
    let admin = world.emulator.admin();
    admin.fail_next(FaultRule::new(Endpoint::GraphManager, Fault::answer(500, "{}")).times(2)).unwrap();
    let answer = Fault::answer(200, r#"{"id":"x","mail":"real@contoso.example"}"#);
    admin.fail_next(FaultRule::new(Endpoint::GraphMe, answer)).unwrap();
    let id = world.sign_in(ADA).await;
    assert_eq!(world.load(&id).await.mail().as_deref(), Some("real@contoso.example"), "the user is lost");
    let asked = |world: &World| world.emulator.admin().counters().graph_manager;
    for _ in 0..2 {
        world.load(&id).await.complete_profile().await.unwrap();
        assert_eq!(asked(&world), 1, "it is asked again at once");
    }
    world.clock.advance(61);
    for _ in 0..2 {
        world.load(&id).await.complete_profile().await.unwrap();
        assert_eq!(asked(&world), 2);
    }
    world.clock.advance(61);
    let session = world.load(&id).await;
    session.complete_profile().await.unwrap();
    assert_eq!(session.manager_mail().as_deref(), Some(BEN));
}

#[tokio::test]
async fn a_slow_manager_costs_the_sign_in_three_seconds_and_not_the_users_own_profile() {
    let world = World::new().await;
    let admin = world.emulator.admin();
    let slow = Fault::delay(Duration::from_secs(20));
    admin.fail_next(FaultRule::new(Endpoint::GraphManager, slow.clone())).unwrap();
    let answer = Fault::answer(200, r#"{"id":"x","mail":"real@contoso.example"}"#);
    admin.fail_next(FaultRule::new(Endpoint::GraphMe, answer)).unwrap();
    let started = Instant::now();
    let id = world.sign_in(ADA).await;
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
    assert_eq!(world.load(&id).await.mail().as_deref(), Some("real@contoso.example"));
    // A page that asks for it later waits no longer.
    world.clock.advance(61);
    admin.fail_next(FaultRule::new(Endpoint::GraphMe, slow)).unwrap();
    let started = Instant::now();
    let late = world.load(&id).await.complete_profile().await.unwrap_err();
    assert_eq!(late.code(), "api_timeout");
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_manager_who_may_not_be_seen_is_not_asked_for_again() {
    let world = World::new().await;
    let forbidden = FaultRule::new(Endpoint::GraphManager, Fault::answer(403, "{}"));
    world.emulator.admin().fail_next(forbidden).unwrap();
    let session = world.load(&world.sign_in(ADA).await).await;
    world.clock.advance(61);
    session.complete_profile().await.unwrap();
    assert_eq!(world.emulator.admin().counters().graph_manager, 1);
    assert_eq!(session.manager_mail(), None);
}
