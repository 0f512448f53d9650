use std::time::{Duration, Instant};

use async_msal::ManualClock;
use bytes::Bytes;

use super::*;
use crate::session_id::{SessionId, SessionLayout, StoreKey};
use crate::store::contract::{self, Bench};
use crate::store::{IndexKey, SessionStore};

fn key() -> StoreKey {
    StoreKey::new(SessionLayout::Sealed, "c", &SessionId::parse(&"1".repeat(32)).unwrap())
}

#[tokio::test]
async fn the_sqlite_store_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let clock = ManualClock::new(1_700_000_000);
    let store = SqliteStore::open_lazy(folder.path().join("s.db")).with_clock(Arc::new(clock.clone()));
    contract::run(&Bench::new(Arc::new(store), move |by| clock.advance(by))).await;
}

#[tokio::test]
async fn nothing_is_opened_before_the_first_call() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.db");
    let store = SqliteStore::open_lazy(&path);
    assert!(!path.exists());
    store.ping().await.unwrap();
    assert!(path.exists());
}

#[cfg(unix)]
#[tokio::test]
async fn the_file_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open_lazy(folder.path().join("s.db"));
    store.create(&key(), Bytes::from_static(b"x"), Duration::from_secs(9)).await.unwrap();
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let mode = entry.unwrap().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0);
    }
}

#[tokio::test]
async fn a_record_written_by_one_handle_is_seen_by_another_on_the_same_file() {
    let folder = tempfile::tempdir().unwrap();
    let one = SqliteStore::open_lazy(folder.path().join("s.db"));
    let two = SqliteStore::open_lazy(folder.path().join("s.db"));
    let (a, b) = tokio::join!(one.ping(), two.ping());
    a.unwrap();
    b.unwrap();
    one.create(&key(), Bytes::from_static(b"x"), Duration::from_secs(9)).await.unwrap();
    assert_eq!(two.load(&key()).await.unwrap().unwrap().value, Bytes::from_static(b"x"));
}

#[tokio::test]
async fn a_file_of_a_later_version_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.db");
    SqliteStore::open_lazy(&path).ping().await.unwrap();
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path);
    let pool = SqlitePool::connect_with(options).await.unwrap();
    sqlx::query("PRAGMA user_version = 7").execute(&pool).await.unwrap();
    pool.close().await;
    let refused = SqliteStore::open_lazy(&path).ping().await;
    assert!(matches!(refused, Err(StoreError::NewerSchema { found: 7, known: 1 })), "{refused:?}");
}

#[tokio::test]
async fn a_file_that_somebody_writes_to_is_opened_and_read_without_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.db");
    let store = SqliteStore::open_lazy(&path);
    store.create(&key(), Bytes::from_static(b"x"), Duration::from_secs(9)).await.unwrap();
    let mut writer = store.pool().await.unwrap().begin_with("BEGIN IMMEDIATE").await.unwrap();
    let opened = SqliteStore::open_lazy(&path);
    assert!(opened.load(&key()).await.unwrap().is_some());
    sqlx::query("DELETE FROM mark").execute(&mut *writer).await.unwrap();
}

/// As after a process that was killed: its log is still there.
#[tokio::test]
async fn opening_does_not_empty_the_write_ahead_log() {
    let folder = tempfile::tempdir().unwrap();
    let [path, log, left] = ["s.db", "s.db-wal", "left"].map(|name| folder.path().join(name));
    let store = SqliteStore::open_lazy(&path);
    store.create(&key(), Bytes::from(vec![0; 1_000_000]), Duration::from_secs(900)).await.unwrap();
    std::fs::create_dir(&left).unwrap();
    for file in [&path, &log] {
        std::fs::copy(file, left.join(file.file_name().unwrap())).unwrap();
    }
    let opened = SqliteStore::open_lazy(left.join("s.db"));
    assert_eq!(opened.load(&key()).await.unwrap().unwrap().value.len(), 1_000_000);
    assert!(std::fs::metadata(left.join("s.db-wal")).unwrap().len() > 1_000_000);
}

#[tokio::test]
async fn a_folder_that_appears_later_repairs_the_store_without_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let later = folder.path().join("later");
    let store = SqliteStore::open_lazy(later.join("s.db"));
    assert!(store.ping().await.is_err());
    std::fs::create_dir(&later).unwrap();
    store.ping().await.unwrap();
}

/// Fills a store as a hundred thousand sign-ins do, and returns the pool.
async fn hundred_thousand(store: &SqliteStore) -> &SqlitePool {
    let pool = store.pool().await.unwrap();
    let numbers = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)";
    for insert in [
        "INSERT INTO session SELECT 'c_' || lower(hex(randomblob(32))), randomblob(2000), 1, 9e9 FROM n",
        "INSERT INTO user_index SELECT 'n' || i, 'c_' || i, i, 9e9 FROM n",
    ] {
        let statement = sqlx::AssertSqlSafe(insert.replacen("SELECT", &format!("{numbers} SELECT"), 1));
        sqlx::query(statement).execute(pool).await.unwrap();
    }
    pool
}

#[tokio::test]
async fn among_a_hundred_thousand_records_every_step_goes_by_an_index() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open_lazy(folder.path().join("s.db"));
    let pool = hundred_thousand(&store).await;
    let statements = SqliteStore::STATEMENTS;
    let [sessions, marks, index, leases] = statements.sweep;
    for statement in [
        statements.load,
        statements.load_many,
        statements.compare_and_set,
        statements.delete,
        statements.index_remove,
        statements.index_lookup,
        statements.extend_lease,
        statements.load_once,
        statements.scan,
        sessions,
        marks,
        index,
        leases,
    ] {
        let explained = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
        let rows = sqlx::query(explained).fetch_all(pool).await.unwrap();
        for row in rows {
            let step: String = sqlx::Row::get(&row, 3);
            assert!(!step.starts_with("SCAN ") || step.contains("json_each"), "{statement}: {step}");
        }
    }

    let started = Instant::now();
    for number in 1..=100 {
        let name = IndexKey::new(format!("n{}", number * 1000));
        assert_eq!(store.index_lookup(&name, 9).await.unwrap().len(), 1);
    }
    assert!(started.elapsed() < Duration::from_secs(1), "100 look-ups: {:?}", started.elapsed());

    let (mut met, mut cursor) = (0, None);
    loop {
        let page = store.scan("c_", cursor, 1000).await.unwrap();
        met += page.records.len();
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(met, 100_000);
}

#[tokio::test]
async fn a_store_that_may_not_be_written_reads_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open_lazy(folder.path().join("s.db"));
    store.create(&key(), Bytes::from_static(b"x"), Duration::from_secs(99)).await.unwrap();
    let mut connection = store.pool().await.unwrap().acquire().await.unwrap();
    sqlx::query("PRAGMA query_only = 1").execute(&mut *connection).await.unwrap();
    let refused = sqlx::query("DELETE FROM session").execute(&mut *connection).await.unwrap_err();
    let error = failed::<SqliteStore>(refused);
    assert!(error.reads_go_on(), "{error:?}");
}
