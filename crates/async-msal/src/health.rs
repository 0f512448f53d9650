//! What the client knows of the authority's state; holds no secrets.

use std::sync::{Mutex, PoisonError};

/// Up, down, or not asked yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Status {
    /// Nothing was asked yet.
    #[default]
    Unknown,
    /// The last answer was good.
    Up,
    /// The last answer was bad, or there was none.
    Down,
}

/// State of one thing we depend on.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ComponentHealth {
    /// Up, down, or unknown.
    pub status: Status,
    /// Unix seconds of the last change of status; 0 while unknown.
    pub since: i64,
    /// Why it is down.
    pub reason: Option<String>,
    /// Is an answer in use that is older than it should be?
    pub stale: bool,
}

/// State of the authority, as seen by one client.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ClientHealth {
    /// Its metadata.
    pub authority: ComponentHealth,
    /// Its signing keys.
    pub keys: ComponentHealth,
}

#[derive(Debug, Default)]
pub(crate) struct HealthCell(Mutex<ComponentHealth>);

impl HealthCell {
    pub(crate) fn set(&self, now: i64, failure: Option<String>) {
        let mut health = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let status = if failure.is_none() { Status::Up } else { Status::Down };
        if health.status != status {
            health.since = now;
        }
        health.status = status;
        health.reason = failure;
    }

    pub(crate) fn get(&self, stale: bool) -> ComponentHealth {
        let health = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ComponentHealth { stale, ..health.clone() }
    }
}
