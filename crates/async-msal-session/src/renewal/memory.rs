//! What this process remembers between renewals: locks, failures, and tokens the store would not take. All bounded.

use std::future::ready;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use moka::future::Cache;
use moka::ops::compute::Op;
use tokio::sync::{Mutex, Semaphore};

use super::flights::Flights;
use super::{Cause, Request};
use crate::error::{EarlierFailure, Error};
use crate::identity::Person;
use crate::msal::Msal;
use crate::patch::Patch;
use crate::sealing::Purpose;
use crate::session::Slide;
use crate::session_id::StoreKey;
use crate::store::{MarkKey, Operation};
use crate::telemetry;

/// Most sessions remembered.
const CAPACITY: u64 = 20_000;
/// A lock nobody used for so long is forgotten.
const LOCK_IDLE: Duration = Duration::from_secs(120);
/// A failure that waiting may cure is not tried again before.
const BACK_OFF: Duration = Duration::from_secs(5);
/// A failure that only the user or an operator can cure is not tried again before.
const HARD_BACK_OFF: Duration = Duration::from_secs(60);
/// No authority may silence a session for longer.
const LONGEST_BACK_OFF: Duration = Duration::from_secs(3600);
/// How long, and with which pauses, saving is tried again: about as long as the token lives.
const SAVE_FOR: Duration = Duration::from_secs(3600);
const SAVE_PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// Attempts to save at a time.
const SAVING: usize = 16;

/// The memory of renewals of one process.
#[derive(Debug)]
pub(crate) struct Renewals {
    locks: Cache<StoreKey, Arc<Mutex<()>>>,
    failures: Cache<String, Remembered>,
    unsaved: Cache<StoreKey, Arc<Patch>>,
    saving: Semaphore,
    pub(super) flights: Flights,
}

#[derive(Clone, Debug)]
struct Remembered {
    until: Instant,
    error: Arc<Error>,
}

impl Renewals {
    pub(crate) fn new() -> Self {
        Self {
            locks: Cache::builder().max_capacity(CAPACITY).time_to_idle(LOCK_IDLE).build(),
            failures: Cache::builder().max_capacity(CAPACITY).time_to_live(LONGEST_BACK_OFF).build(),
            unsaved: Cache::builder().max_capacity(CAPACITY).time_to_live(SAVE_FOR * 2).build(),
            saving: Semaphore::new(SAVING),
            flights: Flights::default(),
        }
    }

    /// The lock of one session. Should it be forgotten while held, the store's lease still stands.
    pub(super) async fn lock(&self, key: &StoreKey) -> Arc<Mutex<()>> {
        self.locks.get_with_by_ref(key, async { Arc::default() }).await
    }

    /// A failure that is too young to try again.
    pub(super) async fn failure(&self, request: &Request, person: &Person) -> Option<Error> {
        let remembered = self.failures.get(&name(request, person)?).await?;
        (remembered.until > Instant::now()).then(|| Error::shared(&remembered.error))
    }

    /// Renewed tokens of a session that the store would not take yet.
    pub(crate) async fn unsaved(&self, key: &StoreKey) -> Option<Arc<Patch>> {
        self.unsaved.get(key).await
    }

    /// Whether it is still remembered; beyond the capacity the oldest are not.
    async fn waits(&self, key: &StoreKey) -> bool {
        self.unsaved.get(key).await.is_some()
    }

    /// Keeps a renewal the store would not take, on top of an earlier one that still waits; both, as they are to be saved.
    pub(super) async fn keep_unsaved(&self, key: &StoreKey, patch: Patch) -> Arc<Patch> {
        let kept = self.unsaved.entry_by_ref(key).and_upsert_with(|earlier| {
            ready(Arc::new(match earlier {
                Some(earlier) => earlier.value().followed_by(&patch),
                None => patch,
            }))
        });
        kept.await.into_value()
    }

    /// Forgets what was saved; a later renewal that waits to be saved stays.
    async fn forget_saved(&self, key: &StoreKey, saved: &Arc<Patch>) {
        let forgetting = self.unsaved.entry_by_ref(key).and_compute_with(|kept| {
            ready(match kept {
                Some(kept) if Arc::ptr_eq(kept.value(), saved) => Op::Remove,
                _ => Op::Nop,
            })
        });
        forgetting.await;
    }

