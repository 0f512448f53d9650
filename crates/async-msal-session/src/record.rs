//! The stored record: what it holds in both layouts, and what counts as absent or signed out.
//!
//! The text is aiohttp_session's in both layouts: `{"created": <seconds>, "session": {..}}`, an ended session `{}`. In the
//! sealed layout that text is sealed with the store key as associated data.

use std::fmt;

use async_msal::TokenCache;
use indexmap::IndexMap;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::error::Category;
use serde_json::value::{RawValue, to_raw_value};

use crate::telemetry;

/// Items this library and aiohttp_msal give a meaning to.
pub(crate) mod item {
    /// MSAL's token cache, JSON text inside JSON.
    pub(crate) const TOKEN_CACHE: &str = "token_cache";
    /// A sign-in between its two legs, kept in the session by the handle's own form of it.
    pub(crate) const FLOW_CACHE: &str = "flow_cache";
    /// When that sign-in began, unix seconds; beside the flow, which is MSAL's own record.
    pub(crate) const FLOW_STARTED: &str = "async_msal_flow_started";
    /// The user's mail.
    pub(crate) const MAIL: &str = "mail";
    /// The user's display name.
    pub(crate) const NAME: &str = "name";
    /// The manager's mail.
    pub(crate) const MANAGER_MAIL: &str = "m_mail";
    /// The manager's display name.
    pub(crate) const MANAGER_NAME: &str = "m_name";
    /// Who is signed in, from the verified id token.
    pub(crate) const IDENTITY: &str = "async_msal";
    /// Set while the profile could not be fetched: not before when it is asked for again, unix seconds.
    pub(crate) const PROFILE_DUE: &str = "async_msal_profile_due";

    /// Items the application may not write: they say who is signed in and with which tokens.
    pub(crate) const RESERVED: [&str; 9] = [
        TOKEN_CACHE,
        FLOW_CACHE,
        FLOW_STARTED,
        MAIL,
        NAME,
        MANAGER_MAIL,
        MANAGER_NAME,
        IDENTITY,
        PROFILE_DUE,
    ];
}

/// Most bytes a record's text may have; a longer one is not read.
pub(crate) const MAX_RECORD: usize = 1024 * 1024;

/// Items by name, in their order, each as its JSON text: most requests look at few of them, and what nobody changed is
/// written back byte for byte.
type Items = IndexMap<String, Box<RawValue>>;

/// The items of one session.
#[derive(Clone, Default)]
pub struct SessionRecord {
    /// When it was made or its life last lengthened, unix seconds.
    created: i64,
    items: Items,
    /// `created` was not the integer that aiohttp_session needs, and is mended by the next write.
    spoiled: bool,
}

impl fmt::Debug for SessionRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { created, items, spoiled } = self;
        f.debug_struct("SessionRecord")
            .field("created", created)
            .field("items", &items.keys().collect::<Vec<_>>())
            .field("spoiled", spoiled)
            .finish()
    }
}

/// What was under a key.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Found {
    /// A session.
    Session(SessionRecord),
    /// `{}`: signed out. Nothing brings it back.
    SignedOut,
    /// Nothing that can be read, which is the same as nothing; the word says why.
    Unreadable(&'static str),
}

impl SessionRecord {
    /// An empty record made at `now`.
    #[must_use]
    pub fn new(now: i64) -> Self {
        Self { created: now.max(1), ..Self::default() }
    }

    /// When it was made or its life last lengthened, unix seconds.
    #[must_use]
    pub fn created(&self) -> i64 {
        self.created
    }

