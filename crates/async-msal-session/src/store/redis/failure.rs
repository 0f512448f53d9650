//! Redis errors in the store's words: short, without addresses and values.

use redis::{ErrorKind, RedisError};

use crate::store::{StoreError, certificate};

/// What the caller is told.
pub(super) fn failed(error: &RedisError) -> StoreError {
    let unavailable = |what: &str| StoreError::Unavailable { what: what.to_owned(), source: None };
    let refuses = |what: &str| StoreError::ReadOnly { what: what.to_owned() };
    let denied = |what: &str| StoreError::Denied { what: what.to_owned() };
    match (code(error), error.kind()) {
        ("READONLY", _) => refuses("Redis is a read-only replica (READONLY)"),
        ("NOREPLICAS", _) => refuses("Redis has fewer replicas than it wants for a write (NOREPLICAS)"),
        ("OOM", _) => refuses("Redis has no memory left (OOM)"),
        ("MISCONF", _) => refuses("Redis cannot save to its disk (MISCONF)"),
        ("NOAUTH" | "WRONGPASS", _) | (_, ErrorKind::AuthenticationFailed) => {
            denied("Redis wants another user or password (NOAUTH, WRONGPASS)")
        }
        ("NOPERM", _) => denied("the Redis user may not do this or touch this key (NOPERM)"),
        ("ERR", _) if error.detail().is_some_and(|text| text.starts_with("DB index")) => {
            denied("Redis has no database of that number")
        }
        ("LOADING", _) => unavailable("Redis is loading its data (LOADING)"),
        ("MASTERDOWN", _) => unavailable("the Redis replica has lost its master (MASTERDOWN)"),
        ("CLUSTERDOWN", _) => unavailable("the Redis Cluster does not serve all slots (CLUSTERDOWN)"),
        ("TRYAGAIN", _) => unavailable("the Redis Cluster is moving the key (TRYAGAIN)"),
        ("BUSY", _) => unavailable("a script keeps Redis busy (BUSY)"),
        ("MOVED" | "ASK", _) => unavailable("Redis is a Cluster here: redis+cluster://… is wanted (MOVED)"),
        ("", _) if is_about_the_certificate(error) => {
            denied("the certificate of the Redis server is not one that is trusted here (CA_FILE)")
        }
        ("", ErrorKind::Io) if error.is_timeout() => unavailable("Redis does not answer in time"),
        ("", ErrorKind::Io) if error.is_connection_refusal() => unavailable("Redis refuses the connection"),
        ("", ErrorKind::Io) => unavailable("the connection to Redis failed"),
        ("", ErrorKind::MasterNameNotFoundBySentinel) => {
            unavailable("no Sentinel names a master that agrees")
        }
        ("", _) => unavailable(&format!("Redis: {}", error.category())),
        (code, _) => unavailable(&format!("Redis answers {code}")),
    }
}

/// Of a Cluster whose nodes all refuse, only the text of one refusal is left.
fn is_about_the_certificate(error: &RedisError) -> bool {
    let in_words = |text: &str| text.contains("invalid peer certificate");
    certificate::was_refused(error) || error.detail().is_some_and(in_words)
}

/// The word an error of the server begins with; a script's error repeats the one it met behind its own.
pub(super) fn code(error: &RedisError) -> &str {
    error.code().unwrap_or_default()
}

/// Whether a new connection may help where this one failed.
pub(super) fn wants_another_connection(error: &RedisError) -> bool {
    error.is_io_error() || error.is_unrecoverable_error() || matches!(code(error), "READONLY" | "MASTERDOWN")
}

#[cfg(test)]
mod tests {
    use redis::{Value, parse_redis_value};

    use super::*;

    fn answer(text: &str) -> StoreError {
        let Ok(Value::ServerError(error)) = parse_redis_value(format!("-{text}\r\n").as_bytes()) else {
            panic!()
        };
        failed(&error.into())
    }

    #[test]
    fn every_answer_has_its_class_and_says_neither_key_nor_address() {
        for (text, reads, retry) in [
            ("READONLY You can't write against a read only replica.", true, true),
            ("NOREPLICAS Not enough good replicas to write.", true, true),
            ("OOM command not allowed when used memory > 'maxmemory'.", true, true),
            ("MISCONF Redis is configured to save RDB snapshots", true, true),
            ("LOADING Redis is loading the dataset in memory", false, true),
            ("MASTERDOWN Link with MASTER is down", false, true),
            ("CLUSTERDOWN Hash slot not served", false, true),
            ("TRYAGAIN Multiple keys request during rehashing of slot", false, true),
            ("BUSY Redis is busy running a script.", false, true),
            ("NOAUTH Authentication required.", false, false),
            ("WRONGPASS invalid username-password pair", false, false),
            ("NOPERM this user has no permissions to access canary", false, false),
            ("MOVED 3999 canary:6381", false, true),
            ("ERR DB index is out of range", false, false),
            ("ERR canary", false, true),
        ] {
            let error = answer(text);
            assert_eq!((error.reads_go_on(), error.is_retryable()), (reads, retry), "{text}");
            assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
        }
    }
}
