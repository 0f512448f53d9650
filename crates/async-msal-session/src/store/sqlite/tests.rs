use async_msal::ManualClock;

use super::*;
use crate::session_id::{SessionId, SessionLayout};
use crate::store::contract::{self, Bench};

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
async fn a_folder_that_appears_later_repairs_the_store_without_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let later = folder.path().join("later");
    let store = SqliteStore::open_lazy(later.join("s.db"));
    assert!(store.ping().await.is_err());
    std::fs::create_dir(&later).unwrap();
    store.ping().await.unwrap();
}
