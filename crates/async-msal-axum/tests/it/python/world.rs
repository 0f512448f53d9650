//! One Redis server, one emulator, and beside it two services that share cookie and records: one in Rust, one in Python.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_msal_axum::async_msal::Scopes;
use async_msal_axum::async_msal_session::settings::SettingsSource;
use async_msal_axum::{AsyncMsal, Msal, MsalLayer, Rejection, SignedIn};
use async_msal_emulator::{Emulator, TlsMode};
use async_msal_test_servers::RedisServer;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use super::packages::Release;
use super::service::{self, PythonService};
use crate::app::serve;
use crate::browser::{Answer, Browser};

pub(crate) const COOKIE: &str = "SHARED_SESSION";
const DOMAIN: &str = "example.com";
/// What aiohttp_msal asks for where nothing else is said.
const SCOPES: [&str; 2] = ["User.Read", "User.Read.All"];

pub(crate) struct World {
    pub(crate) emulator: Emulator,
    pub(crate) redis: RedisServer,
    pub(crate) msal: Msal,
    rust: SocketAddr,
    python: PythonService,
    variables: BTreeMap<&'static str, String>,
    release: Release,
    /// Holds the file of the emulator's certificate authority.
    _folder: tempfile::TempDir,
}

impl World {
    /// `None` where this machine has no Python for the release.
    pub(crate) async fn start(release: Release) -> Option<Self> {
        let python = tokio::task::spawn_blocking(move || release.python()).await.expect("packages")?;
        let tls = TlsMode::ThrowAway { extra_hosts: vec!["graph.microsoft.com".to_owned()] };
        let emulator = Emulator::builder().shared_signing_key().tls(tls).start().await.expect("an emulator");
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("ca.pem"), emulator.ca_pem()).expect("the authority's file");
        let redis = RedisServer::start();
        let variables = variables(&emulator, &redis, folder.path());
        let python = PythonService::start(release, &python, &variables);
        let msal = application(&emulator, &redis, folder.path());
        let layer = MsalLayer::new(msal.clone());
        let callback = format!("https://{}/user/authorized", python.address());
        for address in
            [layer.redirect_uri().as_str(), layer.post_logout_redirect_uri().as_str(), callback.as_str()]
        {
            emulator.register_redirect_uri(address).expect("a redirect address");
        }
        let rust = serve(router(layer)).await;
        Some(Self { emulator, redis, msal, rust, python, variables, release, _folder: folder })
    }

    /// Signs in on the Rust side, in the session that the browser has, if it has one.
    pub(crate) async fn sign_in_on_rust(&self, browser: &mut Browser, person: &str) -> Answer {
        self.on_rust(browser);
        let login = browser.get("/user/login").await;
        let form = self.answer_of(&login, person).await;
        let answer = browser.cross_site_post("/user/authorized", &form).await;
        assert_eq!((answer.status.as_u16(), answer.location()), (303, "/"), "{}", answer.body);
        answer
    }

    /// Signs in on the Python side, by the package's own routes: in a new session.
    pub(crate) async fn sign_in_on_python(&self, browser: &mut Browser, person: &str) -> Answer {
        self.sign_in_on_python_at(browser, "/user/login", person).await
    }

    /// Signs in on the Python side in the session that the browser has.
    pub(crate) async fn sign_in_on_python_here(&self, browser: &mut Browser, person: &str) -> Answer {
        self.sign_in_on_python_at(browser, "/login-here", person).await
    }

    async fn sign_in_on_python_at(&self, browser: &mut Browser, login: &str, person: &str) -> Answer {
        self.on_python(browser);
        let login = browser.get(login).await;
        let form = self.answer_of(&login, person).await;
        let answer = browser.cross_site_post("/user/authorized", &form).await;
        assert_eq!((answer.status.as_u16(), answer.location()), (302, "/"), "{}", answer.body);
        answer
    }

    async fn answer_of(&self, login: &Answer, person: &str) -> String {
        self.emulator.authorize(login.location(), person).await.expect("the person signs in").body()
    }

    /// A browser without cookies.
    pub(crate) fn browser(&self) -> Browser {
        Browser::new(self.rust)
    }

    /// A browser in which `person` signed in on the Rust side.
    pub(crate) async fn signed_in_on_rust(&self, person: &str) -> Browser {
        let mut browser = self.browser();
        self.sign_in_on_rust(&mut browser, person).await;
        browser
    }

    /// A browser in which `person` signed in on the Python side.
    pub(crate) async fn signed_in_on_python(&self, person: &str) -> Browser {
        let mut browser = self.browser();
        self.sign_in_on_python(&mut browser, person).await;
        browser
    }

    /// The browser's next requests go to the Rust service.
    pub(crate) fn on_rust<'a>(&self, browser: &'a mut Browser) -> &'a mut Browser {
        browser.go_to(self.rust)
    }

    /// The browser's next requests go to the Python service.
    pub(crate) fn on_python<'a>(&self, browser: &'a mut Browser) -> &'a mut Browser {
        browser.go_to(self.python.address())
    }

    /// What the Rust side says of the user: mail and name, and whether its guard lets them pass.
    pub(crate) async fn rust_says(&self, browser: &mut Browser) -> Who {
        Who::ask(self.on_rust(browser)).await
    }

    /// What the Python side says of the user.
    pub(crate) async fn python_says(&self, browser: &mut Browser) -> Who {
        Who::ask(self.on_python(browser)).await
    }

    /// The access token that the Rust side has for this browser's user.
    pub(crate) async fn rust_token(&self, browser: &mut Browser) -> String {
        token(self.on_rust(browser)).await
    }

    /// The access token that the Python side has for this browser's user.
    pub(crate) async fn python_token(&self, browser: &mut Browser) -> String {
        token(self.on_python(browser)).await
    }

    /// Runs the job of `tests/python/write_back.py`; `beside` with the older release. Says where the token came from.
    pub(crate) async fn write_back(&self, mail: &str, beside: bool) -> String {
        let python = self.release.python().expect("packages");
        let mut command = service::command(&python, "write_back.py");
        command.envs(&self.variables).arg(mail).stdin(Stdio::null());
        if beside {
            command.env("PYTHONPATH", self.release.beside());
        }
        let output = tokio::task::spawn_blocking(move || command.output()).await.expect("a thread");
        let output = output.expect("Python runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    pub(crate) fn refreshes(&self) -> u64 {
        self.emulator.admin().counters().token_refresh_token
    }

    /// The key of this browser's record.
    pub(crate) fn key(&self, browser: &Browser) -> String {
        let (_, id) = browser.cookie(COOKIE).expect("a session cookie");
        format!("{COOKIE}_{id}")
    }

    /// The text under a key; `None` where there is none.
    pub(crate) fn text(&self, key: &str) -> Option<String> {
        Some(self.redis.cli(&["GET", key])).filter(|text| !text.is_empty())
    }

    pub(crate) fn record(&self, key: &str) -> Value {
        let text = self.text(key).expect("a record");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// Seconds a key has left; -1 without an end, -2 without the key.
    pub(crate) fn ttl(&self, key: &str) -> i64 {
        self.redis.cli(&["TTL", key]).parse().expect("a number")
    }

    pub(crate) fn keys(&self) -> Vec<String> {
        let mut keys: Vec<String> = self.redis.cli(&["KEYS", "*"]).lines().map(str::to_owned).collect();
        keys.sort();
        keys
    }

    /// Changes a record behind both services' backs; its time to live stays.
    pub(crate) fn edit(&self, key: &str, change: impl Fn(&mut Value)) {
        const SWAP: &str = "if redis.call('GET', KEYS[1]) == ARGV[1] then \
            redis.call('SET', KEYS[1], ARGV[2], 'KEEPTTL') return 1 end return 0";
        loop {
            let before = self.text(key).expect("a record");
            let mut record: Value = serde_json::from_str(&before).expect("JSON");
            change(&mut record);
            if self.redis.cli(&["EVAL", SWAP, "1", key, &before, &record.to_string()]) == "1" {
                return;
            }
        }
    }

    /// Lets the access tokens of a record expire.
    pub(crate) fn expire_tokens(&self, key: &str) {
        self.edit(key, |record| {
            let text = record["session"]["token_cache"].as_str().expect("a token cache");
            let mut cache: Value = serde_json::from_str(text).expect("JSON inside JSON");
            for entry in cache["AccessToken"].as_object_mut().expect("access tokens").values_mut() {
                entry["expires_on"] = json!((now() - 1).to_string());
                entry["extended_expires_on"] = json!((now() - 1).to_string());
            }
            record["session"]["token_cache"] = json!(cache.to_string());
        });
    }
}

/// What a service says of the user.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Who {
    pub(crate) signed_in: bool,
    /// Whether a guarded route answers.
    pub(crate) admitted: bool,
    pub(crate) mail: Option<String>,
    pub(crate) name: Option<String>,
}