    /// Names of all items, the library's own among them.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.items.keys().map(String::as_str)
    }

    /// An item.
    #[must_use]
    pub fn item(&self, name: &str) -> Option<Value> {
        self.read(name)
    }

    /// The JSON text of an item, as it is stored.
    #[must_use]
    pub fn item_text(&self, name: &str) -> Option<&str> {
        self.items.get(name).map(|raw| raw.get())
    }

    /// An item that is a non-empty text.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<String> {
        self.read::<String>(name).filter(|text| !text.is_empty())
    }

    /// The token cache; an empty one where there is none. One that cannot be read counts as none and is counted.
    #[must_use]
    pub fn token_cache(&self) -> TokenCache {
        let Some(text) = self.text(item::TOKEN_CACHE) else { return TokenCache::new() };
        TokenCache::parse(&text).unwrap_or_else(|_| {
            telemetry::count(telemetry::UNREADABLE, "reason", "token_cache");
            TokenCache::new()
        })
    }

    /// An item of that type; `None` where it is of another.
    pub(crate) fn read<'a, T: Deserialize<'a>>(&'a self, name: &str) -> Option<T> {
        serde_json::from_str(self.items.get(name)?.get()).ok()
    }

    /// Whether both say the same of an item.
    pub(crate) fn agrees_with(&self, other: &Self, name: &str) -> bool {
        let text = |record: &Self| record.items.get(name).map(|raw| raw.get().to_owned());
        text(self) == text(other)
    }

    pub(crate) fn set(&mut self, name: &str, value: &Value) {
        // A value is JSON already.
        if let Ok(raw) = to_raw_value(value) {
            self.set_text(name, raw);
        }
    }

    pub(crate) fn set_text(&mut self, name: &str, raw: Box<RawValue>) {
        self.items.insert(name.to_owned(), raw);
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.items.shift_remove(name);
    }

    /// Takes over the items of another record that the library gives no meaning to.
    pub(crate) fn take_own_items(&mut self, other: &Self) {
        let own = other.items.iter().filter(|(name, _)| !item::RESERVED.contains(&name.as_str()));
        self.items.extend(own.map(|(name, raw)| (name.clone(), raw.clone())));
    }

    /// Takes over what Graph said of the same person. A Python service stores `null` where Graph knew nothing, and nobody is
    /// signed in without a mail.
    pub(crate) fn take_profile(&mut self, other: &Self) {
        for name in [item::MAIL, item::NAME, item::MANAGER_MAIL, item::MANAGER_NAME] {
            if let Some(text) = other.text(name) {
                self.set(name, &text.into());
            }
        }
        if let Some(due) = other.item(item::PROFILE_DUE) {
            self.set(item::PROFILE_DUE, &due);
        }
    }

    /// Bytes of all items but the token cache.
    pub(crate) fn size_beside_tokens(&self) -> usize {
        let others = self.items.iter().filter(|(name, _)| *name != item::TOKEN_CACHE);
        others.map(|(name, raw)| name.len() + raw.get().len() + 4).sum()
    }

    pub(crate) fn set_created(&mut self, now: i64) {
        self.created = now.max(1);
        self.spoiled = false;
    }

    /// Whether the record must be rewritten for aiohttp_session to read it.
    pub(crate) fn is_spoiled(&self) -> bool {
        self.spoiled
    }

    /// The JSON object of all items, as they are stored.
    #[must_use]
    pub fn items_to_json(&self) -> String {
        serde_json::to_string(&self.items).unwrap_or_default()
    }

    /// The record's text. `created` is always a positive integer: aiohttp_session drops the data otherwise.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        #[derive(Serialize)]
        struct Record<'a> {
            created: i64,
            session: &'a Items,
        }
        // Texts and a number: writing these does not fail.
        serde_json::to_vec(&Record { created: self.created, session: &self.items }).unwrap_or_default()
    }

    /// Reads a record's text by aiohttp_session's rules, stricter where Python would raise: what Python cannot read, or
    /// reads as an empty session, is unreadable here. A `created` that is a text of digits is mended, since aiohttp_msal
    /// 0.6.7 wrote it so.
    #[must_use]
    pub fn parse_json(text: &[u8]) -> Found {
        if text.len() > MAX_RECORD {
            return Found::Unreadable("too_large");
        }
        // Checked once as a whole, which is quicker than text by text.
        let Ok(text) = std::str::from_utf8(text) else { return Found::Unreadable("not_json") };
        let Members { created, session, is_empty } = match serde_json::from_str(text) {
            Ok(members) => members,
            Err(error) if error.classify() == Category::Data => return Found::Unreadable("not_an_object"),
            Err(_) => return Found::Unreadable("not_json"),
        };
        if is_empty {
            return Found::SignedOut;
        }
        let (created, spoiled) = match created {
            Some(Value::Number(number)) => (number.as_i64().or_else(|| whole(number.as_f64()?)), false),
            Some(Value::String(text)) => (text.trim().parse::<f64>().ok().and_then(whole), true),
            _ => (None, false),
        };
        let Some(created) = created.filter(|created| *created > 0) else {
            return Found::Unreadable("created");
        };
        match session.and_then(|raw| serde_json::from_str(raw.get()).ok()) {
            Some(items) => Found::Session(Self { created, items, spoiled }),
            None => Found::Unreadable("session"),
        }
    }
}

