//! Records that the Python package's own tools wrote back.

use super::beside_both_releases;
use super::world::{Who, World, until};
use crate::app::ADA;

beside_both_releases! {
    a_record_spoiled_by_0_6_7_is_read_and_mended,
    a_record_written_back_without_an_end_gets_one_again,
}

/// 0.6.7 writes `created` as a text and drops the time to live, after which aiohttp_session fails on that cookie.
async fn a_record_spoiled_by_0_6_7_is_read_and_mended(world: World) {
    let mut browser = world.signed_in_on_rust(ADA).await;
    let key = world.key(&browser);
    world.expire_tokens(&key);
    assert_eq!(world.write_back(ADA, true).await, "identity_provider");
    assert!(world.record(&key)["created"].is_string());
    assert_eq!(world.ttl(&key), -1);
    assert_eq!(world.on_python(&mut browser).get("/user/info").await.status, 500);

    assert_eq!(world.rust_says(&mut browser).await, Who::user(ADA, "Ada Marsh"));
    until("the record is mended", || world.record(&key)["created"].is_i64()).await;
    assert!(world.ttl(&key) > 0);
    assert_eq!(world.python_says(&mut browser).await, Who::user(ADA, "Ada Marsh"));
    let token = world.python_token(&mut browser).await;
    assert_eq!(world.rust_token(&mut browser).await, token);
    assert_eq!(world.refreshes(), 1, "the token that 0.6.7 renewed serves both");
}

/// Later releases keep `created` and drop the time to live.
async fn a_record_written_back_without_an_end_gets_one_again(world: World) {
    let mut browser = world.signed_in_on_python(ADA).await;
    let key = world.key(&browser);
    world.expire_tokens(&key);
    assert_eq!(world.write_back(ADA, false).await, "identity_provider");
    assert_eq!(world.ttl(&key), -1);

    assert_eq!(world.rust_says(&mut browser).await, Who::user(ADA, "Ada Marsh"));
    until("the record has an end again", || world.ttl(&key) > 0).await;
    assert_eq!(world.python_says(&mut browser).await, Who::user(ADA, "Ada Marsh"));
}
