//! The return address: whatever a link says, the browser ends inside the application, and signs in all the same.

use async_msal_emulator::{Endpoint, Fault, FaultRule};

use crate::app::{ADA, App, Setup};

async fn end_of(app: &App, login: &str) -> String {
    let mut browser = app.browser();
    let started = browser.get(login).await;
    assert_eq!(started.status, 303, "{login}");
    let form = app.answer_of(&started, ADA).await;
    let answer = browser.cross_site_post("/user/authorized", &form).await;
    assert_eq!(answer.status, 303, "{login}");
    answer.location().to_owned()
}

#[tokio::test]
async fn foreign_addresses_end_at_the_default_page() {
    let app = App::start().await;
    let attacks = [
        "/user/login//evil.example",
        "/user/login/%2Fevil.example",
        "/user/login/%5Cevil.example",
        "/user/login/%5C%5Cevil.example",
        "/user/login/%09/evil.example",
        "/user/login/%252Fevil.example",
        "/user/login/a%0D%0ASet-Cookie:%20x=1",
        "/user/login/%00",
        "/user/login/%FF%FE",
        "/user/login/%E2%88%95evil.example",
        "/user/login/.%2F%2Fevil.example",
        "/user/login/user/logout",
    ];
    for attack in attacks {
        assert_eq!(end_of(&app, attack).await, "/", "{attack}");
    }
}

#[tokio::test]
async fn an_address_with_a_scheme_is_a_path_of_ours() {
    let app = App::start().await;
    for scheme in ["https:%2F%2Fevil.example", "javascript:alert(1)", "data:text"] {
        let end = end_of(&app, &format!("/user/login/{scheme}")).await;
        assert!(end.starts_with('/') && !end.starts_with("//"), "{end}");
    }
}

#[tokio::test]
async fn an_over_long_address_ends_at_the_default_page() {
    let app = App::start().await;
    assert_eq!(end_of(&app, &format!("/user/login/{}", "a".repeat(3_000))).await, "/");
}

#[tokio::test]
async fn the_default_page_can_be_chosen_inside_the_application() {
    let app = Setup::new().layer(|layer| layer.default_page("/start")).start().await;
    assert_eq!(end_of(&app, "/user/login").await, "/start");
    let app = Setup::new().layer(|layer| layer.default_page("//evil.example")).start().await;
    assert_eq!(end_of(&app, "/user/login").await, "/");
}

#[tokio::test]
async fn try_again_after_a_failed_sign_in_keeps_the_page_that_was_wanted() {
    let app = App::start().await;
    let mut browser = app.browser();
    let login = browser.get("/user/login/private/a%3Fx=1").await;
    let form = app.answer_of(&login, ADA).await;
    let refused = Fault::oauth_error("invalid_grant", 70_008);
    app.emulator.admin().fail_next(FaultRule::new(Endpoint::Token, refused)).expect("a fault");
    let answer = browser.cross_site_post("/user/authorized", &form).await;
    assert!(answer.status.is_client_error() || answer.status.is_server_error(), "{}", answer.status);
    let again = "/user/login/private/a";
    assert!(answer.body.contains(again), "{}", answer.body);
    let at = answer.body.find(again).expect("the link");
    let link = answer.body[at..].split('"').next().expect("an address").replace("&#38;", "&");
    let login = browser.get(&link).await;
    let form = app.answer_of(&login, ADA).await;
    let back = browser.cross_site_post("/user/authorized", &form).await;
    assert_eq!((back.status.as_u16(), back.location()), (303, "/private/a?x=1"), "{}", back.body);
}
