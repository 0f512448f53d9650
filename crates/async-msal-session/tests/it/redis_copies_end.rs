//! Nodes with copies of records (STORE_CACHE=on): whoever signs out on one is signed out on all, at once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_msal_emulator::Emulator;
use async_msal_session::async_msal::ManualClock;
use async_msal_session::store::{RedisOptions, RedisStore};
use async_msal_session::{Msal, SessionId, SessionLayout};
use async_msal_test_servers::RedisServer;

use crate::support::{ADA, BEN, START, builder, emulator, signed_in_on};

/// What the promise says.
const AT_ONCE: Duration = Duration::from_millis(50);
/// A machine with other work may hold up a round for longer than that. A copy that is served until something else voids it is
/// too old in each.
const ROUNDS: usize = 10;
const PAGE: &str = "https://app.example/user/signed-out";

/// One server and two nodes that keep copies.
struct Nodes {
    server: RedisServer,
    emulator: Emulator,
    here: Msal,
    there: Msal,
}

impl Nodes {
    async fn start(layout: SessionLayout) -> Self {
        let server = RedisServer::start();
        let clock = ManualClock::new(START);
        let emulator = emulator(&clock, async_msal_emulator::Policy::default()).await;
        let node = || {
            let store =
                RedisStore::open_lazy(&RedisOptions::new(server.url().as_str()).read_cache(true)).unwrap();
            builder(&emulator, &clock, Arc::new(store)).layout(layout).build().unwrap()
        };
        let (here, there) = (node(), node());
        Self { server, emulator, here, there }
    }

    /// Signed in, and kept by both nodes: neither asks the server for the record any more.
    async fn copied(&self, person: &str) -> SessionId {
        let id = signed_in_on(&self.there, &self.emulator, person).await;
        for node in [&self.here, &self.there] {
            let end = Instant::now() + Duration::from_secs(5);
            loop {
                let before = self.reads();
                assert!(node.load_session(&id).await.unwrap().is_some());
                if self.reads() == before {
                    break;
                }
                assert!(Instant::now() < end, "no copy is kept");
            }
        }
        id
    }

    /// Records the server was asked for.
    fn reads(&self) -> u64 {
        let stats = self.server.cli(&["INFO", "commandstats"]);
        let calls = |line: &str| line.strip_prefix("cmdstat_get:calls=")?.split(',').next()?.parse().ok();
        stats.lines().find_map(calls).unwrap_or(0)
    }

    /// Does `end` to a session that this node keeps a copy of, and asks until it is gone. In one of a few rounds that takes no
    /// longer than promised.
    async fn is_gone_at_once(&self, end: impl AsyncFn(&SessionId)) {
        let mut rounds = Vec::new();
        while rounds.len() < ROUNDS {
            let bens = self.copied(BEN).await;
            let id = self.copied(ADA).await;
            end(&id).await;
            let ended = Instant::now();
            while self.here.load_session(&id).await.unwrap().is_some() {
                assert!(ended.elapsed() < Duration::from_secs(5), "it is still served");
                tokio::task::yield_now().await;
            }
            rounds.push(ended.elapsed());
            assert!(self.here.load_session(&bens).await.unwrap().is_some(), "somebody else was signed out");
            if ended.elapsed() < AT_ONCE {
                return;
            }
        }
        panic!("{rounds:?}");
    }
}

#[tokio::test]
async fn a_sign_out_on_one_node_is_seen_by_another_within_fifty_milliseconds() {
    for layout in [SessionLayout::Sealed, SessionLayout::Aiohttp] {
        let nodes = Nodes::start(layout).await;
        let signs_out = async |id: &SessionId| {
            assert!(nodes.there.sign_out(id, &PAGE.parse().unwrap(), None).await.unwrap().was_signed_in);
        };
        nodes.is_gone_at_once(signs_out).await;
    }
}

#[tokio::test]
async fn what_a_python_sign_out_leaves_is_seen_within_fifty_milliseconds() {
    let nodes = Nodes::start(SessionLayout::Aiohttp).await;
    // As aiohttp_session saves an emptied session: an empty object with a new time to live.
    let signs_out = async |id: &SessionId| {
        let key = nodes.there.store_key(id);
        assert_eq!(nodes.server.cli(&["SET", key.as_str(), "{}", "EX", "3600"]), "OK");
    };
    nodes.is_gone_at_once(signs_out).await;
}
