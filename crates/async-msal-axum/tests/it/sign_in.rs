//! The way of one sign-in, and of several at once.

use async_msal_axum::async_msal_session::SessionId;

use crate::app::{ADA, App, BEN, CLEO, GIL, Setup};

const SESSION: &str = "__Host-async_msal=";

#[tokio::test]
async fn a_form_post_sign_in_ends_signed_in_where_it_began() {
    let app = App::start().await;
    let mut browser = app.browser();
    let login = browser.get("/user/login/private/page%3Fx=1").await;
    assert_eq!(login.status, 303);
    let form = app.answer_of(&login, ADA).await;
    let answer = browser.cross_site_post("/user/authorized", &form).await;
    assert_eq!((answer.status.as_u16(), answer.location()), (303, "/private/page?x=1"));
    assert_eq!(browser.follow("/private/page?x=1").await.body, "Private for Ada Marsh");
}

#[tokio::test]
async fn over_plain_http_the_answer_comes_by_query() {
    let app = Setup::new().public_url("http://localhost:8400").start().await;
    let mut browser = app.browser();
    let login = browser.get("/user/login").await;
    assert!(login.location().contains("response_mode=query"), "{}", login.location());
    let query = app.answer_of(&login, ADA).await;
    let answer = browser.get(&format!("/user/authorized?{query}")).await;
    assert_eq!((answer.status.as_u16(), answer.location()), (303, "/"));
    assert!(
        answer.set_cookie("async_msal=").is_some_and(|line| !line.contains("Secure")),
        "{:?}",
        answer.set_cookies()
    );
    assert_eq!(browser.get("/").await.body, "Hello Ada Marsh");
}

#[tokio::test]
async fn the_session_cookie_is_host_only_lax_secure_and_hidden_from_scripts() {
    let app = App::start().await;
    let mut browser = app.browser();
    let answer = app.sign_in(&mut browser, ADA).await;
    let line = answer.set_cookie(SESSION).expect("a session cookie");
    let (pair, attributes) = line.split_once("; ").expect("attributes");
    assert!(SessionId::parse(pair.trim_start_matches(SESSION)).is_some());
    assert_eq!(attributes, "HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=2592000");
}

#[tokio::test]
async fn the_flow_cookie_lives_fifteen_minutes_and_ends_with_the_callback() {
    let app = App::start().await;
    let mut browser = app.browser();
    let login = browser.get("/user/login").await;
    let line = login.set_cookie("__Host-async_msal_flow_").expect("a flow cookie").to_owned();
    assert!(line.ends_with("; HttpOnly; SameSite=None; Secure; Path=/; Max-Age=900"), "{line}");
    assert!(line.len() < 700 + 60, "{} bytes", line.len());
    let form = app.answer_of(&login, ADA).await;
    browser.cross_site_post("/user/authorized", &form).await;
    assert_eq!(browser.cookie("__Host-async_msal_flow_"), None);
}

#[tokio::test]
async fn neither_code_nor_tokens_nor_the_state_reach_the_browser_again() {
    let app = App::start().await;
    let mut browser = app.browser();
    let login = browser.get("/user/login").await;
    let form = app.answer_of(&login, ADA).await;
    let answer = browser.cross_site_post("/user/authorized", &form).await;
    let shown = format!("{:?} {}", answer.headers, answer.body);
    for (name, value) in form_urlencoded::parse(form.as_bytes()) {
        assert!(name == "iss" || !shown.contains(&*value), "{name} is repeated");
    }
    assert!(!shown.contains("eyJ0eXAi"), "a token is shown");
}

#[tokio::test]
async fn the_callback_answer_is_stored_nowhere() {
    let app = App::start().await;
    let mut browser = app.browser();
    let answer = app.sign_in(&mut browser, ADA).await;
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("vary"), "Cookie");
}

#[tokio::test]
async fn people_without_manager_mail_or_home_here_sign_in_too() {
    let app = App::start().await;
    for (person, greeting) in [(BEN, "Hello Ben Okoye"), (CLEO, "Hello Cleo Lind"), (GIL, "Hello Gil Torres")]
    {
        let mut browser = app.signed_in(person).await;
        assert_eq!(browser.get("/").await.body, greeting);
    }
}

