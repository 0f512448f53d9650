//! One section: entries in the order they came, found by key and by owner without looking at the others.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};

use super::entry::{Entry, Field};

/// Up to so many entries looking at each is quicker than an index, and than making one.
const FEW: usize = 8;

/// The sections of MSAL's schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    AccessToken,
    RefreshToken,
    IdToken,
    Account,
    AppMetadata,
}

impl Kind {
    const ALL: [Self; 5] =
        [Self::AccessToken, Self::RefreshToken, Self::IdToken, Self::Account, Self::AppMetadata];

    /// The section's name, and in `credential_type` the token's.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::AccessToken => "AccessToken",
            Self::RefreshToken => "RefreshToken",
            Self::IdToken => "IdToken",
            Self::Account => "Account",
            Self::AppMetadata => "AppMetadata",
        }
    }

    pub(super) fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Are its entries good in one tenant only? A refresh token is good in every one, and a person's accounts are listed
    /// whatever the tenant.
    const fn is_by_realm(self) -> bool {
        matches!(self, Self::AccessToken | Self::IdToken)
    }
}

/// Whose an entry is: a user's home account id, or `None` for the application's own; and in which tenant, in
/// sections whose entries are good in one tenant only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Owner<'a> {
    pub(crate) home_account_id: Option<&'a str>,
    pub(crate) realm: Option<&'a str>,
}

impl<'a> Owner<'a> {
    pub(crate) const fn user(home_account_id: &'a str, realm: Option<&'a str>) -> Self {
        Self { home_account_id: Some(home_account_id), realm }
    }
}

/// An entry and the key it stands under.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) key: Box<str>,
    pub(crate) entry: Entry,
}

/// The entries of a section.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    kind: Kind,
    rows: Vec<Row>,
    index: Option<Index>,
    /// No entry expires before that.
    soonest_expiry: i64,
}

impl Table {
    pub(super) const fn new(kind: Kind) -> Self {
        Self { kind, rows: Vec::new(), index: None, soonest_expiry: i64::MAX }
    }

    pub(crate) const fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn rows(&self) -> &[Row] {
        &self.rows
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Entry> {
        self.place(key).map(|place| &self.rows[place].entry)
    }

    /// The entries of one owner.
    pub(crate) fn of<'a>(&'a self, owner: Owner<'a>) -> impl Iterator<Item = &'a Row> {
        let owner = Owner { realm: owner.realm.filter(|_| self.kind.is_by_realm()), ..owner };
        let (all, some): (&[Row], &[u32]) = match &self.index {
            None => (&self.rows, &[]),
            Some(index) => (&[], index.of_owner(owner)),
        };
        let named = some.iter().filter_map(|place| self.rows.get(*place as usize));
        all.iter().chain(named).filter(move |row| self.owner(&row.entry) == Some(owner))
    }

    /// The entries of requests with these parameters of their own.
    pub(crate) fn extended<'a>(&'a self, ext_cache_key: &'a str) -> impl Iterator<Item = &'a Row> {
        let (all, some): (&[Row], &[u32]) = match &self.index {
            None => (&self.rows, &[]),
            Some(index) => (&[], index.of_extended(ext_cache_key)),
        };
        let named = some.iter().filter_map(|place| self.rows.get(*place as usize));
        all.iter().chain(named).filter(move |row| row.entry.is(Field::ExtCacheKey, ext_cache_key))
    }

    /// To change fields that do not say whose an entry is.
    pub(crate) fn entries_mut(&mut self) -> impl Iterator<Item = &mut Entry> {
        self.soonest_expiry = i64::MIN;
        self.rows.iter_mut().map(|row| &mut row.entry)
    }

    /// Puts an entry in, in the place of an earlier one with this key.
    pub(crate) fn put(&mut self, key: &str, entry: Entry) {
        match self.place(key) {
            Some(place) => {
                self.note_expiry(&entry);
                let earlier = &self.rows[place].entry;
                let moved = self.owner(earlier) != self.owner(&entry)
                    || earlier.text(Field::ExtCacheKey) != entry.text(Field::ExtCacheKey);
                self.rows[place].entry = entry;
                if moved {
                    self.reindex();
                }
            }
            None => self.push(key.into(), entry),
        }
    }

    /// A key met while reading. `false`: it stands here already.
    pub(super) fn push_new(&mut self, key: Box<str>, entry: Entry) -> bool {
        let fresh = self.place(&key).is_none();
        if fresh {
            self.push(key, entry);
        }
        fresh
    }

    /// Keeps the others. Says whether anything is gone.
    pub(crate) fn remove_where(&mut self, gone: impl Fn(&Entry) -> bool) -> bool {
        let before = self.rows.len();
        self.rows.retain(|row| !gone(&row.entry));
        let removed = self.rows.len() != before;
        if removed {
            self.reindex();
        }
        removed
    }

    /// Removes what expired before `now`; where nothing did, mostly without looking. Says whether anything is gone.
    pub(crate) fn remove_expired(&mut self, now: i64) -> bool {
        let expiry = |entry: &Entry| entry.time(Field::ExpiresOn).unwrap_or(i64::MAX);
        if self.soonest_expiry >= now {
            return false;
        }
        let removed = self.remove_where(|entry| expiry(entry) < now);
        self.soonest_expiry = self.rows.iter().map(|row| expiry(&row.entry)).min().unwrap_or(i64::MAX);
        removed
    }

    fn push(&mut self, key: Box<str>, entry: Entry) {
        self.note_expiry(&entry);
        self.rows.push(Row { key, entry });
        match &self.index {
            None if self.rows.len() > FEW => self.reindex(),
            None => {}
            Some(_) => self.add_to_index(self.rows.len() - 1),
        }
    }

    fn note_expiry(&mut self, entry: &Entry) {
        if let Some(expires_on) = entry.time(Field::ExpiresOn) {
            self.soonest_expiry = self.soonest_expiry.min(expires_on);
        }
    }

    fn place(&self, key: &str) -> Option<usize> {
        match &self.index {
            None => self.rows.iter().position(|row| *row.key == *key),
            Some(index) => {
                let mut places = index.of_key(key).iter().map(|place| *place as usize);
                places.find(|place| self.rows.get(*place).is_some_and(|row| *row.key == *key))
            }
        }
    }

    /// `None` for a home account id that is neither a text nor null: it is nobody's.
    fn owner<'a>(&self, entry: &'a Entry) -> Option<Owner<'a>> {
        let home_account_id = entry.text(Field::HomeAccountId);
        if home_account_id.is_none() && entry.has(Field::HomeAccountId) {
            return None;
        }
        let realm =
            if self.kind.is_by_realm() { Some(entry.text(Field::Realm).unwrap_or_default()) } else { None };
        Some(Owner { home_account_id, realm })
    }

    fn reindex(&mut self) {
        self.index = (self.rows.len() > FEW).then(|| Index::with_capacity(self.rows.len()));
        for place in 0..self.rows.len() {
            self.add_to_index(place);
        }
    }

    fn add_to_index(&mut self, place: usize) {
        let Some(mut index) = self.index.take() else { return };
        let row = &self.rows[place];
        index.add(row, self.owner(&row.entry), u32::try_from(place).unwrap_or(u32::MAX));
        self.index = Some(index);
    }
}

