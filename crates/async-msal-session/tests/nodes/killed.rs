//! A node that renews is killed or paused, or the answer to it is lost.

use std::time::{Duration, Instant};

use async_msal_emulator::{Endpoint, Fault, FaultRule, Policy};

use crate::fleet::{ADA, BEN, Backend, Fleet, SHORT_LEASE, ask_all, strict, with_grace};
use crate::node::Moment;

const SCOPES: &[&str] = &["User.Read"];
/// The life of a lease, and what it may take to notice its end.
const LEASE: Duration = Duration::from_secs(15);
const A_LITTLE: Duration = Duration::from_secs(4);

/// Whether the others go on as if nothing had happened, or must sign in again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Recovers,
    SignInAgain,
}

/// kill -9 when the authority has answered and nothing is saved.
async fn killed_before_the_save(backend: Backend, policy: Policy, outcome: Outcome) {
    let fleet = Fleet::new(backend, policy).await.with_short_leases();
    let [mut holder, second, third] = fleet.nodes().await;
    let bens = fleet.expired(BEN).await;
    let id = fleet.expired(ADA).await;
    holder.hold(Moment::BeforeSave).await;
    let lost = holder.ask(&id, 10, SCOPES);
    holder.held(Moment::BeforeSave).await;
    assert_eq!(fleet.refreshes(), 1);
    holder.kill9();
    let died = Instant::now();
    assert!(lost.await.is_none());
    let others = [&second, &third];
    let bens_answers = ask_all(&others, &bens, 5, SCOPES).await;
    assert_eq!((bens_answers.failed(), bens_answers.served()), (0, 10), "{bens_answers:?}");
    assert!(died.elapsed() < SHORT_LEASE, "another user waited for a lease that is none of theirs");
    let all = ask_all(&others, &id, 20, SCOPES).await;
    assert!(died.elapsed() < SHORT_LEASE + A_LITTLE, "waited {:?}", died.elapsed());
    match outcome {
        Outcome::Recovers => {
            assert_eq!((all.failed(), all.served(), all.tokens.len()), (0, 40, 1), "{all:?}");
        }
        Outcome::SignInAgain => {
            assert_eq!((all.served(), all.failed(), all.sign_in_again), (0, 40, 40), "{all:?}");
            // The refused token is not sent again and again: neither now nor by the other node.
            let again = ask_all(&others, &id, 20, SCOPES).await;
            assert_eq!((again.failed(), again.sign_in_again), (40, 40), "{again:?}");
            assert_eq!(fleet.reuses(), 1);
            let anew = fleet.sign_in(ADA).await;
            let signed_in = ask_all(&others, &anew, 5, SCOPES).await;
            assert_eq!((signed_in.failed(), signed_in.served()), (0, 10), "{signed_in:?}");
        }
    }
    // Ada's one lost, Ben's one, and one more of Ada's.
    assert_eq!(fleet.refreshes(), 3);
}

/// kill -9 when the lease is taken and nothing is sent: with leases as applications have them.
async fn killed_before_the_request(backend: Backend) {
    let fleet = Fleet::new(backend, strict()).await;
    let [mut holder, second, third] = fleet.nodes().await;
    let id = fleet.expired(ADA).await;
    holder.hold(Moment::LeaseTaken).await;
    let lost = holder.ask(&id, 10, SCOPES);
    holder.held(Moment::LeaseTaken).await;
    holder.kill9();
    assert!(lost.await.is_none());
    let all = ask_all(&[&second, &third], &id, 50, SCOPES).await;
    assert_eq!((all.failed(), all.served(), all.tokens.len()), (0, 100, 1), "{all:?}");
    assert!(all.slowest_ms < (LEASE + A_LITTLE).as_millis(), "{all:?}");
    assert_eq!((fleet.refreshes(), fleet.reuses()), (1, 0));
}