#[tokio::test]
async fn two_tabs_sign_in_at_once_each_to_its_own_page() {
    let app = App::start().await;
    let mut browser = app.browser();
    let first = browser.get("/user/login/private/one").await;
    let second = browser.get("/user/login/private/two").await;
    let (first, second) = (app.answer_of(&first, ADA).await, app.answer_of(&second, ADA).await);
    let first = browser.cross_site_post("/user/authorized", &first).await;
    let second = browser.cross_site_post("/user/authorized", &second).await;
    assert_eq!((first.location(), second.location()), ("/private/one", "/private/two"));
    assert_eq!(browser.get("/").await.body, "Hello Ada Marsh");
}

#[tokio::test]
async fn fifty_equal_callbacks_at_once_make_one_token_request() {
    let app = App::start().await;
    let mut browser = app.browser();
    let login = browser.get("/user/login").await;
    let form = app.answer_of(&login, ADA).await;
    let submits = (0..50).map(|_| {
        let (mut copy, form) = (browser.clone(), form.clone());
        tokio::spawn(async move {
            let answer = copy.cross_site_post("/user/authorized", &form).await;
            assert_eq!((answer.status.as_u16(), answer.location()), (303, "/"), "{}", answer.body);
            copy.get("/").await.body
        })
    });
    for submit in submits.collect::<Vec<_>>() {
        assert_eq!(submit.await.expect("a finished submit"), "Hello Ada Marsh");
    }
    assert_eq!(app.code_redemptions(), 1);
    assert_eq!(app.store.records().await, 1);
}

#[tokio::test]
async fn a_second_submit_with_the_flow_cookie_gets_the_same_answer_without_a_token_request() {
    let app = App::start().await;
    let mut browser = app.browser();
    let login = browser.get("/user/login").await;
    let form = app.answer_of(&login, ADA).await;
    let mut again = browser.clone();
    browser.cross_site_post("/user/authorized", &form).await;
    let answer = again.cross_site_post("/user/authorized", &form).await;
    assert_eq!((answer.status.as_u16(), answer.location()), (303, "/"));
    assert_eq!(again.cookie(SESSION.trim_end_matches('=')), browser.cookie(SESSION.trim_end_matches('=')));
    assert_eq!(app.code_redemptions(), 1);
}

#[tokio::test]
async fn the_back_button_after_a_sign_in_leads_on_through_resume() {
    let app = App::start().await;
    let mut browser = app.browser();
    let login = browser.get("/user/login").await;
    let form = app.answer_of(&login, ADA).await;
    browser.cross_site_post("/user/authorized", &form).await;
    let repeated = browser.cross_site_post("/user/authorized", &form).await;
    assert_eq!((repeated.status.as_u16(), repeated.location()), (303, "/user/login/resume"));
    let resumed = browser.follow("/user/login/resume").await;
    assert_eq!((resumed.status.as_u16(), resumed.location()), (303, "/"));
    assert_eq!(app.code_redemptions(), 1);
}

#[tokio::test]
async fn signing_in_again_changes_the_session_id_and_removes_the_old_record() {
    let app = App::start().await;
    let mut browser = app.signed_in(ADA).await;
    let old = browser.clone();
    let answer = app.sign_in(&mut browser, ADA).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    assert_ne!(browser.cookie("__Host-async_msal"), old.clone().cookie("__Host-async_msal"));
    assert_eq!(app.store.records().await, 1);
    assert_eq!(old.clone().get("/").await.body, "Hello stranger");
}

#[tokio::test]
async fn items_move_to_the_new_session_of_the_same_person_only() {
    let app = App::start().await;
    let mut browser = app.signed_in(ADA).await;
    browser.post("/count", "").await;
    app.sign_in(&mut browser, ADA).await;
    assert_eq!(browser.get("/counted").await.body, "1");
    app.sign_in(&mut browser, BEN).await;
    assert_eq!(browser.get("/counted").await.body, "0");
    assert_eq!(browser.get("/").await.body, "Hello Ben Okoye");
}

