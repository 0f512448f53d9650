//! The authorization endpoint and the login page, driven over HTTP as a browser would.

use async_msal_emulator::{ClientRegistration, Emulator, IssuerParameter};
use reqwest::{Client, Response};

use crate::support::{
    ADA, BEN, REDIRECT, SCOPE, auth_uri, builder, claims, code_with, emulator, http, redeem, text,
};

/// One browser: keeps the emulator's cookie.
struct Browser<'a> {
    emulator: &'a Emulator,
    http: Client,
    cookie: Option<String>,
}

impl<'a> Browser<'a> {
    fn new(emulator: &'a Emulator) -> Self {
        Self { emulator, http: http(), cookie: None }
    }

    async fn open(&self, changes: &[(&str, &str)]) -> Response {
        let mut request = self.http.get(auth_uri(self.emulator, changes));
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", cookie);
        }
        request.send().await.unwrap()
    }

    async fn step(&mut self, changes: &[(&str, &str)], step: &str, person: &str) -> Response {
        let uri = auth_uri(self.emulator, changes);
        let raw = uri.split_once('?').unwrap().1.to_owned();
        let url = format!("{}/login", self.emulator.authority_url());
        let form = [("request", raw.as_str()), ("step", step), ("person", person)];
        let mut request = self.http.post(url).form(&form);
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", cookie);
        }
        let answer = request.send().await.unwrap();
        if let Some(set) = answer.headers().get("set-cookie") {
            self.cookie = set.to_str().unwrap().split(';').next().map(str::to_owned);
        }
        answer
    }
}

fn location(answer: &Response) -> url::Url {
    answer.headers()["location"].to_str().unwrap().parse().unwrap()
}

fn field(url: &url::Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(n, _)| n == name).map(|(_, v)| v.into_owned())
}

const QUERY: (&str, &str) = ("response_mode", "query");

#[tokio::test]
async fn the_login_page_lists_everybody() {
    let emulator = emulator().await;
    let page = Browser::new(&emulator).open(&[]).await;
    assert_eq!(page.status(), 200);
    let page = page.text().await.unwrap();
    for person in emulator.users() {
        assert!(page.contains(&person.username), "{}", person.username);
    }
}

