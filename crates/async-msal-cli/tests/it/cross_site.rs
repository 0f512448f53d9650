//! Sign-in between two sites, in a browser that applies SameSite as the real ones do.

use crate::browser::Browser;
use crate::site::Site;

const ADA: &str = "button[value='ada@contoso.example']";
const BEN: &str = "button[value='ben@contoso.example']";

async fn sign_in(browser: &Browser, site: &Site, person: &str) {
    browser.open(&format!("{}/user/login", site.url)).await;
    browser.click(person).await;
    browser.wait_for("button[value='consent'], #name").await;
    if browser.shows("button[value='consent']").await {
        browser.click("button[value='consent']").await;
    }
    browser.wait_for("#name").await;
}

async fn session_cookie(browser: &Browser, site: &Site) -> Option<String> {
    let name = site.msal.settings().cookie_name();
    browser.cookies(&site.url).await.into_iter().find(|(cookie, _)| cookie == name).map(|(_, value)| value)
}

async fn is_signed_in(browser: &Browser, site: &Site) -> bool {
    browser.open(&site.url).await;
    browser.wait_for("#name, #sign-in").await;
    browser.shows("#name").await
}

/// Opens the site with this value of the session cookie and no other cookie.
async fn is_worth_a_session(site: &Site, cookie: &str) -> bool {
    let client = reqwest::Client::builder().no_proxy().tls_danger_accept_invalid_certs(true).build().unwrap();
    let header = format!("{}={cookie}", site.msal.settings().cookie_name());
    let answer = client.get(&site.url).header("cookie", header).send().await.unwrap();
    assert!(answer.status().is_success());
    answer.text().await.unwrap().contains("id=name")
}

#[tokio::test]
async fn form_post_between_two_sites_signs_in() {
    let site = Site::https().await;
    let browser = Browser::start().await;
    sign_in(&browser, &site, ADA).await;
    assert_eq!(browser.text("#name").await, "Ada Marsh");
    assert!(browser.address().await.starts_with(&site.url));
    let cookies = browser.cookies(&site.url).await;
    assert!(cookies.iter().any(|(name, _)| name == "__Host-async_msal"), "the session cookie is host-bound");
    assert!(!cookies.iter().any(|(name, _)| name.contains("_flow_")), "the flow cookie is gone");
    browser.quit().await;
}

#[tokio::test]
async fn query_over_plain_http_signs_in() {
    let site = Site::http().await;
    let browser = Browser::start().await;
    sign_in(&browser, &site, ADA).await;
    assert_eq!(browser.text("#name").await, "Ada Marsh");
    assert!(!browser.address().await.contains("code="), "the code is not left in the address");
    browser.quit().await;
}

/// The repeated POST is cross-site again and brings no cookie at all: the flow cookie is deleted, the session cookie
/// is Lax. Only the redirect to the same site shows who is there.
#[tokio::test]
async fn a_repeated_form_post_after_sign_in_ends_signed_in_and_redeems_nothing() {
    let site = Site::https().await;
    let browser = Browser::start().await;
    sign_in(&browser, &site, ADA).await;
    let cookie = session_cookie(&browser, &site).await;
    // From a page of the other site, as the emulator's own.
    browser.open(&format!("{}/no-such-page", site.emulator.base_url())).await;
    let script = "const form = document.createElement('form'); form.method = 'post'; form.action = arguments[0];
        for (const [name, value] of [['code', 'used'], ['state', 'used']]) {
            const field = document.createElement('input'); field.name = name; field.value = value; form.append(field);
        }
        document.documentElement.append(form); form.submit();";
    let target = serde_json::Value::from(format!("{}/user/authorized", site.url));
    browser.driver().execute(script, vec![target]).await.unwrap();
    browser.wait_for("#name").await;
    assert_eq!(session_cookie(&browser, &site).await, cookie, "the session is the one from before");
    assert_eq!(site.redemptions(), 1);
    browser.quit().await;
}

#[tokio::test]
async fn after_signing_out_the_old_cookie_is_worthless() {
    let site = Site::https().await;
    let browser = Browser::start().await;
    sign_in(&browser, &site, ADA).await;
    let cookie = session_cookie(&browser, &site).await.expect("a session cookie");
    assert!(is_worth_a_session(&site, &cookie).await);
    browser.open(&site.url).await;
    browser.click("#sign-out").await;
    browser.wait_for("body:not(:has(#sign-out))").await;
    assert!(!is_worth_a_session(&site, &cookie).await);
    assert!(!is_signed_in(&browser, &site).await);
    browser.quit().await;
}

#[tokio::test]
async fn a_second_sign_in_leaves_no_old_record() {
    let site = Site::https().await;
    let browser = Browser::start().await;
    sign_in(&browser, &site, ADA).await;
    let first = session_cookie(&browser, &site).await.expect("a session cookie");
    sign_in(&browser, &site, BEN).await;
    assert_eq!(browser.text("#name").await, "Ben Okoye");
    let second = session_cookie(&browser, &site).await.expect("a session cookie");
    assert_ne!(first, second);
    assert!(!is_worth_a_session(&site, &first).await, "the first session is gone from the store");
    assert!(is_worth_a_session(&site, &second).await);
    browser.quit().await;
}

#[tokio::test]
async fn the_pages_at_the_end_of_the_way_are_shown_in_full() {
    let site = Site::https().await;
    let browser = Browser::start().await;
    browser.open(&format!("{}/user/login/resume", site.url)).await;
    browser.wait_for("a[href*='/user/login']").await;
    browser.photograph("error-already-used").await;
    browser.open(&format!("{}/user/signed-out", site.url)).await;
    browser.wait_for("main").await;
    browser.photograph("signed-out").await;
    sign_in(&browser, &site, ADA).await;
    browser.quit().await;
}
