//! What is in the store, in figures.

use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};

use futures_util::stream::Stream;
use serde::Serialize;

use super::{each, walk};
use crate::error::Error;
use crate::msal::Msal;
use crate::session::{Loaded, Seen};
use crate::session_id::{SessionLayout, StoreKey};
use crate::store::Stored;
use crate::user_index::{self, Find, PersonId};

/// The records of a store, counted.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct StatsReport {
    /// Records looked at.
    pub scanned: u64,
    /// Of these in the sealed layout.
    pub sealed: u64,
    /// Of these in layout aiohttp.
    pub aiohttp: u64,
    /// Sessions that live.
    pub live: u64,
    /// Of these with nobody signed in.
    pub anonymous: u64,
    /// Records past their idle or absolute end.
    pub expired: u64,
    /// Records that say "signed out" (`{}`).
    pub signed_out: u64,
    /// Records that cannot be read, by reason.
    pub unreadable: BTreeMap<&'static str, u64>,
    /// Live sessions of somebody that the index does not know.
    pub without_index: u64,
    /// Records without an end.
    pub without_ttl: u64,
    /// When the live session that was unused longest was last lengthened, unix seconds.
    pub oldest: Option<i64>,
    /// When the live session that was used last was lengthened, unix seconds.
    pub newest: Option<i64>,
    /// Different people among the live sessions.
    pub users: u64,
}

/// A count under way. Of people only a hash is kept, so that a million of them take some 20 MB.
#[derive(Default)]
struct Counting {
    report: StatsReport,
    people: HashSet<u64>,
    hasher: RandomState,
}

impl Msal {
    /// Counts what is in the store.
    pub fn stats(&self) -> impl Stream<Item = Result<StatsReport, Error>> + use<> {
        let step = |msal: Self, mut counting: Counting, records: Vec<(StoreKey, Stored)>| async move {
            let found = each(records.into_iter().map(|(key, stored)| look(&msal, key, stored))).await?;
            found.into_iter().for_each(|record| counting.add(record));
            Ok(counting)
        };
        walk(self.clone(), Counting::default(), step, |counting| counting.report.clone())
    }
}

/// A record as it is counted.
struct Record {
    layout: SessionLayout,
    endless: bool,
    seen: Seen,
    indexed: bool,
}

async fn look(msal: &Msal, key: StoreKey, stored: Stored) -> Result<Record, Error> {
    let endless = stored.expires_at.is_none();
    let seen = msal.examine(&key, stored);
    let somebody = matches!(&seen, Seen::Live(Loaded { person: Some(_), .. }));
    let indexed = !somebody || user_index::is_under(msal, &key, &Find::Handle(key.handle())).await?;
    Ok(Record { layout: key.layout(), endless, seen, indexed })
}

impl Counting {
    fn add(&mut self, record: Record) {
        let report = &mut self.report;
        report.scanned += 1;
        match record.layout {
            SessionLayout::Sealed => report.sealed += 1,
            SessionLayout::Aiohttp => report.aiohttp += 1,
        }
        report.without_ttl += u64::from(record.endless);
        report.without_index += u64::from(!record.indexed);
        match record.seen {
            Seen::Live(loaded) => self.add_live(&loaded),
            Seen::Past(_) => report.expired += 1,
            Seen::SignedOut => report.signed_out += 1,
            Seen::Unreadable(reason) => *report.unreadable.entry(reason).or_default() += 1,
        }
    }

    fn add_live(&mut self, loaded: &Loaded) {
        let report = &mut self.report;
        report.live += 1;
        let created = loaded.record.created();
        report.oldest = Some(report.oldest.map_or(created, |oldest| oldest.min(created)));
        report.newest = Some(report.newest.map_or(created, |newest| newest.max(created)));
        match &loaded.person {
            Some(person) => {
                let PersonId { tenant, object, .. } = PersonId::of(&person.identity);
                self.people.insert(self.hasher.hash_one((tenant, object)));
                report.users = self.people.len() as u64;
            }
            None => report.anonymous += 1,
        }
    }
}
