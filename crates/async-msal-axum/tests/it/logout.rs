//! Ending a session: by form, by link, by the authority.

use std::time::{Duration, Instant};

use reqwest::Method;

use crate::app::{ADA, App, HTTPS, Setup};

const SESSION: &str = "__Host-async_msal";

#[tokio::test]
async fn a_form_signs_out_here_and_at_the_authority() {
    let app = App::start().await;
    let mut browser = app.signed_in(ADA).await;
    let answer = browser.post("/user/logout", "").await;
    assert_eq!(answer.status, 303);
    let target = url::Url::parse(answer.location()).expect("an address");
    assert_eq!(target.origin().ascii_serialization(), app.emulator.base_url());
    let values: Vec<_> = target.query_pairs().into_owned().collect();
    assert!(
        values.contains(&("post_logout_redirect_uri".to_owned(), format!("{HTTPS}/user/signed-out"))),
        "{values:?}"
    );
    assert_eq!(browser.cookie(SESSION), None);
    assert_eq!(app.store.records().await, 0);
}

#[tokio::test]
async fn the_old_cookie_is_worthless_after_a_sign_out() {
    let app = App::start().await;
    let mut browser = app.signed_in(ADA).await;
    let mut thief = browser.clone();
    browser.post("/user/logout", "").await;
    assert_eq!(thief.get("/").await.body, "Hello stranger");
    assert_eq!(thief.fetch("/private").await.status, 401);
}

#[tokio::test]
async fn removing_the_cookie_repeats_every_attribute() {
    let app = App::start().await;
    let answer = app.signed_in(ADA).await.post("/user/logout", "").await;
    let removal = "__Host-async_msal=; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT";
    assert_eq!(answer.set_cookie("__Host-async_msal="), Some(removal));
}

#[tokio::test]
async fn a_form_of_another_site_signs_nobody_out() {
    let app = App::start().await;
    let mut browser = app.signed_in(ADA).await;
    let (_, value) = browser.cookie(SESSION).expect("a session");
    // With the cookie, as in layout aiohttp.
    for (name, foreign) in [
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
        ("x-none", ""),
    ] {
        let request = app
            .browser()
            .request(Method::POST, "/user/logout")
            .header("cookie", format!("{SESSION}={value}"));
        let answer = app.browser().send(request.header(name, foreign), false).await;
        assert_eq!(answer.status, 403, "{name}: {foreign}");
    }
    assert_eq!(browser.get("/").await.body, "Hello Ada Marsh");
}

#[tokio::test]
async fn a_link_of_our_own_page_or_the_address_bar_signs_out() {
    let app = App::start().await;
    assert_eq!(app.signed_in(ADA).await.follow("/user/logout").await.status, 303);
    assert_eq!(app.signed_in(ADA).await.get("/user/logout").await.status, 303);
}

#[tokio::test]
async fn a_link_from_elsewhere_asks_first() {
    let app = App::start().await;
    let mut browser = app.signed_in(ADA).await;
    for site in [Some("cross-site"), Some("same-site"), None] {
        let mut request = browser.request(Method::GET, "/user/logout/private").header("accept", "text/html");
        if let Some(site) = site {
            request = request.header("sec-fetch-site", site);
        }
        let answer = browser.send(request, false).await;
        assert_eq!(answer.status, 200, "{site:?}");
        assert!(
            answer.body.contains("<form method=\"post\" action=\"/user/logout/private\">"),
            "{}",
            answer.body
        );
        let policy = answer.header("content-security-policy").to_owned();
        assert!(policy.contains(&format!("form-action 'self' {}", app.emulator.base_url())), "{policy}");
    }
    assert_eq!(browser.get("/").await.body, "Hello Ada Marsh");
}

#[tokio::test]
async fn the_way_back_leads_to_the_page_that_was_asked_for() {
    let app = App::start().await;
    let mut browser = app.signed_in(ADA).await;
    let answer = browser.post("/user/logout/plain", "").await;
    let target = url::Url::parse(answer.location()).expect("an address");
    let state = target.query_pairs().find(|(name, _)| name == "state").expect("a state").1.into_owned();
    let back = browser.get(&format!("/user/signed-out?state={state}")).await;
    assert_eq!((back.status.as_u16(), back.location()), (303, "/plain"));
    let again = browser.get(&format!("/user/signed-out?state={state}")).await;
    assert_eq!(again.status, 200, "the way back works once");
}

#[tokio::test]
async fn a_wrong_or_missing_state_shows_that_the_user_is_signed_out() {
    let app = App::start().await;
    let mut browser = app.signed_in(ADA).await;
    browser.post("/user/logout/plain", "").await;
    for query in ["", "?state=", "?state=wrong", "?state=%00%0d%0a"] {
        let mut copy = browser.clone();
        let answer = copy.get(&format!("/user/signed-out{query}")).await;
        assert_eq!(answer.status, 200, "{query}");
        assert!(answer.body.contains("You are signed out"), "{query}");
    }
}

