//! Mending what is broken in the store.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::stream::Stream;
use serde::Serialize;

use super::{each, walk};
use crate::error::Error;
use crate::msal::Msal;
use crate::record::SessionRecord;
use crate::session::{Loaded, Seen, Slide, seconds};
use crate::session_id::StoreKey;
use crate::store::{CasOutcome, Expiry, Operation, Stored};
use crate::unindexed::skip;
use crate::user_index;

/// The reason of a record whose key is not among ours.
const UNKNOWN_KEY: &str = "unknown_key";

/// Clocks of nodes may differ by so many seconds: a `created` further in the future is wrong.
const FUTURE: i64 = 86_400;

/// What a repair may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct RepairOptions {
    remove_unknown_keys: bool,
}

impl RepairOptions {
    /// Mends, and removes what can never be read.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Removes records sealed by a key that is not among ours, too. Default: they stay, since a tool started with the wrong
    /// keys would sign everybody out; they end by themselves.
    #[must_use]
    pub fn remove_unknown_keys(mut self, remove: bool) -> Self {
        self.remove_unknown_keys = remove;
        self
    }
}

/// What a repair has done so far.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct RepairReport {
    /// Records looked at.
    pub scanned: u64,
    /// Records removed since they cannot be read, by reason.
    pub removed: BTreeMap<&'static str, u64>,
    /// Records that cannot be read here and were left, by reason.
    pub left: BTreeMap<&'static str, u64>,
    /// Records past their idle or absolute end that were removed.
    pub expired: u64,
    /// Records whose `created` was no integer, or over a day in the future, and was made one of now.
    pub mended: u64,
    /// Records without an end that were given one.
    pub ended: u64,
    /// Sessions that were missing in the index and were added.
    pub indexed: u64,
    /// Records that somebody changed meanwhile, and were left for the next repair.
    pub busy: u64,
}

/// What was done with one record.
enum Done {
    Nothing,
    Removed(&'static str),
    Left(&'static str),
    Expired,
    Busy,
    Mended { created: bool, end: bool, indexed: bool },
}

impl Msal {
    /// Goes through all records: removes what can never be read, mends what other tools spoiled, gives an end to what has
    /// none, and adds what the index misses. A record that somebody changes meanwhile is left alone.
    pub fn repair(&self, options: RepairOptions) -> impl Stream<Item = Result<RepairReport, Error>> + use<> {
        let step = move |msal: Self, mut report: RepairReport, records: Vec<(StoreKey, Stored)>| async move {
            let work = records.into_iter().map(|(key, stored)| repair_or_leave(&msal, options, key, stored));
            each(work).await?.into_iter().for_each(|done| report.add(&done));
            Ok(report)
        };
        walk(self.clone(), RepairReport::default(), step, RepairReport::clone)
    }
}

impl RepairReport {
    fn add(&mut self, done: &Done) {
        self.scanned += 1;
        match *done {
            Done::Nothing => {}
            Done::Removed(reason) => *self.removed.entry(reason).or_default() += 1,
            Done::Left(reason) => *self.left.entry(reason).or_default() += 1,
            Done::Expired => self.expired += 1,
            Done::Busy => self.busy += 1,
            Done::Mended { created, end, indexed } => {
                self.mended += u64::from(created);
                self.ended += u64::from(end);
                self.indexed += u64::from(indexed);
            }
        }
    }
}

/// One record that cannot be changed holds up no other.
async fn repair_or_leave(
    msal: &Msal,
    options: RepairOptions,
    key: StoreKey,
    stored: Stored,
) -> Result<Done, Error> {
    let repaired = repair_one(msal, options, key.clone(), stored).await;
    repaired.or_else(|error| skip(&key, error).map(|()| Done::Left("not_changed")))
}

async fn repair_one(
    msal: &Msal,
    options: RepairOptions,
    key: StoreKey,
    stored: Stored,
) -> Result<Done, Error> {
    let as_read = stored.clone();
    match msal.examine(&key, stored) {
        Seen::Live(loaded) => mend(msal, loaded).await,
        Seen::Past(loaded) => Ok(if msal.remove(&loaded).await? { Done::Expired } else { Done::Busy }),
        Seen::SignedOut if as_read.expires_at.is_some() => Ok(Done::Nothing),
        Seen::SignedOut => {
            let end = Expiry::After(msal.settings().session_idle());
            let value = as_read.value.clone();
            let kept = msal.store().run(Operation::CompareAndSet, |store| {
                store.compare_and_set(&key, &as_read.version, value, end)
            });
            Ok(match kept.await? {
                CasOutcome::Saved(_) => Done::Mended { created: false, end: true, indexed: false },
                CasOutcome::Conflict | CasOutcome::Gone => Done::Busy,
            })
        }
        Seen::Unreadable(UNKNOWN_KEY) if !options.remove_unknown_keys => Ok(Done::Left(UNKNOWN_KEY)),
        Seen::Unreadable(reason) => Ok(match msal.remove_unchanged(&key, &as_read).await? {
            true => Done::Removed(reason),
            false => Done::Busy,
        }),
    }
}

async fn mend(msal: &Msal, loaded: Loaded) -> Result<Done, Error> {
    let now = msal.clock().now();
    let created = loaded.record.is_spoiled() || loaded.record.created() > now.saturating_add(FUTURE);
    let end = loaded.stored.expires_at.is_none();
    let key = loaded.key.clone();
    let loaded = if created || end {
        if !rewrite(msal, &loaded, now).await? {
            return Ok(Done::Busy);
        }
        match msal.load_record(&key).await? {
            Some(loaded) => loaded,
            None => return Ok(Done::Busy),
        }
    } else {
        loaded
    };
    let indexed = index(msal, loaded).await?;
    Ok(if created || end || indexed { Done::Mended { created, end, indexed } } else { Done::Nothing })
}

/// Writes the record again as it is, `created` an integer of the past, with the life it has left from then.
async fn rewrite(msal: &Msal, loaded: &Loaded, now: i64) -> Result<bool, Error> {
    let mut record = SessionRecord::clone(&loaded.record);
    let created = record.created().min(now);
    record.set_created(created);
    let whole = msal.time_to_live(loaded.person.as_ref().map(|person| &person.identity));
    let idle = seconds(msal.settings().session_idle()).saturating_sub(now - created).max(1);
    let life = whole.min(Duration::from_secs(idle.unsigned_abs()));
    let value = msal.seal_record(&loaded.key, &record)?;
    let (key, version) = (&loaded.key, &loaded.stored.version);
    let written = msal.store().run(Operation::CompareAndSet, |store| {
        store.compare_and_set(key, version, value, Expiry::After(life))
    });
    Ok(matches!(written.await?, CasOutcome::Saved(_)))
}

/// Adds what the index misses; `true` where it missed something.
async fn index(msal: &Msal, loaded: Loaded) -> Result<bool, Error> {
    let Some(person) = loaded.person.clone() else { return Ok(false) };
    let missing = user_index::missing(msal, &loaded.key, &person.identity, &loaded.record).await?;
    if missing {
        let life = msal.settings().session_absolute();
        user_index::add(msal, &loaded.key, &person.identity, &loaded.record, life).await?;
    }
    // Signed in by another service: who it is, and since when, is kept from now on.
    msal.keep_identity(loaded, Slide::No).await?;
    Ok(missing)
}
