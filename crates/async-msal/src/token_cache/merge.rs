//! Two writers changed one cache: both keep their work.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};

use secrecy::ExposeSecret as _;
use serde_json::value::RawValue;

use super::accounts::is_of;
use super::entry::same_json;
use super::reader::{foreign_entry, members, raw_entry, raw_members};
use super::table::{Kind, Owner, Row, Table};
use super::{Entry, Field, SIGNED_IN_AT, Section, TokenCache};
use crate::account::Account;
use crate::id_token::IdTokenClaims;

impl TokenCache {
    /// Merges entry by entry: `ours` and `theirs` both started from `base`.
    ///
    /// The newer `cached_at` or `last_modification_time` wins; a deletion wins over what its writer had
    /// seen; an account that one side removed takes its tokens with it, renewed or not. Unknown fields
    /// and sections are kept. The result counts as changed when it differs from `theirs`.
    #[must_use]
    pub fn merge(base: &Self, ours: &Self, theirs: &Self) -> Self {
        let sides = [base, ours, theirs].map(Self::by_name);
        let new = ours.sections.iter().filter(|section| !sides[2].contains_key(section.name()));
        let merged = theirs.sections.iter().chain(new).filter_map(|section| {
            let [base, ours, theirs] =
                [0, 1, 2].map(|side| sides[side].get(section.name()).copied().cloned());
            merge_section(base, ours, theirs)
        });
        let mut merged = Self { sections: merged.collect(), changed: false };
        merged.drop_orphans(base);
        merged.changed = !merged.says_the_same(theirs);
        merged
    }

    fn by_name(&self) -> HashMap<&str, &Section> {
        self.sections.iter().map(|section| (section.name(), section)).collect()
    }

    pub(super) fn says_the_same(&self, other: &Self) -> bool {
        self.sections.len() == other.sections.len() && self.by_name() == other.by_name()
    }

    fn drop_orphans(&mut self, base: &Self) {
        let before = base.rows(Kind::Account).iter().filter_map(|row| Account::from_entry(&row.entry));
        let still_here = |account: &Account| {
            let owner = Owner::user(&account.home_account_id, None);
            self.rows_of(Kind::Account, owner).any(|row| is_of(&row.entry, account))
        };
        let removed: Vec<Account> = before.filter(|account| !still_here(account)).collect();
        if removed.is_empty() {
            return;
        }
        let mut by_home: HashMap<&str, Vec<&Account>> = HashMap::new();
        for account in &removed {
            by_home.entry(account.home_account_id()).or_default().push(account);
        }
        let gone = |entry: &Entry| {
            let theirs = entry.text(Field::HomeAccountId).and_then(|home| by_home.get(home));
            theirs.is_some_and(|accounts| accounts.iter().any(|account| is_of(entry, account)))
        };
        for kind in [Kind::AccessToken, Kind::RefreshToken, Kind::IdToken] {
            self.remove_where(kind, gone);
        }
    }
}

impl PartialEq for Section {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Known(one), Self::Known(other)) => one.kind() == other.kind() && one == other,
            (Self::Other(name, one), Self::Other(others, other)) => name == others && same_json(one, other),
            _ => false,
        }
    }
}

fn merge_section(base: Option<Section>, ours: Option<Section>, theirs: Option<Section>) -> Option<Section> {
    if ours == theirs || ours == base {
        return theirs;
    }
    if theirs == base {
        return ours;
    }
    match ours.as_ref().or(theirs.as_ref())? {
        Section::Known(table) => Some(Section::Known(merge_tables(table.kind(), [&base, &ours, &theirs]))),
        Section::Other(name, _) => match merge_members([&base, &ours, &theirs]) {
            Some(merged) => Some(Section::Other(name.clone(), merged)),
            // A section that is no object is taken from the side that changed it.
            None => ours,
        },
    }
}

