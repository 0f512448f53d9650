//! The crate from outside: flows against the emulator, faults by name.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

mod cache_interop;
mod client_credentials;
mod discovery;
mod generic_provider;
mod rp_conformance;
mod secrets;
mod sign_in;
mod silent;
mod support;
mod token_endpoint;
