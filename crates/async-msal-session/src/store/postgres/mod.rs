//! Records in a PostgreSQL database, shared by all nodes.

mod schema;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use sqlx::ConnectOptions;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions, PgRow, Postgres};
use url::Url;

use super::StoreError;
use super::sql::statements::{Statements, statements};
use super::sql::{Database, Value, bound, failed};

/// Connections of one process.
const CONNECTIONS: u32 = 10;
/// A pool that gives no connection is replaced, but not more often than this.
const POOL_LIFE: Duration = Duration::from_secs(5);

/// Opening that takes longer is given up, and begun again by the next call. Making the tables takes well under a second.
const OPENING: Duration = Duration::from_secs(5);

/// What may stand behind the `?` of an address.
const PARAMETERS: [&str; 11] = [
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "statement-cache-capacity",
];

/// A [`SessionStore`](super::SessionStore) in a PostgreSQL database, 12 or later, for those who run no Redis.
///
/// Its tables stand in a database schema of their own, `async_msal`, made at first use; where the user may not make a
/// schema, somebody who may makes an empty one and gives the user `USAGE` and `CREATE` on it. Times are the server's:
/// the clocks of the nodes do not matter. At most 10 connections are held. Connections that were lost are replaced, so
/// nothing needs a restart when the server did.
///
/// # Security
/// TLS is what `sslmode` in the address says, as libpq names it. Its default, `prefer`, protects from nobody who can
/// change the traffic: write `sslmode=verify-full` wherever the server is another machine.
#[derive(Clone)]
pub struct PostgresStore {
    options: PgConnectOptions,
    limit: Duration,
    shared: Arc<Shared>,
}

struct Shared {
    pool: Mutex<(PgPool, Instant)>,
    /// Whether the schema was seen to be there.
    ready: AtomicBool,
    opening: Arc<tokio::sync::Mutex<()>>,
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { options, limit, shared: _ } = self;
        let (host, port) = (options.get_host(), options.get_port());
        let database = options.get_database();
        f.debug_struct("PostgresStore")
            .field("host", &host)
            .field("port", &port)
            .field("database", &database)
            .field("limit", limit)
            .finish_non_exhaustive()
    }
}

impl PostgresStore {
    /// Names the server: `postgres://user:password@host:port/database?sslmode=verify-full`. Nothing is connected or made
    /// before the first call, which waits for a connection no longer than `limit`: STORE_TIMEOUT.
    ///
    /// What the address leaves out comes from where libpq takes it: PGPASSWORD, `~/.pgpass` and so on.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] for an address that cannot be read. The error does not repeat it.
    pub fn open_lazy(address: &str, limit: Duration) -> Result<Self, StoreError> {
        let refused = |what: String| StoreError::Unavailable { what, source: None };
        let url = Url::parse(address)
            .map_err(|_| refused("the address of the PostgreSQL server cannot be read".to_owned()))?;
        // A mistyped `sslmode` must not mean "no TLS".
        if let Some((name, _)) = url.query_pairs().find(|(name, _)| !PARAMETERS.contains(&&**name)) {
            return Err(refused(format!(
                "the address of the PostgreSQL server has a parameter {name:?}, which means nothing"
            )));
        }
        let options = PgConnectOptions::from_url(&url)
            .map_err(|_| {
                refused(
                    "the address of the PostgreSQL server has a parameter whose value means nothing"
                        .to_owned(),
                )
            })?
            .application_name("async-msal");
        let shared = Shared {
            pool: Mutex::new((pool(&options), Instant::now())),
            ready: AtomicBool::new(false),
            opening: Arc::default(),
        };
        Ok(Self { options, limit, shared: Arc::new(shared) })
    }

    /// The pool, its schema brought up. That runs in a task of its own, so that a caller who gives up does not start it over,
    /// one at a time, and has an end of its own, since a server may hang as well as refuse.
    async fn pool(&self) -> Result<PgPool, StoreError> {
        if !self.shared.ready.load(Ordering::Acquire) {
            let turn = Arc::clone(&self.shared.opening).lock_owned().await;
            if !self.shared.ready.load(Ordering::Acquire) {
                let store = self.clone();
                let opening = tokio::spawn(async move {
                    let _turn = turn;
                    store.open().await.inspect_err(|error| store.note(error))
                });
                opening.await.map_err(|error| {
                    StoreError::unavailable("opening the PostgreSQL database was interrupted", error)
                })??;
            }
        }
        Ok(self.current_pool())
    }