fn merge_tables(kind: Kind, sides: [&Option<Section>; 3]) -> Table {
    let [base, ours, theirs] = sides.map(|side| match side {
        Some(Section::Known(table)) => Some(table),
        _ => None,
    });
    let find = |table: Option<&Table>, key: &str| table.and_then(|table| table.get(key)).cloned();
    let rows = |table: Option<&Table>| table.map(Table::rows).unwrap_or_default().to_vec();
    let new = rows(ours).into_iter().filter(|row| theirs.is_none_or(|theirs| theirs.get(&row.key).is_none()));
    let mut merged = Table::new(kind);
    for Row { key, .. } in rows(theirs).into_iter().chain(new) {
        let entry = merge_entry(find(base, &key), find(ours, &key), find(theirs, &key), newer);
        if let Some(entry) = entry {
            merged.put(&key, entry);
        }
    }
    merged
}

/// A section of somebody else's, member by member; `None` where a side is no object.
fn merge_members(sides: [&Option<Section>; 3]) -> Option<Box<RawValue>> {
    let [base, ours, theirs] = sides.map(|side| match side {
        Some(Section::Other(_, raw)) => members(raw),
        _ => Some(Vec::new()),
    });
    let (base, ours, theirs) = (base?, ours?, theirs?);
    let [base_by_name, our_by_name, their_by_name] = [&base, &ours, &theirs].map(|members| by_name(members));
    let new = ours.iter().filter(|(name, _)| !their_by_name.contains_key(name.as_str()));
    let mut merged = Vec::new();
    for (name, _) in theirs.iter().chain(new) {
        let of = |side: &BTreeMap<&str, Member>| side.get(name.as_str()).cloned();
        if let Some(member) =
            merge_entry(of(&base_by_name), of(&our_by_name), of(&their_by_name), newer_member)
        {
            merged.push((name.clone(), member.0));
        }
    }
    raw_members(&merged)
}

/// A member of a section of somebody else's.
#[derive(Clone)]
struct Member(Box<RawValue>);

impl PartialEq for Member {
    fn eq(&self, other: &Self) -> bool {
        same_json(&self.0, &other.0)
    }
}

fn by_name(members: &[(String, Box<RawValue>)]) -> BTreeMap<&str, Member> {
    members.iter().map(|(name, raw)| (name.as_str(), Member(raw.clone()))).collect()
}

fn merge_entry<T: PartialEq>(
    base: Option<T>,
    ours: Option<T>,
    theirs: Option<T>,
    newer: impl Fn(T, T) -> T,
) -> Option<T> {
    if ours == base || ours == theirs {
        return theirs;
    }
    if theirs == base {
        return ours;
    }
    match (ours, theirs) {
        (Some(ours), Some(theirs)) => Some(newer(ours, theirs)),
        // One side removed it, and had not seen what the other wrote meanwhile.
        (ours, theirs) => ours.or(theirs),
    }
}

/// The newer entry with the unknown fields of both; ours where neither is newer.
fn newer(ours: Entry, theirs: Entry) -> Entry {
    let (mut winner, loser) = match stamp(&ours).cmp(&stamp(&theirs)) {
        Ordering::Less => (theirs, ours),
        Ordering::Equal | Ordering::Greater => (ours, theirs),
    };
    winner.keep_unknown(&loser);
    winner
}

/// As [`newer`]; ours where the two are no entries.
fn newer_member(ours: Member, theirs: Member) -> Member {
    match (foreign_entry(&ours.0), foreign_entry(&theirs.0)) {
        (Some(our), Some(their)) => raw_entry(&newer(our, their)).map_or(ours, Member),
        _ => ours,
    }
}

/// When an entry was written; an id token says it itself.
fn stamp(entry: &Entry) -> i64 {
    let written = entry.time(Field::CachedAt).or_else(|| entry.time(Field::LastModificationTime));
    let signed_in = || {
        let kept: serde_json::Value = serde_json::from_str(entry.other(SIGNED_IN_AT)?.get()).ok()?;
        kept.as_i64().or_else(|| kept.as_str()?.trim().parse().ok())
    };
    let issued = || IdTokenClaims::from_stored(entry.secret()?.expose_secret()).ok().map(|claims| claims.iat);
    written.or_else(signed_in).or_else(issued).unwrap_or(0)
}
