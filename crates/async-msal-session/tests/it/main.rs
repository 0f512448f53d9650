//! One binary: sessions on real stores, against the emulator over HTTP.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails by saying so")]

mod admin;
mod api;
mod app_tokens;
mod background_jobs;
mod bad_records;
mod graph;
mod index;
mod issuer;
mod items;
mod keys;
mod nodes_renewal;
mod record_texts;
mod records;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "redis")]
mod redis_copies_end;
#[cfg(feature = "redis")]
mod redis_msal;
#[cfg(feature = "redis")]
mod redis_read_cache;
#[cfg(feature = "redis")]
mod redis_trouble;
#[cfg(feature = "redis")]
mod redis_walks;
mod renewal;
mod secrets;
mod sign_in;
mod sign_out;
mod store_told;
mod support;
mod unindexed;
mod unverifiable_renewal;
