//! Looking after the store: listing, ending, cleaning, mending, counting.
//!
//! Everything goes through the records page by page, of both layouts, since after a change of layout records of the former
//! one are still there. A record key is the cookie's name, `_`, and 32 or 64 hexadecimal digits; no other key is
//! touched. Long walks are streams: each item tells how far it has come, the last one is the result.
//!
//! ```no_run
//! use futures_util::TryStreamExt as _;
//!
//! # async fn job(msal: async_msal_session::Msal) -> Result<(), async_msal_session::Error> {
//! let mut stats = std::pin::pin!(msal.stats());
//! let mut last = None;
//! while let Some(so_far) = stats.try_next().await? {
//!     last = Some(so_far);
//! }
//! # Ok(()) }
//! ```

mod repair;
mod stats;

use std::future::Future;
use std::time::Duration;

use futures_util::stream::{self, Stream, StreamExt as _, TryStreamExt as _};
use serde::Serialize;

pub use self::repair::{RepairOptions, RepairReport};
pub use self::stats::StatsReport;
use crate::error::Error;
use crate::identity::Identity;
use crate::msal::Msal;
use crate::record::item;
use crate::session::{Loaded, Seen, seconds};
use crate::session_id::{Handle, StoreKey};
use crate::store::{Cursor, Operation, Stored};
use crate::user_index::{self, LAYOUTS};

/// Records of one page of a walk.
const PAGE: usize = 200;
/// Records of a page that are worked on at a time.
const AT_A_TIME: usize = 32;

/// A session as a listing shows it: nothing that could be used to become its user.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SessionSummary {
    /// The short name.
    pub handle: Handle,
    /// The key of the record, for [`Msal::session_by_key`] and [`Msal::end_session`]; its layout is the record's.
    pub key: StoreKey,
    /// Who is signed in.
    pub identity: Option<Identity>,
    /// The user's mail.
    pub mail: Option<String>,
    /// The user's display name.
    pub name: Option<String>,
    /// When the session was last lengthened, unix seconds.
    pub created: i64,
    /// When the store forgets it, unix seconds.
    pub expires_at: Option<i64>,
}

impl SessionSummary {
    fn of(loaded: Loaded) -> Self {
        Self {
            handle: loaded.key.handle(),
            identity: loaded.person.as_ref().map(|person| person.identity.clone()),
            mail: loaded.record.text(item::MAIL),
            name: loaded.record.text(item::NAME),
            created: loaded.record.created(),
            expires_at: loaded.stored.expires_at,
            key: loaded.key,
        }
    }
}

/// What a cleaning has done so far.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct CleanReport {
    /// Records looked at.
    pub scanned: u64,
    /// Sessions ended since they were last lengthened too long ago.
    pub removed: u64,
    /// Records past their idle or absolute end that the store still held.
    pub expired: u64,
}

impl Msal {
    /// All live sessions of both layouts, page by page, in bounded memory. A session may be met twice where the store changes
    /// meanwhile.
    pub fn sessions(&self) -> impl Stream<Item = Result<SessionSummary, Error>> + use<> {
        let msal = self.clone();
        self.pages()
            .map_ok(move |records| {
                let seen = records.into_iter().map(|(key, stored)| msal.examine(&key, stored));
                let live = seen.filter_map(|seen| match seen {
                    Seen::Live(loaded) => Some(Ok(SessionSummary::of(loaded))),
                    Seen::Past(_) | Seen::SignedOut | Seen::Unreadable(_) => None,
                });
                stream::iter(live.collect::<Vec<_>>())
            })
            .try_flatten()
    }

    /// One of them, by its key; `None` where it does not live.
    ///
    /// # Errors
    /// [`Error::Store`] when the store cannot be asked.
    ///
    /// # Cancel safety
    /// Nothing is left behind.
    pub async fn session_summary(&self, key: &StoreKey) -> Result<Option<SessionSummary>, Error> {
        Ok(self.load_record(key).await?.map(SessionSummary::of))
    }

    /// About how many things [`sessions`](Self::sessions) walks through, for a progress bar; `None` where the store cannot say.
    ///
    /// # Errors
    /// [`Error::Store`] when the store cannot be asked.
    ///
    /// # Cancel safety
    /// Nothing is left behind.
    pub async fn sessions_total_hint(&self) -> Result<Option<u64>, Error> {
        let prefix = self.record_prefix();
        Ok(self.store().run(Operation::Scan, |store| store.count_hint(&prefix)).await?)
    }

