//! One entry: MSAL's own fields decoded, everything else kept as the bytes it came in.

use serde_json::value::RawValue;

/// The fields that MSAL writes. A new entry decides about them; every other field outlives a replacement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    CredentialType,
    Secret,
    HomeAccountId,
    Environment,
    ClientId,
    Target,
    Realm,
    TokenType,
    CachedAt,
    ExpiresOn,
    ExtendedExpiresOn,
    RefreshOn,
    KeyId,
    ExtCacheKey,
    LastModificationTime,
    FamilyId,
    LocalAccountId,
    Username,
    AuthorityType,
    AccountSource,
}

/// In the order of [`Field`].
const NAMES: [&str; 20] = [
    "credential_type",
    "secret",
    "home_account_id",
    "environment",
    "client_id",
    "target",
    "realm",
    "token_type",
    "cached_at",
    "expires_on",
    "extended_expires_on",
    "refresh_on",
    "key_id",
    "ext_cache_key",
    "last_modification_time",
    "family_id",
    "local_account_id",
    "username",
    "authority_type",
    "account_source",
];

/// Unix seconds.
pub(crate) const TIMES: [Field; 5] = [
    Field::CachedAt,
    Field::ExpiresOn,
    Field::ExtendedExpiresOn,
    Field::RefreshOn,
    Field::LastModificationTime,
];

impl Field {
    pub(crate) const fn name(self) -> &'static str {
        NAMES[self as usize]
    }

    const fn slot(self) -> usize {
        self as usize
    }
}

/// A field's name: one of MSAL's, by its place in [`NAMES`], or another's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Name {
    Known(usize),
    Other(Box<str>),
}

impl Name {
    pub(super) fn of(text: &str) -> Self {
        match NAMES.iter().position(|name| *name == text) {
            Some(place) => Self::Known(place),
            None => Self::Other(text.into()),
        }
    }

    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::Known(place) => NAMES[*place],
            Self::Other(text) => text,
        }
    }
}

/// A field's value.
#[derive(Debug, Clone)]
pub(super) enum Content {
    /// The text of one of MSAL's fields.
    Text(Box<str>),
    /// JSON as it stood in the cache.
    Raw(Box<RawValue>),
}

impl Content {
    /// Another's value is kept byte for byte, and so is what cannot be decoded (a lone surrogate).
    pub(super) fn of(name: &Name, raw: &RawValue) -> Self {
        let text = match name {
            Name::Known(_) => decoded(raw.get()),
            Name::Other(_) => None,
        };
        text.map_or_else(|| Self::Raw(raw.to_owned()), Self::Text)
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
    places: [u16; NAMES.len()],
}

impl Entry {
    pub(crate) fn new() -> Self {
        Self { fields: Vec::with_capacity(16), places: [0; NAMES.len()] }
    }

    /// The text of a field; `None` where it is absent or no text.
    pub(crate) fn text(&self, field: Field) -> Option<&str> {
        match self.content(field)? {
            Content::Text(text) => Some(text),
            Content::Raw(_) => None,
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
        self.put(Name::Known(field.slot()), Content::Text(text.into()));
    }

    /// Writes null where there is no text, as MSAL does.
    pub(crate) fn set_or_null(&mut self, field: Field, text: Option<&str>) {
        match text {
            Some(text) => self.set(field, text),
            None => self.put(Name::Known(field.slot()), Content::Raw(RawValue::NULL.to_owned())),
        }
    }

    pub(crate) fn set_time(&mut self, field: Field, seconds: i64) {
        self.set(field, seconds.to_string());
    }

    /// Sets a field beyond MSAL's. Says whether that changed anything.
    pub(crate) fn set_other(&mut self, name: &str, value: &RawValue) -> bool {
        let name = Name::of(name);
        let new = match &name {
            Name::Known(_) => false,
            Name::Other(text) => self.other(text).is_none_or(|earlier| !same_json(earlier, value)),
        };
        if new {
            self.put(name, Content::Raw(value.to_owned()));
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
        for (name, content) in &earlier.fields {
            if let Name::Other(text) = name
                && self.other(text).is_none()
            {
                self.put(name.clone(), content.clone());
            }
        }
    }

    pub(super) fn fields(&self) -> impl Iterator<Item = (&str, &Content)> {
        self.fields.iter().map(|(name, content)| (name.as_str(), content))
    }

    /// A field met while reading. `false`: it stands here already, or there are too many.
    pub(super) fn push(&mut self, name: Name, content: Content) -> bool {
        let fresh = match &name {
            Name::Known(place) => self.places[*place] == 0,
            Name::Other(text) => self.other(text).is_none(),
        };
        let room = self.fields.len() < usize::from(u16::MAX);
        if fresh && room {
            self.put(name, content);
        }
        fresh && room
    }

    fn put(&mut self, name: Name, content: Content) {
        if let Some((_, earlier)) = self.fields.iter_mut().find(|(other, _)| *other == name) {
            *earlier = content;
            return;
        }
        if let Name::Known(place) = name {
            self.places[place] = u16::try_from(self.fields.len() + 1).unwrap_or(0);
        }
        self.fields.push((name, content));
    }

    fn content(&self, field: Field) -> Option<&Content> {
        let place = usize::from(self.places[field.slot()]).checked_sub(1)?;
        Some(&self.fields.get(place)?.1)
    }
}

/// Whatever the order of the fields.
impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        let has = |field: &(Name, Content)| other.fields.iter().any(|theirs| theirs == field);
        self.fields.len() == other.fields.len() && self.fields.iter().all(has)
    }
}

/// Whole seconds; a fraction is cut off.
fn seconds(content: &Content) -> Option<i64> {
    match content {
        Content::Text(text) => text.trim().parse().ok(),
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
