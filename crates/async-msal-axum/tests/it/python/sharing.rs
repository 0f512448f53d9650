//! Signing in on one side, using and renewing on the other, signing out on either.

use super::beside_both_releases;
use super::world::{Who, World};
use crate::app::{ADA, GIL};

beside_both_releases! {
    a_sign_in_on_rust_is_one_on_python,
    a_sign_in_on_python_is_one_on_rust,
    python_takes_the_token_that_rust_has,
    rust_takes_the_token_that_python_has,
    a_token_renewed_by_python_serves_rust,
    a_token_renewed_by_rust_serves_python,
    a_sign_out_on_rust_is_one_on_python,
    a_sign_out_on_python_is_one_on_rust,
    items_of_one_side_are_items_of_the_other,
    a_visitors_items_are_shared_too,
}

async fn a_sign_in_on_rust_is_one_on_python(world: World) {
    let mut browser = world.signed_in_on_rust(ADA).await;
    assert_eq!(world.python_says(&mut browser).await, Who::user(ADA, "Ada Marsh"));
    assert_eq!(world.rust_says(&mut browser).await, Who::user(ADA, "Ada Marsh"));
}

async fn a_sign_in_on_python_is_one_on_rust(world: World) {
    for (person, name) in [(ADA, "Ada Marsh"), (GIL, "Gil Torres")] {
        let mut browser = world.signed_in_on_python(person).await;
        assert_eq!(world.rust_says(&mut browser).await, Who::user(person, name));
        assert_eq!(world.python_says(&mut browser).await, Who::user(person, name));
    }
}

async fn python_takes_the_token_that_rust_has(world: World) {
    let mut browser = world.signed_in_on_rust(ADA).await;
    let token = world.rust_token(&mut browser).await;
    assert_eq!(world.python_token(&mut browser).await, token);
    assert_eq!(world.refreshes(), 0);
}

async fn rust_takes_the_token_that_python_has(world: World) {
    let mut browser = world.signed_in_on_python(ADA).await;
    let token = world.python_token(&mut browser).await;
    assert_eq!(world.rust_token(&mut browser).await, token);
    assert_eq!(world.refreshes(), 0);
}

async fn a_token_renewed_by_python_serves_rust(world: World) {
    let mut browser = world.signed_in_on_rust(ADA).await;
    let expired = world.rust_token(&mut browser).await;
    world.expire_tokens(&world.key(&browser));
    let renewed = world.python_token(&mut browser).await;
    assert_ne!(renewed, expired);
    assert_eq!(world.rust_token(&mut browser).await, renewed);
    assert_eq!(world.refreshes(), 1);
}

async fn a_token_renewed_by_rust_serves_python(world: World) {
    let mut browser = world.signed_in_on_python(ADA).await;
    let expired = world.python_token(&mut browser).await;
    world.expire_tokens(&world.key(&browser));
    let renewed = world.rust_token(&mut browser).await;
    assert_ne!(renewed, expired);
    assert_eq!(world.python_token(&mut browser).await, renewed);
    assert_eq!(world.refreshes(), 1);
}

async fn a_sign_out_on_rust_is_one_on_python(world: World) {
    for signed_in_on_python in [false, true] {
        let mut browser = match signed_in_on_python {
            true => world.signed_in_on_python(ADA).await,
            false => world.signed_in_on_rust(ADA).await,
        };
        // A copy keeps the cookie that the sign-out takes from the browser.
        let mut copy = browser.clone();
        let answer = world.on_rust(&mut browser).follow("/user/logout").await;
        assert_eq!(answer.status, 303, "{}", answer.body);
        assert_eq!(world.python_says(&mut copy).await, Who::NOBODY);
        assert_eq!(world.rust_says(&mut copy).await, Who::NOBODY);
    }
}

async fn a_sign_out_on_python_is_one_on_rust(world: World) {
    for signed_in_on_python in [false, true] {
        let mut browser = match signed_in_on_python {
            true => world.signed_in_on_python(ADA).await,
            false => world.signed_in_on_rust(ADA).await,
        };
        let mut copy = browser.clone();
        assert_eq!(world.rust_says(&mut browser).await, Who::user(ADA, "Ada Marsh"));
        let answer = world.on_python(&mut browser).get("/user/logout").await;
        assert_eq!(answer.status, 302, "{}", answer.body);
        assert_eq!(world.rust_says(&mut copy).await, Who::NOBODY);
        assert_eq!(world.python_says(&mut copy).await, Who::NOBODY);
    }
}

async fn items_of_one_side_are_items_of_the_other(world: World) {
    let mut browser = world.signed_in_on_rust(ADA).await;
    assert_eq!(world.on_rust(&mut browser).post("/count", "").await.body, "1");
    assert_eq!(world.on_python(&mut browser).get("/count").await.body, "2");
    assert_eq!(world.on_rust(&mut browser).post("/count", "").await.body, "3");
    world.expire_tokens(&world.key(&browser));
    world.rust_token(&mut browser).await;
    assert_eq!(world.on_python(&mut browser).get("/count").await.body, "4");
}

async fn a_visitors_items_are_shared_too(world: World) {
    let mut browser = world.browser();
    assert_eq!(world.on_python(&mut browser).get("/count").await.body, "1");
    assert_eq!(world.on_rust(&mut browser).post("/count", "").await.body, "2");
    assert_eq!(world.python_says(&mut browser).await, Who::NOBODY);
    let mut browser = world.browser();
    assert_eq!(world.on_rust(&mut browser).post("/count", "").await.body, "1");
    assert_eq!(world.on_python(&mut browser).get("/count").await.body, "2");
    assert_eq!(world.rust_says(&mut browser).await, Who::NOBODY);
}
