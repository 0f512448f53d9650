//! The statements, in the words that SQLite and PostgreSQL have in common.
//!
//! `$1` is the time where this process keeps it (SQLite); PostgreSQL gets NULL there and goes by its own clock, which is
//! one for all nodes. Expired rows count as absent until the sweep removes them.

/// One statement for each thing a store does.
pub(crate) struct Statements {
    pub(crate) load: &'static str,
    pub(crate) load_many: &'static str,
    pub(crate) create: &'static str,
    pub(crate) compare_and_set: &'static str,
    pub(crate) delete: &'static str,
    pub(crate) index_add: &'static str,
    pub(crate) index_remove: &'static str,
    pub(crate) index_lookup: &'static str,
    pub(crate) acquire_lease: &'static str,
    pub(crate) extend_lease: &'static str,
    pub(crate) release_lease: &'static str,
    pub(crate) put_once: &'static str,
    pub(crate) replace_once: &'static str,
    pub(crate) load_once: &'static str,
    pub(crate) sweep: [&'static str; 4],
    pub(crate) scan: &'static str,
    pub(crate) count: &'static str,
    pub(crate) ping: &'static str,
}

/// Puts the statements together. `at` goes before each table's name; `now` is the time in whole seconds; `random` a number
/// that is not met twice; `list` the table of the texts in the JSON array `$2`, its column `value`; `skip` ends the
/// sub-select of a sweep; `count` asks for about how many sessions there are.
macro_rules! statements {
    (at: $at:literal, now: $now:literal, random: $random:literal, list: $list:literal, skip: $skip:literal,
     count: $count:literal) => {
        $crate::store::sql::statements::Statements {
            load: concat!(
                "SELECT value, version, expires_at FROM ", $at, "session WHERE key = $2 AND expires_at > ", $now
            ),
            load_many: concat!(
                "SELECT key, value, version, expires_at FROM ", $at, "session \
                 WHERE key IN (SELECT value FROM ", $list, ") AND expires_at > ", $now
            ),
            // An expired row that nobody has swept yet is replaced. The first version is random: a record made
            // again under the same key never accepts what was read from its predecessor.
            create: concat!(
                "INSERT INTO ", $at, "session (key, value, version, expires_at) \
                 VALUES ($2, $3, ", $random, ", ", $now, " + $4) \
                 ON CONFLICT (key) DO UPDATE SET value = excluded.value, version = excluded.version, \
                     expires_at = excluded.expires_at WHERE session.expires_at <= ", $now, " \
                 RETURNING version"
            ),
            compare_and_set: concat!(
                "UPDATE ", $at, "session SET value = $4, version = version + 1, \
                     expires_at = coalesce(", $now, " + $5, expires_at) \
                 WHERE key = $2 AND version = $3 AND expires_at > ", $now, " RETURNING version"
            ),
            delete: concat!(
                "DELETE FROM ", $at, "session WHERE key = $2 RETURNING expires_at - ", $now
            ),
            // In order, so that two who add the same names never wait for each other.
            index_add: concat!(
                "INSERT INTO ", $at, "user_index (name, key, added_at, expires_at) \
                 SELECT value, $3, ", $now, ", ", $now, " + $4 FROM ", $list, " WHERE true ORDER BY value \
                 ON CONFLICT (name, key) DO UPDATE SET expires_at = excluded.expires_at"
            ),
            index_remove: concat!(
                "DELETE FROM ", $at, "user_index WHERE key = $3 AND name IN (SELECT value FROM ", $list, ")"
            ),
            index_lookup: concat!(
                "SELECT key, added_at FROM ", $at, "user_index WHERE name = $2 AND expires_at > ", $now, " \
                 ORDER BY added_at DESC LIMIT $3"
            ),
            acquire_lease: concat!(
                "INSERT INTO ", $at, "lease (key, owner, fence, expires_at) VALUES ($2, $3, 1, ", $now, " + $4) \
                 ON CONFLICT (key) DO UPDATE SET owner = excluded.owner, fence = lease.fence + 1, \
                     expires_at = excluded.expires_at \
                 WHERE lease.expires_at <= ", $now, " OR lease.owner = excluded.owner RETURNING fence"
            ),
            extend_lease: concat!(
                "UPDATE ", $at, "lease SET expires_at = ", $now, " + $4 \
                 WHERE key = $2 AND owner = $3 AND expires_at > ", $now
            ),
            // The row stays until the sweep, so that the fence goes on growing.
            release_lease: concat!(
                "UPDATE ", $at, "lease SET expires_at = ", $now, " \
                 WHERE key = $2 AND owner = $3 AND expires_at > ", $now
            ),
            put_once: concat!(
                "INSERT INTO ", $at, "mark (name, value, expires_at) VALUES ($2, $3, ", $now, " + $4) \
                 ON CONFLICT (name) DO UPDATE SET value = excluded.value, expires_at = excluded.expires_at \
                 WHERE mark.expires_at <= ", $now
            ),
            replace_once: concat!(
                "UPDATE ", $at, "mark SET value = $4 WHERE name = $2 AND value = $3 AND expires_at > ", $now
            ),
            load_once: concat!(
                "SELECT value FROM ", $at, "mark WHERE name = $2 AND expires_at > ", $now
            ),
            // The outer condition spares a row that was made anew in between. A released lease keeps its row for an
            // hour, so that its fence goes on growing.
            sweep: [
                concat!(
                    "DELETE FROM ", $at, "session WHERE expires_at <= ", $now, " AND key IN \
                     (SELECT key FROM ", $at, "session WHERE expires_at <= ", $now, " LIMIT $2", $skip, ")"
                ),
                concat!(
                    "DELETE FROM ", $at, "mark WHERE expires_at <= ", $now, " AND name IN \
                     (SELECT name FROM ", $at, "mark WHERE expires_at <= ", $now, " LIMIT $2", $skip, ")"
                ),
                concat!(
                    "DELETE FROM ", $at, "user_index WHERE expires_at <= ", $now, " AND (name, key) IN \
                     (SELECT name, key FROM ", $at, "user_index WHERE expires_at <= ", $now, " LIMIT $2", $skip, ")"
                ),
                concat!(
                    "DELETE FROM ", $at, "lease WHERE expires_at <= ", $now, " - 3600 AND key IN \
                     (SELECT key FROM ", $at, "lease WHERE expires_at <= ", $now, " - 3600 LIMIT $2", $skip, ")"
                ),
            ],
            scan: concat!(
                "SELECT key, value, version, expires_at FROM ", $at, "session \
                 WHERE key > $2 AND key < $3 AND expires_at > ", $now, " ORDER BY key LIMIT $4"
            ),
            count: $count,
            ping: "SELECT 1",
        }
    };
}

pub(crate) use statements;
