//! The browser side over HTTP, against the real emulator: every test starts an application of its own on a free port.

mod app;
mod browser;
mod store;

mod backchannel;
mod bad_callback;
mod callback_faults;
mod cookies;
mod extractors;
mod guards;
mod id_token;
mod incremental_consent;
mod logout;
mod loops;
mod mounting;
mod own_routes;
mod python;
#[cfg(feature = "redis")]
mod redis_trouble;
mod return_address;
mod secrets_in_logs;
mod shutdown;
mod sign_in;
mod store_down;
mod test_kit;
#[cfg(feature = "redis")]
mod two_nodes;
