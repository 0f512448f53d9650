use async_msal_test_servers::{FakeClock, PostgresServer};
use bytes::Bytes;
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::session_id::{SessionId, SessionLayout, StoreKey};
use crate::store::contract::{self, Bench};
use crate::store::{Expiry, LeaseOwner, SessionStore};

/// Tests that are not about the limit do not fail on a busy machine.
const AMPLE: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(500);
const HOUR: Duration = Duration::from_secs(3600);

fn open(server: &PostgresServer, limit: Duration) -> PostgresStore {
    PostgresStore::open_lazy(&server.url(), limit).unwrap()
}

fn key(digit: char) -> StoreKey {
    let id = SessionId::parse(&digit.to_string().repeat(32)).unwrap();
    StoreKey::new(SessionLayout::Sealed, "c", &id)
}

/// Asks until the store answers again.
async fn recovered(store: &PostgresStore) {
    let end = Instant::now() + AMPLE;
    while let Err(error) = store.ping().await {
        assert!(Instant::now() < end, "not back: {error:?}");
    }
}

#[tokio::test]
async fn the_postgres_store_keeps_the_contract_by_the_servers_clock() {
    let clock = FakeClock::new();
    let server = PostgresServer::builder().with_clock(&clock).start();
    let store = Arc::new(open(&server, AMPLE));
    contract::run(&Bench::new(store, move |by| clock.advance(by))).await;
}

#[tokio::test]
async fn nodes_that_start_at_once_make_the_schema_once() {
    let server = PostgresServer::start();
    let nodes: Vec<PostgresStore> = (0..8).map(|_| open(&server, AMPLE)).collect();
    futures_util::future::try_join_all(nodes.iter().map(SessionStore::ping)).await.unwrap();
    nodes[0].create(&key('1'), Bytes::from_static(b"x"), HOUR).await.unwrap();
    assert_eq!(nodes[7].load(&key('1')).await.unwrap().unwrap().value, Bytes::from_static(b"x"));
    assert_eq!(server.sql("SELECT count(*) FROM async_msal.schema_version"), "1");
}

#[tokio::test]
async fn what_waiting_does_not_mend_is_denied_and_the_words_name_no_user() {
    let server = PostgresServer::start();
    let _created = server.sql("CREATE ROLE canary LOGIN");
    let port = server.port();
    for address in [
        server.url().replace(&format!(":{port}/"), &format!(":{port}/no_")),
        format!("postgres://nobody@127.0.0.1:{port}/postgres"),
        format!("postgres://canary@127.0.0.1:{port}/postgres"),
    ] {
        let failed = PostgresStore::open_lazy(&address, AMPLE).unwrap().ping().await.unwrap_err();
        assert!(matches!(failed, StoreError::Denied { .. }) && !failed.is_retryable(), "{failed:?}");
        assert!(!failed.to_string().contains("canary"), "{failed}");
    }
}

#[tokio::test]
async fn of_forty_nodes_and_tasks_one_holds_the_lease() {
    let server = PostgresServer::start();
    let nodes: Vec<PostgresStore> = (0..4).map(|_| open(&server, AMPLE)).collect();
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..40 {
        let node = nodes[number % 4].clone();
        tasks.spawn(async move {
            let owner = LeaseOwner::new(number.to_string());
            node.acquire_lease(&key('1'), &owner, HOUR).await.unwrap()
        });
    }
    assert_eq!(tasks.join_all().await.into_iter().flatten().count(), 1);
}

#[tokio::test]
async fn a_database_of_a_later_version_is_refused_by_name() {
    let server = PostgresServer::start();
    open(&server, AMPLE).ping().await.unwrap();
    let _done = server.sql("UPDATE async_msal.schema_version SET version = 7");
    let refused = open(&server, AMPLE).ping().await;
    assert!(matches!(refused, Err(StoreError::NewerSchema { found: 7, known: 1 })), "{refused:?}");
}

#[tokio::test]
async fn a_user_who_may_make_nothing_finds_the_tables_made() {
    let server = PostgresServer::start();
    let _done = server.sql("CREATE ROLE app LOGIN PASSWORD 'app'; CREATE SCHEMA async_msal;");
    let address = server.url().replace("msal:pg-passw0rd-canary", "app:app");
    let store = PostgresStore::open_lazy(&address, AMPLE).unwrap();
    assert!(store.ping().await.is_err(), "made tables without the right");
    let _done = server.sql("GRANT USAGE, CREATE ON SCHEMA async_msal TO app");
    store.create(&key('1'), Bytes::from_static(b"x"), HOUR).await.unwrap().unwrap();
    let _done = server.sql("REVOKE CREATE ON SCHEMA async_msal FROM app");
    let later = PostgresStore::open_lazy(&address, AMPLE).unwrap();
    assert!(later.load(&key('1')).await.unwrap().is_some());
}

