//! Answers that are not ours, too old, altered, too large, or sent the wrong way: a clear page or status, nothing
//! stored, nothing redeemed.

use std::time::Duration;

use reqwest::Method;
use reqwest::header::CONTENT_TYPE;

use crate::app::{ADA, App, Setup};
use crate::browser::{Answer, Browser};

const FORM: &str = "application/x-www-form-urlencoded";
const CALLBACK: &str = "/user/authorized";

/// A sign-in up to the form that comes back.
async fn up_to_the_form(app: &App) -> (Browser, String) {
    let mut browser = app.browser();
    let login = browser.get("/user/login").await;
    let form = app.answer_of(&login, ADA).await;
    (browser, form)
}

async fn assert_nothing_happened(app: &App) {
    assert_eq!(app.code_redemptions(), 0, "a code was redeemed");
    assert_eq!(app.store.records().await, 0, "a record was stored");
    assert_eq!(app.store.writes(), 0, "the store was written");
}

fn assert_page(answer: &Answer, status: u16, title: &str) {
    assert_eq!(answer.status, status, "{}", answer.body);
    assert!(answer.body.contains(&format!("<h1>{title}</h1>")), "{}", answer.body);
    assert_eq!(answer.header("cache-control"), "no-store");
    assert!(answer.header("content-security-policy").contains("frame-ancestors 'none'"));
    assert!(answer.set_cookie("__Host-async_msal=").is_none());
}

/// The form with one field replaced, or left out for an empty value.
fn with_field(form: &str, name: &str, value: &str) -> String {
    let fields = form_urlencoded::parse(form.as_bytes()).filter(|(found, _)| found != name);
    let mut serializer = form_urlencoded::Serializer::new(String::new());
    serializer.extend_pairs(fields);
    if !value.is_empty() {
        serializer.append_pair(name, value);
    }
    serializer.finish()
}

#[tokio::test]
async fn a_callback_without_cookie_goes_to_resume_which_explains() {
    let app = App::start().await;
    let (_, form) = up_to_the_form(&app).await;
    let mut stranger = app.browser();
    let answer = stranger.cross_site_post(CALLBACK, &form).await;
    assert_eq!((answer.status.as_u16(), answer.location()), (303, "/user/login/resume"));
    assert_nothing_happened(&app).await;
    let page = stranger.follow("/user/login/resume").await;
    assert_page(&page, 400, "This sign-in has expired or was already used");
    assert!(page.body.contains("href=\"/user/login\""), "no retry link");
    assert_eq!(app.store.marks(), 0);
}

#[tokio::test]
async fn an_answer_delivered_to_another_browser_signs_nobody_in() {
    let app = App::start().await;
    let (_, form) = up_to_the_form(&app).await;
    let (mut victim, _) = up_to_the_form(&app).await;
    let answer = victim.cross_site_post(CALLBACK, &form).await;
    assert_eq!((answer.status.as_u16(), answer.location()), (303, "/user/login/resume"));
    assert_nothing_happened(&app).await;
}

#[tokio::test]
async fn another_sign_ins_cookie_under_the_right_name_is_refused() {
    let app = App::start().await;
    let (mut browser, form) = up_to_the_form(&app).await;
    let (other, _) = up_to_the_form(&app).await;
    let name = browser.cookie("__Host-async_msal_flow_").expect("a flow").0.to_owned();
    let value = other.cookie("__Host-async_msal_flow_").expect("a flow").1.to_owned();
    browser.set_cookie(&name, &value);
    let answer = browser.cross_site_post(CALLBACK, &form).await;
    assert_page(&answer, 400, "This sign-in has expired or was already used");
    assert_nothing_happened(&app).await;
}

#[tokio::test]
async fn a_flow_older_than_fifteen_minutes_has_expired() {
    let app = App::start().await;
    let (mut browser, form) = up_to_the_form(&app).await;
    app.clock.advance(15 * 60 + 1);
    let answer = browser.cross_site_post(CALLBACK, &form).await;
    assert_page(&answer, 400, "This sign-in has expired or was already used");
    assert_nothing_happened(&app).await;
    assert_eq!(browser.cookie("__Host-async_msal_flow_"), None, "the flow cookie stays");
}

#[tokio::test]
async fn an_altered_seal_is_refused() {
    let app = App::start().await;
    let (mut browser, form) = up_to_the_form(&app).await;
    let (name, value) = browser.cookie("__Host-async_msal_flow_").expect("a flow");
    let (name, mut value) = (name.to_owned(), value.to_owned());
    let last = if value.ends_with('A') { "B" } else { "A" };
    value.replace_range(value.len() - 1.., last);
    // The bits of the last character may be padding, so one in the middle is changed as well.
    let middle = value.len() / 2;
    let other = if &value[middle..=middle] == "A" { "B" } else { "A" };
    value.replace_range(middle..=middle, other);
    browser.set_cookie(&name, &value);
    let answer = browser.cross_site_post(CALLBACK, &form).await;
    assert_page(&answer, 400, "This sign-in has expired or was already used");
    assert_nothing_happened(&app).await;
}