/// Places of rows by the hash of their key and by the hash of their owner; rows are compared once more when met.
#[derive(Debug, Clone)]
struct Index {
    hasher: RandomState,
    keys: HashMap<u64, Places>,
    owners: HashMap<u64, Places>,
    extended: HashMap<u64, Places>,
}

/// Mostly one.
#[derive(Debug, Clone)]
enum Places {
    One([u32; 1]),
    More(Vec<u32>),
}

impl Index {
    fn with_capacity(rows: usize) -> Self {
        Self {
            hasher: RandomState::new(),
            keys: HashMap::with_capacity(rows),
            owners: HashMap::with_capacity(rows),
            extended: HashMap::new(),
        }
    }

    fn add(&mut self, row: &Row, owner: Option<Owner<'_>>, place: u32) {
        Places::add(&mut self.keys, self.hasher.hash_one(&*row.key), place);
        if let Some(ext_cache_key) = row.entry.text(Field::ExtCacheKey) {
            Places::add(&mut self.extended, self.hasher.hash_one(ext_cache_key), place);
        }
        if let Some(owner) = owner {
            Places::add(&mut self.owners, self.hasher.hash_one(owner), place);
        }
    }

    fn of_key(&self, key: &str) -> &[u32] {
        self.keys.get(&self.hasher.hash_one(key)).map_or(&[], Places::as_slice)
    }

    fn of_extended(&self, ext_cache_key: &str) -> &[u32] {
        self.extended.get(&self.hasher.hash_one(ext_cache_key)).map_or(&[], Places::as_slice)
    }

    fn of_owner(&self, owner: Owner<'_>) -> &[u32] {
        self.owners.get(&self.hasher.hash_one(owner)).map_or(&[], Places::as_slice)
    }
}

impl Places {
    fn add(map: &mut HashMap<u64, Self>, hash: u64, place: u32) {
        map.entry(hash).and_modify(|places| places.push(place)).or_insert(Self::One([place]));
    }

    fn push(&mut self, place: u32) {
        match self {
            Self::One([first]) => *self = Self::More(vec![*first, place]),
            Self::More(places) => places.push(place),
        }
    }

    fn as_slice(&self) -> &[u32] {
        match self {
            Self::One(place) => place,
            Self::More(places) => places,
        }
    }
}

/// Whatever the order of the entries.
impl PartialEq for Table {
    fn eq(&self, other: &Self) -> bool {
        self.rows.len() == other.rows.len()
            && self.rows.iter().all(|row| other.get(&row.key) == Some(&row.entry))
    }
}
