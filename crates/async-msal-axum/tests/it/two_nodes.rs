//! Whole trips of one browser over two nodes that share one Redis and nothing else, in both layouts, on one server and on a
//! Cluster.

use async_msal_axum::async_msal_session::{Find, SessionLayout};
use async_msal_test_servers::{RedisCluster, RedisServer};

use crate::app::{ADA, App, BEN, Setup};
use crate::browser::Browser;
use crate::redis_trouble::open;

async fn nodes(url: &str, layout: SessionLayout) -> (App, App) {
    let node = || Setup::new().store(open(url)).msal(move |msal| msal.layout(layout));
    let one = node().start().await;
    let other = node().start_at(one.emulator.clone()).await;
    (one, other)
}

async fn at(node: &App, browser: &mut Browser, path: &str) -> String {
    browser.turn_to(node.address);
    browser.get(path).await.body
}

async fn every_trip(url: &str, layout: SessionLayout) {
    let (one, other) = nodes(url, layout).await;
    signed_in_on_one_and_used_on_the_other(&one, &other).await;
    called_back_on_the_other(&one, &other).await;
    called_back_on_both(&one, &other).await;
    signed_out_on_the_other(&one, &other).await;
    signed_in_again_on_the_other(&one, &other).await;
    signed_out_everywhere(&one, &other).await;
}

async fn signed_in_on_one_and_used_on_the_other(one: &App, other: &App) {
    let mut browser = one.signed_in(ADA).await;
    for (node, count) in [(one, "1"), (other, "2"), (one, "3"), (other, "4")] {
        assert_eq!(at(node, &mut browser, "/").await, "Hello Ada Marsh");
        assert_eq!(browser.post("/count", "").await.body, count);
    }
}

async fn called_back_on_the_other(one: &App, other: &App) {
    let mut browser = one.browser();
    let login = browser.get("/user/login/private").await;
    let form = one.answer_of(&login, ADA).await;
    browser.turn_to(other.address);
    let answer = browser.cross_site_post("/user/authorized", &form).await;
    assert_eq!((answer.status.as_u16(), answer.location()), (303, "/private"), "{}", answer.body);
    assert_eq!(at(one, &mut browser, "/private").await, "Private for Ada Marsh");
}

/// A browser that submits twice, to two nodes: one redemption, one session.
async fn called_back_on_both(one: &App, other: &App) {
    let mut browser = one.browser();
    let login = browser.get("/user/login").await;
    let form = one.answer_of(&login, ADA).await;
    let mut second = browser.clone();
    second.turn_to(other.address);
    let before = one.code_redemptions();
    let (first, again) = tokio::join!(
        browser.cross_site_post("/user/authorized", &form),
        second.cross_site_post("/user/authorized", &form)
    );
    assert_eq!((first.status.as_u16(), again.status.as_u16()), (303, 303), "{} {}", first.body, again.body);
    assert_eq!(one.code_redemptions(), before + 1);
    assert_eq!(at(other, &mut browser, "/").await, "Hello Ada Marsh");
    assert_eq!(at(one, &mut second, "/").await, "Hello Ada Marsh");
}

async fn signed_out_on_the_other(one: &App, other: &App) {
    let mut browser = one.signed_in(ADA).await;
    let mut copy = browser.clone();
    browser.turn_to(other.address);
    assert_eq!(browser.post("/user/logout", "").await.status, 303);
    assert_eq!(copy.get("/").await.body, "Hello stranger", "at once");
}

async fn signed_in_again_on_the_other(one: &App, other: &App) {
    let mut browser = one.signed_in(ADA).await;
    let mut copy = browser.clone();
    browser.turn_to(other.address);
    assert_eq!(other.sign_in(&mut browser, BEN).await.status, 303);
    assert_eq!(at(one, &mut browser, "/").await, "Hello Ben Okoye");
    assert_eq!(copy.get("/").await.body, "Hello stranger", "the earlier session has ended");
}

async fn signed_out_everywhere(one: &App, other: &App) {
    let (mut here, mut there) = (one.signed_in(ADA).await, other.signed_in(ADA).await);
    let mut ben = one.signed_in(BEN).await;
    let ada = one.emulator.users().into_iter().find(|person| person.username == ADA).expect("Ada");
    let find = Find::user(one.emulator.tenant_id(), ada.object_id);
    assert!(other.msal.sign_out_everywhere(&find).await.expect("the store answers") >= 2);
    for node in [one, other] {
        assert_eq!(at(node, &mut here, "/").await, "Hello stranger");
        assert_eq!(at(node, &mut there, "/").await, "Hello stranger");
    }
    assert_ne!(at(other, &mut ben, "/").await, "Hello stranger");
}

#[tokio::test]
async fn every_trip_over_two_nodes_on_one_server_in_the_sealed_layout() {
    every_trip(&RedisServer::start().url(), SessionLayout::Sealed).await;
}

#[tokio::test]
async fn every_trip_over_two_nodes_on_one_server_in_layout_aiohttp() {
    every_trip(&RedisServer::start().url(), SessionLayout::Aiohttp).await;
}

#[tokio::test]
async fn every_trip_over_two_nodes_on_a_cluster_in_the_sealed_layout() {
    every_trip(&RedisCluster::start().url(), SessionLayout::Sealed).await;
}

#[tokio::test]
async fn every_trip_over_two_nodes_on_a_cluster_in_layout_aiohttp() {
    every_trip(&RedisCluster::start().url(), SessionLayout::Aiohttp).await;
}
