//! What users meet while Redis has trouble, on real servers: a 503 that passes, and never a sign-out that nobody asked for.

use std::time::{Duration, Instant};

use async_msal_axum::async_msal_session::store::{RedisOptions, RedisStore};
use async_msal_axum::async_msal_session::{SessionId, SessionLayout};
use async_msal_test_servers::{RedisServer, RedisServerBuilder, Sentinel};

use crate::app::{ADA, App, Setup};
use crate::browser::{Answer, Browser};

/// Longer than a token lives.
const HOUR_AND_MORE: i64 = 3_700;
const SESSION: &str = "__Host-async_msal";
/// STORE_TIMEOUT is 500 ms; the rest is for this machine, which runs other tests meanwhile.
const LIMIT: Duration = Duration::from_millis(1_500);

pub(crate) fn open(url: &str) -> RedisStore {
    RedisStore::open_lazy(&RedisOptions::new(url)).expect("an address")
}

async fn over(url: &str) -> App {
    Setup::new().store(open(url)).start().await
}

/// Keeps what it acknowledged, whatever happens to it.
fn durable() -> RedisServerBuilder {
    RedisServer::builder().args(["--appendonly", "yes", "--appendfsync", "always"])
}

fn is_told_to_come_back(path: &str, answer: &Answer) {
    assert_eq!(answer.status, 503, "{path}: {}", answer.body);
    assert!(!answer.header("retry-after").is_empty(), "{path}");
    assert!(answer.set_cookies().is_empty(), "{path}: {:?}", answer.set_cookies());
    assert_eq!(answer.location(), "", "{path}");
}

