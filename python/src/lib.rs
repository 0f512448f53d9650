//! `async_msal._native`: the Rust half of the Python package `async_msal`.
//!
//! What needs no network is answered on Python's thread; network work runs on one Tokio runtime (`runtime`), which is
//! made at its first use and never by an import. Everything a Python user calls has its text in
//! `async_msal/_native.pyi`.

mod assertion;
mod bridge;
mod cache;
mod calls;
mod client;
mod convert;
mod error;
mod flight;
mod graph;
mod options;
mod request;
mod runtime;
mod sessions;
mod texts;

/// The classes that `async_msal` builds on.
#[pyo3::pymodule]
mod _native {
    #[pymodule_export]
    use crate::cache::SerializableTokenCache;
    #[pymodule_export]
    use crate::client::Client;
    #[pymodule_export]
    use crate::error::IdTokenError;
    #[pymodule_export]
    use crate::sessions::Sessions;
    #[pymodule_export]
    use crate::texts::Texts;
}
