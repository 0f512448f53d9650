//! Making the tables, once for all nodes, and the version of them.

use sqlx::postgres::PgPool;
use sqlx::{Executor, PgConnection};

use super::{PostgresStore, StoreError};

/// The schema this build reads and writes (`async_msal.schema_version`).
const VERSION: i64 = 1;

/// Nodes that start together take turns under this advisory lock: the first makes the tables.
pub(super) const LOCK: &str = "SELECT pg_advisory_xact_lock(7453010373645639777)";

/// Keys are compared byte by byte, whatever the database's own order of letters is: a scan relies on it.
const SCHEMA: &str = r#"
CREATE TABLE async_msal.session (
    key TEXT COLLATE "C" PRIMARY KEY, value BYTEA NOT NULL, version BIGINT NOT NULL, expires_at BIGINT NOT NULL
);
CREATE INDEX session_end ON async_msal.session (expires_at);
CREATE TABLE async_msal.user_index (
    name TEXT COLLATE "C" NOT NULL, key TEXT COLLATE "C" NOT NULL,
    added_at BIGINT NOT NULL, expires_at BIGINT NOT NULL, PRIMARY KEY (name, key)
);
CREATE INDEX user_index_end ON async_msal.user_index (expires_at);
CREATE TABLE async_msal.lease (
    key TEXT COLLATE "C" PRIMARY KEY, owner TEXT NOT NULL, fence BIGINT NOT NULL, expires_at BIGINT NOT NULL
);
CREATE INDEX lease_end ON async_msal.lease (expires_at);
CREATE TABLE async_msal.mark (
    name TEXT COLLATE "C" PRIMARY KEY, value BYTEA NOT NULL, expires_at BIGINT NOT NULL
);
CREATE INDEX mark_end ON async_msal.mark (expires_at);
CREATE TABLE async_msal.schema_version (version BIGINT NOT NULL);
INSERT INTO async_msal.schema_version VALUES (1);
"#;

/// Brings the schema up. A user who may only read and write finds it made already and needs no right to make it.
pub(super) async fn bring_up(pool: &PgPool) -> Result<(), StoreError> {
    let failed = super::failed::<PostgresStore>;
    if let Some(found) = version(&mut *pool.acquire().await.map_err(failed)?).await.map_err(failed)? {
        return known(found);
    }
    let mut transaction = pool.begin().await.map_err(failed)?;
    // A node that vanished here holds the turn no longer than this.
    transaction.execute("SET LOCAL idle_in_transaction_session_timeout = '5s'").await.map_err(failed)?;
    transaction.execute(LOCK).await.map_err(failed)?;
    let found = match version(&mut transaction).await.map_err(failed)? {
        Some(found) => found,
        None => {
            make(&mut transaction).await.map_err(failed)?;
            VERSION
        }
    };
    transaction.commit().await.map_err(failed)?;
    known(found)
}

fn known(found: i64) -> Result<(), StoreError> {
    if found > VERSION {
        return Err(StoreError::NewerSchema { found, known: VERSION });
    }
    Ok(())
}

async fn version(connection: &mut PgConnection) -> Result<Option<i64>, sqlx::Error> {
    let made: bool = sqlx::query_scalar("SELECT to_regclass('async_msal.schema_version') IS NOT NULL")
        .fetch_one(&mut *connection)
        .await?;
    if !made {
        return Ok(None);
    }
    sqlx::query_scalar("SELECT max(version) FROM async_msal.schema_version").fetch_one(connection).await
}

async fn make(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    // `IF NOT EXISTS` would want the right to make one even where one is.
    let there: bool = sqlx::query_scalar("SELECT to_regnamespace('async_msal') IS NOT NULL")
        .fetch_one(&mut *connection)
        .await?;
    if !there {
        connection.execute("CREATE SCHEMA async_msal").await?;
    }
    sqlx::raw_sql(SCHEMA).execute(connection).await.map(drop)
}
