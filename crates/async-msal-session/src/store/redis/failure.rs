//! Redis errors in the store's words: short, without addresses and values.

use redis::{ErrorKind, RedisError};

use crate::store::StoreError;

/// What the caller is told.
pub(super) fn failed(error: &RedisError) -> StoreError {
    let what = match (error.kind(), error.code()) {
        (_, Some(code)) => format!("Redis answered {code}"),
        (ErrorKind::Io, _) if error.is_timeout() => "Redis did not answer in time".to_owned(),
        (ErrorKind::Io, _) if error.is_connection_refusal() => "Redis refuses the connection".to_owned(),
        (ErrorKind::Io, _) => "the connection to Redis failed".to_owned(),
        _ => format!("Redis: {}", error.category()),
    };
    StoreError::Unavailable { what, source: None }
}

/// Whether a new connection may help where this one failed.
pub(super) fn wants_another_connection(error: &RedisError) -> bool {
    error.is_io_error()
        || error.is_unrecoverable_error()
        || matches!(error.code(), Some("READONLY" | "MASTERDOWN"))
}