impl Who {
    /// Nobody, on both ways of asking.
    pub(crate) const NOBODY: Self = Self { signed_in: false, admitted: false, mail: None, name: None };

    /// `name` with `mail`, signed in and admitted.
    pub(crate) fn user(mail: &str, name: &str) -> Self {
        Self { signed_in: true, admitted: true, mail: Some(mail.to_owned()), name: Some(name.to_owned()) }
    }

    async fn ask(browser: &mut Browser) -> Self {
        let info = browser.fetch("/user/info").await.json();
        let private = browser.fetch("/private").await;
        let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        let who = Self {
            signed_in: info["authenticated"] == true,
            admitted: private.status == 200,
            mail: text(&info["mail"]),
            name: text(&info["name"]),
        };
        if who.admitted {
            let private = private.json();
            assert_eq!(
                (text(&private["mail"]), text(&private["name"])),
                (who.mail.clone(), who.name.clone())
            );
        }
        who
    }
}

async fn token(browser: &mut Browser) -> String {
    let answer = browser.fetch("/token").await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()["access_token"].as_str().expect("a token").to_owned()
}

/// Waits for what a service does after its answer.
pub(crate) async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..500 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what}: not within 5 s");
}

pub(crate) fn now() -> i64 {
    let time = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970");
    i64::try_from(time.as_secs()).expect("a time before the year 292e9")
}

