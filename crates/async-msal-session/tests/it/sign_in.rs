//! Signing in: once per flow, a new id each time, nothing stored before it succeeded.

use std::sync::Arc;
use std::time::Duration;

use async_msal_emulator::{Endpoint, Fault, FaultRule, IdTokenFault, IdTokenFaultRule, Policy};
use async_msal_session::async_msal::{
    AuthCodeRequest, AuthResponse, ClaimsChallenge, Prompt, ResponseMode, Scopes,
};
use async_msal_session::{
    AsyncMsal, Error, Purpose, Refused, SessionLayout, SignInCallback, SignInHooks, SignInOutcome,
};
use async_trait::async_trait;
use tokio::task::JoinSet;

use crate::support::{ADA, BEN, CLEO, GIL, PUBLIC_URL, World, request, signed_in};

struct Refuse;

#[async_trait]
impl SignInCallback for Refuse {
    async fn on_sign_in(&self, _: &AsyncMsal) -> Result<(), Refused> {
        Err(Refused::new("not today"))
    }
}

struct Panic;

#[async_trait]
impl SignInCallback for Panic {
    async fn on_sign_in(&self, _: &AsyncMsal) -> Result<(), Refused> {
        panic!("on purpose")
    }
}

struct Fill;

#[async_trait]
impl SignInCallback for Fill {
    async fn on_sign_in(&self, session: &AsyncMsal) -> Result<(), Refused> {
        for number in 0..9 {
            session.set_item(&format!("n{number}"), &"x".repeat(60_000)).unwrap();
        }
        Ok(())
    }
}

struct Note;

#[async_trait]
impl SignInCallback for Note {
    async fn on_sign_in(&self, session: &AsyncMsal) -> Result<(), Refused> {
        assert!(session.store_key().is_none(), "the session is stored already");
        session.set_item("department", "physics").map_err(|error| Refused::new(error.to_string()))
    }
}

#[tokio::test]
async fn the_session_says_who_signed_in() {
    let world = World::new().await;
    let session = world.load(&world.sign_in(ADA).await).await;
    assert!(session.is_authenticated());
    assert_eq!(session.mail().as_deref(), Some(ADA));
    let identity = session.identity().unwrap();
    assert_eq!(identity.tid.as_deref(), Some(world.emulator.tenant_id()));
    assert_eq!(identity.oid, Some(world.emulator.users()[0].object_id.clone()));
    assert_eq!(identity.signed_in_at, 1_800_000_000);
    assert!(session.name().is_some() && session.manager_mail().is_some());
}

#[tokio::test]
async fn a_user_without_manager_signs_in_at_once() {
    let world = World::new().await;
    let session = world.load(&world.sign_in(BEN).await).await;
    assert!(session.is_authenticated());
    assert_eq!(session.manager_mail(), None);
    assert_eq!(world.emulator.admin().counters().graph_manager, 1, "404 is no reason to retry");
}

#[tokio::test]
async fn a_user_whose_mail_is_null_is_signed_in_under_their_user_name() {
    let world = World::new().await;
    let session = world.load(&world.sign_in(CLEO).await).await;
    assert!(session.is_authenticated());
    assert_eq!(session.mail().as_deref(), Some(CLEO));
}

#[tokio::test]
async fn a_guest_is_named_by_the_ids_of_this_tenant() {
    let world = World::new().await;
    let session = world.load(&world.sign_in(GIL).await).await;
    let gil = world.emulator.users().into_iter().find(|person| person.is_guest()).unwrap();
    let identity = session.identity().unwrap();
    assert_eq!(identity.oid, Some(gil.object_id));
    assert_ne!(
        session.account().unwrap().home_account_id(),
        format!("{}.{}", gil.home_object_id, world.emulator.tenant_id())
    );
}

#[tokio::test]
async fn nothing_is_stored_before_the_sign_in_succeeds() {
    let world = World::new().await;
    world.msal.initiate_sign_in(request()).await.unwrap();
    assert_eq!(world.store.writes() + world.store.calls("put_once") + world.store.calls("index_add"), 0);
}

