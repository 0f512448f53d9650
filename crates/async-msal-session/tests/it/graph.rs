//! The questions to Graph.

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