fn application(emulator: &Emulator, redis: &RedisServer, folder: &Path) -> Msal {
    let settings = SettingsSource::new()
        .value("SP_APP_ID", emulator.client_id())
        .value("SP_APP_PW", emulator.client_secret())
        .value("SP_AUTHORITY", emulator.authority_url())
        .value("PUBLIC_URL", "https://app.example.com")
        .value("DOMAIN", DOMAIN)
        .value("COOKIE_NAME", COOKIE)
        .value("SESSION_LAYOUT", "aiohttp")
        .value("REDIS", redis.url())
        .value("STORE_TIMEOUT", "5s")
        .value("GRAPH_URL", emulator.graph_url())
        .value("CA_FILE", folder.join("ca.pem").to_str().expect("a path"))
        .value("DANGEROUS_ALLOW_LOOPBACK_AUTHORITY", "on")
        .read()
        .expect("settings");
    Msal::from_settings(settings.with_scopes(Scopes::from(SCOPES))).expect("an application")
}

fn router(auth: MsalLayer) -> Router {
    Router::new()
        .route("/private", get(private))
        .route("/token", get(access_token))
        .route("/count", post(count))
        .merge(auth.routes())
        .layer(auth)
}

async fn private(user: SignedIn) -> Json<Value> {
    Json(json!({ "mail": user.mail(), "name": user.name() }))
}

async fn access_token(user: SignedIn) -> Result<Json<Value>, Rejection> {
    let token = user.get_token(&Scopes::from(SCOPES)).await?;
    Ok(Json(json!({ "access_token": token.access_token.expose_secret() })))
}

async fn count(session: AsyncMsal) -> Result<Json<u32>, Rejection> {
    let next = session.item::<u32>("count")?.unwrap_or_default() + 1;
    session.set_item("count", &next)?;
    Ok(Json(next))
}

/// The settings of the shared application, as the Python packages read them.
fn variables(emulator: &Emulator, redis: &RedisServer, folder: &Path) -> BTreeMap<&'static str, String> {
    BTreeMap::from([
        ("REQUESTS_CA_BUNDLE", folder.join("ca.pem").to_str().expect("a path").to_owned()),
        ("EMULATOR_PORT", emulator.address().port().to_string()),
        ("SHARED_SP_APP_ID", emulator.client_id()),
        ("SHARED_SP_APP_PW", emulator.client_secret()),
        ("SHARED_SP_AUTHORITY", emulator.authority_url()),
        ("SHARED_DOMAIN", DOMAIN.to_owned()),
        ("SHARED_COOKIE_NAME", COOKIE.to_owned()),
        ("SHARED_REDIS", redis.url()),
    ])
}
