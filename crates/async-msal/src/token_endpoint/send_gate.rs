//! Whether a token request has left: until then it can be given up without losing anything.

use std::sync::atomic::{AtomicU8, Ordering};

const OPEN: u8 = 0;
const PASSED: u8 = 1;
const CLOSED: u8 = 2;

/// Tells a caller that no longer waits whether the work may be dropped: a request that was sent may have rotated a
/// refresh token or spent a code, and must run to its end.
///
/// Give it to a client by [`with_send_gate`](crate::ConfidentialClient::with_send_gate), for one call.
///
/// ```
/// use async_msal::SendGate;
/// let gate = SendGate::new();
/// assert!(gate.close(), "nothing was sent yet, and nothing will be");
/// ```
#[derive(Debug, Default)]
pub struct SendGate(AtomicU8);

impl SendGate {
    /// An open gate.
    #[must_use]
    pub const fn new() -> Self {
        Self(AtomicU8::new(OPEN))
    }

    /// From now on no token request leaves; `false` where one has left already.
    #[must_use]
    pub fn close(&self) -> bool {
        let closed = self.0.compare_exchange(OPEN, CLOSED, Ordering::AcqRel, Ordering::Acquire);
        closed != Err(PASSED)
    }

    /// Asked before the first byte of each token request.
    pub(crate) fn pass(&self) -> bool {
        let passed = self.0.compare_exchange(OPEN, PASSED, Ordering::AcqRel, Ordering::Acquire);
        passed != Err(CLOSED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closed_gate_lets_nothing_pass() {
        let gate = SendGate::new();
        assert!(gate.close() && gate.close());
        assert!(!gate.pass());
    }

    #[test]
    fn gate_that_was_passed_cannot_be_closed_and_lets_the_next_pass() {
        let gate = SendGate::new();
        assert!(gate.pass());
        assert!(!gate.close());
        assert!(gate.pass());
    }
}
