//! Credentials in place of a secret, judged by the emulator: it verifies signature, thumbprint, audience and times.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_msal::client_credential::{AssertionAlgorithm, FederatedTokenFile};
use async_msal::error::ClientAssertionError;
use async_msal::{
    ClientAssertion, ClientCertificate, ClientCredential, ClientTokenOptions, Error, ManagedIdentity, Scopes,
    TokenResult,
};
use async_msal_emulator::{ClientRegistration, Endpoint, Fault, FaultRule};

use crate::support::{ADA, REDIRECT, World};

const KEY: &[u8] = include_bytes!("../fixtures/client-certificate/client.key");
const CERTIFICATE: &str = include_str!("../fixtures/client-certificate/client.crt");
const SUBJECT: &str = "system:serviceaccount:shop:web";

fn certificate() -> ClientCertificate {
    ClientCertificate::from_pem(KEY, None, CERTIFICATE.as_bytes()).unwrap()
}

async fn world(credential: impl Into<ClientCredential>) -> World {
    World::with(|builder| builder.credential(credential)).await
}

/// The client has these credentials and no secret.
fn register(world: &World, change: impl FnOnce(ClientRegistration) -> ClientRegistration) {
    let client = ClientRegistration::new(world.emulator.client_id(), "").with_redirect_uri(REDIRECT);
    world.emulator.admin().register_client(change(client)).unwrap();
}

async fn token(world: &mut World) -> Result<TokenResult, Error> {
    let scopes = Scopes::from(["https://graph.microsoft.com/.default"]);
    let options = ClientTokenOptions::default().renewing();
    world.client.acquire_token_for_client(&mut world.cache, &scopes, options).await
}

/// Refused by the authority with this number, and nothing stored.
async fn refused(world: &mut World, number: u64) {
    let error = token(world).await.unwrap_err();
    assert_eq!((error.code(), &error.server().unwrap().codes), ("credential", &vec![number]));
    assert!(!world.cache.has_changed());
}

#[tokio::test]
async fn certificate_signs_in_and_renews() {
    let mut world = world(certificate()).await;
    register(&world, |client| client.with_certificate_pem(CERTIFICATE));
    let account = world.try_sign_in(ADA).await.unwrap().account;
    world.advance(3_700);
    world.silent(&account).await.unwrap();
}

#[tokio::test]
async fn both_algorithms_with_and_without_x5c_are_accepted() {
    for algorithm in [AssertionAlgorithm::Ps256, AssertionAlgorithm::Rs256] {
        for certificate in [certificate(), certificate().with_x5c()] {
            let mut world = world(certificate.with_algorithm(algorithm)).await;
            register(&world, |client| client.with_certificate_pem(CERTIFICATE));
            token(&mut world).await.unwrap();
        }
    }
}

#[tokio::test]
async fn unregistered_certificate_is_for_the_operator() {
    let mut world = world(certificate()).await;
    register(&world, |client| client);
    refused(&mut world, 700_027).await;
    register(&world, |client| client.with_certificate_pem(CERTIFICATE));
    token(&mut world).await.unwrap();
}

#[tokio::test]
async fn assertion_of_a_clock_that_is_behind_is_refused() {
    let mut world = world(certificate()).await;
    register(&world, |client| client.with_certificate_pem(CERTIFICATE));
    world.emulator.admin().advance_clock(3_600);
    refused(&mut world, 700_024).await;
}

#[tokio::test]
async fn secret_is_no_longer_accepted_beside_a_certificate() {
    let mut world = World::new().await;
    register(&world, |client| client.with_certificate_pem(CERTIFICATE));
    refused(&mut world, 7_000_215).await;
}

/// A callback that tells how often it was asked.
fn callback(token: &Arc<std::sync::Mutex<String>>, calls: &Arc<AtomicUsize>) -> ClientCredential {
    let (token, calls) = (Arc::clone(token), Arc::clone(calls));
    ClientCredential::assertion(move |_| {
        calls.fetch_add(1, Ordering::Relaxed);
        let text = token.lock().unwrap().clone();
        async move { Ok(ClientAssertion::new(text)) }
    })
}

