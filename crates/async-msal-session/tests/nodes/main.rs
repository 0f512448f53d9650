//! Several processes over one store: who renews, and what is left when one of them is killed or paused.
//!
//! Each node is a process of its own: this test binary, started again with the one ignored test `node::node`. It takes
//! orders on standard input and reports on standard output. ASYNC_MSAL_NODE_RUNS says how often the races are run (once),
//! ASYNC_MSAL_NODE_STORE_TIMEOUT with which time limit of the store, in milliseconds (2000).
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails by saying so")]

mod fleet;
mod held_store;
mod killed;
mod killed_indexing;
mod node;
mod one_renewal;
mod sign_out;