#[tokio::test]
async fn a_sign_out_ends_inside_the_application_only() {
    let app = App::start().await;
    for target in ["/evil.example", "%2Fevil.example", "%5Cevil.example", "https:%2F%2Fevil.example"] {
        let mut browser = app.signed_in(ADA).await;
        let answer = browser.post(&format!("/user/logout/{target}"), "").await;
        let location = url::Url::parse(answer.location()).expect("an address");
        let state = location.query_pairs().find(|(name, _)| name == "state").expect("a state").1.into_owned();
        let back = browser.get(&format!("/user/signed-out?state={state}")).await;
        assert!(["/", "/https://evil.example"].contains(&back.location()), "{target}: {}", back.location());
    }
}

#[tokio::test]
async fn signing_out_leaves_the_users_other_browser_signed_in() {
    let app = App::start().await;
    let mut one = app.signed_in(ADA).await;
    let mut other = app.signed_in(ADA).await;
    one.post("/user/logout", "").await;
    assert_eq!(other.get("/").await.body, "Hello Ada Marsh");
}

#[tokio::test]
async fn signing_out_without_a_session_is_fine() {
    let app = App::start().await;
    assert_eq!(app.browser().post("/user/logout", "").await.status, 303);
}

#[tokio::test]
async fn the_authority_ends_a_session_by_its_sid_in_a_frame() {
    let app = App::start().await;
    let browser = app.signed_in(ADA).await;
    let sid = session_sid(&app, &browser).await;
    let answer = app.browser().get(&format!("/user/frontchannel-logout?sid={sid}")).await;
    assert_eq!((answer.status.as_u16(), answer.header("cache-control")), (200, "no-store"));
    let policy = answer.header("content-security-policy");
    assert!(policy.contains(&format!("frame-ancestors {}", app.emulator.base_url())), "{policy}");
    assert_eq!(answer.header("x-frame-options"), "");
    assert_eq!(browser.clone().get("/").await.body, "Hello stranger");
}

#[tokio::test]
async fn a_frame_without_a_known_sid_ends_nothing() {
    let app = App::start().await;
    let mut browser = app.signed_in(ADA).await;
    let sid = session_sid(&app, &browser).await;
    let queries = [
        String::new(),
        "?sid=".to_owned(),
        "?sid=unknown".to_owned(),
        "?sid=*".to_owned(),
        format!("?sid={sid}&sid={sid}"),
        format!("?sid={sid}&iss=https%3A%2F%2Fevil.example"),
    ];
    for query in queries {
        assert_eq!(browser.get(&format!("/user/frontchannel-logout{query}")).await.status, 200, "{query}");
        assert_eq!(browser.get("/").await.body, "Hello Ada Marsh", "{query}");
    }
}

#[tokio::test]
async fn a_frame_does_not_wait_for_a_store_that_hangs() {
    let app = Setup::new().msal(|msal| msal.store_timeout(Duration::from_secs(600))).start().await;
    app.store.hang_look_ups();
    let started = Instant::now();
    // More than are worked on at a time.
    let frames = (0..80).map(|_| {
        let mut browser = app.browser();
        async move { browser.get("/user/frontchannel-logout?sid=unknown").await.status }
    });
    assert_eq!(futures_util::future::join_all(frames).await, [503; 80]);
    assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_head_request_to_the_frame_ends_nothing() {
    let app = App::start().await;
    let mut browser = app.signed_in(ADA).await;
    let sid = session_sid(&app, &browser).await;
    let address = format!("/user/frontchannel-logout?sid={sid}");
    let looked = browser.send(browser.request(reqwest::Method::HEAD, &address), true).await;
    assert_eq!((looked.status.as_u16(), looked.header("allow")), (405, "GET"));
    assert_eq!(browser.get("/").await.body, "Hello Ada Marsh");
}

#[tokio::test]
async fn unsafe_requests_of_other_origins_are_refused_on_request() {
    let app = Setup::new().layer(|layer| layer.same_origin_only()).start().await;
    let mut browser = app.signed_in(ADA).await;
    assert_eq!(browser.cross_site_post("/count", "").await.status, 403);
    assert_eq!(browser.post("/count", "").await.status, 200);
    let socket = app
        .browser()
        .request(Method::GET, "/plain")
        .header("upgrade", "websocket")
        .header("origin", "https://evil.example");
    assert_eq!(app.browser().send(socket, false).await.status, 403);
    assert_eq!(
        app.browser().send(app.browser().request(Method::POST, "/count"), false).await.status,
        200,
        "a program"
    );
}

pub(crate) async fn session_sid(app: &App, browser: &crate::browser::Browser) -> String {
    let (_, value) = browser.cookie(SESSION).expect("a session");
    let id = async_msal_axum::async_msal_session::SessionId::parse(value).expect("an id");
    let session = app.msal.load_session(&id).await.expect("the store answers").expect("a session");
    session.identity().and_then(|identity| identity.sid).expect("a sid")
}