#[tokio::test]
async fn callbacks_assertion_is_reused_and_replaced_when_refused() {
    let (text, calls) = (Arc::default(), Arc::default());
    let mut world = world(callback(&text, &calls)).await;
    register(&world, |client| client.with_federated_credential(SUBJECT));
    let mint = |subject: &str| world.emulator.workload_identity_token(subject, 3_600).unwrap();
    let (wrong, right) = (mint("system:serviceaccount:shop:other"), mint(SUBJECT));
    *text.lock().unwrap() = wrong;
    refused(&mut world, 700_213).await;
    *text.lock().unwrap() = right;
    token(&mut world).await.unwrap();
    token(&mut world).await.unwrap();
    assert_eq!(calls.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn failing_callback_sends_nothing_and_leaves_the_cache() {
    let failing = ClientCredential::assertion(|_| async { Err("the vault is sealed".into()) });
    let mut world = world(failing).await;
    let error = token(&mut world).await.unwrap_err();
    assert_eq!(error.code(), "client_assertion");
    assert_eq!(world.emulator.admin().counters().token(), 0);
    assert!(!world.cache.has_changed());
}

#[tokio::test]
async fn projected_token_is_exchanged_and_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    let file = FederatedTokenFile::new(&path);
    let mut world = world(ClientCredential::Assertion(Arc::new(file))).await;
    register(&world, |client| client.with_federated_credential(SUBJECT));
    std::fs::write(&path, world.emulator.workload_identity_token(SUBJECT, 600).unwrap()).unwrap();
    token(&mut world).await.unwrap();
    world.advance(1_200);
    refused_or_changed(&mut world).await;
    std::fs::write(&path, world.emulator.workload_identity_token(SUBJECT, 600).unwrap()).unwrap();
    token(&mut world).await.unwrap();
}

/// What was projected has expired: the token in hand is given, since it has not.
async fn refused_or_changed(world: &mut World) {
    let found = token(world).await.unwrap();
    assert!(found.renew_due && found.correlation_id.is_none());
}

#[tokio::test]
async fn managed_identity_of_a_machine_is_the_assertion() {
    let mut world = World::new().await;
    let (client_id, subject) = world.emulator.user_assigned_identity();
    let own = ManagedIdentity::imds(&world.emulator.base_url()).unwrap();
    for (identity, subject) in
        [(own.clone(), world.emulator.managed_identity_subject()), (own.user_assigned(client_id), subject)]
    {
        register(&world, |client| client.with_federated_credential(subject));
        world.use_credential(identity);
        // The service answers so while it starts.
        world.fault(FaultRule::new(Endpoint::ManagedIdentity, Fault::answer(404, "{}")));
        token(&mut world).await.unwrap();
        token(&mut world).await.unwrap();
    }
    assert_eq!(world.emulator.admin().counters().managed_identity, 4, "not reused");
}

#[tokio::test]
async fn managed_identity_of_app_service_is_the_assertion() {
    let mut world = World::new().await;
    let (endpoint, header) = world.emulator.app_service_identity();
    register(&world, |client| client.with_federated_credential(world.emulator.managed_identity_subject()));
    world.use_credential(ManagedIdentity::app_service(&endpoint, &header).unwrap());
    token(&mut world).await.unwrap();
    world.use_credential(ManagedIdentity::app_service(&endpoint, "another").unwrap());
    world.cache = async_msal::TokenCache::new();
    let error = token(&mut world).await.unwrap_err();
    assert!(
        matches!(error, Error::ClientAssertion(ClientAssertionError::ManagedIdentity { status: 401, .. })),
        "{error:?}"
    );
}

#[tokio::test]
async fn unknown_identity_is_a_typed_error() {
    let mut world = World::new().await;
    let identity = ManagedIdentity::imds(&world.emulator.base_url()).unwrap().user_assigned("nobody");
    world.use_credential(identity);
    let error = token(&mut world).await.unwrap_err();
    assert!(
        matches!(error, Error::ClientAssertion(ClientAssertionError::ManagedIdentity { status: 400, .. })),
        "{error:?}"
    );
    assert!(error.to_string().contains("invalid_request"), "{error}");
    assert_eq!(world.emulator.admin().counters().token(), 0);
}
