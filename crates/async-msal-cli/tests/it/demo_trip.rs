//! The demo as a person meets it: in a browser, from the first page to signing out.

use tempfile::TempDir;
use thirtyfour::{By, WebElement};

use crate::browser::Browser;
use crate::demo_process::DemoProcess;

/// A demo on a folder of its own, and a browser.
struct Trip {
    folder: TempDir,
    demo: DemoProcess,
    browser: Browser,
}

impl Trip {
    async fn begin() -> Trip {
        let folder = TempDir::new().unwrap();
        let demo = DemoProcess::start(folder.path());
        let browser = Browser::start().await;
        browser.open(&demo.app).await;
        Trip { folder, demo, browser }
    }

    async fn signed_in(username: &str) -> Trip {
        let trip = Trip::begin().await;
        trip.sign_in(username).await;
        trip
    }

    async fn sign_in(&self, username: &str) {
        self.browser.click("#sign-in").await;
        self.choose(username).await;
        self.browser.wait_for("#sign-out").await;
    }

    async fn choose(&self, username: &str) {
        self.browser.click(&format!("button[value='{username}']")).await;
        self.consent_if_asked().await;
    }

    async fn consent_if_asked(&self) {
        // Either page has come: the emulator asks for consent, or the application shows the user.
        self.browser.wait_for("button[value='consent'], #sign-out").await;
        if self.browser.shows("button[value='consent']").await {
            self.browser.click("button[value='consent']").await;
        }
    }

    async fn end(self) {
        self.browser.quit().await;
    }
}

#[tokio::test]
async fn ada_signs_in_sees_everything_renews_and_signs_out() {
    let trip = Trip::begin().await;
    let browser = &trip.browser;
    assert!(browser.text("#sign-in").await.contains("Sign in with Microsoft"));
    browser.photograph("demo-signed-out").await;
    browser.click("#sign-in").await;
    browser.wait_for("button[value='ada@contoso.example']").await;
    browser.photograph("login").await;
    browser.click("button[value='ada@contoso.example']").await;
    browser.wait_for("button[value='consent']").await;
    browser.photograph("consent").await;
    browser.click("button[value='consent']").await;

    assert_eq!(browser.text("#name").await, "Ada Marsh");
    assert_eq!(browser.text("#mail").await, "ada@contoso.example");
    assert_eq!(browser.text("#manager").await, "Ben Okoye ben@contoso.example");
    assert!(is_loaded(browser, &browser.wait_for("#photo").await).await, "the photo is shown");
    assert!(
        browser.text("#life").await.starts_with("59 min")
            || browser.text("#life").await.starts_with("60 min")
    );
    assert!(browser.text("#scopes").await.contains("User.Read"));
    browser.photograph("demo-signed-in").await;
    browser.prefer_colours("dark").await;
    browser.photograph("demo-signed-in-dark").await;
    browser.prefer_colours("light").await;

    browser.click("#graph-me").await;
    assert!(browser.text("#graph").await.contains("\"displayName\": \"Ada Marsh\""));
    browser.photograph("demo-graph").await;

    browser.click("#expire").await;
    assert_eq!(browser.text("#renewals").await, "1");
    let (before, after) = (browser.text("#before").await, browser.text("#after").await);
    assert!(before < after, "{before} is before {after}");
    browser.photograph("demo-renewed").await;
    browser.click("#expire").await;
    wait_for_text(browser, "#renewals", "2").await;

    let source = browser.driver().source().await.unwrap();
    assert!(!source.contains("eyJ0eXAi"), "no token is on the page");

    browser.click("#sign-out").await;
    browser.wait_for("#sign-in, a.button").await;
    browser.open(&trip.demo.app).await;
    browser.wait_for("#sign-in").await;
    trip.end().await;
}

#[tokio::test]
async fn ben_has_no_manager() {
    let trip = Trip::signed_in("ben@contoso.example").await;
    assert_eq!(trip.browser.text("#name").await, "Ben Okoye");
    assert_eq!(trip.browser.text("#manager").await, "nobody, says Graph");
    trip.end().await;
}

