//! A sign-in, a renewal-free token and a sign-out at the most talkative log level, and nothing secret in it.

use std::io;
use std::sync::{Arc, Mutex};

use tracing_subscriber::filter::LevelFilter;

use crate::app::{ADA, App};

/// Enough for one trip; what other tests log meanwhile is in it too.
const MOST: usize = 64 << 20;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut log = self.0.lock().expect("the log");
        if log.len() < MOST {
            log.extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_trip_at_trace_level_logs_no_secret() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_max_level(LevelFilter::TRACE).with_ansi(false);
    let subscriber = subscriber.with_writer(move || writer.clone()).finish();
    tracing::subscriber::set_global_default(subscriber).expect("no other test sets one");

    let app = App::start().await;
    let mut browser = app.browser();
    let login = browser.get("/user/login").await;
    let form = app.answer_of(&login, ADA).await;
    let (_, sealed) = browser.cookie("__Host-async_msal_flow_").expect("a flow");
    let sealed = sealed.to_owned();
    browser.cross_site_post("/user/authorized", &form).await;
    let (_, session) = browser.cookie("__Host-async_msal").expect("a session");
    let session = session.to_owned();
    for path in ["/private", "/token", "/user/info", "/user/photo", "/mail"] {
        browser.get(path).await;
    }
    browser.post("/user/logout", "").await;
    app.sign_in(&mut browser, crate::app::BEN).await;

    let log = String::from_utf8_lossy(&log.0.lock().expect("the log")).into_owned();
    assert!(log.contains("signed in"), "nothing was logged");
    let secret = app.emulator.client_secret();
    let mut secrets = vec![("sealed flow", sealed), ("session id", session), ("client secret", secret)];
    for (name, value) in form_urlencoded::parse(form.as_bytes()) {
        if name == "code" || name == "state" {
            secrets.push(("callback field", value.into_owned()));
        }
    }
    let nonce = url::Url::parse(login.location()).expect("an address");
    secrets.extend(
        nonce
            .query_pairs()
            .filter(|(name, _)| name == "nonce")
            .map(|(_, value)| ("nonce", value.into_owned())),
    );
    secrets.push(("a token", "eyJ0eXAi".to_owned()));
    for (what, value) in secrets {
        let line = log.lines().find(|line| line.contains(&value));
        assert!(line.is_none(), "{what}: {line:?}");
    }
}