#[tokio::test]
async fn fifty_identical_callbacks_make_one_token_request_and_one_session() {
    let world = Arc::new(World::new().await);
    let (started, response) = world.answered(ADA).await;
    let mut submits = JoinSet::new();
    for _ in 0..50 {
        let (world, started, response) = (Arc::clone(&world), started.clone(), response.clone());
        submits.spawn(async move {
            world.msal.complete_sign_in(&started.sealed, response, &SignInHooks::new()).await.map(signed_in)
        });
    }
    let outcomes = submits.join_all().await;
    let first = outcomes[0].as_ref().unwrap().session_id.clone();
    assert!(outcomes.iter().all(|outcome| outcome.as_ref().unwrap().session_id.ct_eq(&first)));
    assert_eq!(outcomes.iter().filter(|outcome| !outcome.as_ref().unwrap().repeated).count(), 1);
    assert_eq!(world.emulator.admin().counters().token(), 1);
    assert_eq!(world.store.calls("create"), 1);
}

#[tokio::test]
async fn a_browser_that_hung_up_gets_its_session_by_submitting_again() {
    let world = Arc::new(World::new().await);
    let (started, response) = world.answered(ADA).await;
    let gate = world.store.gate("create");
    let (first, again) = (Arc::clone(&world), response.clone());
    let sealed = started.sealed.clone();
    let cut =
        tokio::spawn(
            async move { first.msal.complete_sign_in(&sealed, response, &SignInHooks::new()).await },
        );
    while world.store.calls("create") == 0 {
        tokio::task::yield_now().await;
    }
    cut.abort();
    assert!(cut.await.unwrap_err().is_cancelled());
    gate.add_permits(1);
    let outcome = world.msal.complete_sign_in(&started.sealed, again, &SignInHooks::new()).await.unwrap();
    assert!(world.load(&signed_in(outcome).session_id).await.is_authenticated());
    assert_eq!(world.emulator.admin().counters().token(), 1);
}

#[tokio::test]
async fn a_failed_sign_in_fails_alike_when_submitted_again() {
    let world = World::new().await;
    let (started, response) = world.answered(ADA).await;
    world.emulator.admin().fail_next_id_token(IdTokenFaultRule::new(IdTokenFault::WrongAudience)).unwrap();
    let first = world
        .msal
        .complete_sign_in(&started.sealed, response.clone(), &SignInHooks::new())
        .await
        .unwrap_err();
    let second =
        world.msal.complete_sign_in(&started.sealed, response, &SignInHooks::new()).await.unwrap_err();
    assert_eq!(first.code(), "id_token");
    assert_eq!(second.code(), first.code());
    assert_eq!(second.to_string(), first.to_string());
    assert!(matches!(second, Error::Earlier(_)));
    assert_eq!(world.emulator.admin().counters().token(), 1);
    assert_eq!(world.store.calls("create") + world.store.calls("index_add"), 0, "something was stored");
}

#[tokio::test]
async fn a_refused_sign_in_stores_nothing_and_leaves_the_earlier_session() {
    let world = World::new().await;
    let before = world.sign_in(ADA).await;
    let creates = world.store.calls("create");
    let (started, response) = world.answered_to(request().with_present_session(&before), BEN).await;
    let hooks = SignInHooks::new().with_callback(Arc::new(Refuse));
    for _ in 0..2 {
        let refused =
            world.msal.complete_sign_in(&started.sealed, response.clone(), &hooks).await.unwrap_err();
        assert!(matches!(&refused, Error::Refused(text) if text == "not today"), "{refused:?}");
    }
    assert_eq!(world.store.calls("create"), creates);
    assert_eq!(world.load(&before).await.mail().as_deref(), Some(ADA));
}

#[tokio::test]
async fn a_callback_that_panics_ends_the_sign_in_and_a_second_submit_is_told_the_same() {
    let world = World::new().await;
    let (started, response) = world.answered(ADA).await;
    let hooks = SignInHooks::new().with_callback(Arc::new(Panic));
    for _ in 0..2 {
        let failed = world.msal.complete_sign_in(&started.sealed, response.clone(), &hooks).await;
        assert_eq!(failed.unwrap_err().code(), "callback_panicked");
    }
    assert_eq!(world.store.calls("create"), 0);
}

#[tokio::test]
async fn a_callback_cannot_fill_the_room_that_renewed_tokens_need() {
    let world = World::new().await;
    let (started, response) = world.answered(ADA).await;
    let hooks = SignInHooks::new().with_callback(Arc::new(Fill));
    let failed = world.msal.complete_sign_in(&started.sealed, response, &hooks).await;
    assert!(matches!(failed, Err(Error::Item { .. })), "{failed:?}");
}