#[tokio::test]
async fn cleo_has_neither_photo_nor_mail_and_is_signed_in_all_the_same() {
    let trip = Trip::signed_in("cleo@contoso.example").await;
    assert_eq!(trip.browser.text("#name").await, "Cleo Lind");
    assert_eq!(trip.browser.text("#mail").await, "cleo@contoso.example", "the id token's name stands in");
    assert_eq!(trip.browser.text("#initials").await, "CL");
    assert!(!trip.browser.shows("#photo").await);
    trip.browser.photograph("demo-without-photo").await;
    trip.end().await;
}

#[tokio::test]
async fn gil_is_a_guest_and_renews_like_everybody() {
    let trip = Trip::signed_in("gil@fabrikam.example").await;
    assert_eq!(trip.browser.text("#name").await, "Gil Torres");
    assert!(trip.browser.text("#manager").await.starts_with("Ada Marsh"));
    trip.browser.click("#expire").await;
    assert_eq!(trip.browser.text("#renewals").await, "1");
    trip.end().await;
}

#[tokio::test]
async fn cancelling_at_the_login_page_leads_to_a_page_that_lets_one_try_again() {
    let trip = Trip::begin().await;
    trip.browser.click("#sign-in").await;
    trip.browser.click("button[value='cancel']").await;
    trip.browser.wait_for("a[href*='/user/login']").await;
    assert!(trip.browser.address().await.starts_with(&trip.demo.app));
    trip.browser.photograph("error-cancelled").await;
    trip.browser.click("a[href*='/user/login']").await;
    trip.choose("ada@contoso.example").await;
    assert_eq!(trip.browser.text("#name").await, "Ada Marsh");
    trip.end().await;
}

#[tokio::test]
async fn two_tabs_that_sign_in_at_once_both_end_signed_in() {
    let trip = Trip::begin().await;
    let driver = trip.browser.driver();
    let first = driver.window().await.unwrap();
    let second = driver.new_tab().await.unwrap();
    for tab in [&first, &second] {
        driver.switch_to_window((*tab).clone()).await.unwrap();
        trip.browser.open(&trip.demo.app).await;
        trip.browser.click("#sign-in").await;
        trip.browser.wait_for("button[value='ada@contoso.example']").await;
    }
    for tab in [&first, &second] {
        driver.switch_to_window((*tab).clone()).await.unwrap();
        trip.choose("ada@contoso.example").await;
        assert_eq!(trip.browser.text("#name").await, "Ada Marsh");
    }
    trip.end().await;
}

#[tokio::test]
async fn the_back_button_after_a_sign_in_does_no_harm() {
    let trip = Trip::signed_in("ada@contoso.example").await;
    let asked = token_requests(&trip.demo).await;
    trip.browser.driver().back().await.unwrap();
    trip.browser.open(&trip.demo.app).await;
    assert_eq!(trip.browser.text("#name").await, "Ada Marsh");
    assert_eq!(token_requests(&trip.demo).await, asked, "going back redeems nothing");
    trip.end().await;
}

#[tokio::test]
async fn a_restart_keeps_the_user_signed_in_and_renewing() {
    let trip = Trip::signed_in("ada@contoso.example").await;
    trip.browser.click("#expire").await;
    assert_eq!(trip.browser.text("#renewals").await, "1");
    let demo = trip.demo.restart(trip.folder.path());
    trip.browser.open(&demo.app).await;
    assert_eq!(trip.browser.text("#name").await, "Ada Marsh");
    trip.browser.click("#expire").await;
    wait_for_text(&trip.browser, "#renewals", "2").await;
    trip.browser.quit().await;
}