#[tokio::test]
async fn tables_that_are_gone_are_made_again() {
    let server = PostgresServer::start();
    let store = open(&server, AMPLE);
    store.ping().await.unwrap();
    let _done = server.sql("DROP SCHEMA async_msal CASCADE");
    assert!(store.load(&key('1')).await.is_err());
    assert!(store.load(&key('1')).await.unwrap().is_none());
}

#[tokio::test]
async fn a_server_that_was_killed_and_started_again_needs_no_restart_of_ours() {
    let mut server = PostgresServer::start();
    let store = open(&server, AMPLE);
    store.create(&key('1'), Bytes::from_static(b"x"), HOUR).await.unwrap();
    let quick = open(&server, SHORT);
    recovered(&quick).await;
    server.kill9();
    let asked = Instant::now();
    assert!(quick.ping().await.is_err());
    assert!(asked.elapsed() < SHORT * 4, "{:?}", asked.elapsed());
    server.restart();
    recovered(&quick).await;
    assert_eq!(store.load(&key('1')).await.unwrap().unwrap().value, Bytes::from_static(b"x"));
}

#[tokio::test]
async fn a_server_that_is_down_at_start_is_found_when_it_comes() {
    let mut server = PostgresServer::start();
    server.stop();
    let store = open(&server, SHORT);
    assert!(store.ping().await.is_err());
    server.restart();
    recovered(&store).await;
}

/// Passes on what it gets, until it is told to say nothing more on the connections it has: a machine that vanished.
async fn proxy(port: u16) -> (u16, tokio::sync::watch::Sender<u32>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().port();
    let (mute, told) = tokio::sync::watch::channel(0);
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            let mut told = told.clone();
            told.mark_unchanged();
            tokio::spawn(async move {
                let mut far = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                tokio::select! {
                    _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                    _ = told.changed() => std::future::pending::<()>().await,
                }
            });
        }
    });
    (address, mute)
}

#[tokio::test]
async fn connections_to_a_machine_that_vanished_do_not_hold_up_new_ones() {
    let server = PostgresServer::start();
    let (port, mute) = proxy(server.port()).await;
    let address = server.url().replace(&server.port().to_string(), &port.to_string());
    let store = PostgresStore::open_lazy(&address, SHORT).unwrap();
    recovered(&store).await;
    mute.send(1).unwrap();
    let many = (0..40).map(|_| tokio::time::timeout(SHORT, store.ping()));
    let answers = futures_util::future::join_all(many).await;
    assert!(answers.iter().any(|answer| !matches!(answer, Ok(Ok(())))), "nothing was lost");
    let end = Instant::now() + AMPLE;
    while !matches!(tokio::time::timeout(SHORT, store.ping()).await, Ok(Ok(()))) {
        assert!(Instant::now() < end, "not back");
    }
}

#[tokio::test]
async fn a_server_that_is_slow_to_connect_is_reached_by_a_later_call() {
    let server = PostgresServer::start();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let far = server.port();
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            tokio::spawn(async move {
                // Longer than any caller waits.
                tokio::time::sleep(SHORT * 2).await;
                let mut far = TcpStream::connect(("127.0.0.1", far)).await.unwrap();
                let _ended = tokio::io::copy_bidirectional(&mut near, &mut far).await;
            });
        }
    });
    let address = server.url().replace(&server.port().to_string(), &port.to_string());
    let store = PostgresStore::open_lazy(&address, SHORT).unwrap();
    let first = tokio::time::timeout(SHORT, store.ping()).await;
    assert!(!matches!(first, Ok(Ok(()))), "{first:?}");
    recovered(&store).await;
    // And so is the next connection, when those that were made are taken.
    let mut taken = Vec::new();
    while store.current_pool().num_idle() > 0 && taken.len() < 5 {
        taken.push(store.connection().await.unwrap());
    }
    recovered(&store).await;
}

#[tokio::test]
async fn no_more_connections_are_held_than_the_pool_may() {
    let server = PostgresServer::start();
    let store = open(&server, AMPLE);
    let key = key('1');
    let many = (0..200).map(|_| store.load(&key));
    futures_util::future::try_join_all(many).await.unwrap();
    let held = server.sql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'async-msal'");
    assert!(held.parse::<u32>().unwrap() <= CONNECTIONS, "{held}");
}

#[tokio::test]
async fn the_password_is_not_shown() {
    let server = PostgresServer::start();
    let wrong = server.url().replace("canary", "canary-wrong");
    let store = PostgresStore::open_lazy(&wrong, AMPLE).unwrap();
    let error = store.ping().await.unwrap_err();
    let unreadable = PostgresStore::open_lazy("postgres://u:canary@h:port/", AMPLE).unwrap_err();
    for text in [format!("{store:?} {error:?} {error}"), format!("{unreadable:?} {unreadable}")] {
        assert!(!text.contains("canary"), "{text}");
    }
}