/// Pages with a session answer 503 within the limit, the others as ever, and health tells it.
async fn is_down(app: &App, browser: &mut Browser) {
    for path in ["/", "/private", "/token", "/user/info", "/user/photo"] {
        let asked = Instant::now();
        is_told_to_come_back(path, &browser.get(path).await);
        assert!(asked.elapsed() < LIMIT, "{path} took {:?}", asked.elapsed());
    }
    assert_eq!(browser.get("/plain").await.status, 200);
    assert_eq!(app.browser().get("/user/login").await.status, 303);
    // A call that succeeded a moment ago may mean that the store fails in part.
    let asked = Instant::now();
    let health = loop {
        let health = app.browser().get("/health").await;
        if health.status == 503 {
            break health;
        }
        assert!(asked.elapsed() < 2 * LIMIT, "{}", health.body);
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(health.json()["store"]["status"], "down");
    assert!(health.json()["store"]["reason"].is_string(), "{}", health.body);
}

/// Asks until the page comes: everything before is a 503 that leaves the cookie alone. How long it took.
async fn recovers(browser: &mut Browser, limit: Duration) -> Duration {
    let started = Instant::now();
    loop {
        let answer = browser.get("/private").await;
        if answer.status == 200 {
            assert_eq!(answer.body, "Private for Ada Marsh");
            return started.elapsed();
        }
        is_told_to_come_back("/private", &answer);
        assert!(started.elapsed() < limit, "no recovery within {limit:?}: {}", answer.body);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn is_up(app: &App) {
    let health = app.browser().get("/health").await;
    assert_eq!((health.status.as_u16(), &health.json()["store"]["status"]), (200, &"up".into()));
}

#[tokio::test]
async fn redis_that_is_down_at_the_start_is_a_503_until_it_comes() {
    let mut server = RedisServer::start();
    server.stop();
    let app = over(&server.url()).await;
    let mut browser = app.browser();
    browser.set_cookie(SESSION, &"0".repeat(32));
    is_down(&app, &mut browser).await;
    server.restart();
    let back = Instant::now();
    assert_eq!(browser.get("/private").await.status, 303, "nobody, and the store says so");
    assert!(back.elapsed() < Duration::from_secs(1));
    assert_eq!(app.signed_in(ADA).await.get("/").await.body, "Hello Ada Marsh");
    is_up(&app).await;
}

#[tokio::test]
async fn redis_that_goes_down_and_comes_back_signs_nobody_out() {
    let mut server = durable().start();
    let app = over(&server.url()).await;
    let mut browser = app.signed_in(ADA).await;
    for _ in 0..2 {
        server.kill9();
        is_down(&app, &mut browser).await;
        server.restart();
        recovers(&mut browser, Duration::from_secs(1)).await;
        is_up(&app).await;
    }
}

#[tokio::test]
async fn redis_that_hangs_is_a_503_within_the_limit_and_holds_up_no_other_page() {
    let server = RedisServer::start();
    let app = over(&server.url()).await;
    let mut browser = app.signed_in(ADA).await;
    server.pause();
    is_down(&app, &mut browser).await;
    let mut waiting = browser.clone();
    let held = tokio::spawn(async move { waiting.get("/private").await });
    let asked = Instant::now();
    assert_eq!(browser.get("/plain").await.status, 200);
    assert!(asked.elapsed() < Duration::from_millis(300), "{:?}", asked.elapsed());
    is_told_to_come_back("/private", &held.await.expect("an answer"));
    server.resume();
    recovers(&mut browser, Duration::from_secs(1)).await;
    is_up(&app).await;
}

#[tokio::test]
async fn redis_that_is_loading_is_a_503_until_it_has_loaded() {
    // Half a millisecond for each key.
    let slow = ["--loading-process-events-interval-bytes", "1024", "--key-load-delay", "500"];
    let mut server = RedisServer::builder().args(slow).start();
    let app = over(&server.url()).await;
    let mut browser = app.signed_in(ADA).await;
    let ballast =
        "for i = 1, 4000 do redis.call('SET', 'ballast' .. i, string.rep('x', 1000)) end return 'OK'";
    command(&server, &["EVAL", ballast, "0"]);
    command(&server, &["SAVE"]);
    server.restart_without_waiting();
    let mut reason = String::new();
    while !reason.contains("LOADING") {
        is_told_to_come_back("/private", &browser.get("/private").await);
        reason = app.browser().get("/health").await.json()["store"]["reason"].to_string();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    recovers(&mut browser, Duration::from_secs(30)).await;
}

#[tokio::test]
async fn a_fail_over_is_followed_without_a_sign_out() {
    let mut sentinel = Sentinel::start();
    let app = over(&sentinel.url()).await;
    let mut browser = app.signed_in(ADA).await;
    let acknowledged = sentinel.server_mut(0).cli(&["WAIT", "1", "2000"]);
    assert_eq!(acknowledged, "1", "the replica has the session");
    sentinel.server_mut(0).kill9();
    recovers(&mut browser, Duration::from_secs(30)).await;
    assert_eq!(app.signed_in(ADA).await.get("/").await.body, "Hello Ada Marsh");
}

#[tokio::test]
async fn redis_without_room_serves_who_is_signed_in_and_signs_out() {
    let server = RedisServer::start();
    let app = over(&server.url()).await;
    let mut browser = app.signed_in(ADA).await;
    let mut leaving = app.signed_in(ADA).await;
    command(&server, &["CONFIG", "SET", "maxmemory", "1"]);
    serves_reads_and_refuses_sign_ins(&app, &mut browser).await;
    let answer = leaving.post("/user/logout", "").await;
    assert_eq!(answer.status, 303, "a deletion needs no room: {}", answer.body);
    assert_eq!(leaving.cookie(SESSION), None);
    let mend = ["CONFIG", "SET", "maxmemory", "0"];
    renewed_tokens_are_handed_out_and_saved_later(&app, &mut browser, &server, &mend).await;
    assert_eq!(app.signed_in(ADA).await.get("/").await.body, "Hello Ada Marsh");
}

#[tokio::test]
async fn redis_without_room_signs_out_this_browser_in_layout_aiohttp_and_the_others_later() {
    let server = RedisServer::start();
    let setup = Setup::new().msal(|msal| msal.layout(SessionLayout::Aiohttp));
    let app = setup.store(open(&server.url())).start().await;
    let mut browser = app.signed_in(ADA).await;
    let mut copy = browser.clone();
    command(&server, &["CONFIG", "SET", "maxmemory", "1"]);
    let answer = browser.post("/user/logout", "").await;
    assert_eq!(answer.status, 202, "`{{}}` takes the record's place, and that is a write: {}", answer.body);
    assert_eq!(copy.get("/").await.body, "Hello stranger");
    command(&server, &["CONFIG", "SET", "maxmemory", "0"]);
    let record = server.cli(&["KEYS", "AIOHTTP_SESSION_*"]);
    app.until(async || server.cli(&["GET", &record]) == "{}").await;
}

#[tokio::test]
async fn a_read_only_replica_serves_who_is_signed_in_and_ends_sessions_when_it_is_a_primary() {
    let primary = RedisServer::start();
    let one = over(&primary.url()).await;
    let (mut browser, mut leaving) = (one.signed_in(ADA).await, one.signed_in(ADA).await);
    let follow = ["--replicaof".to_owned(), "127.0.0.1".to_owned(), primary.port().to_string()];
    let replica = RedisServer::builder().args(follow).start();
    one.until(async || replica.cli(&["DBSIZE"]) == primary.cli(&["DBSIZE"])).await;
    let app = Setup::new().store(open(&replica.url())).start_at(one.emulator.clone()).await;
    browser.turn_to(app.address);
    leaving.turn_to(app.address);
    serves_reads_and_refuses_sign_ins(&app, &mut browser).await;
    let mut copy = leaving.clone();
    let answer = leaving.post("/user/logout", "").await;
    assert_eq!(answer.status, 202, "{}", answer.body);
    assert_eq!(leaving.cookie(SESSION), None);
    assert_eq!(copy.get("/").await.body, "Hello stranger");
    let records = || replica.cli(&["KEYS", &format!("{SESSION}_*")]).lines().count();
    let mend = ["REPLICAOF", "NO", "ONE"];
    renewed_tokens_are_handed_out_and_saved_later(&app, &mut browser, &replica, &mend).await;
    app.until(async || records() == 1).await;
}

async fn serves_reads_and_refuses_sign_ins(app: &App, browser: &mut Browser) {
    for path in ["/", "/private", "/token", "/user/info"] {
        let answer = browser.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    }
    let mut newcomer = app.browser();
    let answer = app.sign_in(&mut newcomer, ADA).await;
    assert_eq!(answer.status, 503, "{}", answer.body);
    assert!(!answer.header("retry-after").is_empty());
    assert_eq!(newcomer.cookie(SESSION).filter(|(name, _)| *name == SESSION), None);
    let health = app.browser().get("/health").await;
    assert!(health.json()["store"]["reason"].is_string(), "{}", health.body);
}

/// The token that the store would not take is handed out meanwhile, and stands in the record once it does.
async fn renewed_tokens_are_handed_out_and_saved_later(
    app: &App,
    browser: &mut Browser,
    server: &RedisServer,
    mend: &[&str],
) {
    let refreshes = || app.emulator.admin().counters().token_refresh_token;
    let before = refreshes();
    app.clock.advance(HOUR_AND_MORE);
    app.emulator.admin().advance_clock(HOUR_AND_MORE);
    let token = browser.get("/token").await;
    assert_eq!(token.status, 200, "{}", token.body);
    assert_eq!(browser.get("/token").await.body, token.body);
    assert_eq!(refreshes(), before + 1, "one renewal serves both");
    command(server, mend);
    // Another node knows the token only from the store.
    let other = Setup::new().store(open(&server.url())).start_at(app.emulator.clone()).await;
    other.clock.advance(HOUR_AND_MORE);
    let id = SessionId::parse(browser.cookie(SESSION).expect("a session").1).expect("an id");
    app.until(async || {
        let session = other.msal.load_session(&id).await.ok().flatten();
        let saved = session.and_then(|session| session.token_info(&"User.Read".into()));
        saved.is_some_and(|saved| saved.expires_on.to_string() == token.body)
    })
    .await;
    assert_eq!(refreshes(), before + 1);
}

fn command(server: &RedisServer, arguments: &[&str]) {
    assert_eq!(server.cli(arguments), "OK", "{arguments:?}");
}

#[tokio::test]
async fn a_flushed_redis_means_one_clean_sign_in() {
    let server = RedisServer::start();
    let app = over(&server.url()).await;
    let mut browser = app.signed_in(ADA).await;
    command(&server, &["FLUSHALL"]);
    assert_eq!(browser.get("/").await.body, "Hello stranger");
    let answer = browser.get("/private").await;
    assert_eq!((answer.status.as_u16(), answer.location()), (303, "/user/login/private"));
    let login = browser.get(answer.location()).await;
    let form = app.answer_of(&login, ADA).await;
    let back = browser.cross_site_post("/user/authorized", &form).await;
    assert_eq!((back.status.as_u16(), back.location()), (303, "/private"), "{}", back.body);
    assert_eq!(browser.get("/private").await.body, "Private for Ada Marsh");
}

#[tokio::test]
async fn any_single_key_that_is_evicted_makes_neither_an_error_nor_another_user() {
    let server = RedisServer::start();
    let app = over(&server.url()).await;
    let keys = || -> Vec<String> { server.cli(&["KEYS", "*"]).lines().map(str::to_owned).collect() };
    app.signed_in(ADA).await;
    let kinds = keys().len();
    assert!(kinds >= 5, "record, mark, user, mail, sid: {:?}", keys());
    for number in 0..kinds {
        command(&server, &["FLUSHALL"]);
        let mut browser = app.signed_in(ADA).await;
        let mut all = keys();
        all.sort();
        let Some(key) = all.get(number) else { continue };
        assert_eq!(server.cli(&["DEL", key]), "1");
        app.clock.advance(HOUR_AND_MORE);
        app.emulator.admin().advance_clock(HOUR_AND_MORE);
        let body = browser.get("/").await.body;
        assert!(["Hello Ada Marsh", "Hello stranger"].contains(&body.as_str()), "{key}: {body}");
        for path in ["/private", "/token", "/user/info"] {
            let status = browser.get(path).await.status.as_u16();
            assert!([200, 303, 401].contains(&status), "{key}: {path}: {status}");
        }
        assert_eq!(browser.post("/user/logout", "").await.status, 303, "{key}");
        assert_eq!(app.signed_in(ADA).await.get("/").await.body, "Hello Ada Marsh", "{key}");
    }
}

#[tokio::test]
async fn a_sign_out_while_redis_is_down_ends_the_session_when_it_is_back() {
    let mut server = durable().start();
    let app = over(&server.url()).await;
    let mut browser = app.signed_in(ADA).await;
    let mut copy = browser.clone();
    server.kill9();
    assert_eq!(browser.post("/user/logout", "").await.status, 202);
    assert_eq!(browser.cookie(SESSION), None);
    server.restart();
    app.until(async || server.cli(&["KEYS", &format!("{SESSION}_*")]).is_empty()).await;
    assert_eq!(copy.get("/").await.body, "Hello stranger");
}
