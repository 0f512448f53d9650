//! Records in one SQLite file, shared by as many processes as like.

mod schema;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_msal::{Clock, SystemClock};
use async_trait::async_trait;
use sqlx::sqlite::{Sqlite, SqlitePool, SqliteRow};
use tokio::sync::OnceCell;

use super::StoreError;
use super::sql::statements::{Statements, statements};
use super::sql::{Database, Value, bound, failed};

/// A [`SessionStore`](super::SessionStore) in one SQLite file: the embedded store, which needs no server.
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
}

#[async_trait]
impl Database for SqliteStore {
    type Row = SqliteRow;

    const KIND: &'static str = "sqlite";

    const NAME: &'static str = "SQLite";

    const STATEMENTS: Statements = statements!(
        at: "",
        now: "$1",
        random: "abs(random() / 2)",
        list: "json_each($2)",
        skip: "",
        count: "SELECT count(*) FROM session"
    );

    /// SQLITE_READONLY and SQLITE_FULL; the low byte of an extended code is the plain one.
    fn refuses_writes(code: &str) -> bool {
        code.parse::<u32>().is_ok_and(|code| matches!(code & 0xff, 8 | 13))
    }

    async fn fetch(
        &self,
        statement: &'static str,
        values: &[Value<'_>],
    ) -> Result<Vec<SqliteRow>, StoreError> {
        let pool = self.pool().await?;
        let query = bound::<Sqlite>(statement, Some(self.clock.now()), values);
        query.fetch_all(pool).await.map_err(failed::<Self>)
    }

    async fn execute(&self, statement: &'static str, values: &[Value<'_>]) -> Result<u64, StoreError> {
        let pool = self.pool().await?;
        let query = bound::<Sqlite>(statement, Some(self.clock.now()), values);
        Ok(query.execute(pool).await.map_err(failed::<Self>)?.rows_affected())
    }
}

#[cfg(test)]
mod tests;
