//! A node is killed between a record and what the record is found by: entries that lead nowhere are left, and nothing else.

use async_msal_session::{Error, Find};
use futures_util::{Stream, TryStreamExt as _};

use crate::fleet::{ADA, BEN, Backend, Fleet, ask_all, strict};
use crate::node::Moment;

const SCOPES: &[&str] = &["User.Read"];

/// The end of a walk.
async fn last<T>(walk: impl Stream<Item = Result<T, Error>>) -> T {
    let steps: Vec<T> = walk.try_collect().await.unwrap();
    steps.into_iter().next_back().expect("at least one step")
}

/// Ada is signed in nowhere, whatever the index says; Ben is, and is found. Then she signs in, and all is well.
async fn only_entries_are_left(fleet: &Fleet) {
    let stats = last(fleet.msal.stats()).await;
    assert_eq!((stats.scanned, stats.live, stats.without_index), (1, 1, 0), "{stats:?}");
    assert!(fleet.msal.for_user(&Find::mail(ADA)).await.unwrap().is_none());
    assert_eq!(fleet.msal.sign_out_everywhere(&Find::mail(ADA)).await.unwrap(), 0);
    assert!(fleet.msal.for_user(&Find::mail(BEN)).await.unwrap().is_some());
    let anew = fleet.sign_in(ADA).await;
    let found = fleet.msal.for_user(&Find::mail(ADA)).await.unwrap().expect("she is signed in");
    assert_eq!(found.store_key().unwrap(), fleet.msal.store_key(&anew));
    let [another] = fleet.nodes().await;
    let asked = ask_all(&[&another], &anew, 5, SCOPES).await;
    assert_eq!((asked.served(), asked.failed()), (5, 0), "{asked:?}");
    assert_eq!(fleet.msal.sign_out_everywhere(&Find::mail(ADA)).await.unwrap(), 1);
}

/// kill -9 at a sign-in, when the index knows the session and its record is not written.
async fn killed_at_a_sign_in(backend: Backend) {
    let fleet = Fleet::new(backend, strict()).await;
    let [mut node] = fleet.nodes().await;
    fleet.sign_in(BEN).await;
    node.hold(Moment::Indexed).await;
    node.begin_sign_in(fleet.answered(ADA).await);
    node.held(Moment::Indexed).await;
    node.kill9();
    only_entries_are_left(&fleet).await;
}

/// kill -9 at a sign-out, when the record is gone and the index still knows it.
async fn killed_at_a_sign_out(backend: Backend) {
    let fleet = Fleet::new(backend, strict()).await;
    let [mut node] = fleet.nodes().await;
    fleet.sign_in(BEN).await;
    let id = fleet.sign_in(ADA).await;
    node.hold(Moment::Deleted).await;
    node.begin_sign_out(&id);
    node.held(Moment::Deleted).await;
    node.kill9();
    assert!(fleet.msal.load_session(&id).await.unwrap().is_none());
    only_entries_are_left(&fleet).await;
}

macro_rules! on {
    ($store:ident, $backend:expr) => {
        mod $store {
            use super::*;

            #[tokio::test(flavor = "multi_thread")]
            async fn killed_between_index_and_record_at_a_sign_in_leaves_only_entries() {
                killed_at_a_sign_in($backend).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn killed_between_record_and_index_at_a_sign_out_leaves_only_entries() {
                killed_at_a_sign_out($backend).await;
            }
        }
    };
}

on!(sqlite, Backend::sqlite());
on!(redis, Backend::redis());
on!(cluster, Backend::cluster());
on!(postgres, Backend::postgres());
