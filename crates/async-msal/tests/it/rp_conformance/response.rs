//! The authorization response.

use async_msal::error::AuthResponseError;
use async_msal::{Error, ResponseMode};
use async_msal_emulator::{IssuerParameter, Policy, StateParameter};

use crate::support::{ADA, World, request};

async fn with_policy(change: impl FnOnce(&mut Policy)) -> Result<(), AuthResponseError> {
    let mut world = World::new().await;
    world.emulator.admin().set_policy(change);
    match world.try_sign_in(ADA).await {
        Ok(_) => Ok(()),
        Err(Error::AuthResponse(reason)) => Err(reason),
        Err(other) => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn response_mode_query() {
    let mut world = World::new().await;
    let (flow, body) = world.start_with(request().with_response_mode(ResponseMode::Query), ADA).await;
    world.finish(&flow, &body).await.unwrap();
}

#[tokio::test]
async fn auth_response_iss() {
    let accepted = with_policy(|policy| {
        policy.authorization_response_iss = IssuerParameter::Right;
        policy.advertise_authorization_response_iss = true;
    });
    accepted.await.unwrap();
}

#[tokio::test]
async fn auth_response_iss_mismatch() {
    let refused = with_policy(|policy| policy.authorization_response_iss = IssuerParameter::Wrong).await;
    assert!(matches!(refused, Err(AuthResponseError::IssuerMismatch)));
}

#[tokio::test]
async fn auth_response_iss_promised_and_missing() {
    let refused = with_policy(|policy| policy.advertise_authorization_response_iss = true).await;
    assert!(matches!(refused, Err(AuthResponseError::IssuerMissing)));
}

#[tokio::test]
async fn state_missing() {
    let refused = with_policy(|policy| policy.authorization_response_state = StateParameter::Absent).await;
    assert!(matches!(refused, Err(AuthResponseError::StateMissing)));
}

#[tokio::test]
async fn state_mismatch() {
    let refused = with_policy(|policy| policy.authorization_response_state = StateParameter::Wrong).await;
    assert!(matches!(refused, Err(AuthResponseError::StateMismatch)));
}
