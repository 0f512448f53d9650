//! The emulator as its clients see it: over HTTP, without looking inside.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

mod admin;
mod authorize;
mod client_assertion;
mod faults;
mod graph;
mod id_token;
mod lifecycle;
mod msal_python;
mod provider;
mod recorded;
mod sign_out;
mod support;
mod token;
