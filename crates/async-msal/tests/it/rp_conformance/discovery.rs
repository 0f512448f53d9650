//! Metadata.

use async_msal_emulator::MetadataFault;

use crate::support::World;

#[tokio::test]
async fn oidcc_client_test_discovery_openid_configuration() {
    let world = World::new().await;
    let metadata = world.client.metadata().await.unwrap();
    assert_eq!(metadata.realm(), world.emulator.tenant_id());
    assert!(metadata.issuer().contains(world.emulator.tenant_id()));
}

#[tokio::test]
async fn oidcc_client_test_discovery_jwks_uri_keys() {
    let mut world = World::new().await;
    world.sign_in().await;
    assert_eq!(world.emulator.admin().counters().keys, 1);
}

#[tokio::test]
async fn oidcc_client_test_discovery_issuer_mismatch() {
    let world = World::new().await;
    world.emulator.admin().set_policy(|policy| policy.metadata_fault = Some(MetadataFault::IssuerMismatch));
    assert_eq!(world.client.metadata().await.unwrap_err().code(), "config");
}