#[tokio::test]
async fn a_callback_writes_into_the_session_before_it_is_stored() {
    let world = World::new().await;
    let (started, response) = world.answered(ADA).await;
    let hooks = SignInHooks::new().with_callback(Arc::new(Note));
    let outcome = world.msal.complete_sign_in(&started.sealed, response, &hooks).await.unwrap();
    let session = world.load(&signed_in(outcome).session_id).await;
    assert_eq!(session.item::<String>("department").unwrap().as_deref(), Some("physics"));
}

#[tokio::test]
async fn signing_in_again_gives_a_new_id_and_ends_the_old_record() {
    let world = World::new().await;
    let before = world.sign_in(ADA).await;
    let after = world.sign_in_as(request().with_present_session(&before), ADA).await.unwrap().session_id;
    assert!(!after.ct_eq(&before));
    assert!(world.msal.load_session(&before).await.unwrap().is_none(), "the old record lives on");
    assert!(world.load(&after).await.is_authenticated());
}

#[tokio::test]
async fn the_same_person_keeps_their_items_and_another_gets_none() {
    let world = World::new().await;
    let first = world.sign_in(ADA).await;
    let session = world.load(&first).await;
    session.set_item("cart", &3).unwrap();
    session.save().await.unwrap();
    let second = world.sign_in_as(request().with_present_session(&first), ADA).await.unwrap().session_id;
    assert_eq!(world.load(&second).await.item::<i32>("cart").unwrap(), Some(3));
    let third = world.sign_in_as(request().with_present_session(&second), BEN).await.unwrap().session_id;
    assert_eq!(world.load(&third).await.item::<i32>("cart").unwrap(), None);
    assert_eq!(world.load(&third).await.mail().as_deref(), Some(BEN));
}

#[tokio::test]
async fn a_store_that_cannot_take_the_mark_leaves_the_flow_usable() {
    let world = World::new().await;
    let (started, response) = world.answered(ADA).await;
    world.store.fail("put_once", 1);
    let failed = world.msal.complete_sign_in(&started.sealed, response.clone(), &SignInHooks::new()).await;
    assert!(matches!(failed, Err(Error::Store(_))), "{failed:?}");
    assert_eq!(world.emulator.admin().counters().token(), 0);
    let outcome = world.msal.complete_sign_in(&started.sealed, response, &SignInHooks::new()).await.unwrap();
    assert!(world.load(&signed_in(outcome).session_id).await.is_authenticated());
}

#[tokio::test]
async fn a_store_that_stumbles_while_creating_the_session_loses_no_sign_in() {
    let world = World::new().await;
    world.store.fail("create", 2);
    let id = world.sign_in(ADA).await;
    assert!(world.load(&id).await.is_authenticated());
}

#[tokio::test]
async fn a_used_state_whose_outcome_is_gone_redeems_nothing() {
    let world = World::new().await;
    let (started, response) = world.answered(ADA).await;
    world.store.fail("replace_once", 9);
    world.msal.complete_sign_in(&started.sealed, response.clone(), &SignInHooks::new()).await.unwrap();
    // The mark of a task that died: the waiter gives up in the end.
    let hooks = SignInHooks::new();
    let waiting = world.msal.complete_sign_in(&started.sealed, response, &hooks);
    let outcome = tokio::time::timeout(Duration::from_secs(60), waiting).await.unwrap().unwrap();
    assert!(matches!(outcome, SignInOutcome::AlreadyUsed));
    assert_eq!(world.emulator.admin().counters().token(), 1);
}

#[tokio::test]
async fn an_answer_with_another_state_does_not_use_up_the_sign_in() {
    let world = World::new().await;
    let (started, response) = world.answered(ADA).await;
    let forged = AuthResponse::parse("code=x&state=forged").unwrap();
    let refused =
        world.msal.complete_sign_in(&started.sealed, forged, &SignInHooks::new()).await.unwrap_err();
    assert_eq!(refused.code(), "auth_response");
    assert_eq!(world.store.calls("put_once"), 0);
    assert!(world.msal.complete_sign_in(&started.sealed, response, &SignInHooks::new()).await.is_ok());
}

