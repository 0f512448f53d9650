//! Remembers who was asked to wait, so that no request leaves before its time.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::error::Error;
use crate::pkce::sha256;
use crate::secret::RefreshToken;

/// So many waiting tokens are remembered; the one soonest free is forgotten first.
const MOST: usize = 1_024;

/// Keyed by the refresh token's hash: one user's pause never holds up another.
#[derive(Debug, Default)]
pub(crate) struct Throttle(Mutex<HashMap<Vec<u8>, Duration>>);

impl Throttle {
    /// An error while this token must wait.
    pub(crate) fn check(&self, token: &RefreshToken, now: Duration) -> Result<(), Error> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = sha256(token.expose_secret().as_bytes());
        match waiting.get(&key) {
            Some(until) if *until > now => {
                Err(Error::Throttled { retry_after: Some(*until - now), server: None })
            }
            Some(_) => {
                waiting.remove(&key);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Takes note of an error that names a time.
    pub(crate) fn note(&self, token: &RefreshToken, error: &Error, now: Duration) {
        let Some(pause) = error.retry_after() else { return };
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() >= MOST {
            let soonest = waiting.iter().min_by_key(|(_, until)| **until).map(|(key, _)| key.clone());
            soonest.map(|key| waiting.remove(&key));
        }
        waiting.insert(sha256(token.expose_secret().as_bytes()), now + pause);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1_000);

    fn told_to_wait(seconds: u64) -> Error {
        Error::Throttled { retry_after: Some(Duration::from_secs(seconds)), server: None }
    }

    fn token(number: usize) -> RefreshToken {
        RefreshToken::new(format!("token {number}"))
    }

    #[test]
    fn pause_of_one_token_holds_up_no_other_and_ends() {
        let throttle = Throttle::default();
        throttle.note(&token(1), &told_to_wait(30), NOW);
        let waiting = throttle.check(&token(1), NOW + Duration::from_secs(10)).unwrap_err();
        assert_eq!(waiting.retry_after(), Some(Duration::from_secs(20)));
        assert!(throttle.check(&token(2), NOW).is_ok());
        assert!(throttle.check(&token(1), NOW + Duration::from_secs(30)).is_ok());
    }

    #[test]
    fn the_one_soonest_free_is_forgotten_where_too_many_wait() {
        let throttle = Throttle::default();
        for number in 0..=MOST {
            throttle.note(&token(number), &told_to_wait(10 + number as u64), NOW);
        }
        assert_eq!(throttle.0.lock().unwrap().len(), MOST);
        assert!(throttle.check(&token(0), NOW).is_ok());
        assert!(throttle.check(&token(MOST), NOW).is_err());
    }
}