#[tokio::test]
async fn a_planted_session_id_is_never_adopted() {
    let app = App::start().await;
    let mut browser = app.browser();
    let planted = "0123456789abcdef0123456789abcdef";
    browser.set_cookie("__Host-async_msal", planted);
    app.sign_in(&mut browser, ADA).await;
    let (_, value) = browser.cookie("__Host-async_msal").expect("a session");
    assert_ne!(value, planted);
}

#[tokio::test]
async fn a_login_callback_that_refuses_leaves_no_session_and_says_why_escaped() {
    let refuse = |layer: async_msal_axum::MsalLayer| {
        layer.on_sign_in(|session: async_msal_axum::AsyncMsal| async move {
            match session.mail().as_deref() {
                Some(ADA) => Ok(()),
                _ => Err("only <b>Ada</b> may come in".to_owned()),
            }
        })
    };
    let app = Setup::new().layer(refuse).start().await;
    let mut browser = app.browser();
    let answer = app.sign_in(&mut browser, BEN).await;
    assert_eq!(answer.status, 403);
    assert!(answer.body.contains("only &#60;b&#62;Ada&#60;/b&#62; may come in"), "{}", answer.body);
    assert_eq!(app.store.records().await, 0);
    assert_eq!(browser.cookie("__Host-async_msal_flow_"), None);
    app.signed_in(ADA).await;
}

#[tokio::test]
async fn a_refused_sign_in_leaves_the_earlier_session_as_it_was() {
    let refuse_ben = |layer: async_msal_axum::MsalLayer| {
        layer.on_sign_in(|session: async_msal_axum::AsyncMsal| async move {
            if session.mail().as_deref() == Some(BEN) { Err("not Ben".to_owned()) } else { Ok(()) }
        })
    };
    let app = Setup::new().layer(refuse_ben).start().await;
    let mut browser = app.signed_in(ADA).await;
    let answer = app.sign_in(&mut browser, BEN).await;
    assert_eq!(answer.status, 403);
    assert_eq!(browser.get("/").await.body, "Hello Ada Marsh");
}

#[tokio::test]
async fn the_redirect_address_is_public_url_whatever_the_request_says() {
    let app = App::start().await;
    let mut browser = app.browser();
    let request = browser.request(reqwest::Method::GET, "/user/login");
    let request = request
        .header("host", "evil.example")
        .header("x-forwarded-host", "evil.example")
        .header("x-forwarded-proto", "http")
        .header("forwarded", "host=evil.example;proto=http")
        .header("x-forwarded-prefix", "/evil");
    let login = browser.send(request, false).await;
    assert!(
        login.location().contains("redirect_uri=https%3A%2F%2Fapp.example%2Fuser%2Fauthorized"),
        "{}",
        login.location()
    );
    assert!(!login.location().contains("evil"), "{}", login.location());
}

#[tokio::test]
async fn a_link_may_set_prompt_and_hints_and_nothing_else() {
    let app = App::start().await;
    let mut browser = app.browser();
    let query = "prompt=select_account&login_hint=a%26redirect_uri%3Dhttps%3A%2F%2Fevil&domain_hint=x.example&scope=Mail.Read&claims=%7B%7D&redirect_uri=https%3A%2F%2Fevil";
    let login = browser.get(&format!("/user/login?{query}")).await;
    let url = url::Url::parse(login.location()).expect("an address");
    let values = |wanted: &str| -> Vec<String> {
        url.query_pairs().filter(|(name, _)| name == wanted).map(|(_, value)| value.into_owned()).collect()
    };
    assert_eq!(values("prompt"), ["select_account"]);
    assert_eq!(values("domain_hint"), ["x.example"]);
    assert_eq!(values("login_hint"), ["a&redirect_uri=https://evil"]);
    assert_eq!(values("redirect_uri"), ["https://app.example/user/authorized"]);
    assert!(!values("scope")[0].contains("Mail.Read"));
    assert!(values("claims").is_empty());
}

#[tokio::test]
async fn an_impossible_prompt_or_hint_is_refused() {
    let app = App::start().await;
    let mut browser = app.browser();
    for query in ["prompt=evil", "prompt=login&prompt=none", "login_hint=a%0d%0ab", "domain_hint="] {
        let answer = browser.get(&format!("/user/login?{query}")).await;
        assert_eq!(answer.status, 400, "{query}");
        assert!(answer.set_cookies().is_empty(), "{query}");
    }
}