/// A node that slept longer than its lease saves late, and undoes nothing.
async fn paused_beyond_the_lease(backend: Backend) {
    let fleet = Fleet::new(backend, Policy::default()).await.with_short_leases();
    let [holder, other] = fleet.nodes().await;
    let id = fleet.expired(ADA).await;
    holder.hold(Moment::BeforeSave).await;
    let late = holder.ask(&id, 1, SCOPES);
    holder.held(Moment::BeforeSave).await;
    holder.pause();
    // The lease ends, and the other node renews in its stead.
    let newer = ask_all(&[&other], &id, 10, SCOPES).await;
    assert_eq!((newer.failed(), newer.tokens.len()), (0, 1), "{newer:?}");
    assert_eq!(fleet.refreshes(), 2);
    holder.resume();
    holder.let_go().await;
    let late = late.await.expect("it lives");
    assert_eq!(late.failed(), 0, "{late:?}");
    let after = ask_all(&[&holder, &other], &id, 5, SCOPES).await;
    assert_eq!(after.tokens.keys().collect::<Vec<_>>(), newer.tokens.keys().collect::<Vec<_>>());
    assert_eq!(fleet.refreshes(), 2);
}

/// The authority has served the request, and its answer never arrives.
async fn answer_lost(backend: Backend, policy: Policy, outcome: Outcome) {
    let fleet = Fleet::new(backend, policy).await;
    let [node, other] = fleet.nodes().await;
    let id = fleet.expired(ADA).await;
    fleet.emulator.admin().fail_next(FaultRule::new(Endpoint::Token, Fault::CloseAfterServing)).unwrap();
    let first = ask_all(&[&node, &other], &id, 20, SCOPES).await;
    match outcome {
        Outcome::Recovers => assert_eq!(first.failed(), 0, "{first:?}"),
        Outcome::SignInAgain => assert_eq!((first.served(), first.sign_in_again), (0, 40), "{first:?}"),
    }
    assert!(fleet.refreshes() <= 2, "{} refreshes: one retry at most", fleet.refreshes());
}

/// All of it where nodes and store are apart: on a server of each kind.
macro_rules! on {
    ($store:ident, $backend:expr) => {
        mod $store {
            use super::*;

            #[tokio::test(flavor = "multi_thread")]
            async fn killed_before_the_save_recovers_as_entra_id_rotates() {
                killed_before_the_save($backend, Policy::default(), Outcome::Recovers).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn killed_before_the_save_recovers_within_a_grace() {
                killed_before_the_save($backend, with_grace(), Outcome::Recovers).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn killed_before_the_save_with_single_use_asks_for_one_sign_in() {
                killed_before_the_save($backend, strict(), Outcome::SignInAgain).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn killed_before_the_request_costs_no_more_than_the_lease() {
                killed_before_the_request($backend).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn a_node_paused_beyond_its_lease_overwrites_nothing_newer() {
                paused_beyond_the_lease($backend).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn a_lost_answer_recovers_as_entra_id_rotates() {
                answer_lost($backend, Policy::default(), Outcome::Recovers).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn a_lost_answer_recovers_within_a_grace() {
                answer_lost($backend, with_grace(), Outcome::Recovers).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn a_lost_answer_with_single_use_asks_for_one_sign_in() {
                answer_lost($backend, strict(), Outcome::SignInAgain).await;
            }
        }
    };
}

on!(redis, Backend::redis());
on!(postgres, Backend::postgres());

/// Leases differ from store to store: these two for each of the others.
macro_rules! leases_on {
    ($store:ident, $backend:expr) => {
        mod $store {
            use super::*;

            #[tokio::test(flavor = "multi_thread")]
            async fn killed_before_the_save_with_single_use_asks_for_one_sign_in() {
                killed_before_the_save($backend, strict(), Outcome::SignInAgain).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn a_node_paused_beyond_its_lease_overwrites_nothing_newer() {
                paused_beyond_the_lease($backend).await;
            }
        }
    };
}

leases_on!(sqlite, Backend::sqlite());
leases_on!(cluster, Backend::cluster());
