//! Every error of Entra ID's table: who must act, and what a web application does.

use async_msal::error::AuthResponseError;
use async_msal::{AuthResponse, ClientTokenOptions, Error, Scopes};
use async_msal_emulator::{Endpoint, Fault, FaultRule};
use serde::Deserialize;
use serde_json::Value;

use crate::support::{World, request};

#[derive(Deserialize)]
struct Row {
    source: String,
    at: String,
    status: u16,
    kind: String,
    advice: String,
    body: Value,
}

fn rows() -> Vec<Row> {
    serde_json::from_str(include_str!("../fixtures/entra-errors/answers.json")).unwrap()
}

#[tokio::test]
async fn each_answer_of_the_token_endpoint_has_its_kind_and_advice() {
    let mut world = World::new().await;
    world.client.metadata().await.unwrap();
    let rows = rows();
    for row in rows.iter().filter(|row| row.at == "token") {
        // A failure that may pass is tried once more.
        for _ in 0..2 {
            world.fault(FaultRule::new(Endpoint::Token, Fault::answer(row.status, row.body.to_string())));
        }
        let scopes = Scopes::from(["https://graph.microsoft.com/.default"]);
        let options = ClientTokenOptions::default();
        let asked = world.client.acquire_token_for_client(&mut world.cache, &scopes, options).await;
        judge(row, &asked.unwrap_err());
        world.emulator.admin().clear_faults();
        // Until then the refusal is remembered.
        world.clock.advance(60);
        assert!(world.cache.is_empty() && !world.cache.has_changed(), "{}", row.body);
    }
}

#[tokio::test]
async fn each_answer_of_the_callback_has_its_kind_and_advice() {
    let mut world = World::new().await;
    let flow = world.client.initiate_auth_code_flow(request()).await.unwrap();
    for row in rows().iter().filter(|row| row.at != "token") {
        let text = |name: &str| row.body[name].as_str().unwrap_or_default().to_owned();
        let state = flow.state().expose_secret();
        let fields = [("error", text("error")), ("error_description", text("error_description"))];
        let mut body = form_urlencoded::Serializer::new(format!("state={state}"));
        let body = body.extend_pairs(fields).finish();
        let response = AuthResponse::parse(&body).unwrap();
        let asked = world.client.acquire_token_by_auth_code_flow(&mut world.cache, &flow, response).await;
        let error = asked.unwrap_err();
        assert!(matches!(&error, Error::AuthResponse(AuthResponseError::Refused(_))));
        judge(row, &error);
    }
}

fn judge(row: &Row, error: &Error) {
    let number = row.body["error_codes"][0].as_u64().unwrap();
    let server = error.server().unwrap_or_else(|| panic!("{number}: {error:?}"));
    assert_eq!(error.code(), row.kind, "{number}");
    assert_eq!(format!("{:?}", error.advice()), row.advice, "{number} ({})", row.source);
    assert_eq!(server.codes, [number]);
    assert!(server.meaning().is_some(), "{number} has no meaning");
    assert!(server.correlation_id().is_some() && server.trace_id.is_some(), "{number}");
    assert_eq!(error.claims().is_some(), row.body.get("claims").is_some(), "{number}");
    assert!(!error.hint().is_empty());
}