#[tokio::test]
async fn the_keyboard_alone_signs_in_and_out() {
    let trip = Trip::begin().await;
    let driver = trip.browser.driver();
    press_enter_on(&trip.browser, "#sign-in").await;
    press_enter_on(&trip.browser, "button[value='ada@contoso.example']").await;
    press_enter_on(&trip.browser, "button[value='consent']").await;
    trip.browser.wait_for("#name").await;
    press_enter_on(&trip.browser, "#sign-out").await;
    driver.find(By::Css("body")).await.unwrap();
    trip.end().await;
}

#[tokio::test]
async fn a_graph_that_is_down_is_told_with_what_to_do_and_the_user_stays() {
    let trip = Trip::signed_in("ada@contoso.example").await;
    plan_fault(
        &trip.demo,
        serde_json::json!({
            "endpoint": "graph_me", "count": 10,
            "fault": { "answer": { "status": 500, "body": "{}" } },
        }),
    )
    .await;
    trip.browser.click("#graph-me").await;
    assert!(trip.browser.text("#trouble").await.contains("500"));
    assert_eq!(trip.browser.text("#name").await, "Ada Marsh");
    trip.browser.photograph("demo-trouble").await;
    trip.end().await;
}

#[tokio::test]
async fn a_photo_that_is_slow_is_left_out_and_holds_up_no_page() {
    let trip = Trip::signed_in("ada@contoso.example").await;
    let hour = serde_json::json!({ "endpoint": "graph_photo", "fault": { "delay_millis": 3_600_000 } });
    plan_fault(&trip.demo, hour).await;
    let asked = std::time::Instant::now();
    trip.browser.open(&trip.demo.app).await;
    assert_eq!(trip.browser.text("#initials").await, "AM");
    assert!(asked.elapsed() < std::time::Duration::from_secs(20), "{:?}", asked.elapsed());
    trip.end().await;
}

#[tokio::test]
async fn no_other_site_can_let_the_token_expire() {
    let trip = Trip::signed_in("ada@contoso.example").await;
    let cookies = trip.browser.cookies(&trip.demo.app).await;
    let header = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ");
    let client =
        reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let ask = |origin: String| {
        client
            .post(format!("{}/expire", trip.demo.app))
            .header("cookie", &header)
            .header("origin", origin)
            .send()
    };
    assert_eq!(ask("https://evil.example".to_owned()).await.unwrap().status(), 403);
    assert_eq!(ask(trip.demo.app.clone()).await.unwrap().status(), 303);
    trip.end().await;
}

/// Tabs to the element and presses Enter, as a person without a mouse does.
async fn press_enter_on(browser: &Browser, css: &str) {
    let wanted = browser.wait_for(css).await;
    for _ in 0..30 {
        let focused = browser.driver().active_element().await.unwrap();
        if focused == wanted {
            focused.send_keys("\u{E007}").await.unwrap();
            return;
        }
        browser.driver().active_element().await.unwrap().send_keys("\u{E004}").await.unwrap();
    }
    panic!("{css} cannot be reached by the Tab key");
}

async fn is_loaded(browser: &Browser, image: &WebElement) -> bool {
    let script = "return arguments[0].complete && arguments[0].naturalWidth > 0";
    let loaded = browser.driver().execute(script, vec![image.to_json().unwrap()]).await.unwrap();
    loaded.json().as_bool().unwrap_or_default()
}

async fn wait_for_text(browser: &Browser, css: &str, wanted: &str) {
    let deadline = std::time::Instant::now() + crate::browser::PATIENCE;
    while browser.text(css).await != wanted {
        assert!(std::time::Instant::now() < deadline, "{css} does not become {wanted}");
    }
}

async fn plan_fault(demo: &DemoProcess, fault: serde_json::Value) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let planned = client.post(format!("{}/_admin/faults", demo.emulator)).json(&fault).send().await.unwrap();
    assert!(planned.status().is_success(), "{}", planned.text().await.unwrap());
}

async fn token_requests(demo: &DemoProcess) -> u64 {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = client.get(format!("{}/_admin/counters", demo.emulator)).send().await.unwrap();
    let counters: serde_json::Value = answer.json().await.unwrap();
    counters["token_authorization_code"].as_u64().expect("a counter")
}
