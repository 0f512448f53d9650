//! A change to a session: items set and removed, tokens merged by entry. It is applied to whatever the store holds at
//! the moment of saving, so that two requests of one session never undo each other's work.

use std::collections::BTreeMap;
use std::fmt;

use async_msal::{Account, TokenCache};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::record::{SessionRecord, item};

/// Items and tokens to change.
#[derive(Clone, Default)]
pub(crate) struct Patch {
    /// `Some` sets an item, `None` removes it.
    items: BTreeMap<String, Option<Value>>,
    /// Items set as texts, which are stored as they are. A name is here or in `items`.
    texts: BTreeMap<String, Box<RawValue>>,
    cache: Option<CacheChange>,
    /// The account a renewal renewed: where it is no longer in the record, the patch is void.
    renewal_of: Option<Account>,
}

/// A token cache as its writer saw it, and as it left it.
#[derive(Clone)]
struct CacheChange {
    base: TokenCache,
    ours: TokenCache,
}

impl fmt::Debug for Patch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { items, texts, cache, renewal_of } = self;
        f.debug_struct("Patch")
            .field("items", &items.keys().chain(texts.keys()).collect::<Vec<_>>())
            .field("cache", &cache.is_some())
            .field("renewal", &renewal_of.is_some())
            .finish()
    }
}

impl Patch {
    /// The patch of a renewal of `account`.
    pub(crate) fn renewal(account: Account, base: TokenCache, ours: TokenCache) -> Self {
        Self { cache: Some(CacheChange { base, ours }), renewal_of: Some(account), ..Self::default() }
    }

    pub(crate) fn set(&mut self, name: &str, value: Value) {
        self.texts.remove(name);
        self.items.insert(name.to_owned(), Some(value));
    }

    pub(crate) fn set_text(&mut self, name: &str, text: Box<RawValue>) {
        self.items.remove(name);
        self.texts.insert(name.to_owned(), text);
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.texts.remove(name);
        self.items.insert(name.to_owned(), None);
    }

    /// Takes over a change of tokens. A second one builds on the first: its writer saw what the first left.
    pub(crate) fn change_cache(&mut self, base: TokenCache, ours: TokenCache) {
        match &mut self.cache {
            Some(change) => change.ours = TokenCache::merge(&base, &ours, &change.ours),
            None => self.cache = Some(CacheChange { base, ours }),
        }
    }

    /// This patch and one made by a writer that saw what this one left.
    pub(crate) fn followed_by(&self, later: &Self) -> Self {
        let mut both = self.clone();
        let Self { items, texts, cache, renewal_of } = later.clone();
        both.texts.retain(|name, _| !items.contains_key(name));
        both.items.retain(|name, _| !texts.contains_key(name));
        both.items.extend(items);
        both.texts.extend(texts);
        if let Some(CacheChange { base, ours }) = cache {
            both.change_cache(base, ours);
        }
        both.renewal_of = renewal_of.or(both.renewal_of);
        both
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty() && self.texts.is_empty() && self.cache.is_none()
    }

    /// Whether it sets items of the application's own, and leaves the tokens alone. What the library keeps beside them is small,
    /// and a session whose application filled it must be found all the same.
    pub(crate) fn sets_own_items_only(&self) -> bool {
        let set = self.items.iter().filter(|(_, value)| value.is_some()).map(|(name, _)| name);
        let mut names = set.chain(self.texts.keys());
        self.cache.is_none() && names.any(|name| !item::RESERVED.contains(&name.as_str()))
    }

    /// What this patch says of an item: `None` nothing, `Some(None)` removed.
    pub(crate) fn item(&self, name: &str) -> Option<Option<&Value>> {
        self.items.get(name).map(Option::as_ref)
    }

    /// Takes out what was saved; what was changed again meanwhile stays.
    pub(crate) fn take_out(&mut self, saved: &Self) {
        self.items.retain(|name, value| saved.items.get(name) != Some(value));
        self.texts.retain(|name, text| saved.texts.get(name).map(|text| text.get()) != Some(text.get()));
        if saved.cache.is_some() {
            self.cache = None;
        }
    }

    /// Applies the patch to `record`; `false`, and nothing changed, where the account it renewed is gone.
    pub(crate) fn apply(&self, record: &mut SessionRecord) -> bool {
        let Self { items, texts, cache, renewal_of } = self;
        let mut merged = None;
        if let Some(CacheChange { base, ours }) = cache {
            let theirs = record.token_cache();
            if renewal_of.as_ref().is_some_and(|account| !holds(&theirs, account)) {
                return false;
            }
            merged = Some(TokenCache::merge(base, ours, &theirs));
        }
        for (name, value) in items {
            match value {
                Some(value) => record.set(name, value),
                None => record.remove(name),
            }
        }
        for (name, text) in texts {
            record.set_text(name, text.clone());
        }
        if let Some(merged) = merged {
            record.set(item::TOKEN_CACHE, &Value::String(merged.to_json()));
        }
        true
    }
}

fn holds(cache: &TokenCache, account: &Account) -> bool {
    cache.accounts(account.environment()).iter().any(|present| {
        present.home_account_id() == account.home_account_id() && present.realm() == account.realm()
    })
}
