//! What writes of the Rust side do to a record's life, and to a record that is gone.

use std::time::Duration;

use async_msal_emulator::{Endpoint, Fault, FaultRule};

use super::beside_both_releases;
use super::world::{Who, World, now, until};
use crate::app::ADA;
use crate::browser::{Answer, Browser};

beside_both_releases! {
    a_sign_out_on_python_during_a_renewal_on_rust_stays,
    a_record_that_vanished_during_a_renewal_on_rust_stays_away,
    an_item_that_python_saved_during_a_renewal_on_rust_is_kept,
    a_renewal_on_both_sides_at_once_leaves_one_token_that_serves_both,
    a_write_on_rust_keeps_the_time_to_live,
    the_sliding_write_lengthens_the_life_and_python_reads_on,
}

/// Asks Rust for a token that has to be renewed, runs `meanwhile` while the authority takes its time, and gives the
/// answer.
async fn during_a_renewal(world: &World, browser: &Browser, meanwhile: impl AsyncFnOnce()) -> Answer {
    world.expire_tokens(&world.key(browser));
    let slow = Fault::delay(Duration::from_secs(2));
    world.emulator.admin().fail_next(FaultRule::new(Endpoint::Token, slow)).expect("room for a fault");
    let mut asking = browser.clone();
    world.on_rust(&mut asking);
    let asked = tokio::spawn(async move { asking.fetch("/token").await });
    until("the renewal is under way", || world.refreshes() == 1).await;
    meanwhile().await;
    assert!(!asked.is_finished(), "the renewal is still under way");
    asked.await.expect("an answer")
}

async fn a_sign_out_on_python_during_a_renewal_on_rust_stays(world: World) {
    let browser = world.signed_in_on_rust(ADA).await;
    let key = world.key(&browser);
    let mut copy = browser.clone();
    let answer = during_a_renewal(&world, &browser, async || {
        let mut leaving = browser.clone();
        assert_eq!(world.on_python(&mut leaving).get("/user/logout").await.status, 302);
    })
    .await;
    assert_eq!(answer.status, 401, "{}", answer.body);
    assert_eq!(world.text(&key).as_deref(), Some("{}"));
    assert_eq!(world.rust_says(&mut copy).await, Who::NOBODY);
    assert_eq!(world.python_says(&mut copy).await, Who::NOBODY);
}

async fn a_record_that_vanished_during_a_renewal_on_rust_stays_away(world: World) {
    let browser = world.signed_in_on_rust(ADA).await;
    let key = world.key(&browser);
    let mut copy = browser.clone();
    let answer = during_a_renewal(&world, &browser, async || {
        assert_eq!(world.redis.cli(&["DEL", &key]), "1");
    })
    .await;
    assert_eq!(answer.status, 401, "{}", answer.body);
    assert_eq!(world.text(&key), None);
    assert_eq!(world.rust_says(&mut copy).await, Who::NOBODY);
    assert_eq!(world.python_says(&mut copy).await, Who::NOBODY);
    assert_eq!(world.text(&key), None);
}

async fn an_item_that_python_saved_during_a_renewal_on_rust_is_kept(world: World) {
    let browser = world.signed_in_on_rust(ADA).await;
    let mut copy = browser.clone();
    let answer = during_a_renewal(&world, &browser, async || {
        let mut counting = browser.clone();
        assert_eq!(world.on_python(&mut counting).get("/count").await.body, "1");
    })
    .await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(world.on_python(&mut copy).get("/count").await.body, "2");
    assert_eq!(world.python_token(&mut copy).await, answer.json()["access_token"]);
    assert_eq!(world.refreshes(), 1);
}

/// Python takes no lease, so two token requests are made; Entra ID keeps the earlier refresh token good.
async fn a_renewal_on_both_sides_at_once_leaves_one_token_that_serves_both(world: World) {
    let browser = world.signed_in_on_rust(ADA).await;
    let mut copy = browser.clone();
    let answer = during_a_renewal(&world, &browser, async || {
        let mut asking = browser.clone();
        world.python_token(&mut asking).await;
    })
    .await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(world.refreshes(), 2);
    let token = world.rust_token(&mut copy).await;
    assert_eq!(world.python_token(&mut copy).await, token);
    assert_eq!(world.rust_says(&mut copy).await, Who::user(ADA, "Ada Marsh"));
    assert_eq!(world.refreshes(), 2);
}

async fn a_write_on_rust_keeps_the_time_to_live(world: World) {
    const SHORT: i64 = 5_000;
    let shorten = |key: &str| assert_eq!(world.redis.cli(&["EXPIRE", key, "5000"]), "1");
    let mut browser = world.signed_in_on_rust(ADA).await;
    let key = world.key(&browser);
    shorten(&key);
    assert_eq!(world.on_rust(&mut browser).post("/count", "").await.body, "1");
    assert!((SHORT - 60..=SHORT).contains(&world.ttl(&key)), "an item: {}", world.ttl(&key));
    world.expire_tokens(&key);
    world.rust_token(&mut browser).await;
    assert!((SHORT - 60..=SHORT).contains(&world.ttl(&key)), "a renewal: {}", world.ttl(&key));

    let mut browser = world.signed_in_on_python(ADA).await;
    let key = world.key(&browser);
    shorten(&key);
    world.rust_says(&mut browser).await;
    until("the identity is kept", || world.record(&key)["session"]["async_msal"].is_object()).await;
    assert!((SHORT - 60..=SHORT).contains(&world.ttl(&key)), "the identity: {}", world.ttl(&key));
}

async fn the_sliding_write_lengthens_the_life_and_python_reads_on(world: World) {
    const DAY: i64 = 86_400;
    let mut browser = world.signed_in_on_rust(ADA).await;
    let key = world.key(&browser);
    // Used last eight days ago: not due. Ten days ago, more than a tenth of 90: due.
    for (days, due) in [(8, false), (10, true)] {
        let used = now() - days * DAY;
        world.edit(&key, |record| record["created"] = used.into());
        assert_eq!(world.redis.cli(&["EXPIRE", &key, &((90 - days) * DAY).to_string()]), "1");
        assert_eq!(world.rust_says(&mut browser).await, Who::user(ADA, "Ada Marsh"));
        if due {
            until("the life is lengthened", || world.record(&key)["created"].as_i64() > Some(used)).await;
            assert!(world.ttl(&key) > 89 * DAY, "{}", world.ttl(&key));
        } else {
            assert_eq!(world.record(&key)["created"], used);
            assert!(world.ttl(&key) <= 82 * DAY, "{}", world.ttl(&key));
        }
        assert_eq!(world.python_says(&mut browser).await, Who::user(ADA, "Ada Marsh"));
    }
}
