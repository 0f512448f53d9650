//! Names of spans and counters, in one place. Exporters belong to the application.
//!
//! Spans: `async_msal.redeem`, `async_msal.refresh`, `async_msal.authority` (fields `what`, `code`).

use std::time::Duration;

/// Counter of metadata and key fetches; labels `what` and `outcome`.
pub const AUTHORITY_FETCHES: &str = "async_msal_authority_fetches_total";
/// Counter of token requests; labels `grant` and `outcome` (`ok` or an error's code).
pub const TOKEN_REQUESTS: &str = "async_msal_token_requests_total";
/// Histogram of token requests' seconds; label `grant`.
pub const TOKEN_REQUEST_SECONDS: &str = "async_msal_token_request_seconds";
/// Counter of cache look-ups; label `outcome`: `hit`, `aging` or `miss`.
pub const CACHE_LOOKUPS: &str = "async_msal_cache_lookups_total";

pub(crate) fn authority_fetch(what: &'static str, failure: Option<&'static str>) {
    metrics::counter!(AUTHORITY_FETCHES, "what" => what, "outcome" => failure.unwrap_or("ok")).increment(1);
}

pub(crate) fn token_request(grant: &'static str, failure: Option<&'static str>, took: Duration) {
    metrics::counter!(TOKEN_REQUESTS, "grant" => grant, "outcome" => failure.unwrap_or("ok")).increment(1);
    metrics::histogram!(TOKEN_REQUEST_SECONDS, "grant" => grant).record(took.as_secs_f64());
}

pub(crate) fn cache_lookup(outcome: &'static str) {
    metrics::counter!(CACHE_LOOKUPS, "outcome" => outcome).increment(1);
}
