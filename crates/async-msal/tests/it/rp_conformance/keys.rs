//! Key rotation.

use crate::support::World;

#[tokio::test]
async fn oidcc_client_test_signing_key_rotation() {
    let mut world = World::new().await;
    world.sign_in().await;
    world.emulator.admin().rotate_keys().await.unwrap();
    world.sign_in().await;
    assert_eq!(world.emulator.admin().counters().keys, 2);
}

#[tokio::test]
async fn oidcc_client_test_signing_key_rotation_just_before_signing() {
    let mut world = World::new().await;
    world.client.metadata().await.unwrap();
    world.emulator.admin().rotate_keys().await.unwrap();
    world.sign_in().await;
}

#[tokio::test]
async fn key_rotation_with_the_old_key_still_published() {
    let mut world = World::new().await;
    world.sign_in().await;
    world.emulator.admin().publish_new_key().await.unwrap();
    world.sign_in().await;
    world.emulator.admin().switch_signer().await.unwrap();
    world.sign_in().await;
    world.emulator.admin().remove_old_keys().await.unwrap();
    world.sign_in().await;
}
