//! Id tokens, good and bad.

use async_msal::{Error, IdTokenError};
use async_msal_emulator::IdTokenFault;

use crate::support::{ADA, World, request};

async fn reason(fault: IdTokenFault) -> IdTokenError {
    match World::refuses(fault).await {
        Error::IdToken(reason) => reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn oidcc_client_test() {
    World::new().await.sign_in().await;
}

#[tokio::test]
async fn oidcc_client_test_idtoken_sig_rs256() {
    World::new().await.sign_in().await;
}

#[tokio::test]
async fn oidcc_client_test_invalid_iss() {
    assert!(matches!(reason(IdTokenFault::WrongIssuer).await, IdTokenError::Issuer { .. }));
}

#[tokio::test]
async fn id_token_of_another_tenant() {
    let reason = reason(IdTokenFault::WrongTenant).await;
    assert!(matches!(reason, IdTokenError::Tenant | IdTokenError::Issuer { .. }), "{reason:?}");
}

#[tokio::test]
async fn oidcc_client_test_missing_sub() {
    assert_eq!(reason(IdTokenFault::MissingSubject).await, IdTokenError::Missing("sub"));
}

#[tokio::test]
async fn oidcc_client_test_invalid_aud() {
    assert_eq!(reason(IdTokenFault::WrongAudience).await, IdTokenError::Audience);
}

#[tokio::test]
async fn oidcc_client_test_missing_aud() {
    assert_eq!(reason(IdTokenFault::MissingAudience).await, IdTokenError::Missing("aud"));
}

#[tokio::test]
async fn id_token_aud_multiple_azp() {
    assert_eq!(reason(IdTokenFault::SeveralAudiences).await, IdTokenError::Audience);
}

#[tokio::test]
async fn oidcc_client_test_missing_iat() {
    assert_eq!(reason(IdTokenFault::MissingIssuedAt).await, IdTokenError::Missing("iat"));
}

#[tokio::test]
async fn id_token_exp() {
    assert!(matches!(reason(IdTokenFault::Expired).await, IdTokenError::Expired { .. }));
}

#[tokio::test]
async fn id_token_nbf() {
    let reason = reason(IdTokenFault::NotYetValid).await;
    assert!(matches!(reason, IdTokenError::NotYetValid { .. }), "{reason:?}");
}

#[tokio::test]
async fn oidcc_client_test_nonce_invalid() {
    assert_eq!(reason(IdTokenFault::WrongNonce).await, IdTokenError::Nonce);
}

#[tokio::test]
async fn id_token_without_nonce() {
    assert_eq!(reason(IdTokenFault::MissingNonce).await, IdTokenError::Missing("nonce"));
}

#[tokio::test]
async fn oidcc_client_test_idtoken_sig_none() {
    let reason = reason(IdTokenFault::AlgorithmNone).await;
    assert!(matches!(reason, IdTokenError::Algorithm | IdTokenError::Structure(_)), "{reason:?}");
}

#[tokio::test]
async fn oidcc_client_test_invalid_sig_hs256() {
    assert_eq!(reason(IdTokenFault::Hs256WithPublicKey).await, IdTokenError::Algorithm);
}

#[tokio::test]
async fn oidcc_client_test_invalid_sig_rs256() {
    assert_eq!(reason(IdTokenFault::BadSignature).await, IdTokenError::Signature);
}

#[tokio::test]
async fn id_token_of_an_unknown_key() {
    assert_eq!(reason(IdTokenFault::UnknownKeyId).await, IdTokenError::KeyNotFound);
}

#[tokio::test]
async fn entra_id_token_without_kid() {
    assert_eq!(reason(IdTokenFault::MissingKeyId).await, IdTokenError::KeyNotFound);
}

#[tokio::test]
async fn answer_without_id_token() {
    assert_eq!(World::refuses(IdTokenFault::MissingIdToken).await.code(), "invalid_response");
}

#[tokio::test]
async fn session_expired_max_age() {
    use async_msal_emulator::IdTokenFaultRule;
    let mut world = World::new().await;
    let rule = IdTokenFaultRule::new(IdTokenFault::OldAuthenticationTime);
    world.emulator.admin().fail_next_id_token(rule).unwrap();
    let (flow, body) = world.start_with(request().with_max_age(60), ADA).await;
    let error = world.finish(&flow, &body).await.unwrap_err();
    assert!(matches!(error, Error::IdToken(IdTokenError::AuthTime)), "{error:?}");
}
