//! The token endpoint's answer as it came, for whoever hands it on.

use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::json;

/// What the token endpoint answered, word for word: bindings for other languages show it to their callers.
///
/// # Security
///
/// A good answer holds every token that was issued. `Debug` shows the status only; the memory is wiped on drop.
#[derive(Clone)]
pub struct RawAnswer {
    status: u16,
    body: Arc<Zeroizing<Vec<u8>>>,
}

impl RawAnswer {
    pub(crate) fn new(status: u16, body: &[u8]) -> Self {
        Self { status, body: Arc::new(Zeroizing::new(body.to_vec())) }
    }

    /// The HTTP status.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// The members of the JSON object.
    #[must_use]
    pub fn members(&self) -> Map<String, Value> {
        json::parse_object(&self.body).unwrap_or_default()
    }
}

impl fmt::Debug for RawAnswer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("RawAnswer").field("status", &self.status).finish_non_exhaustive()
    }
}
