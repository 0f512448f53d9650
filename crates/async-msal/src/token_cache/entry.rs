//! One entry: MSAL's own fields decoded, everything else kept as the bytes it came in.

use std::collections::BTreeSet;

use secrecy::ExposeSecret as _;
use serde_json::value::RawValue;

use crate::secret::{Shared, shared};

macro_rules! fields {
    ($($field:ident = $name:literal,)+) => {
        /// The fields that MSAL writes. A new entry decides about them; every other field outlives a replacement.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Field {
            $($field,)+
        }

        impl Field {
            const ALL: [Self; [$($name),+].len()] = [$(Self::$field),+];

            pub(crate) const fn name(self) -> &'static str {
                match self {
                    $(Self::$field => $name,)+
                }
            }

            fn of(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$field),)+
                    _ => None,
                }
            }
        }
    };
}

fields! {
    CredentialType = "credential_type",
    Secret = "secret",
    HomeAccountId = "home_account_id",
    Environment = "environment",
    ClientId = "client_id",
    Target = "target",
    Realm = "realm",
    TokenType = "token_type",
    CachedAt = "cached_at",
    ExpiresOn = "expires_on",
    ExtendedExpiresOn = "extended_expires_on",
    RefreshOn = "refresh_on",
    KeyId = "key_id",
    ExtCacheKey = "ext_cache_key",
    LastModificationTime = "last_modification_time",
    FamilyId = "family_id",
    LocalAccountId = "local_account_id",
    Username = "username",
    AuthorityType = "authority_type",
    AccountSource = "account_source",
}

/// Unix seconds.
pub(crate) const TIMES: [Field; 5] = [
    Field::CachedAt,
    Field::ExpiresOn,
    Field::ExtendedExpiresOn,
    Field::RefreshOn,
    Field::LastModificationTime,
];

/// A field's name: one of MSAL's, or another's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Name {
    Known(Field),
    Other(Box<str>),
}

impl Name {
    pub(super) fn of(text: &str) -> Self {
        Field::of(text).map_or_else(|| Self::Other(text.into()), Self::Known)
    }

    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::Known(field) => field.name(),
            Self::Other(text) => text,
        }
    }
}

/// A field's value.
#[derive(Debug, Clone)]
pub(super) enum Content {
    /// The text of one of MSAL's fields.
    Text(Box<str>),
    /// A token: shared with whoever was handed it, wiped when the last of them is gone.
    Secret(Shared),
    /// JSON as it stood in the cache.
    Raw(Box<RawValue>),
}

impl Content {
    /// Another's value is kept byte for byte, and so is what cannot be decoded (a lone surrogate).
    pub(super) fn of(name: &Name, raw: &RawValue) -> Self {
        let known = match name {
            Name::Known(Field::Secret) => decoded(raw.get()).map(|text| Self::Secret(shared(text))),
            Name::Known(_) => decoded(raw.get()).map(Self::Text),
            Name::Other(_) => None,
        };
        known.unwrap_or_else(|| Self::Raw(raw.to_owned()))
    }

    fn is_null(&self) -> bool {
        matches!(self, Self::Raw(raw) if raw.get() == "null")
    }
}

/// The text of a JSON string.
fn decoded(raw: &str) -> Option<Box<str>> {
    let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') { serde_json::from_str(raw).ok() } else { Some(inner.into()) }
}

/// White space outside of strings may differ between two writers of one value.
impl PartialEq for Content {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Text(one), Self::Text(other)) => one == other,
            (Self::Secret(one), Self::Secret(other)) => one.expose_secret() == other.expose_secret(),
            (Self::Raw(one), Self::Raw(other)) => same_json(one, other),
            _ => false,
        }
    }
}

/// Do the two say the same?
pub(super) fn same_json(one: &RawValue, other: &RawValue) -> bool {
    let value = |raw: &RawValue| serde_json::from_str::<serde_json::Value>(raw.get()).ok();
    one.get() == other.get() || value(one).is_some_and(|one| value(other) == Some(one))
}

/// An entry of a section, its fields in the order they came.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    fields: Vec<(Name, Content)>,
    /// Where MSAL's fields are in `fields`, counted from 1.
    places: [u16; Field::ALL.len()],
}

impl Entry {
    pub(crate) fn new() -> Self {
        Self { fields: Vec::with_capacity(16), places: [0; Field::ALL.len()] }
    }

    /// The text of a field; `None` where it is absent or no text.
    pub(crate) fn text(&self, field: Field) -> Option<&str> {
        match self.content(field)? {
            Content::Text(text) => Some(text),
            Content::Secret(_) | Content::Raw(_) => None,
        }
    }

    /// The token itself.
    pub(crate) fn secret(&self) -> Option<&Shared> {
        match self.content(Field::Secret)? {
            Content::Secret(secret) => Some(secret),
            Content::Text(_) | Content::Raw(_) => None,
        }
    }

    pub(crate) fn is(&self, field: Field, text: &str) -> bool {
        self.text(field) == Some(text)
    }

    /// Is it there, and not null?
    pub(crate) fn has(&self, field: Field) -> bool {
        self.content(field).is_some_and(|content| !content.is_null())
    }

    /// A time, written as a number or as a decimal string.
    pub(crate) fn time(&self, field: Field) -> Option<i64> {
        seconds(self.content(field)?)
    }

    /// A time that is there, and neither null nor a number of seconds.
    pub(super) fn unreadable_time(&self) -> Option<Field> {
        TIMES.into_iter().find(|field| self.has(*field) && self.time(*field).is_none())
    }