    /// Forgets a session that has ended.
    pub(crate) async fn forget(&self, key: &StoreKey) {
        self.unsaved.invalidate(key).await;
    }
}

/// Failures are remembered per sign-in and scopes: a failure for one scope set does not fail the other, and one from
/// before a new sign-in into the same record (Python makes such) says nothing. A demand for claims is answered by one
/// attempt anyway.
fn name(request: &Request, person: &Person) -> Option<String> {
    let signed_in_at = person.identity.signed_in_at;
    match request.cause {
        Cause::Expired | Cause::Aging => {
            Some(format!("{} {signed_in_at} {}", request.key.as_str(), request.scopes))
        }
        Cause::Claims { .. } => None,
    }
}

/// Whether the other nodes are told: where waiting may cure it, and where the refresh token is spent or revoked, which
/// it is for all. What names claims or scopes for the next sign-in each node asks for itself, since a mark names neither;
/// and a refused credential may be this node's alone.
fn concerns_all(error: &Error) -> bool {
    match error.root() {
        Error::Protocol(async_msal::Error::InteractionRequired(wanted)) => {
            wanted.claims.is_none() && wanted.missing_scopes.is_empty()
        }
        other => other.is_retryable(),
    }
}

/// Remembers a failure here, and tells the other nodes what concerns them too.
pub(super) async fn remember(
    msal: &Msal,
    request: &Request,
    person: &Person,
    error: &Arc<Error>,
    pause: Option<Duration>,
) {
    let Some(name) = name(request, person) else { return };
    let usual = if error.is_retryable() { BACK_OFF } else { HARD_BACK_OFF };
    let pause = error.retry_after().or(pause).unwrap_or(usual).min(LONGEST_BACK_OFF);
    let remembered = Remembered { until: Instant::now() + pause, error: Arc::clone(error) };
    let mark = MarkKey::of(&format!("failure {name}"));
    msal.renewals().failures.insert(name, remembered).await;
    if !concerns_all(error) {
        return;
    }
    let failure = serde_json::to_vec(&EarlierFailure::of(error)).unwrap_or_default();
    let keys = msal.cookie_keys();
    let sealed = keys.seal_json(msal.client().random().as_ref(), Purpose::Failure, mark.as_str(), &failure);
    if let Ok(sealed) = sealed {
        let told =
            msal.store().run(Operation::PutOnce, |store| store.put_once(&mark, Bytes::from(sealed), pause));
        if let Err(error) = told.await {
            tracing::debug!(target: telemetry::TARGET, %error, "other nodes were not told of the failed renewal");
        }
    }
}

/// A failure that another node met within its back-off.
pub(super) async fn failed_elsewhere(msal: &Msal, request: &Request, person: &Person) -> Option<Error> {
    let mark = MarkKey::of(&format!("failure {}", name(request, person)?));
    let sealed = msal.store().run(Operation::LoadOnce, |store| store.load_once(&mark)).await.ok()??;
    let (text, _) = msal.cookie_keys().open_json(Purpose::Failure, mark.as_str(), &sealed).ok()?;
    serde_json::from_slice(&text).ok().map(Error::Earlier)
}

/// Tries to save renewed tokens again until it works, the session ends, or the time is over.
pub(super) async fn keep_saving(msal: &Msal, key: &StoreKey, patch: &Arc<Patch>) {
    let (started, mut pause) = (Instant::now(), SAVE_PAUSES.0);
    let outcome = loop {
        if started.elapsed() > SAVE_FOR {
            break "given_up";
        }
        // A process that stops goes on trying while it waits for its tasks.
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(SAVE_PAUSES.1);
        // A store in trouble is not asked by all at once.
        let _turn = msal.renewals().saving.acquire().await;
        match msal.save_patch(key, patch, Slide::No, None).await {
            Ok(_) => break "saved_later",
            Err(Error::Store(_)) if msal.renewals().waits(key).await => {}
            Err(Error::Store(_)) => break "given_up",
            Err(_) => break "session_ended",
        }
    };
    telemetry::count(telemetry::SAVE_FAILURES, "outcome", outcome);
    if outcome == "given_up" {
        tracing::error!(target: telemetry::TARGET, session = %key.handle(), "a renewed token was not saved");
    } else {
        msal.renewals().forget_saved(key, patch).await;
    }
}
