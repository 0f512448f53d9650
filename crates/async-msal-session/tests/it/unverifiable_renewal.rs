//! Renewals whose id token cannot be checked: the session stays.

use async_msal_emulator::{Endpoint, Fault, FaultRule, IdTokenFault, IdTokenFaultRule};

use crate::support::{ADA, World, user_scopes};

#[tokio::test]
async fn a_renewal_while_a_new_key_cannot_be_had_leaves_the_session() {
    let world = World::new().await;
    let id = world.expired(ADA).await;
    let admin = world.emulator.admin();
    admin.rotate_keys().await.unwrap();
    admin.fail_next(FaultRule::new(Endpoint::Keys, Fault::answer(500, "x")).times(100)).unwrap();
    assert!(world.load(&id).await.get_token(&user_scopes()).await.unwrap_err().is_retryable());
    admin.clear_faults();
    assert!(world.load(&id).await.is_authenticated());
}

#[tokio::test]
async fn a_renewal_under_a_clock_that_is_off_leaves_the_session() {
    let world = World::new().await;
    let id = world.expired(ADA).await;
    let rule = IdTokenFaultRule::new(IdTokenFault::NotYetValid).on_refresh();
    world.emulator.admin().fail_next_id_token(rule).unwrap();
    let refused = world.load(&id).await.get_token(&user_scopes()).await.unwrap_err();
    assert_eq!(refused.code(), "id_token");
    assert!(world.load(&id).await.is_authenticated());
}
