//! What the log and the counters tell of a store in trouble: each outage once, and what became of what it would not take.

use std::time::{Duration, Instant};

use async_msal_emulator::Policy;
use async_msal_session::async_msal::Status;
use async_msal_session::telemetry;

use crate::support::telemetry::Told;
use crate::support::{ADA, World, user_scopes};

const DOWN: &str = "session store is down";
const UP: &str = "session store is up again";

#[tokio::test]
async fn an_outage_is_logged_once_and_its_end_once_however_many_ask() {
    let told = Told::start();
    let world = World::new().await;
    let id = world.sign_in(ADA).await;
    for outage in 1..=2 {
        world.store.fail("load", 30);
        for _ in 0..30 {
            assert!(world.msal.load_session(&id).await.is_err());
            assert_eq!(world.msal.health().store.status, Status::Down);
        }
        assert_eq!((told.said(DOWN), told.said(UP)), (outage, outage - 1), "{:?}", told.lines());
        let end = Instant::now() + Duration::from_secs(30);
        while told.said(UP) < outage {
            assert!(world.msal.load_session(&id).await.unwrap().is_some());
            assert!(Instant::now() < end, "its end was not told");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        for _ in 0..30 {
            assert!(world.msal.load_session(&id).await.unwrap().is_some());
        }
        assert_eq!((told.said(DOWN), told.said(UP)), (outage, outage), "{:?}", told.lines());
        assert_eq!(world.msal.health().store.status, Status::Up);
        assert_eq!(world.msal.health().store.reason, None);
    }
    assert_eq!(told.counted(telemetry::STORE_CALLS, &["operation=load", "outcome=failed"]), 60);
}

#[tokio::test]
async fn calls_that_fail_and_succeed_by_turns_are_one_outage() {
    let told = Told::start();
    let world = World::new().await;
    let id = world.sign_in(ADA).await;
    let end = Instant::now() + Duration::from_secs(3);
    while Instant::now() < end {
        world.store.fail("load", 1);
        assert!(world.msal.load_session(&id).await.is_err());
        assert!(world.msal.load_session(&id).await.unwrap().is_some());
        let health = world.msal.health().store;
        assert_eq!((health.status, health.reason.is_some()), (Status::Up, true));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!((told.said(DOWN), told.said(UP)), (1, 0), "{:?}", told.lines());
}

#[tokio::test]
async fn a_store_that_refuses_writes_is_logged_once_and_its_end_once() {
    let told = Told::start();
    let world = World::new().await;
    let id = world.sign_in(ADA).await;
    world.store.refuse("compare_and_set");
    for _ in 0..20 {
        let session = world.load(&id).await;
        session.set_item("n", &1).unwrap();
        assert!(session.save().await.is_err());
    }
    world.store.fail("compare_and_set", 0);
    let (refuses, takes) = ("session store refuses writes", "session store takes writes again");
    assert_eq!((told.said(refuses), told.said(takes)), (1, 0), "{:?}", told.lines());
    let end = Instant::now() + Duration::from_secs(30);
    for number in 2.. {
        let session = world.load(&id).await;
        session.set_item("n", &number).unwrap();
        session.save().await.unwrap();
        if told.said(takes) == 1 {
            break;
        }
        assert!(Instant::now() < end, "its end was not told");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!((told.said(refuses), told.said(DOWN), told.said(UP)), (1, 0, 0), "{:?}", told.lines());
}

#[tokio::test]
async fn a_renewal_that_could_not_be_saved_is_counted_as_tried_again_and_as_saved_later() {
    let told = Told::start();
    let world = World::with(Policy::default(), |builder| builder).await;
    let id = world.expired(ADA).await;
    world.store.fail("compare_and_set", 3);
    world.load(&id).await.get_token(&user_scopes()).await.unwrap();
    assert_eq!(told.counted(telemetry::SAVE_FAILURES, &["outcome=retrying"]), 1);
    assert_eq!(told.counted(telemetry::SAVE_FAILURES, &["outcome=saved_later"]), 0);
    world.settle().await;
    assert_eq!(told.counted(telemetry::SAVE_FAILURES, &[]), 2);
    assert_eq!(told.counted(telemetry::SAVE_FAILURES, &["outcome=saved_later"]), 1);
    assert_eq!(told.counted(telemetry::RENEWALS, &["outcome=renewed", "cause=expired"]), 1);
    assert_eq!(told.counted(telemetry::RENEWALS, &[]), 1);
    let failed = ["operation=compare_and_set", "outcome=failed"];
    assert_eq!(told.counted(telemetry::STORE_CALLS, &failed), 3);
}

#[tokio::test]
async fn a_renewal_whose_session_ended_before_it_was_saved_is_counted_so() {
    let told = Told::start();
    let world = World::new().await;
    let id = world.expired(ADA).await;
    world.store.fail("compare_and_set", 1);
    world.load(&id).await.get_token(&user_scopes()).await.unwrap();
    world.msal.end_session(&world.msal.store_key(&id)).await.unwrap();
    world.settle().await;
    assert_eq!(told.counted(telemetry::SAVE_FAILURES, &["outcome=retrying"]), 1);
    assert_eq!(told.counted(telemetry::SAVE_FAILURES, &["outcome=session_ended"]), 1);
    assert_eq!(told.counted(telemetry::SESSIONS_ENDED, &["cause=revoked"]), 1);
}

#[tokio::test]
async fn a_sign_out_that_had_to_wait_is_counted_as_waiting_and_as_ended() {
    let told = Told::start();
    let world = World::new().await;
    let id = world.sign_in(ADA).await;
    world.store.fail("delete", 2);
    let page = "https://app.example/user/signed-out".parse().unwrap();
    assert!(world.msal.sign_out(&id, &page, None).await.is_err());
    assert_eq!(told.counted(telemetry::ENDINGS_LATER, &["outcome=waiting"]), 2, "one of each layout");
    let end = Instant::now() + Duration::from_secs(30);
    while told.counted(telemetry::ENDINGS_LATER, &["outcome=ended"]) < 2 {
        assert!(Instant::now() < end, "not ended");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(told.counted(telemetry::ENDINGS_LATER, &[]), 4);
    assert_eq!(told.counted(telemetry::SESSIONS_ENDED, &["cause=sign_out"]), 1);
    assert!(world.msal.load_session(&id).await.unwrap().is_none());
}

#[tokio::test]
async fn hits_conflicts_and_what_cannot_be_read_are_counted() {
    let told = Told::start();
    let world = World::new().await;
    let id = world.sign_in(ADA).await;
    let session = world.load(&id).await;
    let before = told.counted(telemetry::TOKEN_HITS, &[]);
    for _ in 0..5 {
        session.get_token(&user_scopes()).await.unwrap();
    }
    assert_eq!(told.counted(telemetry::TOKEN_HITS, &[]), before + 5);
    session.set_item("mine", &1).unwrap();
    let other = world.load(&id).await;
    other.set_item("theirs", &1).unwrap();
    other.save().await.unwrap();
    session.save().await.unwrap();
    assert_eq!(told.counted(telemetry::CONFLICTS, &[]), 1);
    world.store.overwrite(world.msal.store_key(&id).as_str(), "no record").await;
    assert!(world.msal.load_session(&id).await.unwrap().is_none());
    assert_eq!(told.counted(telemetry::UNREADABLE, &[]), 1);
    assert_eq!(told.counted(telemetry::SIGN_INS, &["outcome=signed_in"]), 1);
}
