//! Metadata and keys: shared, coalesced, kept while the authority is down.

use std::time::Duration;

use async_msal::Status;
use async_msal_emulator::{Endpoint, Fault, FaultRule, MetadataFault};

use crate::support::{ADA, World};

#[tokio::test]
async fn nothing_is_asked_before_first_use() {
    let world = World::new().await;
    assert_eq!(world.emulator.admin().counters().discovery, 0);
    assert_eq!(world.client.health().authority.status, Status::Unknown);
}

#[tokio::test]
async fn fifty_askers_at_once_make_one_fetch() {
    let world = World::new().await;
    world.fault(FaultRule::new(Endpoint::Discovery, Fault::delay(Duration::from_millis(100))));
    let askers = (0..50).map(|_| {
        let client = world.client.clone();
        tokio::spawn(async move { client.metadata().await.map(|_| ()) })
    });
    for asker in askers.collect::<Vec<_>>() {
        asker.await.unwrap().unwrap();
    }
    assert_eq!(world.emulator.admin().counters().discovery, 1);
}

#[tokio::test]
async fn fetch_goes_on_when_its_first_asker_is_dropped() {
    let world = World::new().await;
    world.fault(FaultRule::new(Endpoint::Discovery, Fault::delay(Duration::from_millis(200))));
    let first = tokio::time::timeout(Duration::from_millis(50), world.client.metadata()).await;
    assert!(first.is_err(), "the first asker was to be dropped");
    world.client.metadata().await.unwrap();
    assert_eq!(world.emulator.admin().counters().discovery, 1);
}

#[tokio::test]
async fn failure_is_not_remembered() {
    let world = World::new().await;
    world.fault(FaultRule::new(Endpoint::Discovery, Fault::answer(500, "{}")).times(3));
    assert!(world.client.metadata().await.is_err());
    assert_eq!(world.client.health().authority.status, Status::Down);
    world.client.metadata().await.unwrap();
    assert_eq!(world.client.health().authority.status, Status::Up);
}

#[tokio::test]
async fn one_bad_answer_is_retried_within_the_call() {
    let world = World::new().await;
    world.fault(FaultRule::new(Endpoint::Discovery, Fault::answer(503, "{}")).times(2));
    world.client.metadata().await.unwrap();
    assert_eq!(world.emulator.admin().counters().discovery, 3);
}

#[tokio::test]
async fn old_answer_stays_in_use_while_the_authority_is_down() {
    let world = World::new().await;
    world.client.metadata().await.unwrap();
    world.clock.advance(25 * 3_600);
    world.fault(FaultRule::new(Endpoint::Discovery, Fault::answer(500, "{}")).times(3));
    world.client.metadata().await.unwrap();
    let health = world.client.health().authority;
    assert!(health.stale && health.status == Status::Down);
    // No more requests until the pause is over.
    let asked = world.emulator.admin().counters().discovery;
    world.client.metadata().await.unwrap();
    assert_eq!(world.emulator.admin().counters().discovery, asked);
}

#[tokio::test]
async fn answer_that_is_too_old_is_not_used() {
    let world = World::new().await;
    world.client.metadata().await.unwrap();
    world.clock.advance(49 * 3_600);
    world.fault(FaultRule::new(Endpoint::Discovery, Fault::answer(500, "{}")).times(3));
    assert!(world.client.metadata().await.is_err());
}

#[tokio::test]
async fn foreign_token_endpoint_is_refused() {
    let world = World::new().await;
    world
        .emulator
        .admin()
        .set_policy(|policy| policy.metadata_fault = Some(MetadataFault::HttpTokenEndpoint));
    assert_eq!(world.client.metadata().await.unwrap_err().code(), "invalid_response");
}

#[tokio::test]
async fn sudden_change_of_issuer_is_refused_and_the_last_good_answer_stays() {
    let world = World::new().await;
    let before = world.client.metadata().await.unwrap();
    world.clock.advance(25 * 3_600);
    world.emulator.admin().set_policy(|policy| policy.metadata_fault = Some(MetadataFault::IssuerMismatch));
    let after = world.client.metadata().await.unwrap();
    assert_eq!(before, after);
    assert_eq!(world.client.health().authority.status, Status::Down);
}

#[tokio::test]
async fn metadata_of_64_kib_and_more_is_cut_off() {
    let world = World::new().await;
    world.fault(FaultRule::new(Endpoint::Discovery, Fault::LargeBody(70 * 1024)));
    assert_eq!(world.client.metadata().await.unwrap_err().code(), "invalid_response");
}

#[tokio::test]
async fn redirect_of_the_metadata_is_not_followed() {
    let world = World::new().await;
    let elsewhere = format!("{}/elsewhere", world.emulator.base_url());
    world.fault(FaultRule::new(Endpoint::Discovery, Fault::Redirect(elsewhere)));
    assert_eq!(world.client.metadata().await.unwrap_err().code(), "invalid_response");
}

#[tokio::test]
async fn unknown_key_is_looked_for_once_in_thirty_seconds() {
    use async_msal_emulator::{IdTokenFault, IdTokenFaultRule};
    let mut world = World::new().await;
    world.sign_in().await;
    let rule = IdTokenFaultRule::new(IdTokenFault::UnknownKeyId).times(5);
    world.emulator.admin().fail_next_id_token(rule).unwrap();
    for _ in 0..5 {
        assert_eq!(world.try_sign_in(ADA).await.unwrap_err().code(), "id_token");
    }
    assert_eq!(world.emulator.admin().counters().keys, 2);
}

#[tokio::test]
async fn bad_key_set_keeps_the_last_good_one() {
    let mut world = World::new().await;
    world.sign_in().await;
    world.advance(25 * 3_600);
    world.fault(FaultRule::new(Endpoint::Keys, Fault::answer(200, r#"{"keys":[]}"#)));
    world.sign_in().await;
}
