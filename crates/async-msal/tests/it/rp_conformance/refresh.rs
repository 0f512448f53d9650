//! Refresh tokens.

use async_msal::{Error, IdTokenError};
use async_msal_emulator::{IdTokenFault, IdTokenFaultRule};

use crate::support::World;

async fn refused(fault: IdTokenFault) -> Error {
    let mut world = World::new().await;
    let account = world.sign_in().await;
    world.advance(3_700);
    let before = world.cache.to_json();
    world.emulator.admin().fail_next_id_token(IdTokenFaultRule::new(fault).on_refresh()).unwrap();
    let error = world.silent(&account).await.unwrap_err();
    assert_eq!(world.cache.to_json(), before);
    error
}

#[tokio::test]
async fn oidcc_client_test_refresh_token() {
    let mut world = World::new().await;
    world.emulator.admin().strict_single_use_refresh(true);
    let account = world.sign_in().await;
    for _ in 0..2 {
        world.advance(3_700);
        world.silent(&account).await.unwrap();
    }
}

#[tokio::test]
async fn oidcc_client_test_refresh_token_invalid_issuer() {
    let error = refused(IdTokenFault::WrongIssuer).await;
    assert!(matches!(error, Error::RefreshRefused(IdTokenError::Issuer { .. })), "{error:?}");
}

#[tokio::test]
async fn oidcc_client_test_refresh_token_invalid_sub() {
    let error = refused(IdTokenFault::OtherSubject).await;
    assert!(matches!(error, Error::RefreshRefused(IdTokenError::Changed("sub"))), "{error:?}");
}

#[tokio::test]
async fn refresh_token_with_a_bad_signature() {
    let error = refused(IdTokenFault::BadSignature).await;
    assert!(matches!(error, Error::IdToken(IdTokenError::Signature)), "{error:?}");
}
