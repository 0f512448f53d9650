//! Stopping while a sign-in is under way.

use std::sync::Arc;
use std::time::Duration;

use async_msal_axum::serve_until;
use async_msal_axum::{MsalLayer, testing};
use async_msal_emulator::{Endpoint, Fault, FaultRule};
use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::Notify;

use crate::app::ADA;
use crate::browser::Browser;

#[tokio::test]
async fn a_callback_in_flight_is_answered_before_the_server_ends() {
    let msal = testing::msal().await;
    let emulator = testing::emulator(&msal);
    let auth = MsalLayer::new(msal.clone());
    let app = Router::new().merge(auth.routes()).layer(auth);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let stop = Arc::new(Notify::new());
    let signal = {
        let stop = Arc::clone(&stop);
        async move { stop.notified().await }
    };
    let server = tokio::spawn({
        let msal = msal.clone();
        async move { serve_until(listener, app, &msal, signal).await }
    });

    let mut browser = Browser::new(address);
    let login = browser.get("/user/login").await;
    let form = emulator.authorize(login.location(), ADA).await.expect("a sign-in").body();
    let slow = FaultRule::new(Endpoint::Token, Fault::delay(Duration::from_millis(700)));
    emulator.admin().fail_next(slow).expect("a fault");
    let callback = tokio::spawn(async move { browser.cross_site_post("/user/authorized", &form).await });
    while emulator.admin().counters().token() == 0 {
        tokio::task::yield_now().await;
    }
    stop.notify_one();
    let answer = callback.await.expect("an answer");
    assert_eq!((answer.status.as_u16(), answer.location()), (303, "/"), "{}", answer.body);
    server.await.expect("the server ends").expect("without an error");
}