#[tokio::test]
async fn a_flow_expires_after_fifteen_minutes() {
    let world = World::new().await;
    let (started, response) = world.answered(ADA).await;
    world.clock.advance(15 * 60);
    let late = world.msal.complete_sign_in(&started.sealed, response, &SignInHooks::new()).await;
    assert!(matches!(late, Err(Error::SignInExpired)), "{late:?}");
    assert_eq!(world.emulator.admin().counters().token(), 0);
}

#[tokio::test]
async fn an_altered_flow_cookie_is_an_expired_sign_in() {
    let world = World::new().await;
    let (started, response) = world.answered(ADA).await;
    for altered in ["", "a.b.c", &started.sealed[1..], &format!("{}A", started.sealed)] {
        let refused = world.msal.complete_sign_in(altered, response.clone(), &SignInHooks::new()).await;
        assert!(matches!(refused, Err(Error::SignInExpired)), "{altered:?}");
    }
    let other = world.msal.seal(Purpose::Cookie, "", b"{}").unwrap();
    assert!(world.msal.complete_sign_in(&other, response, &SignInHooks::new()).await.is_err());
}

#[tokio::test]
async fn the_flow_cookie_is_under_700_bytes_with_ordinary_scopes() {
    let world = World::with(Policy::default(), |builder| {
        builder.scopes(Scopes::from(["User.Read", "User.Read.All", "Mail.Read"]))
    })
    .await;
    let present = world.sign_in(ADA).await;
    let request = request().with_present_session(&present).with_return_to("/orders/2026?page=2");
    let started = world.msal.initiate_sign_in(request).await.unwrap();
    assert!(started.sealed.len() < 700, "{}", started.sealed.len());
}

