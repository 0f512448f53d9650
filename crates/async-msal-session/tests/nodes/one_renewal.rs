//! Four processes, one expired session, refresh tokens that work once.

use crate::fleet::{ADA, Backend, Fleet, ask_all, strict};
use crate::node::Moment;

/// Requests of each process.
const REQUESTS: usize = 200;

/// Races take turns: each is four processes that want all of the machine.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// How often a race is run.
fn runs() -> usize {
    std::env::var("ASYNC_MSAL_NODE_RUNS").ok().map_or(1, |runs| runs.parse().unwrap())
}

/// 800 requests for these scope sets in turn: as many refreshes as there are sets, and every request is served.
async fn race(backend: Backend, lifetime: i64, second_scope: bool) {
    let _turn = TURN.lock().await;
    let mut policy = strict();
    policy.access_token_lifetime = lifetime;
    let fleet = Fleet::in_a_hurry(backend, policy).await;
    let api = fleet.api_scope();
    let scopes: &[&str] = if second_scope { &["User.Read", &api] } else { &["User.Read"] };
    for run in 1..=runs() {
        let nodes = fleet.nodes::<4>().await;
        let id = fleet.expired(ADA).await;
        let all = ask_all(&nodes.each_ref(), &id, REQUESTS, scopes).await;
        assert_eq!((all.failed(), all.served()), (0, 4 * REQUESTS), "run {run}: {all:?}");
        assert_eq!(all.tokens.len(), scopes.len(), "run {run}: each set has one token: {all:?}");
        assert_eq!((fleet.refreshes(), fleet.reuses()), (scopes.len() as u64, 0), "run {run}");
    }
}

/// A caller that goes away ends no renewal: what it began serves the others, on its own node and elsewhere.
async fn dropped_caller(backend: Backend) {
    let fleet = Fleet::new(backend, strict()).await;
    let [node, other] = fleet.nodes().await;
    let id = fleet.expired(ADA).await;
    node.hold(Moment::LeaseTaken).await;
    node.begin(&id, "User.Read").await;
    node.held(Moment::LeaseTaken).await;
    node.abandon().await;
    assert_eq!(fleet.refreshes(), 0);
    node.let_go().await;
    let all = ask_all(&[&node, &other], &id, 20, &["User.Read"]).await;
    assert_eq!((all.failed(), all.served(), all.tokens.len()), (0, 40, 1), "{all:?}");
    assert_eq!((fleet.refreshes(), fleet.reuses()), (1, 0));
}

macro_rules! on {
    ($store:ident, $backend:expr) => {
        mod $store {
            use super::*;

            #[tokio::test(flavor = "multi_thread")]
            async fn four_processes_make_one_refresh_and_nobody_fails() {
                race($backend, 3600, false).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn tokens_that_live_a_minute_are_renewed_once_too() {
                race($backend, 60, false).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn two_scope_sets_make_two_refreshes_and_no_reuse() {
                race($backend, 3600, true).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn a_dropped_caller_ends_no_renewal() {
                dropped_caller($backend).await;
            }
        }
    };
}

on!(sqlite, Backend::sqlite());
on!(redis, Backend::redis());
on!(cluster, Backend::cluster());
on!(postgres, Backend::postgres());