#[tokio::test]
async fn a_mistyped_parameter_is_refused_and_named() {
    for (query, name) in [("sslmod=require", "sslmod"), ("sslmode=sure", "value")] {
        let address = format!("postgres://u:canary@h/d?{query}");
        let text = PostgresStore::open_lazy(&address, SHORT).unwrap_err().to_string();
        assert!(text.contains(name) && !text.contains("canary"), "{text}");
    }
}

#[tokio::test]
async fn statements_use_their_indexes() {
    let server = PostgresServer::start();
    open(&server, AMPLE).ping().await.unwrap();
    let _done = server.sql(
        "INSERT INTO async_msal.session SELECT 'c_' || md5(i::text), 'x', 1, 9e9 FROM generate_series(1, 20000) i; \
         INSERT INTO async_msal.user_index SELECT 'n' || i, 'c_', 1, 9e9 FROM generate_series(1, 20000) i; \
         ANALYZE;",
    );
    let plan = |statement: &str, types: &str, values: &str| {
        let prepared = format!(
            "SET plan_cache_mode = force_generic_plan; PREPARE s ({types}) AS {statement}; EXPLAIN EXECUTE s ({values});"
        );
        server.sql(&prepared)
    };
    let statements = PostgresStore::STATEMENTS;
    let plans = [
        plan(statements.load, "bigint, text", "NULL, 'c_1'"),
        plan(statements.load_many, "bigint, text", r#"NULL, '["c_1"]'"#),
        plan(statements.index_lookup, "bigint, text, bigint", "NULL, 'n1', 9"),
        plan(statements.scan, "bigint, text, text, bigint", "NULL, 'c_', 'c_g', 100"),
        plan(statements.sweep[0], "bigint, bigint", "NULL, 100"),
        plan(statements.sweep[2], "bigint, bigint", "NULL, 100"),
    ];
    for plan in plans {
        assert!(plan.contains("Index") && !plan.contains("Seq Scan"), "{plan}");
    }
}

#[tokio::test]
async fn a_database_that_takes_no_writes_reads_and_says_so() {
    let server = PostgresServer::start();
    let store = open(&server, AMPLE);
    store.create(&key('1'), Bytes::from_static(b"x"), HOUR).await.unwrap();
    let _done = server.sql("ALTER DATABASE postgres SET default_transaction_read_only = on");
    let replica = open(&server, AMPLE);
    assert!(replica.load(&key('1')).await.unwrap().is_some());
    let refused = replica.delete(&key('1')).await.unwrap_err();
    assert!(refused.reads_go_on(), "{refused:?}");
}

#[tokio::test]
async fn a_connection_that_falls_silent_while_the_tables_are_made_is_given_up() {
    let server = PostgresServer::start();
    let (port, mute) = proxy(server.port()).await;
    let address = server.url().replace(&server.port().to_string(), &port.to_string());
    let store = PostgresStore::open_lazy(&address, AMPLE).unwrap();
    // Another node holds the turn, so that opening waits in the server.
    let options = PgConnectOptions::from_url(&Url::parse(&server.url()).unwrap()).unwrap();
    let mut other = options.connect().await.unwrap();
    let lock = sqlx::AssertSqlSafe(schema::LOCK.replace("_xact", ""));
    sqlx::raw_sql(lock).execute(&mut other).await.unwrap();
    let end = Instant::now() + AMPLE;
    let waiting = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted";
    while sqlx::query(waiting).fetch_optional(&mut other).await.unwrap().is_none() {
        assert!(Instant::now() < end, "it does not wait for the turn");
        let _no_answer = tokio::time::timeout(SHORT, store.ping()).await;
    }
    mute.send(1).unwrap();
    drop(other);
    let end = Instant::now() + AMPLE;
    while !matches!(tokio::time::timeout(SHORT, store.ping()).await, Ok(Ok(()))) {
        assert!(Instant::now() < end, "not back");
    }
}

#[tokio::test]
async fn tls_is_checked_against_the_authority_given() {
    let (server, foreign) =
        (PostgresServer::builder().tls().start(), PostgresServer::builder().tls().start());
    let with = |root: &std::path::Path| {
        let address = format!("{}?sslmode=verify-full&sslrootcert={}", server.url(), root.display());
        PostgresStore::open_lazy(&address, Duration::from_secs(5)).unwrap()
    };
    let refused = with(foreign.ca_file()).ping().await.unwrap_err();
    assert!(
        matches!(refused, StoreError::Denied { .. }) && refused.to_string().contains("certificate"),
        "{refused:?}"
    );
    let store = with(server.ca_file());
    let version = store.create(&key('1'), "one".into(), Duration::from_secs(60)).await.unwrap().unwrap();
    store.compare_and_set(&key('1'), &version, "two".into(), Expiry::Keep).await.unwrap();
    assert_eq!(store.load(&key('1')).await.unwrap().unwrap().value, "two");
    assert!(store.delete(&key('1')).await.unwrap());
    let spoken = server.sql("SELECT bool_or(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'async-msal'");
    assert_eq!(spoken, "t");
}