/// The members of a record's object. One that is there twice counts as written last, as in Python.
#[derive(Default)]
struct Members<'a> {
    created: Option<Value>,
    session: Option<&'a RawValue>,
    is_empty: bool,
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Record;
        impl<'de> Visitor<'de> for Record {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Members { is_empty: true, ..Members::default() };
                while let Some(name) = map.next_key::<String>()? {
                    members.is_empty = false;
                    match &*name {
                        "created" => members.created = Some(map.next_value()?),
                        "session" => members.session = Some(map.next_value()?),
                        _ => drop(map.next_value::<IgnoredAny>()?),
                    }
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Record)
    }
}

fn whole(seconds: f64) -> Option<i64> {
    const YEAR_9999: f64 = 253_402_300_800.0;
    (seconds.is_finite() && (0.0..YEAR_9999).contains(&seconds)).then_some(seconds as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(text: &str) -> SessionRecord {
        match SessionRecord::parse_json(text.as_bytes()) {
            Found::Session(record) => record,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn a_record_of_aiohttp_session_is_read_and_written_alike() {
        let record = session(r#"{"created": 1700000000, "session": {"mail": "ada@x", "n": {"a": [1]}}}"#);
        assert_eq!(record.created(), 1_700_000_000);
        assert_eq!(record.text("mail").as_deref(), Some("ada@x"));
        let written = br#"{"created":1700000000,"session":{"mail":"ada@x","n":{"a": [1]}}}"#;
        assert_eq!(record.to_json(), written);
    }

    #[test]
    fn an_empty_object_is_signed_out() {
        for text in [&b"{}"[..], b" { } "] {
            assert!(matches!(SessionRecord::parse_json(text), Found::SignedOut));
        }
    }

    #[test]
    fn a_record_that_python_cannot_use_is_unreadable_and_does_not_panic() {
        let bad: [&[u8]; 13] = [
            b"",
            b"null",
            b"[]",
            b"7",
            b"\"x\"",
            b"{",
            b"\xff\xfe",
            br#"{"created":0,"session":{}}"#,
            br#"{"session":{}}"#,
            br#"{"created":1}"#,
            br#"{"created":1,"session":[]}"#,
            br#"{"created":"soon","session":{}}"#,
            br#"{"created":-4,"session":{}}"#,
        ];
        for text in bad {
            let found = SessionRecord::parse_json(text);
            assert!(matches!(found, Found::Unreadable(_)), "{:?}: {found:?}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn a_record_of_five_megabytes_is_not_read() {
        let text = vec![b' '; 5 * 1024 * 1024];
        assert!(matches!(SessionRecord::parse_json(&text), Found::Unreadable("too_large")));
    }

    #[test]
    fn created_as_a_text_is_mended_by_the_next_write() {
        let record = session(r#"{"created": "1700000000", "session": {"mail": "a"}}"#);
        assert!(record.is_spoiled());
        let written: Value = serde_json::from_slice(&record.to_json()).unwrap();
        assert_eq!(written["created"], 1_700_000_000);
    }

    #[test]
    fn debug_shows_names_of_items_and_no_value() {
        let record = session(r#"{"created": 1, "session": {"token_cache": "canary"}}"#);
        assert!(!format!("{record:?}").contains("canary"));
        assert!(format!("{record:?}").contains("token_cache"));
    }
}
