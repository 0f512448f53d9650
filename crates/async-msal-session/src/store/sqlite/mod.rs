//! Records in one SQLite file, shared by as many processes as like.

mod schema;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_msal::{Clock, SystemClock};
use async_trait::async_trait;
use bytes::Bytes;
use sqlx::Row;
use sqlx::sqlite::{SqlitePool, SqliteRow};
use tokio::sync::OnceCell;

use super::types::whole_seconds;
use super::{
    CasOutcome, Cursor, Expiry, Fence, IndexEntry, IndexKey, LeaseOwner, MarkKey, Page, PutOnce,
    SessionStore, StoreError, Stored, Version,
};
use crate::session_id::StoreKey;

/// A [`SessionStore`] in one SQLite file: the embedded store, which needs no server.
///
/// The file is opened at first use, made with mode 0600, and kept in write-ahead mode, so that readers do not wait for
/// the writer and several processes may share it. A write survives the end of the process; after a power failure the
/// last few may be missing, never half of one (`synchronous = NORMAL`).
#[derive(Clone, Debug)]
pub struct SqliteStore {
    path: PathBuf,
    clock: Arc<dyn Clock>,
    pool: Arc<OnceCell<SqlitePool>>,
}

impl SqliteStore {
    /// Names the file; nothing is opened or made before the first call. The folder must exist by then.
    #[must_use]
    pub fn open_lazy(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), clock: Arc::new(SystemClock::default()), pool: Arc::default() }
    }

    /// Takes the time of expiry from this clock. Default: the machine's. All processes on one file must agree.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The open pool. Opening runs in a task of its own, so that a caller who gives up does not start it over again.
    async fn pool(&self) -> Result<&SqlitePool, StoreError> {
        if let Some(pool) = self.pool.get() {
            return Ok(pool);
        }
        let (cell, path) = (Arc::clone(&self.pool), self.path.clone());
        tokio::spawn(async move { cell.get_or_try_init(|| schema::open(path)).await.map(drop) })
            .await
            .map_err(|error| StoreError::unavailable("opening the SQLite file was interrupted", error))??;
        self.pool
            .get()
            .ok_or_else(|| StoreError::Unavailable { what: "SQLite is closed".to_owned(), source: None })
    }

    fn now(&self) -> i64 {
        self.clock.now()
    }

    fn end(&self, ttl: Duration) -> i64 {
        self.now().saturating_add(whole_seconds(ttl))
    }
}

/// Keeps the cause without paths or values.
fn failed(error: sqlx::Error) -> StoreError {
    StoreError::unavailable("SQLite", error)
}

fn number(version: &Version) -> i64 {
    version.to_number().unwrap_or(i64::MIN)
}

fn stored(row: &SqliteRow, first: usize) -> Result<Stored, StoreError> {
    let value: Vec<u8> = row.try_get(first).map_err(failed)?;
    let version: i64 = row.try_get(first + 1).map_err(failed)?;
    let expires_at: i64 = row.try_get(first + 2).map_err(failed)?;
    Ok(Stored::new(value.into(), Version::from_number(version), Some(expires_at)))
}