    /// A field beyond MSAL's.
    pub(crate) fn other(&self, name: &str) -> Option<&RawValue> {
        self.fields.iter().find_map(|(other, content)| match (other, content) {
            (Name::Other(other), Content::Raw(raw)) if **other == *name => Some(&**raw),
            _ => None,
        })
    }

    pub(crate) fn set(&mut self, field: Field, text: impl Into<Box<str>>) {
        self.put_known(field, Content::Text(text.into()));
    }

    pub(crate) fn set_secret(&mut self, secret: Shared) {
        self.put_known(Field::Secret, Content::Secret(secret));
    }

    /// Writes null where there is no text, as MSAL does.
    pub(crate) fn set_or_null(&mut self, field: Field, text: Option<&str>) {
        match text {
            Some(text) => self.set(field, text),
            None => self.put_known(field, Content::Raw(RawValue::NULL.to_owned())),
        }
    }

    pub(crate) fn set_time(&mut self, field: Field, seconds: i64) {
        self.set(field, seconds.to_string());
    }

    /// Sets a field beyond MSAL's. Says whether that changed anything.
    pub(crate) fn set_other(&mut self, name: &str, value: &RawValue) -> bool {
        let new =
            Field::of(name).is_none() && self.other(name).is_none_or(|earlier| !same_json(earlier, value));
        if new {
            self.put_other(name.into(), Content::Raw(value.to_owned()));
        }
        new
    }

    /// As [`set_other`](Self::set_other), a value of ours.
    pub(crate) fn set_other_value<T: serde::Serialize + ?Sized>(&mut self, name: &str, value: &T) {
        if let Ok(value) = serde_json::value::to_raw_value(value) {
            self.set_other(name, &value);
        }
    }

    /// Adds what `earlier` has beyond MSAL's schema and this entry does not say itself.
    pub(crate) fn keep_unknown(&mut self, earlier: &Self) {
        let mine: BTreeSet<&str> = self.other_names().collect();
        let theirs = earlier.fields.iter();
        let new = theirs.filter(|(name, _)| matches!(name, Name::Other(text) if !mine.contains(&**text)));
        let new: Vec<_> = new.cloned().collect();
        self.fields.extend(new);
    }

    /// The names of fields beyond MSAL's.
    pub(super) fn other_names(&self) -> impl Iterator<Item = &str> {
        self.others().map(|(name, _)| name)
    }

    fn others(&self) -> impl Iterator<Item = (&str, &Content)> {
        self.fields.iter().filter_map(|(name, content)| match name {
            Name::Known(_) => None,
            Name::Other(text) => Some((&**text, content)),
        })
    }

    pub(super) fn fields(&self) -> impl Iterator<Item = (&str, &Content)> {
        self.fields.iter().map(|(name, content)| (name.as_str(), content))
    }

    /// A field met while reading. `false`: it is MSAL's and stands here already, or there are too many. Of the others'
    /// names the reader sees to it that each stands once.
    pub(super) fn push(&mut self, name: Name, content: Content) -> bool {
        let fresh = match &name {
            Name::Known(field) => self.places[*field as usize] == 0,
            Name::Other(_) => true,
        };
        let room = self.fields.len() < usize::from(u16::MAX);
        if fresh && room {
            match name {
                Name::Known(field) => self.put_known(field, content),
                Name::Other(_) => self.fields.push((name, content)),
            }
        }
        fresh && room
    }

    fn put_known(&mut self, field: Field, content: Content) {
        let place = usize::from(self.places[field as usize]);
        match place.checked_sub(1).and_then(|place| self.fields.get_mut(place)) {
            Some((_, earlier)) => *earlier = content,
            None => {
                self.places[field as usize] = u16::try_from(self.fields.len() + 1).unwrap_or(0);
                self.fields.push((Name::Known(field), content));
            }
        }
    }

    fn put_other(&mut self, name: Box<str>, content: Content) {
        let earlier =
            self.fields.iter_mut().find(|(other, _)| matches!(other, Name::Other(other) if *other == name));
        match earlier {
            Some((_, earlier)) => *earlier = content,
            None => self.fields.push((Name::Other(name), content)),
        }
    }

    fn content(&self, field: Field) -> Option<&Content> {
        let place = usize::from(self.places[field as usize]).checked_sub(1)?;
        Some(&self.fields.get(place)?.1)
    }
}

/// Whatever the order of the fields.
impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        let known = || Field::ALL.into_iter().all(|field| self.content(field) == other.content(field));
        self.fields.len() == other.fields.len() && known() && sorted(self.others()) == sorted(other.others())
    }
}

fn sorted<'a>(fields: impl Iterator<Item = (&'a str, &'a Content)>) -> Vec<(&'a str, &'a Content)> {
    let mut fields: Vec<_> = fields.collect();
    fields.sort_unstable_by_key(|(name, _)| *name);
    fields
}

/// Whole seconds; a fraction is cut off.
fn seconds(content: &Content) -> Option<i64> {
    match content {
        Content::Text(text) => text.trim().parse().ok(),
        Content::Secret(_) => None,
        Content::Raw(raw) => {
            let number: serde_json::Number = serde_json::from_str(raw.get()).ok()?;
            number.as_i64().or_else(|| whole(number.as_f64()?))
        }
    }
}

/// Beyond 2^53 a double does not name one second any more.
#[expect(clippy::cast_possible_truncation, reason = "in range")]
fn whole(number: f64) -> Option<i64> {
    const LARGEST: f64 = 9_007_199_254_740_992.0;
    (number.abs() <= LARGEST).then_some(number as i64)
}