#[tokio::test]
async fn the_page_allows_forms_to_the_application_and_scripts_from_nowhere() {
    let emulator = emulator().await;
    let page = Browser::new(&emulator).open(&[]).await;
    let policy = page.headers()["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("default-src 'none'"));
    assert!(policy.contains("form-action 'self' http://localhost:9;"));
    assert_eq!(page.headers()["cache-control"], "no-store");
}

#[tokio::test]
async fn first_sign_in_asks_consent_and_the_second_does_not() {
    let emulator = emulator().await;
    let mut browser = Browser::new(&emulator);
    let page = browser.step(&[QUERY], "account", ADA).await.text().await.unwrap();
    assert!(page.contains("Permissions requested"));
    let answer = browser.step(&[QUERY], "consent", ADA).await;
    assert_eq!(answer.status(), 302);
    assert!(field(&location(&answer), "code").is_some());
    assert_eq!(browser.step(&[QUERY], "account", ADA).await.status(), 302);
}

#[tokio::test]
async fn prompt_consent_asks_again() {
    let emulator = emulator().await;
    let mut browser = Browser::new(&emulator);
    browser.step(&[], "consent", ADA).await;
    let page = browser.step(&[("prompt", "consent")], "account", ADA).await.text().await.unwrap();
    assert!(page.contains("Permissions requested"));
}

#[tokio::test]
async fn cancel_goes_back_as_access_denied() {
    let emulator = emulator().await;
    let answer = Browser::new(&emulator).step(&[QUERY], "cancel", "").await;
    let back = location(&answer);
    assert_eq!(field(&back, "error").as_deref(), Some("access_denied"));
    assert_eq!(field(&back, "error_subcode").as_deref(), Some("cancel"));
    assert_eq!(field(&back, "state").as_deref(), Some("the-state"));
}

#[tokio::test]
async fn form_post_is_a_form_with_the_fields_and_a_button() {
    let emulator = emulator().await;
    let page = Browser::new(&emulator).step(&[], "consent", ADA).await;
    assert_eq!(page.headers()["referrer-policy"], "strict-origin");
    let page = page.text().await.unwrap();
    assert!(page.contains(&format!("action=\"{REDIRECT}\"")), "{page}");
    assert!(page.contains("name=\"code\"") && page.contains("name=\"state\"") && page.contains("<button"));
}

#[tokio::test]
async fn fragment_mode_answers_in_the_fragment() {
    let emulator = emulator().await;
    let answer = Browser::new(&emulator).step(&[("response_mode", "fragment")], "consent", ADA).await;
    assert!(location(&answer).fragment().unwrap().contains("code="));
}

#[tokio::test]
async fn a_signed_in_account_is_offered_first() {
    let emulator = emulator().await;
    let mut browser = Browser::new(&emulator);
    browser.step(&[], "consent", BEN).await;
    let page = browser.open(&[]).await.text().await.unwrap();
    assert!(page.contains("Signed in"));
    assert!(page.find(BEN).unwrap() < page.find(ADA).unwrap());
}

#[tokio::test]
async fn a_hint_at_the_signed_in_account_asks_nothing() {
    let emulator = emulator().await;
    let mut browser = Browser::new(&emulator);
    browser.step(&[], "consent", ADA).await;
    let answer = browser.open(&[QUERY, ("login_hint", ADA)]).await;
    assert!(field(&location(&answer), "code").is_some());
}

#[tokio::test]
async fn prompt_none_needs_a_session() {
    let emulator = emulator().await;
    let mut browser = Browser::new(&emulator);
    let answer = browser.open(&[QUERY, ("prompt", "none")]).await;
    assert_eq!(field(&location(&answer), "error").as_deref(), Some("login_required"));
    browser.step(&[], "consent", ADA).await;
    let answer = browser.open(&[QUERY, ("prompt", "none")]).await;
    assert!(field(&location(&answer), "code").is_some());
}

#[tokio::test]
async fn prompt_login_shows_the_page_to_a_signed_in_user() {
    let emulator = emulator().await;
    let mut browser = Browser::new(&emulator);
    browser.step(&[], "consent", ADA).await;
    let page = browser.open(&[("prompt", "login"), ("login_hint", ADA)]).await.text().await.unwrap();
    assert!(page.contains("Sign in again"));
}

#[tokio::test]
async fn max_age_makes_an_old_sign_in_count_no_more() {
    let emulator = emulator().await;
    let mut browser = Browser::new(&emulator);
    browser.step(&[], "consent", ADA).await;
    emulator.admin().advance_clock(100);
    let old = browser.open(&[QUERY, ("prompt", "none"), ("max_age", "50")]).await;
    assert_eq!(field(&location(&old), "error").as_deref(), Some("login_required"));
    let fresh = browser.open(&[QUERY, ("prompt", "none"), ("max_age", "500")]).await;
    assert!(field(&location(&fresh), "code").is_some());
}

#[tokio::test]
async fn max_age_puts_auth_time_into_the_id_token() {
    let emulator = emulator().await;
    let code = code_with(&emulator, ADA, &[("max_age", "600")]).await;
    let (_, answer) = redeem(&emulator, &code, &[]).await;
    assert!(claims(text(&answer, "id_token"))["auth_time"].is_i64());
}

#[tokio::test]
async fn an_unregistered_redirect_address_is_a_page_50011() {
    let emulator = emulator().await;
    for uri in
        ["https://evil.example/", "http://localhost:9/user/authorized/", "http://LOCALHOST:9/user/authorized"]
    {
        let page = Browser::new(&emulator).open(&[("redirect_uri", uri)]).await;
        assert_eq!(page.status(), 400);
        assert!(page.text().await.unwrap().contains("AADSTS50011"));
    }
}

#[tokio::test]
async fn an_unknown_client_is_a_page_700016() {
    let emulator = emulator().await;
    let page = Browser::new(&emulator).open(&[("client_id", "nobody")]).await;
    assert_eq!(page.status(), 400);
    assert!(page.text().await.unwrap().contains("AADSTS700016"));
}

#[tokio::test]
async fn an_error_page_escapes_what_it_repeats() {
    let emulator = emulator().await;
    let page = Browser::new(&emulator).open(&[("client_id", "<script>alert(1)</script>")]).await;
    assert!(!page.text().await.unwrap().contains("<script>alert"));
}

#[tokio::test]
async fn an_unknown_tenant_is_a_page_90002() {
    let emulator = emulator().await;
    let url = format!("{}/nobody.example/oauth2/v2.0/authorize?client_id=x", emulator.base_url());
    assert!(http().get(url).send().await.unwrap().text().await.unwrap().contains("AADSTS90002"));
}

#[tokio::test]
async fn a_single_tenant_application_cannot_use_common() {
    let client = ClientRegistration::new("app", "s").with_redirect_uri(REDIRECT).single_tenant();
    let emulator = builder().client(client).start().await.unwrap();
    let uri = auth_uri(&emulator, &[]).replace(emulator.tenant_id(), "common");
    assert!(http().get(uri).send().await.unwrap().text().await.unwrap().contains("AADSTS50194"));
}

#[tokio::test]
async fn a_wrong_response_type_goes_back_to_the_application() {
    let emulator = emulator().await;
    let answer = Browser::new(&emulator).open(&[QUERY, ("response_type", "token")]).await;
    let back = location(&answer);
    assert_eq!(field(&back, "error").as_deref(), Some("unsupported_response_type"));
}

#[tokio::test]
async fn select_account_with_a_login_hint_is_refused() {
    let emulator = emulator().await;
    let changes = [QUERY, ("prompt", "select_account"), ("login_hint", ADA)];
    let back = location(&Browser::new(&emulator).open(&changes).await);
    assert_eq!(field(&back, "error").as_deref(), Some("invalid_request"));
}

#[tokio::test]
async fn without_admin_consent_the_page_says_so_and_leads_back() {
    let emulator = builder().without_admin_consent().start().await.unwrap();
    let mut browser = Browser::new(&emulator);
    let scope = format!("{SCOPE} User.Read.All");
    let page = browser.step(&[("scope", &scope)], "account", ADA).await.text().await.unwrap();
    assert!(page.contains("Need admin approval") && page.contains("AADSTS90094"));
    let back = location(&browser.step(&[QUERY, ("scope", &scope)], "admin", ADA).await);
    assert_eq!(field(&back, "error").as_deref(), Some("access_denied"));
}

#[tokio::test]
async fn a_step_posted_by_another_site_is_refused() {
    let emulator = emulator().await;
    let url = format!("{}/login", emulator.authority_url());
    let answer =
        http().post(url).header("origin", "https://evil.example").form(&[("step", "account")]).send();
    assert_eq!(answer.await.unwrap().status(), 400);
}

#[tokio::test]
async fn the_issuer_parameter_is_absent_right_or_wrong() {
    let emulator = emulator().await;
    let issuer = format!("{}/v2.0", emulator.authority_url());
    let iss = async || {
        let answer = emulator.authorize(&auth_uri(&emulator, &[]), ADA).await.unwrap();
        answer.field("iss").map(str::to_owned)
    };
    assert_eq!(iss().await, None);
    emulator.admin().set_policy(|p| p.authorization_response_iss = IssuerParameter::Right);
    assert_eq!(iss().await, Some(issuer.clone()));
    emulator.admin().set_policy(|p| p.authorization_response_iss = IssuerParameter::Wrong);
    assert_ne!(iss().await, Some(issuer));
}
