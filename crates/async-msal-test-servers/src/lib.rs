//! Real servers for tests: each is a process of its own on a free port of loopback, with a folder of its own, and ends
//! with the value that stands for it (or with the test's process, however that ends).
//!
//! ```no_run
//! use async_msal_test_servers::RedisServer;
//!
//! let mut server = RedisServer::start();
//! println!("{}", server.url());
//! server.kill9();
//! server.restart();
//! ```
//!
//! Functions block and panic where a server does not start: whoever calls them is a test. The servers are Debian's
//! packages `redis-server`, `postgresql` and `libfaketime`, which `scripts/test` installs.
#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails by saying so")]

mod clock;
mod postgres;
mod process;
mod redis;
mod redis_cluster;
mod sentinel;
mod tls;

pub use self::clock::FakeClock;
pub use self::postgres::{PostgresServer, PostgresServerBuilder};
pub use self::redis::{RedisServer, RedisServerBuilder};
pub use self::redis_cluster::RedisCluster;
pub use self::sentinel::Sentinel;