#[tokio::test]
async fn a_wrong_state_goes_to_resume() {
    let app = App::start().await;
    let (mut browser, form) = up_to_the_form(&app).await;
    let answer = browser.cross_site_post(CALLBACK, &with_field(&form, "state", "another")).await;
    assert_eq!((answer.status.as_u16(), answer.location()), (303, "/user/login/resume"));
    assert_nothing_happened(&app).await;
}

#[tokio::test]
async fn a_missing_state_is_refused() {
    let app = App::start().await;
    let (mut browser, form) = up_to_the_form(&app).await;
    let answer = browser.cross_site_post(CALLBACK, &with_field(&form, "state", "")).await;
    assert_page(&answer, 400, "This request cannot be understood");
    assert_nothing_happened(&app).await;
}

#[tokio::test]
async fn a_missing_code_is_refused() {
    let app = App::start().await;
    let (mut browser, form) = up_to_the_form(&app).await;
    let answer = browser.cross_site_post(CALLBACK, &with_field(&form, "code", "")).await;
    assert_page(&answer, 502, "Sign-in failed");
    assert_nothing_happened(&app).await;
    assert_eq!(browser.cookie("__Host-async_msal_flow_"), None);
}

#[tokio::test]
async fn code_and_error_together_are_an_error() {
    let app = App::start().await;
    let (mut browser, form) = up_to_the_form(&app).await;
    let answer = browser.cross_site_post(CALLBACK, &with_field(&form, "error", "access_denied")).await;
    assert_page(&answer, 403, "Sign-in was cancelled");
    assert_nothing_happened(&app).await;
}

#[tokio::test]
async fn duplicate_parameters_are_refused() {
    let app = App::start().await;
    for name in ["code", "state", "error", "iss"] {
        let (mut browser, form) = up_to_the_form(&app).await;
        let answer = browser.cross_site_post(CALLBACK, &format!("{form}&{name}=x&{name}=y")).await;
        assert_page(&answer, 400, "This request cannot be understood");
    }
    assert_nothing_happened(&app).await;
}

#[tokio::test]
async fn too_many_or_too_long_fields_are_refused() {
    let app = App::start().await;
    let (mut browser, form) = up_to_the_form(&app).await;
    let many: String = (0..30).map(|n| format!("&x{n}=1")).collect();
    let long = format!("&x={}", "y".repeat(9_000));
    for addition in [many, long] {
        let answer = browser.cross_site_post(CALLBACK, &format!("{form}{addition}")).await;
        assert_page(&answer, 400, "This request cannot be understood");
    }
    assert_nothing_happened(&app).await;
}

#[tokio::test]
async fn a_declined_consent_is_told_kindly_and_escaped() {
    let app = App::start().await;
    let (mut browser, form) = up_to_the_form(&app).await;
    let form = with_field(&form, "code", "");
    let text = "AADSTS65004: <script>alert(1)</script> declined";
    let form = format!(
        "{form}&error=access_denied&error_description={}",
        form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>()
    );
    let answer = browser.cross_site_post(CALLBACK, &form).await;
    assert_page(&answer, 403, "Sign-in was cancelled");
    assert!(!answer.body.contains("<script") && !answer.body.contains("alert"), "{}", answer.body);
    assert!(answer.body.contains("AADSTS65004"), "{}", answer.body);
    assert!(answer.body.contains("href=\"/user/login?prompt=select_account\""), "no retry link");
    assert_nothing_happened(&app).await;
}

#[tokio::test]
async fn admin_consent_has_a_page_of_its_own() {
    let app = App::start().await;
    let (mut browser, form) = up_to_the_form(&app).await;
    let form = with_field(&form, "code", "");
    let form = format!("{form}&error=access_denied&error_description=AADSTS90094%3A+admin");
    let answer = browser.cross_site_post(CALLBACK, &form).await;
    assert_page(&answer, 403, "Your administrator must agree first");
}

#[tokio::test]
async fn a_body_over_64_kibibytes_is_refused() {
    let app = App::start().await;
    let (mut browser, form) = up_to_the_form(&app).await;
    let answer = browser.cross_site_post(CALLBACK, &format!("{form}&x={}", "y".repeat(65 * 1_024))).await;
    assert_page(&answer, 413, "This form is too large");
    assert_nothing_happened(&app).await;
}

