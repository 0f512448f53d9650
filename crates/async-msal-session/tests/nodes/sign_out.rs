//! A user signs out on one node while another renews.

use crate::fleet::{ADA, Backend, Fleet, ask_all, strict};
use crate::node::Moment;

async fn stays_signed_out(backend: Backend) {
    let fleet = Fleet::new(backend, strict()).await;
    let [renewing, other] = fleet.nodes().await;
    let id = fleet.expired(ADA).await;
    renewing.hold(Moment::BeforeSave).await;
    let asked = renewing.ask(&id, 5, &["User.Read"]);
    renewing.held(Moment::BeforeSave).await;
    other.sign_out(&id).await;
    renewing.let_go().await;
    let asked = asked.await.expect("it lives");
    assert_eq!((asked.served(), asked.failed()), (0, 5), "{asked:?}");
    let after = ask_all(&[&renewing, &other], &id, 5, &["User.Read"]).await;
    assert_eq!((after.served(), after.errors.get("not_signed_in")), (0, Some(&10)), "{after:?}");
    assert_eq!((fleet.refreshes(), fleet.reuses()), (1, 0));
}

macro_rules! on {
    ($store:ident, $backend:expr) => {
        mod $store {
            use super::*;

            #[tokio::test(flavor = "multi_thread")]
            async fn a_sign_out_during_another_nodes_renewal_stays() {
                stays_signed_out($backend).await;
            }
        }
    };
}

on!(sqlite, Backend::sqlite());
on!(redis, Backend::redis());
on!(cluster, Backend::cluster());
on!(postgres, Backend::postgres());
