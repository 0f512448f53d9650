//! Whole sessions on a real Redis server: evicted, without a time to live, and behind a server that answers slowly.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use async_msal_emulator::Policy;
use async_msal_session::admin::RepairOptions;
use async_msal_session::store::{RedisOptions, RedisStore, SessionStore};
use async_msal_session::{Error, Find, SessionLayout};
use async_msal_test_servers::RedisServer;
use futures_util::TryStreamExt as _;

use crate::redis::{HOUR, new_key, open};
use crate::support::{ADA, BEN, World, user_scopes};

async fn world(server: &RedisServer, layout: SessionLayout) -> World {
    let store = Arc::new(open(&server.url()));
    World::on(store, Policy::default(), |builder| builder.layout(layout)).await
}

#[tokio::test]
async fn who_was_evicted_is_as_signed_out_and_signs_in_once() {
    for layout in [SessionLayout::Sealed, SessionLayout::Aiohttp] {
        let server = RedisServer::builder().args(["--maxmemory-policy", "allkeys-lru"]).start();
        let world = world(&server, layout).await;
        let id = world.sign_in(ADA).await;
        let session = world.load(&id).await;
        let key = world.msal.store_key(&id);
        let info = server.cli(&["INFO", "memory"]);
        let used: u64 =
            info.lines().find_map(|line| line.strip_prefix("used_memory:")?.parse().ok()).unwrap();
        server.cli(&["CONFIG", "SET", "maxmemory", &(used + 1_000_000).to_string()]);
        let filler = open(&server.url());
        let end = Instant::now() + Duration::from_secs(30);
        while server.cli(&["EXISTS", key.as_str()]) == "1" {
            assert!(Instant::now() < end, "it was not evicted");
            for _ in 0..50 {
                filler.create(&new_key(), vec![b'x'; 10_000].into(), HOUR).await.unwrap().unwrap();
            }
        }
        assert!(world.msal.load_session(&id).await.unwrap().is_none());
        assert!(world.msal.for_user(&Find::mail(ADA)).await.unwrap().is_none());
        // A handle from before writes nothing over it.
        world.clock.advance(3601);
        let late = session.get_token(&user_scopes()).await;
        assert!(matches!(late, Err(Error::SessionEnded)), "{late:?}");
        session.set_item("a", &1).unwrap();
        assert!(session.save().await.is_err());
        assert_eq!(server.cli(&["EXISTS", key.as_str()]), "0");
        let anew = world.sign_in(ADA).await;
        world.load(&anew).await.get_token(&user_scopes()).await.unwrap();
        let found = world.msal.for_user(&Find::mail(ADA)).await.unwrap().unwrap();
        assert_eq!(found.store_key().unwrap(), world.msal.store_key(&anew));
    }
}

#[tokio::test]
async fn a_repair_gives_records_without_a_time_to_live_one() {
    for layout in [SessionLayout::Sealed, SessionLayout::Aiohttp] {
        let server = RedisServer::start();
        let world = world(&server, layout).await;
        let (ada, ben) = (world.sign_in(ADA).await, world.sign_in(BEN).await);
        let (ada, ben) = (world.msal.store_key(&ada), world.msal.store_key(&ben));
        let left = |key: &str| server.cli(&["TTL", key]).parse::<i64>().unwrap();
        let bens = left(ben.as_str());
        assert_eq!(server.cli(&["PERSIST", ada.as_str()]), "1");
        let mut persisted = vec![ada.as_str().to_owned()];
        if layout == SessionLayout::Aiohttp {
            // What a Python sign-out leaves has no end either where the service gave it none.
            let blank = format!("{}_{}", world.msal.settings().cookie_name(), "4".repeat(32));
            assert_eq!(server.cli(&["SET", &blank, "{}"]), "OK");
            persisted.push(blank);
        }
        assert!(persisted.iter().all(|key| left(key) == -1));
        let steps: Vec<_> = world.msal.repair(RepairOptions::new()).try_collect().await.unwrap();
        let report = steps.last().unwrap();
        assert_eq!((report.ended, report.removed.len()), (persisted.len() as u64, 0), "{report:?}");
        let idle = world.msal.settings().session_idle().as_secs().cast_signed();
        for key in persisted {
            assert!((idle - 60..=idle).contains(&left(&key)), "{}", left(&key));
        }
        assert!((bens - 60..=bens).contains(&left(ben.as_str())), "a record with an end was given another");
        let again: Vec<_> = world.msal.repair(RepairOptions::new()).try_collect().await.unwrap();
        assert_eq!(again.last().unwrap().ended, 0);
        assert!(world.msal.for_user(&Find::mail(ADA)).await.unwrap().is_some());
    }
}

/// STORE_TIMEOUT here, and what a loaded machine may add to it.
const LIMIT: Duration = Duration::from_millis(200);
const SLACK: Duration = Duration::from_millis(500);

#[tokio::test(flavor = "multi_thread")]
async fn requests_behind_a_store_that_answers_slowly_wait_no_longer_than_its_limit() {
    let server = RedisServer::start();
    let options = RedisOptions::new(server.url().as_str()).timeout(LIMIT);
    let store = Arc::new(RedisStore::open_lazy(&options).unwrap());
    let world = World::on(store, Policy::default(), |builder| builder.store_timeout(LIMIT)).await;
    let id = world.sign_in(ADA).await;
    let done = Arc::new(AtomicBool::new(false));
    // It stands still for longer than the limit, for less, and runs a little in between.
    let stutter = {
        let done = Arc::clone(&done);
        std::thread::spawn(move || {
            for still in [50, 150, 300, 600].into_iter().cycle() {
                if done.load(Ordering::Relaxed) {
                    return server;
                }
                server.pause();
                std::thread::sleep(Duration::from_millis(still));
                server.resume();
                std::thread::sleep(Duration::from_millis(40));
            }
            server
        })
    };
    let (mut times, mut served, mut refused) = (Vec::new(), 0, 0);
    let end = Instant::now() + Duration::from_secs(6);
    while Instant::now() < end {
        let mut requests = tokio::task::JoinSet::new();
        for _ in 0..20 {
            let (msal, id) = (world.msal.clone(), id.clone());
            requests.spawn(async move {
                let began = Instant::now();
                let session = msal.load_session(&id).await;
                (began.elapsed(), session.map(|session| session.is_some()))
            });
        }
        for (time, answer) in requests.join_all().await {
            times.push(time);
            match answer {
                Ok(live) => {
                    assert!(live, "a slow store signed somebody out");
                    served += 1;
                }
                Err(error) => {
                    assert!(matches!(error, Error::Store(_)), "{error}");
                    refused += 1;
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    done.store(true, Ordering::Relaxed);
    let _server = stutter.join().unwrap();
    times.sort();
    let p99 = times[times.len() * 99 / 100];
    assert!(served > 0 && refused > 0, "{served} served, {refused} refused");
    assert!(p99 < LIMIT + SLACK, "{p99:?}");
}