#[tokio::test]
async fn a_body_over_64_kibibytes_without_a_length_is_refused() {
    let app = App::start().await;
    let (mut browser, _) = up_to_the_form(&app).await;
    let chunks = (0..20).map(|_| Ok::<_, std::io::Error>(vec![b'a'; 4_096]));
    let body = reqwest::Body::wrap_stream(futures_util::stream::iter(chunks));
    let request = browser.request(Method::POST, CALLBACK).header(CONTENT_TYPE, FORM).body(body);
    assert_eq!(browser.send(request, true).await.status, 413);
    assert_nothing_happened(&app).await;
}

#[tokio::test]
async fn another_content_type_or_none_is_refused() {
    let app = App::start().await;
    let (mut browser, form) = up_to_the_form(&app).await;
    let types = ["application/json", "multipart/form-data; boundary=x", "text/plain", "nonsense", ""];
    for content_type in types {
        let mut request = browser.request(Method::POST, CALLBACK).body(form.clone());
        if !content_type.is_empty() {
            request = request.header(CONTENT_TYPE, content_type);
        }
        let answer = browser.send(request, true).await;
        assert_eq!(answer.status, 415, "{content_type:?}");
    }
    assert_nothing_happened(&app).await;
}

#[tokio::test]
async fn a_charset_on_the_form_type_is_fine() {
    let app = App::start().await;
    let (mut browser, form) = up_to_the_form(&app).await;
    let request =
        browser.request(Method::POST, CALLBACK).header(CONTENT_TYPE, format!("{FORM}; charset=UTF-8"));
    assert_eq!(browser.send(request.body(form), true).await.status, 303);
}

#[tokio::test]
async fn a_body_that_is_no_text_is_refused() {
    let app = App::start().await;
    let (mut browser, _) = up_to_the_form(&app).await;
    let request =
        browser.request(Method::POST, CALLBACK).header(CONTENT_TYPE, FORM).body(vec![0xff, 0xfe, 0x00]);
    assert_eq!(browser.send(request, true).await.status, 400);
}

#[tokio::test]
async fn in_form_post_mode_a_code_in_the_query_is_refused() {
    let app = App::start().await;
    let (mut browser, form) = up_to_the_form(&app).await;
    let answer = browser.get(&format!("{CALLBACK}?{form}")).await;
    assert_page(&answer, 405, "This answer came the wrong way");
    assert_eq!(answer.header("allow"), "POST");
    assert_nothing_happened(&app).await;
}

#[tokio::test]
async fn a_head_request_redeems_nothing_and_leaves_the_flow() {
    let app = Setup::new().public_url("http://localhost:8400").start().await;
    let (mut browser, form) = up_to_the_form(&app).await;
    let address = format!("{CALLBACK}?{form}");
    let looked = browser.send(browser.request(Method::HEAD, &address), false).await;
    assert_eq!((looked.status.as_u16(), looked.header("allow")), (405, "GET"));
    assert_nothing_happened(&app).await;
    assert_eq!(browser.get(&address).await.status, 303);
}

#[tokio::test]
async fn a_head_request_starts_no_sign_in() {
    let app = App::start().await;
    let mut browser = app.browser();
    for path in ["/user/login", "/user/login/", "/user/login/private"] {
        let looked = browser.send(browser.request(Method::HEAD, path), false).await;
        assert_eq!((looked.status.as_u16(), looked.header("allow")), (405, "GET"), "{path}");
        assert!(looked.set_cookies().is_empty(), "{path}");
    }
}

#[tokio::test]
async fn in_query_mode_a_post_is_refused() {
    let app = Setup::new().public_url("http://localhost:8400").start().await;
    let (mut browser, form) = up_to_the_form(&app).await;
    let answer = browser.post(CALLBACK, &form).await;
    assert_page(&answer, 405, "This answer came the wrong way");
    assert_eq!(answer.header("allow"), "GET");
    assert_nothing_happened(&app).await;
}

#[tokio::test]
async fn the_state_is_marked_before_the_token_request_and_only_then() {
    let app = App::start().await;
    let (mut browser, form) = up_to_the_form(&app).await;
    assert_eq!(app.store.marks(), 0);
    browser.cross_site_post(CALLBACK, &form).await;
    assert_eq!(app.store.marks(), 1);
}

#[tokio::test]
async fn an_answer_to_a_page_that_reloads_itself_every_second_is_stopped() {
    let app = App::start().await;
    let mut browser = app.browser();
    for _ in 0..3 {
        let login = browser.get("/user/login").await;
        assert_eq!(login.status, 303);
        let form = with_field(&app.answer_of(&login, ADA).await, "code", "");
        browser.cross_site_post(CALLBACK, &form).await;
    }
    let stopped = browser.get("/user/login").await;
    assert_page(&stopped, 429, "Sign-in keeps failing");
    app.clock.advance(i64::try_from(Duration::from_secs(61).as_secs()).expect("small"));
    assert_eq!(browser.get("/user/login").await.status, 303);
}
