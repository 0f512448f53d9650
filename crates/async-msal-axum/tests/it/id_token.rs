//! Id tokens that must not sign anybody in: each ends in a page, with nothing stored.

use async_msal_emulator::{IdTokenFault, IdTokenFaultRule};

use crate::app::{ADA, App};

async fn assert_refused(fault: IdTokenFault) {
    let app = App::start().await;
    app.emulator.admin().fail_next_id_token(IdTokenFaultRule::new(fault)).expect("a fault");
    let mut browser = app.browser();
    let answer = app.sign_in(&mut browser, ADA).await;
    assert_eq!(answer.status, 502, "{}", answer.body);
    assert!(answer.body.contains("<h1>Sign-in failed</h1>"), "{}", answer.body);
    assert!(!answer.body.contains("eyJ0eXAi"), "a token is shown");
    assert_eq!(app.code_redemptions(), 1);
    assert_eq!(app.store.records().await, 0, "a record was stored");
    assert_eq!(browser.cookie("__Host-async_msal_flow_"), None, "the flow cookie stays");
    assert_eq!(browser.get("/").await.body, "Hello stranger");
}

macro_rules! refused {
    ($($name:ident => $fault:ident),* $(,)?) => {
        $(#[tokio::test]
        async fn $name() {
            assert_refused(IdTokenFault::$fault).await;
        })*
    };
}

refused! {
    the_audience_is_another_client => WrongAudience,
    there_is_no_audience => MissingAudience,
    a_second_audience_is_authorized => SeveralAudiences,
    the_issuer_is_another_tenant => WrongIssuer,
    the_tenant_is_another => WrongTenant,
    the_nonce_is_anothers => WrongNonce,
    there_is_no_nonce => MissingNonce,
    it_has_expired => Expired,
    it_is_not_valid_yet => NotYetValid,
    it_says_not_when_it_was_issued => MissingIssuedAt,
    it_names_no_subject => MissingSubject,
    it_is_unsigned => AlgorithmNone,
    it_is_signed_with_the_public_key_as_secret => Hs256WithPublicKey,
    its_key_is_unknown => UnknownKeyId,
    its_signature_does_not_fit => BadSignature,
    it_is_missing => MissingIdToken,
}
