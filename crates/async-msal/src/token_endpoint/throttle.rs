//! Remembers who was asked to wait and who was refused, so that no request leaves before its time.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::error::{Error, InvalidResponse};
use crate::pkce::sha256;

/// So many are remembered; the one soonest free is forgotten first.
const MOST: usize = 1_024;
/// Where the authority is overloaded and says no time.
const DEFAULT_PAUSE: Duration = Duration::from_secs(5);
/// The same request is refused for the same reason.
const REFUSED: Duration = Duration::from_secs(60);

/// Which requests are one: hashes, for among the parts are tokens. The parts name the grant, the client, the scopes and
/// whose request it is, so that one user's pause never holds up another.
#[derive(Debug)]
pub(crate) struct Slot {
    /// Who has to wait.
    waiting: Vec<u8>,
    /// What was refused: with other claims it may be granted.
    refused: Vec<u8>,
}

impl Slot {
    pub(crate) fn new(parts: &[&str], claims: &str) -> Self {
        let hash = |parts: &mut dyn Iterator<Item = &str>| {
            // Each part is hashed first, so that all are of one length.
            let joined: Vec<u8> = parts.flat_map(|part| sha256(part.as_bytes())).collect();
            sha256(&joined)
        };
        let waiting = hash(&mut parts.iter().copied());
        Self { waiting, refused: hash(&mut parts.iter().copied().chain([claims])) }
    }
}

/// One client's memory.
#[derive(Debug, Default)]
pub(crate) struct Throttle(Mutex<HashMap<Vec<u8>, Remembered>>);

#[derive(Debug)]
struct Remembered {
    until: Duration,
    error: Error,
}

impl Throttle {
    /// The error of before, while this request must not leave.
    pub(crate) fn check(&self, slot: &Slot, now: Duration) -> Result<(), Error> {
        self.remembered(slot, now).map_or(Ok(()), |(error, _)| Err(error))
    }

    /// The error of before, and for how long this request must not leave yet.
    pub(crate) fn remembered(&self, slot: &Slot, now: Duration) -> Option<(Error, Duration)> {
        let mut remembered = self.lock();
        for key in [&slot.waiting, &slot.refused] {
            match remembered.get(key) {
                Some(found) if found.until > now => return Some((found.again(now), found.until - now)),
                Some(_) => drop(remembered.remove(key)),
                None => {}
            }
        }
        None
    }

    /// Takes note of an error that asks to wait, by its time or without, of a refusal, and of an authority that fails.
    pub(crate) fn note(&self, slot: &Slot, error: &Error, now: Duration) {
        match error {
            Error::Throttled { retry_after, .. } => {
                self.put(&slot.waiting, error, now + retry_after.unwrap_or(DEFAULT_PAUSE));
            }
            Error::Server(_) | Error::InvalidResponse(_) if error.is_retryable() => {
                self.put(&slot.waiting, error, now + DEFAULT_PAUSE);
            }
            Error::Server(_) | Error::InvalidResponse(InvalidResponse::Status(400)) => {
                self.put(&slot.refused, error, now + REFUSED);
            }
            Error::InteractionRequired(wanted) if wanted.server.is_some() => {
                self.put(&slot.refused, error, now + REFUSED);
            }
            _ => {}
        }
    }

    /// Whatever the error: there is a token to live with, and whoever gets it need not wait for another attempt each time.
    pub(crate) fn hold(&self, slot: &Slot, error: &Error, now: Duration) {
        if self.check(slot, now).is_ok() {
            self.put(&slot.waiting, error, now + DEFAULT_PAUSE);
        }
    }

    fn put(&self, key: &[u8], error: &Error, until: Duration) {
        let mut remembered = self.lock();
        if remembered.len() >= MOST && !remembered.contains_key(key) {
            let soonest = remembered.iter().min_by_key(|(_, found)| found.until).map(|(key, _)| key.clone());
            soonest.map(|key| remembered.remove(&key));
        }
        remembered.insert(key.to_vec(), Remembered { until, error: error.clone() });
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Vec<u8>, Remembered>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Remembered {
    /// The error again, with the time that is left.
    fn again(&self, now: Duration) -> Error {
        match &self.error {
            Error::Throttled { server, .. } => {
                Error::Throttled { retry_after: Some(self.until - now), server: server.clone() }
            }
            other => other.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ServerError;

    const NOW: Duration = Duration::from_secs(1_000);

    fn told_to_wait(seconds: u64) -> Error {
        Error::Throttled { retry_after: Some(Duration::from_secs(seconds)), server: None }
    }

    fn token(number: usize) -> Slot {
        Slot::new(&["refresh_token", &format!("token {number}")], "")
    }

    fn at(seconds: u64) -> Duration {
        NOW + Duration::from_secs(seconds)
    }

    #[test]
    fn pause_of_one_token_holds_up_no_other_and_ends() {
        let throttle = Throttle::default();
        throttle.note(&token(1), &told_to_wait(30), NOW);
        let waiting = throttle.check(&token(1), at(10)).unwrap_err();
        assert_eq!(waiting.retry_after(), Some(Duration::from_secs(20)));
        assert!(throttle.check(&token(2), NOW).is_ok());
        assert!(throttle.check(&token(1), at(30)).is_ok());
    }

    #[test]
    fn the_one_soonest_free_is_forgotten_where_too_many_wait() {
        let throttle = Throttle::default();
        for number in 0..=MOST {
            throttle.note(&token(number), &told_to_wait(10 + number as u64), NOW);
        }
        assert_eq!(throttle.lock().len(), MOST);
        assert!(throttle.check(&token(0), NOW).is_ok());
        assert!(throttle.check(&token(MOST), NOW).is_err());
    }

    #[test]
    fn overload_without_a_time_is_five_seconds_whatever_the_claims() {
        let throttle = Throttle::default();
        for error in [
            Error::Throttled { retry_after: None, server: None },
            InvalidResponse::Status(503).into(),
            Error::Server(Box::new(ServerError { error: "server_error".into(), ..Default::default() })),
        ] {
            throttle.note(&token(1), &error, NOW);
            let other_claims = Slot::new(&["refresh_token", "token 1"], "{}");
            assert_eq!(throttle.check(&other_claims, at(4)).unwrap_err().code(), error.code());
            assert!(throttle.check(&token(1), at(5)).is_ok(), "{error}");
        }
    }

    #[test]
    fn refusal_is_sixty_seconds_for_the_same_claims_only() {
        let throttle = Throttle::default();
        let refusal = ServerError { error: "invalid_scope".into(), ..Default::default() };
        throttle.note(&token(1), &Error::Server(Box::new(refusal)), NOW);
        assert_eq!(throttle.check(&token(1), at(59)).unwrap_err().code(), "server");
        assert!(throttle.check(&Slot::new(&["refresh_token", "token 1"], "{}"), NOW).is_ok());
        assert!(throttle.check(&token(1), at(60)).is_ok());
    }

    #[test]
    fn held_error_is_not_held_longer_by_being_met_again() {
        let throttle = Throttle::default();
        let error = Error::from(InvalidResponse::NoIdToken);
        throttle.hold(&token(1), &error, NOW);
        throttle.hold(&token(1), &error, at(4));
        assert!(throttle.check(&token(1), at(5)).is_ok());
    }
}
