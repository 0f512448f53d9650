//! Reading and writing the text: one pass, bounded, every refusal with its place and none of the text.

use std::cell::Cell;
use std::fmt;

use secrecy::ExposeSecret as _;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap as _, Serializer};
use serde_json::error::Category;
use serde_json::value::RawValue;

use super::entry::{Content, Entry, Name};
use super::table::{Kind, Table};
use super::{CacheError, Section, TokenCache};
use crate::json::DEEPEST;

/// Reads a text that is not empty.
pub(super) fn read(text: &str) -> Result<Vec<Section>, CacheError> {
    let place = Place::default();
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let sections = Root(&place).deserialize(&mut deserializer);
    let sections = sections.and_then(|sections| deserializer.end().map(|()| sections));
    sections.map_err(|error| place.refusal(&error))
}

/// The members of an object that belongs to somebody else; `None` where it is no object.
pub(super) fn members(raw: &RawValue) -> Option<Vec<(String, Box<RawValue>)>> {
    struct Members;
    impl<'de> Visitor<'de> for Members {
        type Value = Vec<(String, Box<RawValue>)>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
            let mut members = Vec::new();
            while let Some(member) = access.next_entry()? {
                members.push(member);
            }
            Ok(members)
        }
    }
    serde_json::Deserializer::from_str(raw.get()).deserialize_map(Members).ok()
}

/// Another's entry, looked at as one of MSAL's; `None` where it is no object or names a field twice.
pub(super) fn foreign_entry(raw: &RawValue) -> Option<Entry> {
    let place = Place::default();
    EntrySeed(&place).deserialize(&mut serde_json::Deserializer::from_str(raw.get())).ok()
}

/// Where the reader is, and what it refused there.
#[derive(Default)]
struct Place {
    section: Cell<Option<Kind>>,
    refused: Cell<Option<CacheError>>,
}

impl Place {
    /// Ends the reading with an error of our own.
    fn refuse<E: serde::de::Error>(&self, error: CacheError) -> E {
        self.refused.set(Some(error));
        E::custom("refused")
    }

    /// Nothing of serde's message is kept: it may show a part of the text.
    fn refusal(&self, error: &serde_json::Error) -> CacheError {
        let (line, column) = (error.line().max(1), error.column().max(1));
        match (self.refused.get(), error.classify(), self.section.get()) {
            (Some(CacheError::Json { .. }), ..) => CacheError::Json { line, column },
            (Some(refused), ..) => refused,
            (None, Category::Data, Some(section)) => CacheError::Shape { section: section.name() },
            _ => CacheError::Json { line, column },
        }
    }

    fn json<E: serde::de::Error>(&self) -> E {
        self.refuse(CacheError::Json { line: 0, column: 0 })
    }

    fn raw<E: serde::de::Error>(&self, raw: &RawValue) -> Result<(), E> {
        if depth(raw.get()) > DEEPEST { Err(self.json()) } else { Ok(()) }
    }
}

/// How deep a value is nested that is known to be JSON.
fn depth(json: &str) -> usize {
    if !json.starts_with(['[', '{']) {
        return 0;
    }
    let (mut depth, mut deepest, mut in_text, mut escaped) = (0_usize, 0, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => in_text = !in_text,
            _ if in_text => {}
            b'[' | b'{' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

macro_rules! object_seed {
    ($name:ident) => {
        impl<'de> DeserializeSeed<'de> for $name<'_> {
            type Value = <Self as Visitor<'de>>::Value;

            fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
                deserializer.deserialize_map(self)
            }
        }
    };
}

/// Looked at once all are read: whoever wrote the text chose how many there are, and time must not grow by their square.
fn stands_twice<'a>(names: impl Iterator<Item = &'a str>) -> bool {
    let mut names: Vec<_> = names.collect();
    names.sort_unstable();
    names.windows(2).any(|two| two[0] == two[1])
}

struct Root<'a>(&'a Place);
object_seed!(Root);