fn rows(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

#[async_trait]
impl SessionStore for SqliteStore {
    fn kind(&self) -> &'static str {
        "sqlite"
    }

    async fn load(&self, key: &StoreKey) -> Result<Option<Stored>, StoreError> {
        let row =
            sqlx::query("SELECT value, version, expires_at FROM session WHERE key = ?1 AND expires_at > ?2")
                .bind(key.as_str())
                .bind(self.now())
                .fetch_optional(self.pool().await?)
                .await
                .map_err(failed)?;
        row.map(|row| stored(&row, 0)).transpose()
    }

    async fn create(
        &self,
        key: &StoreKey,
        value: Bytes,
        ttl: Duration,
    ) -> Result<Option<Version>, StoreError> {
        // An expired row that nobody has swept yet is replaced. The first version is random: a record made
        // again under the same key never accepts what was read from its predecessor.
        let row = sqlx::query(
            "INSERT INTO session (key, value, version, expires_at) \
             VALUES (?1, ?2, abs(random() / 2), ?3) \
             ON CONFLICT (key) DO UPDATE SET value = excluded.value, version = excluded.version, \
                 expires_at = excluded.expires_at WHERE session.expires_at <= ?4 \
             RETURNING version",
        )
        .bind(key.as_str())
        .bind(value.as_ref())
        .bind(self.end(ttl))
        .bind(self.now())
        .fetch_optional(self.pool().await?)
        .await
        .map_err(failed)?;
        row.map(|row| row.try_get(0).map(Version::from_number).map_err(failed)).transpose()
    }

    async fn compare_and_set(
        &self,
        key: &StoreKey,
        expected: &Version,
        value: Bytes,
        expiry: Expiry,
    ) -> Result<CasOutcome, StoreError> {
        let pool = self.pool().await?;
        let end = match expiry {
            Expiry::Keep => None,
            Expiry::After(ttl) => Some(self.end(ttl)),
        };
        let row = sqlx::query(
            "UPDATE session SET value = ?3, version = version + 1, expires_at = coalesce(?4, expires_at) \
             WHERE key = ?1 AND version = ?2 AND expires_at > ?5 RETURNING version",
        )
        .bind(key.as_str())
        .bind(number(expected))
        .bind(value.as_ref())
        .bind(end)
        .bind(self.now())
        .fetch_optional(pool)
        .await
        .map_err(failed)?;
        if let Some(row) = row {
            return Ok(CasOutcome::Saved(Version::from_number(row.try_get(0).map_err(failed)?)));
        }
        // Which of the two it was is only a report: the update above changed nothing in either case.
        Ok(if self.load(key).await?.is_some() { CasOutcome::Conflict } else { CasOutcome::Gone })
    }

    async fn delete(&self, key: &StoreKey) -> Result<bool, StoreError> {
        let row = sqlx::query("DELETE FROM session WHERE key = ?1 RETURNING expires_at")
            .bind(key.as_str())
            .fetch_optional(self.pool().await?)
            .await
            .map_err(failed)?;
        row.map_or(Ok(false), |row| Ok(row.try_get::<i64, _>(0).map_err(failed)? > self.now()))
    }

    async fn index_add(&self, names: &[IndexKey], key: &StoreKey, ttl: Duration) -> Result<(), StoreError> {
        for name in names {
            sqlx::query(
                "INSERT INTO user_index (name, key, added_at, expires_at) VALUES (?1, ?2, ?3, ?4) \
                 ON CONFLICT (name, key) DO UPDATE SET expires_at = excluded.expires_at",
            )
            .bind(name.as_str())
            .bind(key.as_str())
            .bind(self.now())
            .bind(self.end(ttl))
            .execute(self.pool().await?)
            .await
            .map_err(failed)?;
        }
        Ok(())
    }

    async fn index_remove(&self, names: &[IndexKey], key: &StoreKey) -> Result<(), StoreError> {
        for name in names {
            sqlx::query("DELETE FROM user_index WHERE name = ?1 AND key = ?2")
                .bind(name.as_str())
                .bind(key.as_str())
                .execute(self.pool().await?)
                .await
                .map_err(failed)?;
        }
        Ok(())
    }

    async fn index_lookup(&self, index: &IndexKey, limit: usize) -> Result<Vec<IndexEntry>, StoreError> {
        let found = sqlx::query(
            "SELECT key, added_at FROM user_index WHERE name = ?1 AND expires_at > ?2 \
             ORDER BY added_at DESC LIMIT ?3",
        )
        .bind(index.as_str())
        .bind(self.now())
        .bind(rows(limit))
        .fetch_all(self.pool().await?)
        .await
        .map_err(failed)?;
        (found.iter())
            .map(|row| {
                let key: String = row.try_get(0).map_err(failed)?;
                Ok(IndexEntry::new(StoreKey::from_store(key), row.try_get(1).map_err(failed)?))
            })
            .collect()
    }

    async fn acquire_lease(
        &self,
        key: &StoreKey,
        owner: &LeaseOwner,
        ttl: Duration,
    ) -> Result<Option<Fence>, StoreError> {
        let row = sqlx::query(
            "INSERT INTO lease (key, owner, fence, expires_at) VALUES (?1, ?2, 1, ?3) \
             ON CONFLICT (key) DO UPDATE SET owner = excluded.owner, fence = lease.fence + 1, \
                 expires_at = excluded.expires_at \
             WHERE lease.expires_at <= ?4 OR lease.owner = excluded.owner RETURNING fence",
        )
        .bind(key.as_str())
        .bind(owner.as_str())
        .bind(self.end(ttl))
        .bind(self.now())
        .fetch_optional(self.pool().await?)
        .await
        .map_err(failed)?;
        row.map(|row| row.try_get::<i64, _>(0).map(|fence| Fence::new(fence.unsigned_abs())).map_err(failed))
            .transpose()
    }

    async fn extend_lease(
        &self,
        key: &StoreKey,
        owner: &LeaseOwner,
        ttl: Duration,
    ) -> Result<bool, StoreError> {
        let done =
            sqlx::query("UPDATE lease SET expires_at = ?3 WHERE key = ?1 AND owner = ?2 AND expires_at > ?4")
                .bind(key.as_str())
                .bind(owner.as_str())
                .bind(self.end(ttl))
                .bind(self.now())
                .execute(self.pool().await?)
                .await
                .map_err(failed)?;
        Ok(done.rows_affected() > 0)
    }

    async fn release_lease(&self, key: &StoreKey, owner: &LeaseOwner) -> Result<bool, StoreError> {
        // The row stays until the sweep, so that the fence goes on growing.
        let done =
            sqlx::query("UPDATE lease SET expires_at = ?3 WHERE key = ?1 AND owner = ?2 AND expires_at > ?3")
                .bind(key.as_str())
                .bind(owner.as_str())
                .bind(self.now())
                .execute(self.pool().await?)
                .await
                .map_err(failed)?;
        Ok(done.rows_affected() > 0)
    }

    async fn put_once(&self, mark: &MarkKey, value: Bytes, ttl: Duration) -> Result<PutOnce, StoreError> {
        let row = sqlx::query(
            "INSERT INTO mark (name, value, expires_at) VALUES (?1, ?2, ?3) \
             ON CONFLICT (name) DO UPDATE SET value = excluded.value, expires_at = excluded.expires_at \
             WHERE mark.expires_at <= ?4 RETURNING name",
        )
        .bind(mark.as_str())
        .bind(value.as_ref())
        .bind(self.end(ttl))
        .bind(self.now())
        .fetch_optional(self.pool().await?)
        .await
        .map_err(failed)?;
        if row.is_some() {
            return Ok(PutOnce::First);
        }
        // It was there a moment ago; should it have ended since, it was used all the same.
        Ok(PutOnce::AlreadyThere(self.load_once(mark).await?.unwrap_or_default()))
    }

    async fn replace_once(&self, mark: &MarkKey, expected: &Bytes, value: Bytes) -> Result<bool, StoreError> {
        let done =
            sqlx::query("UPDATE mark SET value = ?3 WHERE name = ?1 AND value = ?2 AND expires_at > ?4")
                .bind(mark.as_str())
                .bind(expected.as_ref())
                .bind(value.as_ref())
                .bind(self.now())
                .execute(self.pool().await?)
                .await
                .map_err(failed)?;
        Ok(done.rows_affected() > 0)
    }

    async fn load_once(&self, mark: &MarkKey) -> Result<Option<Bytes>, StoreError> {
        let row = sqlx::query("SELECT value FROM mark WHERE name = ?1 AND expires_at > ?2")
            .bind(mark.as_str())
            .bind(self.now())
            .fetch_optional(self.pool().await?)
            .await
            .map_err(failed)?;
        row.map(|row| row.try_get::<Vec<u8>, _>(0).map(Bytes::from).map_err(failed)).transpose()
    }

    async fn sweep_expired(&self, limit: usize) -> Result<u64, StoreError> {
        schema::sweep(self.pool().await?, self.now(), rows(limit)).await.map_err(failed)
    }

    async fn scan(&self, prefix: &str, cursor: Option<Cursor>, limit: usize) -> Result<Page, StoreError> {
        let after = cursor.as_ref().map_or(prefix, Cursor::as_str);
        // Hexadecimal digits follow the prefix, and all of them sort below `g`.
        let end = format!("{prefix}g");
        let found = sqlx::query(
            "SELECT key, value, version, expires_at FROM session \
             WHERE key > ?1 AND key < ?4 AND expires_at > ?2 ORDER BY key LIMIT ?3",
        )
        .bind(after)
        .bind(self.now())
        .bind(rows(limit.max(1)))
        .bind(end)
        .fetch_all(self.pool().await?)
        .await
        .map_err(failed)?;
        let records = (found.iter())
            .map(|row| Ok((row.try_get(0).map_err(failed)?, stored(row, 1)?)))
            .collect::<Result<Vec<(String, Stored)>, StoreError>>()?;
        let next = records
            .last()
            .filter(|_| records.len() == limit.max(1))
            .map(|(key, _)| Cursor::new(key.as_str()));
        Ok(Page::new(records, next))
    }

    async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT 1").execute(self.pool().await?).await.map_err(failed)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
