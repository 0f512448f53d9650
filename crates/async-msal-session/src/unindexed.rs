//! Records that other services wrote into a shared store and no index knows: layout aiohttp alone has such.
//!
//! A request that meets one indexes it. A look-up that finds nobody has all records walked through once, by one node for
//! all: the others wait for its end. Between two walks lies a minute at least, so that look-ups of somebody who is nowhere
//! cost what any look-up costs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Mutex, OwnedMutexGuard, oneshot};

use crate::error::Error;
use crate::msal::Msal;
use crate::patch::Patch;
use crate::record::item;
use crate::renewal::{Lease, keep};
use crate::session::{Loaded, Seen, Slide};
use crate::session_id::{SessionLayout, StoreKey};
use crate::store::{MarkKey, Operation, StoreError};
use crate::telemetry;

/// No walk begins within so many seconds of the last one's end, over all nodes.
const PAUSE: Duration = Duration::from_secs(60);
/// A caller waits so long for a walk; it goes on without them.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Pause between two looks whether another node has ended its walk.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// What this process knows of walks.
#[derive(Debug, Default)]
pub(crate) struct Walks {
    /// When the last one ended; held while one is under way.
    last: Arc<Mutex<Option<i64>>>,
    /// How many were seen to end.
    ended: Arc<AtomicU64>,
}

impl Walks {
    fn note(&self, mut last: OwnedMutexGuard<Option<i64>>, at: i64) {
        *last = Some(at);
        self.ended.fetch_add(1, Ordering::Relaxed);
    }
}

impl Msal {
    /// In layout aiohttp: has all records walked through for those that no index knows, unless that was done within the last
    /// minute, and waits for it. One node walks for all. `true` where a walk ended meanwhile, so that asking again may
    /// find more. In the sealed layout nobody else writes records, and nothing is done.
    ///
    /// [`for_user`](Self::for_user) does this by itself where it finds nobody. Call it before, where somebody may have signed in
    /// through another service beside an older session that is known.
    ///
    /// # Errors
    /// [`Error::Store`] when the store failed, or the walk takes longer than a minute: it goes on.
    ///
    /// # Cancel safety
    /// A walk that has begun goes on.
    pub async fn refresh_index(&self) -> Result<bool, Error> {
        if self.settings().layout() != SessionLayout::Aiohttp {
            return Ok(false);
        }
        let before = self.walks().ended.load(Ordering::Relaxed);
        let walking = tokio::time::timeout(LONGEST_WAIT, self.walk_once());
        walking.await.unwrap_or_else(|_| {
            let what = "records of other services are still being indexed".to_owned();
            Err(StoreError::Unavailable { what, source: None }.into())
        })?;
        Ok(self.walks().ended.load(Ordering::Relaxed) != before)
    }

    async fn walk_once(&self) -> Result<(), Error> {
        // Whoever waits here finds afterwards that it was done a moment ago.
        let turn = Arc::clone(&self.walks().last).lock_owned().await;
        let pause = PAUSE.as_secs().cast_signed();
        if turn.is_some_and(|last| (0..pause).contains(&self.clock().now().saturating_sub(last))) {
            return Ok(());
        }
        let (answer, waiting) = oneshot::channel();
        let msal = self.clone();
        self.background().spawn(async move {
            let walked = msal.walk_as_one_of_many().await.map(|at| msal.walks().note(turn, at));
            // The caller may be gone; the walk counts all the same.
            drop(answer.send(walked));
        });
        waiting.await.unwrap_or(Err(Error::ShuttingDown))
    }

    /// Walks, or waits until the node that does has ended; when that was.
    async fn walk_as_one_of_many(&self) -> Result<i64, Error> {
        let name = format!("async-msal:index:{}", self.settings().cookie_name());
        let mark = MarkKey::of(&name);
        let key = StoreKey::from_store(name);
        loop {
            if let Some(at) = self.store().run(Operation::LoadOnce, |store| store.load_once(&mark)).await? {
                return Ok(ended_at(&at).unwrap_or_else(|| self.clock().now()));
            }
            let Some(lease) = Lease::take(self, &key).await? else {
                if self.background().pause(LOOK_EVERY).await {
                    continue;
                }
                return Err(Error::ShuttingDown);
            };
            // Another node may have ended its walk between the look and the lease.
            let done = self.store().run(Operation::LoadOnce, |store| store.load_once(&mark)).await;
            let walked = match done {
                Ok(None) => keep(self, Some(&lease), self.walk_and_mark(&mark)).await,
                Ok(Some(at)) => Ok(ended_at(&at).unwrap_or_else(|| self.clock().now())),
                Err(error) => Err(error.into()),
            };
            lease.release(self).await;
            return walked;
        }
    }

    async fn walk_and_mark(&self, mark: &MarkKey) -> Result<i64, Error> {
        let mut cursor = None;
        let (mut records, mut found) = (0_u64, 0_u64);
        loop {
            let (page, next) = self.page(cursor).await?;
            records += page.len() as u64;
            for (key, stored) in page.into_iter().filter(|(key, _)| key.layout() == SessionLayout::Aiohttp) {
                if let Seen::Live(loaded) = self.examine(&key, stored) {
                    match self.keep_identity(loaded, Slide::No).await {
                        Ok(kept) => found += u64::from(kept),
                        Err(error) => skip(&key, error)?,
                    }
                }
            }
            cursor = next;
            if cursor.is_none() {
                break;
            }
            if !self.background().pause(Duration::ZERO).await {
                return Err(Error::ShuttingDown);
            }
        }
        metrics::counter!(telemetry::INDEXED).increment(found);
        tracing::info!(target: telemetry::TARGET, records, found, "records of other services are indexed");
        let now = self.clock().now();
        let at = Bytes::from(now.to_string());
        self.store().run(Operation::PutOnce, |store| store.put_once(mark, at, PAUSE)).await?;
        Ok(now)
    }

    /// Keeps who is signed in in a record that another service made, and so indexes it; `false` where that is known.
    pub(crate) async fn keep_identity(&self, loaded: Loaded, slide: Slide) -> Result<bool, Error> {
        let made_anew = loaded.person.as_ref().filter(|person| person.made_anew).cloned();
        let mut patch = Patch::default();
        if let Some(person) = &made_anew {
            patch.set(item::IDENTITY, person.identity.to_value());
        } else if slide == Slide::No {
            return Ok(false);
        }
        let key = loaded.key.clone();
        match self.save_patch(&key, &patch, slide, Some(loaded)).await {
            Ok(_) => Ok(made_anew.is_some()),
            // Signed out meanwhile: nobody is left to be found.
            Err(Error::SessionEnded) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// One record that cannot be changed holds up no other; a store in trouble holds up all.
pub(crate) fn skip(key: &StoreKey, error: Error) -> Result<(), Error> {
    if matches!(error, Error::Store(_)) {
        return Err(error);
    }
    tracing::warn!(target: telemetry::TARGET, session = %key.handle(), code = %error.code(), "record is left as it is");
    Ok(())
}

fn ended_at(value: &[u8]) -> Option<i64> {
    std::str::from_utf8(value).ok()?.parse().ok()
}