    fn current_pool(&self) -> PgPool {
        self.shared.pool.lock().unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    async fn open(&self) -> Result<(), StoreError> {
        tokio::time::timeout(OPENING, schema::bring_up(&self.current_pool()))
            .await
            .unwrap_or_else(|_| Err(failed::<Self>(sqlx::Error::PoolTimedOut)))?;
        self.shared.ready.store(true, Ordering::Release);
        Ok(())
    }

    /// Repairs what a failure tells is broken: tables that are gone, and a pool whose connections all hang.
    ///
    /// A connection given back is asked for a sign of life without a time limit, and to a machine that vanished that
    /// takes as long as TCP hopes, a quarter of an hour. A new pool does not wait for it.
    fn note(&self, error: &StoreError) {
        let StoreError::Unavailable { source: Some(source), .. } = error else { return };
        match source.downcast_ref::<sqlx::Error>() {
            Some(sqlx::Error::PoolTimedOut) => {
                let mut pool = self.shared.pool.lock().unwrap_or_else(PoisonError::into_inner);
                if pool.1.elapsed() > POOL_LIFE {
                    *pool = (self::pool(&self.options), Instant::now());
                }
            }
            // undefined_table, invalid_schema_name: another server answers, or somebody dropped them.
            Some(sqlx::Error::Database(cause))
                if matches!(cause.code().as_deref(), Some("42P01" | "3F000")) =>
            {
                self.shared.ready.store(false, Ordering::Release);
            }
            _ => {}
        }
    }

    /// A connection, within the part of the limit that leaves room for hearing the reason. One that has to be made is made in
    /// a task of its own: a server that takes longer than one caller waits is reached by the next.
    async fn connection(&self) -> Result<PoolConnection<Postgres>, StoreError> {
        let pool = self.pool().await?;
        let acquiring = async move {
            if pool.num_idle() > 0 || pool.size() >= CONNECTIONS {
                return pool.acquire().await;
            }
            let making = tokio::spawn(async move { pool.acquire().await });
            making.await.unwrap_or(Err(sqlx::Error::WorkerCrashed))
        };
        let acquired = tokio::time::timeout(self.limit * 3 / 4, acquiring).await;
        acquired.unwrap_or(Err(sqlx::Error::PoolTimedOut)).map_err(|error| self.failed(error))
    }

    fn failed(&self, error: sqlx::Error) -> StoreError {
        let error = failed::<Self>(error);
        self.note(&error);
        error
    }
}

fn pool(options: &PgConnectOptions) -> PgPool {
    // Callers wait less; this is what making a connection may take.
    PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(OPENING)
        .connect_lazy_with(options.clone())
}

#[async_trait]
impl Database for PostgresStore {
    type Row = PgRow;

    const KIND: &'static str = "postgres";

    const NAME: &'static str = "PostgreSQL";

    /// `statement_timestamp` is the same through a whole statement and may be compared with an index. It is rounded
    /// down: as in the other stores, a second counts when it is over.
    const STATEMENTS: Statements = statements!(
        at: "async_msal.",
        now: "coalesce($1, floor(extract(epoch FROM statement_timestamp()))::bigint)",
        random: "floor(random() * 9007199254740992)::bigint",
        list: "json_array_elements_text($2::json) AS list(value)",
        skip: " FOR UPDATE SKIP LOCKED",
        count: "SELECT n_live_tup FROM pg_stat_user_tables WHERE relid = 'async_msal.session'::regclass"
    );

    /// read_only_sql_transaction, disk_full.
    fn refuses_writes(code: &str) -> bool {
        matches!(code, "25006" | "53100")
    }

    fn denies(code: &str) -> Option<&'static str> {
        match code {
            // invalid_password, invalid_authorization_specification
            "28P01" | "28000" => Some("PostgreSQL wants another user or password"),
            // invalid_catalog_name
            "3D000" => Some("PostgreSQL has no database of that name"),
            // insufficient_privilege
            "42501" => Some("the PostgreSQL user may not do this"),
            _ => None,
        }
    }

    async fn fetch(&self, statement: &'static str, values: &[Value<'_>]) -> Result<Vec<PgRow>, StoreError> {
        let mut connection = self.connection().await?;
        let query = bound::<Postgres>(statement, None, values);
        query.fetch_all(&mut *connection).await.map_err(|error| self.failed(error))
    }

    async fn execute(&self, statement: &'static str, values: &[Value<'_>]) -> Result<u64, StoreError> {
        let mut connection = self.connection().await?;
        let query = bound::<Postgres>(statement, None, values);
        Ok(query.execute(&mut *connection).await.map_err(|error| self.failed(error))?.rows_affected())
    }
}

#[cfg(test)]
mod tests;
