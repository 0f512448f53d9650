//! The command as it is used: run in a process of its own, visited by a real browser.
#![expect(clippy::unwrap_used, reason = "a failed expectation in a test's helper ends the test as well")]

mod browser;
mod cross_site;
mod cut_connection;
mod demo_command;
mod demo_process;
mod demo_trip;
mod documents;
mod emulator_command;
mod many_sign_ins;
mod sessions_command;
mod site;
/// The visitor of `demo --check` signs in here as well.
#[path = "../../src/command/demo/check/visitor.rs"]
#[expect(dead_code, reason = "the check uses more of it")]
mod visitor;