impl<'de> Visitor<'de> for Root<'_> {
    type Value = Vec<Section>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a token cache")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Vec<Section>, A::Error> {
        let mut sections: Vec<Section> = Vec::with_capacity(6);
        while let Some(name) = access.next_key_seed(Key)? {
            let kind = Kind::of(&name);
            self.0.section.set(kind);
            sections.push(match kind {
                Some(kind) => Section::Known(access.next_value_seed(TableSeed(self.0, kind))?),
                None => {
                    let raw: &RawValue = access.next_value()?;
                    self.0.raw(raw)?;
                    Section::Other(name, raw.to_owned())
                }
            });
            self.0.section.set(None);
        }
        if stands_twice(sections.iter().map(Section::name)) {
            return Err(self.0.json());
        }
        Ok(sections)
    }
}

struct TableSeed<'a>(&'a Place, Kind);
object_seed!(TableSeed);

impl<'de> Visitor<'de> for TableSeed<'_> {
    type Value = Table;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("entries")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Table, A::Error> {
        let Self(place, kind) = self;
        let mut table = Table::new(kind);
        while let Some(key) = access.next_key_seed(Key)? {
            let entry = access.next_value_seed(EntrySeed(place))?;
            if let Some(field) = entry.unreadable_time() {
                return Err(place.refuse(CacheError::Number { section: kind.name(), field: field.name() }));
            }
            if !table.push_new(key, entry) {
                return Err(place.json());
            }
        }
        Ok(table)
    }
}

struct EntrySeed<'a>(&'a Place);
object_seed!(EntrySeed);

impl<'de> Visitor<'de> for EntrySeed<'_> {
    type Value = Entry;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an entry")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Entry, A::Error> {
        let mut entry = Entry::new();
        while let Some(name) = access.next_key_seed(FieldName)? {
            let raw: &RawValue = access.next_value()?;
            self.0.raw(raw)?;
            let content = Content::of(&name, raw);
            if !entry.push(name, content) {
                return Err(self.0.json());
            }
        }
        if stands_twice(entry.other_names()) {
            return Err(self.0.json());
        }
        Ok(entry)
    }
}

/// A member's name, taken in without a copy between.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Box<str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Box<str>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key {
    type Value = Box<str>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a name")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Box<str>, E> {
        Ok(text.into())
    }
}

/// The name of a field: MSAL's are not copied at all.
struct FieldName;

impl<'de> DeserializeSeed<'de> for FieldName {
    type Value = Name;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Name, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for FieldName {
    type Value = Name;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a name")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Name, E> {
        Ok(Name::of(text))
    }
}

/// The text again.
pub(super) fn write(cache: &TokenCache) -> String {
    serde_json::to_string(&Json(cache.sections.as_slice())).unwrap_or_else(|_| "{}".to_owned())
}

/// An entry in a section of somebody else's.
pub(super) fn raw_entry(entry: &Entry) -> Option<Box<RawValue>> {
    serde_json::value::to_raw_value(&Json(entry)).ok()
}

/// A section of somebody else's.
pub(super) fn raw_members(members: &[(String, Box<RawValue>)]) -> Option<Box<RawValue>> {
    serde_json::value::to_raw_value(&Json(members)).ok()
}

struct Json<'a, T: ?Sized>(&'a T);

impl Serialize for Json<'_, [Section]> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for section in self.0 {
            match section {
                Section::Known(table) => map.serialize_entry(table.kind().name(), &Json(table))?,
                Section::Other(name, raw) => map.serialize_entry(&**name, &**raw)?,
            }
        }
        map.end()
    }
}

impl Serialize for Json<'_, Table> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.rows().len()))?;
        for row in self.0.rows() {
            map.serialize_entry(&*row.key, &Json(&row.entry))?;
        }
        map.end()
    }
}

impl Serialize for Json<'_, Entry> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, content) in self.0.fields() {
            match content {
                Content::Secret(secret) => map.serialize_entry(name, secret.expose_secret())?,
                Content::Text(text) => map.serialize_entry(name, &**text)?,
                Content::Raw(raw) => map.serialize_entry(name, &**raw)?,
            }
        }
        map.end()
    }
}

impl Serialize for Json<'_, [(String, Box<RawValue>)]> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, raw)| (name, raw)))
    }
}