#[tokio::test]
async fn forty_scopes_and_a_claims_challenge_stay_under_the_cookie_limit_and_sign_in() {
    let world = World::new().await;
    let long: Vec<String> = (0..40)
        .map(|n| format!("api://00000000-0000-0000-0000-00000000000{}/Scope.Number{n}", n % 10))
        .collect();
    let claims =
        ClaimsChallenge::parse(r#"{"access_token":{"nbf":{"essential":true,"value":"1600000000"}}}"#)
            .unwrap();
    let path = format!("/{}", "p".repeat(1500));
    let request =
        request().with_scopes(long.iter().cloned().collect()).with_claims(claims).with_return_to(&path);
    let started = world.msal.initiate_sign_in(request).await.unwrap();
    assert!(started.sealed.len() <= 1400, "{}", started.sealed.len());
}

#[tokio::test]
async fn plain_http_answers_by_query_and_https_by_form_post() {
    let https = World::new().await;
    let started = https.msal.initiate_sign_in(request()).await.unwrap();
    assert!(started.auth_uri.query().unwrap().contains("response_mode=form_post"));
    let http = World::with(Policy::default(), |builder| builder.public_url("http://localhost:8400")).await;
    let started = http.msal.initiate_sign_in(request().with_prompt(Prompt::SelectAccount)).await.unwrap();
    assert!(started.auth_uri.query().unwrap().contains("response_mode=query"));
}

#[tokio::test]
async fn a_profile_that_cannot_be_had_does_not_stop_the_sign_in_and_is_fetched_later() {
    let world = World::new().await;
    for endpoint in [Endpoint::GraphMe, Endpoint::GraphManager] {
        world
            .emulator
            .admin()
            .fail_next(FaultRule::new(endpoint, Fault::answer(403, "{}")).times(1))
            .unwrap();
    }
    let session = world.load(&world.sign_in(ADA).await).await;
    assert!(session.is_authenticated());
    assert_eq!(session.manager_mail(), None);
    session.complete_profile().await.unwrap();
    assert!(session.manager_mail().is_some());
    let asked = world.emulator.admin().counters().graph_me;
    session.complete_profile().await.unwrap();
    assert_eq!(world.emulator.admin().counters().graph_me, asked, "it is asked again");
}

#[tokio::test]
async fn a_slow_profile_costs_the_sign_in_three_seconds_at_most() {
    let world = World::new().await;
    let slow = Fault::delay(Duration::from_secs(30));
    world.emulator.admin().fail_next(FaultRule::new(Endpoint::GraphMe, slow)).unwrap();
    let started = std::time::Instant::now();
    let session = world.load(&world.sign_in(ADA).await).await;
    assert!(started.elapsed() < Duration::from_secs(6), "{:?}", started.elapsed());
    assert!(session.is_authenticated());
}

#[tokio::test]
async fn the_authoritys_refusal_is_told_with_its_error() {
    let world = World::new().await;
    let started = world.msal.initiate_sign_in(request()).await.unwrap();
    let state = started.auth_uri.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
    let body = format!("error=access_denied&error_description=AADSTS65004&state={state}");
    let response = AuthResponse::parse(&body).unwrap();
    let refused =
        world.msal.complete_sign_in(&started.sealed, response, &SignInHooks::new()).await.unwrap_err();
    assert_eq!(refused.code(), "auth_response");
    assert_eq!(world.emulator.admin().counters().token(), 0);
}

#[tokio::test]
async fn the_handles_own_form_signs_in_into_a_new_session_once() {
    let world = World::new().await;
    let visitor = world.msal.new_session();
    let redirect = format!("{PUBLIC_URL}/user/authorized").parse().unwrap();
    let request = AuthCodeRequest::new(redirect, world.msal.settings().scopes().clone())
        .with_response_mode(ResponseMode::Query);
    let auth_uri = visitor.initiate_auth_code_flow(request).await.unwrap();
    let before = visitor.session_id().unwrap();
    let answer = world.emulator.authorize(auth_uri.as_str(), ADA).await.unwrap();
    let response = AuthResponse::parse(&answer.body()).unwrap();
    let again = world.load(&before).await;
    let session = visitor.acquire_token_by_auth_code_flow(response.clone()).await.unwrap();
    assert!(session.is_authenticated() && !session.session_id().unwrap().ct_eq(&before));
    assert!(matches!(again.acquire_token_by_auth_code_flow(response).await, Err(Error::SignInExpired)));
    assert!(world.msal.load_session(&before).await.unwrap().is_none());
}

#[tokio::test]
async fn the_handles_own_form_expires_after_fifteen_minutes_and_leaves_no_flow() {
    let world = World::new().await;
    let visitor = world.msal.new_session();
    let redirect = format!("{PUBLIC_URL}/user/authorized").parse().unwrap();
    let request = AuthCodeRequest::new(redirect, world.msal.settings().scopes().clone())
        .with_response_mode(ResponseMode::Query);
    let auth_uri = visitor.initiate_auth_code_flow(request).await.unwrap();
    let answer = world.emulator.authorize(auth_uri.as_str(), ADA).await.unwrap();
    world.clock.advance(15 * 60);
    let response = AuthResponse::parse(&answer.body()).unwrap();
    let late = visitor.acquire_token_by_auth_code_flow(response).await;
    assert!(matches!(late, Err(Error::SignInExpired)), "{late:?}");
    assert_eq!(world.emulator.admin().counters().token(), 0);
    let removed = world.msal.session(&visitor.session_id().unwrap());
    assert!(removed.load().await.unwrap());
    assert_eq!(removed.item::<serde_json::Value>("flow_cache").unwrap(), None);
}

#[tokio::test]
async fn layout_aiohttp_writes_what_python_reads() {
    let world = World::with(Policy::default(), |builder| builder.layout(SessionLayout::Aiohttp)).await;
    let id = world.sign_in(ADA).await;
    let stored = world.store.peek(&format!("AIOHTTP_SESSION_{}", id.expose_secret())).await;
    let record: serde_json::Value = serde_json::from_slice(&stored).unwrap();
    assert_eq!(record["created"], 1_800_000_000);
    assert_eq!(record["session"]["mail"], ADA);
    let cache: serde_json::Value =
        serde_json::from_str(record["session"]["token_cache"].as_str().unwrap()).unwrap();
    assert!(cache["RefreshToken"].is_object());
}

#[tokio::test]
async fn who_has_no_mail_in_a_record_of_python_signs_in_over_it() {
    for (person, mail) in [(CLEO, serde_json::Value::Null), (CLEO, "".into()), (GIL, serde_json::Value::Null)]
    {
        let world = World::with(Policy::default(), |builder| builder.layout(SessionLayout::Aiohttp)).await;
        let id = world.signed_in_by_python(person, |record| record["session"]["mail"] = mail.clone()).await;
        let request = request().with_present_session(&id);
        let signed_in = world.sign_in_as(request, person).await.unwrap().session_id;
        let session = world.load(&signed_in).await;
        assert!(session.is_authenticated(), "{person} {mail:?}: {:?}", session.mail());
    }
}
