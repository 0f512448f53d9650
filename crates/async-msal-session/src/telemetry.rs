//! Names of spans, log targets and counters: all of them stand here.
//!
//! Counters go through the [`metrics`] facade and logs through [`tracing`]; the application installs the exporters.
//! Label values come from closed lists, never from a user, so the number of series is bounded.

use std::time::Duration;

/// Log target of everything this crate says.
pub const TARGET: &str = "async_msal_session";
/// Log target of the state of the session store: below [`TARGET`], so that a filter for that shows it too.
pub const STORE: &str = "async_msal_session::store";

/// Span around one sign-in from its mark to its outcome.
pub const SPAN_SIGN_IN: &str = "async_msal.sign_in";
/// Span around one renewal from the lease to the save.
pub const SPAN_RENEWAL: &str = "async_msal.renewal";

/// Counter: sign-ins begun.
pub const SIGN_INS_STARTED: &str = "async_msal_sign_ins_started_total";
/// Counter: sign-ins ended. Label `outcome`: `signed_in`, `repeated`, `already_used`, or an error's code.
pub const SIGN_INS: &str = "async_msal_sign_ins_total";
/// Counter: renewals ended. Labels `outcome`: `renewed`, `taken_over`, `kept_old`, `signed_out`, or an error's code;
/// `cause`: `expired`, `aging`, `claims`.
pub const RENEWALS: &str = "async_msal_renewals_total";
/// Counter: tokens answered from the session's cache without any renewal.
pub const TOKEN_HITS: &str = "async_msal_token_hits_total";
/// Histogram, seconds: time waited for another node's lease.
pub const LEASE_WAIT: &str = "async_msal_lease_wait_seconds";
/// Counter: renewed tokens whose saving failed. Label `outcome`: `retrying`, `saved_later`, `session_ended`,
/// `given_up`.
pub const SAVE_FAILURES: &str = "async_msal_save_failures_total";
/// Counter: compare-and-set conflicts that were merged.
pub const CONFLICTS: &str = "async_msal_record_conflicts_total";
/// Counter: records that could not be read and count as absent. Label `reason`.
pub const UNREADABLE: &str = "async_msal_records_unreadable_total";
/// Counter: records of other services that a walk through the store has indexed.
pub const INDEXED: &str = "async_msal_records_indexed_total";
/// Counter: patches dropped since the session had ended.
pub const PATCHES_DROPPED: &str = "async_msal_patches_dropped_total";
/// Counter: sessions ended. Label `cause`: `sign_out`, `everywhere`, `front_channel`, `back_channel`, `revoked`, `replaced`,
/// `refresh_refused`.
pub const SESSIONS_ENDED: &str = "async_msal_sessions_ended_total";
/// Counter: sessions that the store would not end at once. Label `outcome`: `waiting`, `ended`, `given_up`, `no_room`.
pub const ENDINGS_LATER: &str = "async_msal_endings_later_total";
/// Counter: store calls. Labels `store`, `operation`, `outcome`: `ok`, `failed`, `timeout`.
pub const STORE_CALLS: &str = "async_msal_store_calls_total";
/// Histogram, seconds: time of store calls. Labels `store`, `operation`.
pub const STORE_SECONDS: &str = "async_msal_store_call_seconds";
/// Counter: expired records and marks removed by the sweep.
pub const SWEPT: &str = "async_msal_swept_total";
/// Counter: API calls ended. Label `outcome`: `ok`, `status`, `failed`.
pub const API_CALLS: &str = "async_msal_api_calls_total";
/// Counter: API calls repeated. Label `cause`: `throttled`, `unavailable`, `claims`, `connect`.
pub const API_RETRIES: &str = "async_msal_api_retries_total";

/// Adds one to a counter with one label.
pub(crate) fn count(name: &'static str, label: &'static str, value: &'static str) {
    metrics::counter!(name, label => value).increment(1);
}

/// Adds one to a counter without labels.
pub(crate) fn count_one(name: &'static str) {
    metrics::counter!(name).increment(1);
}

/// Records a renewal's end.
pub(crate) fn count_renewal(outcome: &'static str, cause: &'static str) {
    metrics::counter!(RENEWALS, "outcome" => outcome, "cause" => cause).increment(1);
}

/// Records a store call.
pub(crate) fn store_call(
    store: &'static str,
    operation: &'static str,
    outcome: &'static str,
    elapsed: Duration,
) {
    metrics::counter!(STORE_CALLS, "store" => store, "operation" => operation, "outcome" => outcome)
        .increment(1);
    metrics::histogram!(STORE_SECONDS, "store" => store, "operation" => operation)
        .record(elapsed.as_secs_f64());
}
