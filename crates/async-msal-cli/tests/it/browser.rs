//! A real Chromium, driven through Debian's chromedriver: one driver and one fresh profile per browser.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::TempDir;
use thirtyfour::common::capabilities::chrome::ChromeCapabilities;
use thirtyfour::prelude::*;
use tokio::sync::{Semaphore, SemaphorePermit};

/// How long a page may take to show what a test waits for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Chromium takes some 300 MB and a core while it starts: more than two at once only wait for each other.
static BROWSERS_AT_ONCE: Semaphore = Semaphore::const_new(2);

/// A browser with an empty profile. Dropping it ends the browser and its driver, also when a test panics.
pub(crate) struct Browser {
    driver: WebDriver,
    _process: Driver,
    _profile: TempDir,
    _permit: SemaphorePermit<'static>,
}

/// The width and height of the window a page is laid out for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Viewport {
    Desktop,
    Phone,
}

impl Browser {
    /// Starts Chromium; certificates nobody signed are accepted, since each test makes its own authority.
    pub(crate) async fn start() -> Browser {
        install_crypto_provider();
        let permit = BROWSERS_AT_ONCE.acquire().await.expect("the semaphore is never closed");
        let profile = TempDir::new().expect("a folder for the profile");
        let process = Driver::start(profile.path());
        let driver = WebDriver::new(&process.address, capabilities(profile.path()))
            .await
            .unwrap_or_else(|error| panic!("Chromium did not start: {error}. {INSTALL}"));
        Browser { driver, _process: process, _profile: profile, _permit: permit }
    }

    pub(crate) fn driver(&self) -> &WebDriver {
        &self.driver
    }

    pub(crate) async fn open(&self, address: &str) {
        self.driver.goto(address).await.unwrap_or_else(|error| panic!("open {address}: {error}"));
    }

    pub(crate) async fn address(&self) -> String {
        self.driver.current_url().await.expect("the address").to_string()
    }

    /// The text of the element, once there is one.
    pub(crate) async fn text(&self, css: &str) -> String {
        self.wait_for(css).await.text().await.expect("the element's text")
    }

    /// Waits until the page has the element.
    pub(crate) async fn wait_for(&self, css: &str) -> WebElement {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Ok(element) = self.driver.find(By::Css(css)).await {
                return element;
            }
            if Instant::now() > deadline {
                let page = self.driver.source().await.unwrap_or_default();
                panic!("no {css:?} at {}:\n{page}", self.address().await);
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }

    pub(crate) async fn shows(&self, css: &str) -> bool {
        !self.driver.find_all(By::Css(css)).await.expect("the page answers").is_empty()
    }

    /// Clicks the element, once there is one.
    pub(crate) async fn click(&self, css: &str) {
        let element = self.wait_for(css).await;
        element.scroll_into_view().await.ok();
        element.click().await.unwrap_or_else(|error| panic!("click {css}: {error}"));
    }

    /// Lays the page out for a phone of 390 points, or for a desktop window again. The page's own viewport tag
    /// decides the rest, as on a phone.
    pub(crate) async fn set_viewport(&self, viewport: Viewport) {
        let (width, height, mobile) = match viewport {
            Viewport::Desktop => (1280, 900, false),
            Viewport::Phone => (390, 844, true),
        };
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile });
        self.driver
            .cdp()
            .send_raw("Emulation.setDeviceMetricsOverride", metrics)
            .await
            .expect("the viewport changes");
    }

    /// Shows pages as for a person who prefers a dark or a light screen.
    pub(crate) async fn prefer_colours(&self, scheme: &str) {
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.driver.cdp().send_raw("Emulation.setEmulatedMedia", media).await.expect("the media change");
    }

    /// Writes what the page shows to `target/screenshots/<name>-<desktop|phone>.png`, at both widths, and checks
    /// that nothing stands out sideways on the phone.
    pub(crate) async fn photograph(&self, name: &str) {
        for (viewport, suffix) in [(Viewport::Phone, "phone"), (Viewport::Desktop, "desktop")] {
            self.set_viewport(viewport).await;
            let path = screenshots().join(format!("{name}-{suffix}.png"));
            self.driver.screenshot(&path).await.expect("a screenshot");
            let wide = "return document.documentElement.scrollWidth - window.innerWidth";
            let overhang = self.driver.execute(wide, vec![]).await.expect("the page's width");
            let overhang = overhang.json().as_f64().unwrap_or_default();
            assert!(overhang <= 0.0, "{name} is {overhang} points wider than the {suffix} screen");
        }
    }

    /// What the browser sends to `address` in `Cookie`, by name: also cookies scripts cannot see.
    pub(crate) async fn cookies(&self, address: &str) -> Vec<(String, String)> {
        let answer = self
            .driver
            .cdp()
            .send_raw("Network.getCookies", json!({ "urls": [address] }))
            .await
            .expect("the browser lists its cookies");
        let cookies = answer["cookies"].as_array().cloned().unwrap_or_default();
        let text =
            |cookie: &serde_json::Value, key: &str| cookie[key].as_str().unwrap_or_default().to_owned();
        cookies.iter().map(|cookie| (text(cookie, "name"), text(cookie, "value"))).collect()
    }

    /// Closes the browser and waits for it.
    pub(crate) async fn quit(self) {
        self.driver.clone().quit().await.expect("the browser closes");
    }
}

/// The provider thirtyfour's HTTP client finds: one per process, ours.
pub(crate) fn install_crypto_provider() {
    // An error says that it is installed already, which is the aim.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

impl Drop for Browser {
    fn drop(&mut self) {
        // After a panic nothing serves the test's runtime any more, and thirtyfour would wait two minutes for it to
        // close the session. The processes end with their group, below. An error says that it was closed already.
        let _ = self.driver.clone().leak();
    }
}

const INSTALL: &str = "Run scripts/test: it installs chromium and chromium-driver where they are missing";

fn capabilities(profile: &Path) -> ChromeCapabilities {
    let mut capabilities = DesiredCapabilities::chrome();
    for argument in [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-dev-shm-usage",
        "--hide-scrollbars",
        "--window-size=1280,900",
        &format!("--user-data-dir={}", profile.display()),
    ] {
        capabilities.add_arg(argument).expect("a browser argument");
    }
    capabilities.accept_insecure_certs(true).expect("a capability");
    capabilities
}

fn screenshots() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("the target folder");
    let folder = target.join("screenshots");
    std::fs::create_dir_all(&folder).expect("a folder for screenshots");
    folder
}

/// A running chromedriver on a port of its own choice.
struct Driver {
    child: Child,
    address: String,
}

impl Driver {
    fn start(home: &Path) -> Driver {
        let mut child = Command::new("chromedriver")
            .arg("--port=0")
            .env("TMPDIR", home)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("chromedriver: {error}. {INSTALL}"));
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        // The first line names port 0; "... was started successfully on port N." names the real one.
        let port = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| line.split_once("successfully on port ").map(|(_, port)| port.to_owned()))
            .unwrap_or_else(|| panic!("chromedriver ended without naming its port. {INSTALL}"));
        // It blocks once nobody reads what it prints.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        let address = format!("http://127.0.0.1:{}", port.trim().trim_end_matches('.'));
        Driver { child, address }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // The browser stays in the driver's process group, and outlives a driver that is merely killed.
        let group = format!("-{}", self.child.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.child.wait();
    }
}
