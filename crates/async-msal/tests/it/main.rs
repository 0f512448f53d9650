//! The crate from outside: flows against the emulator, faults by name.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

mod accounts;
mod authorities;
mod bad_input;
mod bindings;
mod cache_interop;
mod client_credentials;
mod credentials;
mod discovery;
mod errors;
mod generic_provider;
mod on_behalf_of;
mod refusals;
mod rp_conformance;
mod secrets;
mod sign_in;
mod silent;
mod support;
mod token_endpoint;
