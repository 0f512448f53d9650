//! The small cookie that ends redirect loops: what this browser's last sign-ins came to, sealed so that only we
//! write it.
//!
//! A sign-in that fails shows a page, so a loop needs something that starts it again: a page that reloads itself, a
//! browser that keeps our flow cookie but not the session cookie, a permission that is asked for, not granted, and
//! asked for again.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::time::Duration;

use async_msal_session::{Msal, Purpose};
use cookie::SameSite;
use http::HeaderValue;
use serde::{Deserialize, Serialize};

use crate::cookies::{CookieKind, RequestCookies};

/// So many sign-ins that led nowhere within [`WINDOW`] stop the next one.
const LIMIT: usize = 3;
/// Seconds.
const WINDOW: i64 = 60;
/// Seconds in which a user is asked for the same only once.
const ASKED_WINDOW: i64 = 600;
/// So many different things asked for are remembered.
const MOST_ASKED: usize = 8;

/// The recent sign-ins of one browser.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Tries {
    /// Times of sign-ins that failed.
    #[serde(rename = "f", default)]
    failed: Vec<i64>,
    /// Times of sign-ins that succeeded: with the session cookie missing afterwards they led nowhere either.
    #[serde(rename = "s", default)]
    succeeded: Vec<i64>,
    /// What was asked of the user beyond the ordinary sign-in, and when.
    #[serde(rename = "i", default)]
    asked: Vec<(u64, i64)>,
}

impl Tries {
    pub(crate) fn failed(&mut self, now: i64) {
        push_recent(&mut self.failed, now);
    }

    pub(crate) fn succeeded(&mut self, now: i64) {
        self.failed.clear();
        push_recent(&mut self.succeeded, now);
    }

    /// Whether the next sign-in must not be started.
    pub(crate) fn exhausted(&self, now: i64, has_session_cookie: bool) -> bool {
        let recent = |times: &[i64]| times.iter().filter(|time| now - **time < WINDOW).count();
        recent(&self.failed) >= LIMIT || (!has_session_cookie && recent(&self.succeeded) >= LIMIT)
    }

    /// Notes that the user was sent away for `what`; false where that was done lately, without success.
    pub(crate) fn may_ask_for(&mut self, what: &str, now: i64) -> bool {
        let mut hasher = DefaultHasher::new();
        what.hash(&mut hasher);
        let hash = hasher.finish();
        self.asked.retain(|(_, at)| now - at < ASKED_WINDOW);
        if self.asked.iter().any(|(asked, _)| *asked == hash) {
            return false;
        }
        let surplus = (self.asked.len() + 1).saturating_sub(MOST_ASKED);
        self.asked.drain(..surplus);
        self.asked.push((hash, now));
        true
    }
}

fn push_recent(times: &mut Vec<i64>, now: i64) {
    times.push(now);
    let surplus = times.len().saturating_sub(LIMIT);
    times.drain(..surplus);
}

/// Name and attributes of the cookie.
#[derive(Clone, Debug)]
pub(crate) struct TriesCookie {
    name: String,
    kind: CookieKind,
}

impl TriesCookie {
    /// Attributes of the flow cookie: the callback has to see it too.
    pub(crate) fn new(session_cookie: &str, https: bool) -> Self {
        let same_site = if https { SameSite::None } else { SameSite::Lax };
        Self {
            name: format!("{session_cookie}_tries"),
            kind: CookieKind { same_site, secure: https, domain: None },
        }
    }

    /// What cannot be opened counts as nothing tried.
    pub(crate) fn read(&self, msal: &Msal, cookies: &RequestCookies) -> Tries {
        let opened =
            cookies.single(&self.name).and_then(|value| msal.open(Purpose::Cookie, &self.name, value).ok());
        opened.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    pub(crate) fn write(&self, msal: &Msal, tries: &Tries) -> Option<HeaderValue> {
        let bytes = serde_json::to_vec(tries).ok()?;
        let sealed = msal.seal(Purpose::Cookie, &self.name, &bytes).ok()?;
        Some(self.kind.set(&self.name, &sealed, Duration::from_secs(ASKED_WINDOW.unsigned_abs())))
    }

    pub(crate) fn remove(&self) -> HeaderValue {
        self.kind.remove(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_third_failure_within_a_minute_stops_the_next_sign_in() {
        let mut tries = Tries::default();
        tries.failed(0);
        tries.failed(20);
        assert!(!tries.exhausted(30, false));
        tries.failed(40);
        assert!(tries.exhausted(41, false));
        assert!(tries.exhausted(59, true));
        assert!(!tries.exhausted(61, false));
    }

    #[test]
    fn sign_ins_that_leave_no_session_cookie_stop_too() {
        let mut tries = Tries::default();
        for now in 0..3 {
            tries.succeeded(now);
        }
        assert!(tries.exhausted(3, false));
        assert!(!tries.exhausted(3, true));
    }

    #[test]
    fn the_same_permission_is_asked_for_once_in_ten_minutes() {
        let mut tries = Tries::default();
        assert!(tries.may_ask_for("Mail.Read", 0));
        assert!(!tries.may_ask_for("Mail.Read", 30));
        assert!(tries.may_ask_for("Files.Read", 31));
        assert!(!tries.may_ask_for("Mail.Read", 599));
        assert!(tries.may_ask_for("Mail.Read", 600));
    }

    #[test]
    fn what_was_asked_for_is_bounded() {
        let mut tries = Tries::default();
        for number in 0..100 {
            tries.may_ask_for(&number.to_string(), 0);
        }
        assert_eq!(tries.asked.len(), MOST_ASKED);
    }

    #[test]
    fn the_list_does_not_grow() {
        let mut tries = Tries::default();
        for now in 0..1_000 {
            tries.failed(now);
        }
        assert_eq!(tries.failed.len(), LIMIT);
    }
}
