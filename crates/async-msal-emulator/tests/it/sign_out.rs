//! The logout endpoint.

use async_msal_emulator::Emulator;
use reqwest::Response;

use crate::support::{ADA, REDIRECT, SIGNED_OUT, auth_uri, emulator, http};

/// Signs in on the login page; the browser's cookie.
async fn browser(emulator: &Emulator) -> String {
    let uri = auth_uri(emulator, &[]);
    let raw = uri.split_once('?').unwrap().1;
    let form = [("request", raw), ("step", "consent"), ("person", ADA)];
    let answer = http().post(format!("{}/login", emulator.authority_url())).form(&form).send().await.unwrap();
    let cookie = answer.headers()["set-cookie"].to_str().unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"));
    cookie.split(';').next().unwrap().to_owned()
}

async fn logout(emulator: &Emulator, cookie: &str, query: &[(&str, &str)]) -> Response {
    let url = format!("{}/oauth2/v2.0/logout", emulator.authority_url());
    http().get(url).query(query).header("cookie", cookie).send().await.unwrap()
}

#[tokio::test]
async fn it_goes_back_to_a_registered_address_with_the_state() {
    let emulator = emulator().await;
    let cookie = browser(&emulator).await;
    let query = [("post_logout_redirect_uri", SIGNED_OUT), ("state", "s&=")];
    let answer = logout(&emulator, &cookie, &query).await;
    assert_eq!(answer.status(), 302);
    assert_eq!(answer.headers()["location"], format!("{SIGNED_OUT}?state=s%26%3D"));
}

#[tokio::test]
async fn it_stays_here_without_an_address_or_with_one_that_is_not_registered() {
    let emulator = emulator().await;
    for query in [vec![], vec![("post_logout_redirect_uri", "https://evil.example/")]] {
        let answer = logout(&emulator, "", &query).await;
        assert_eq!(answer.status(), 200);
        assert!(answer.text().await.unwrap().contains("You are signed out"));
    }
}

#[tokio::test]
async fn the_sign_in_is_over_afterwards() {
    let emulator = emulator().await;
    let cookie = browser(&emulator).await;
    let silent = auth_uri(&emulator, &[("prompt", "none"), ("response_mode", "query")]);
    let ask = async || {
        let answer = http().get(&silent).header("cookie", &cookie).send().await.unwrap();
        answer.headers()["location"].to_str().unwrap().to_owned()
    };
    assert!(ask().await.contains("code="));
    logout(&emulator, &cookie, &[("logout_hint", ADA)]).await;
    assert!(ask().await.contains("login_required"));
}

#[tokio::test]
async fn registered_front_channel_addresses_are_framed_with_the_sid_and_no_issuer() {
    let emulator = emulator().await;
    emulator.register_frontchannel_logout_uri("http://localhost:9/user/frontchannel-logout").unwrap();
    let cookie = browser(&emulator).await;
    let page = logout(&emulator, &cookie, &[("post_logout_redirect_uri", REDIRECT)]).await;
    let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.contains("frame-src http://localhost:9;"));
    let page = page.text().await.unwrap();
    assert!(page.contains("<iframe src=\"http://localhost:9/user/frontchannel-logout?sid="));
    assert!(!page.contains("iss="));
    assert!(page.contains("http-equiv=\"refresh\""));
}
