//! Opening the file: its mode, its schema and the version of that.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Connection, SqliteConnection};

use super::{SqliteStore, StoreError};

/// The schema this build reads and writes (`PRAGMA user_version`).
const VERSION: i64 = 1;
/// How long a statement waits for another process's write.
const BUSY: Duration = Duration::from_secs(2);
/// Connections of one process. SQLite has one writer at a time; the others read.
const CONNECTIONS: u32 = 4;
/// Switching a new file to write-ahead mode needs it alone for a moment, and SQLite does not wait there by itself.
const OPEN_ATTEMPTS: u32 = 40;
/// Pause between two attempts to open.
const OPEN_PAUSE: Duration = Duration::from_millis(25);

const SCHEMA: &str = "
CREATE TABLE session (
    key TEXT PRIMARY KEY NOT NULL, value BLOB NOT NULL, version INTEGER NOT NULL, expires_at INTEGER NOT NULL
);
CREATE INDEX session_end ON session (expires_at);
CREATE TABLE user_index (
    name TEXT NOT NULL, key TEXT NOT NULL, added_at INTEGER NOT NULL, expires_at INTEGER NOT NULL,
    PRIMARY KEY (name, key)
) WITHOUT ROWID;
CREATE INDEX user_index_end ON user_index (expires_at);
CREATE TABLE lease (
    key TEXT PRIMARY KEY NOT NULL, owner TEXT NOT NULL, fence INTEGER NOT NULL, expires_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX lease_end ON lease (expires_at);
CREATE TABLE mark (
    name TEXT PRIMARY KEY NOT NULL, value BLOB NOT NULL, expires_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX mark_end ON mark (expires_at);
PRAGMA user_version = 1;
";

/// Opens or makes the file and brings its schema up.
pub(super) async fn open(path: PathBuf) -> Result<SqlitePool, StoreError> {
    let made = path.clone();
    tokio::task::spawn_blocking(move || make_private(&made))
        .await
        .map_err(|error| StoreError::unavailable("making the SQLite file", error))?
        .map_err(|error| StoreError::unavailable("making the SQLite file", error))?;
    let options = SqliteConnectOptions::new()
        .filename(&path)
        .busy_timeout(BUSY)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal);
    let mut attempt = 1;
    let first = loop {
        match bring_up(&options).await {
            Err(StoreError::Unavailable { .. }) if attempt < OPEN_ATTEMPTS => attempt += 1,
            other => break other?,
        }
        tokio::time::sleep(OPEN_PAUSE).await;
    };
    let pool = SqlitePoolOptions::new().max_connections(CONNECTIONS).connect_with(options).await;
    // Not before the pool has one: the last connection to close copies the whole write-ahead log into the file, and the
    // first call of a process that comes after a long one would wait for that.
    drop(first.close().await);
    pool.map_err(failed)
}

/// Makes the file readable by its owner only. SQLite gives its side files the same mode.
fn make_private(path: &Path) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.read(true).append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

async fn bring_up(options: &SqliteConnectOptions) -> Result<SqliteConnection, StoreError> {
    let mut connection = SqliteConnection::connect_with(options).await.map_err(failed)?;
    // A file that is up to date is opened without waiting for whoever writes to it.
    if version(&mut connection).await? == VERSION {
        return Ok(connection);
    }
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
    if version(&mut transaction).await? == 0 {
        sqlx::raw_sql(SCHEMA).execute(&mut *transaction).await.map_err(failed)?;
    }
    transaction.commit().await.map_err(failed)?;
    Ok(connection)
}

async fn version(connection: &mut SqliteConnection) -> Result<i64, StoreError> {
    let found = sqlx::query_scalar("PRAGMA user_version").fetch_one(connection).await.map_err(failed)?;
    if found > VERSION { Err(StoreError::NewerSchema { found, known: VERSION }) } else { Ok(found) }
}

fn failed(error: sqlx::Error) -> StoreError {
    super::failed::<SqliteStore>(error)
}