    /// Ends the session under a key met in a listing; `false` where there is none that lives.
    ///
    /// # Errors
    /// [`Error::Store`] when the store failed: the session may be there still.
    ///
    /// # Cancel safety
    /// Dropped, the session was ended or it was not.
    pub async fn end_session(&self, key: &StoreKey) -> Result<bool, Error> {
        Ok(self.end_record(key, "revoked").await?.is_some())
    }

    /// Removes sessions that nobody has used for `older_than`, and records that are past their end anyway. A session used
    /// meanwhile stays.
    pub fn clean(&self, older_than: Duration) -> impl Stream<Item = Result<CleanReport, Error>> + use<> {
        let older_than = seconds(older_than);
        let step = move |msal: Self, mut report: CleanReport, records: Vec<(StoreKey, Stored)>| async move {
            for (key, stored) in records {
                report.scanned += 1;
                let (loaded, past) = match msal.examine(&key, stored) {
                    Seen::Live(loaded) => (loaded, false),
                    Seen::Past(loaded) => (loaded, true),
                    Seen::SignedOut | Seen::Unreadable(_) => continue,
                };
                let age = msal.clock().now().saturating_sub(loaded.record.created());
                if (past || age >= older_than) && msal.remove(&loaded).await? {
                    *(if past { &mut report.expired } else { &mut report.removed }) += 1;
                }
            }
            Ok(report)
        };
        walk(self.clone(), CleanReport::default(), step, CleanReport::clone)
    }

    /// Removes a record as it was read, and what it is found by.
    async fn remove(&self, loaded: &Loaded) -> Result<bool, Error> {
        if !self.remove_unchanged(&loaded.key, &loaded.stored).await? {
            return Ok(false);
        }
        if let Some(person) = &loaded.person {
            user_index::remove(self, &loaded.key, &person.identity, &loaded.record).await?;
        }
        Ok(true)
    }

    fn pages(&self) -> impl Stream<Item = Result<Vec<(StoreKey, Stored)>, Error>> + use<> {
        stream::try_unfold((self.clone(), Some(None)), |(msal, cursor)| async move {
            let Some(cursor) = cursor else { return Ok(None) };
            let (records, next) = msal.page(cursor).await?;
            Ok(Some((records, (msal, next.map(Some)))))
        })
    }

    /// What the keys of records begin with.
    fn record_prefix(&self) -> String {
        format!("{}_", self.settings().cookie_name())
    }

    /// One page of records, of both layouts.
    pub(crate) async fn page(
        &self,
        cursor: Option<Cursor>,
    ) -> Result<(Vec<(StoreKey, Stored)>, Option<Cursor>), Error> {
        let (cookie_name, prefix) = (self.settings().cookie_name(), self.record_prefix());
        let page = self.store().run(Operation::Scan, |store| store.scan(&prefix, cursor, PAGE)).await?;
        let ours = page.records.into_iter().filter_map(|(key, stored)| {
            let key = LAYOUTS.into_iter().find_map(|layout| StoreKey::parse(layout, cookie_name, &key))?;
            Some((key, stored))
        });
        Ok((ours.collect(), page.next))
    }
}

/// Walks through all records; each page changes the state, and what it comes to by then is told.
fn walk<S, R, F>(
    msal: Msal,
    state: S,
    step: impl Fn(Msal, S, Vec<(StoreKey, Stored)>) -> F,
    report: impl Fn(&S) -> R,
) -> impl Stream<Item = Result<R, Error>>
where
    F: Future<Output = Result<S, Error>>,
{
    stream::try_unfold(
        (msal, state, Some(None), step, report),
        |(msal, state, cursor, step, report)| async move {
            let Some(cursor) = cursor else { return Ok(None) };
            let (records, next) = msal.page(cursor).await?;
            let state = step(msal.clone(), state, records).await?;
            Ok(Some((report(&state), (msal, state, next.map(Some), step, report))))
        },
    )
}

/// Works on the records of a page, some at a time; the results in order.
async fn each<T, F>(work: impl Iterator<Item = F>) -> Result<Vec<T>, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    stream::iter(work).buffered(AT_A_TIME).try_collect().await
}
