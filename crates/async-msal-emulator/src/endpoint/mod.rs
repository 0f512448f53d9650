//! The HTTP endpoints, one file each.

pub(crate) mod admin;
pub(crate) mod authorize;
pub(crate) mod client_auth;
pub(crate) mod discovery;
pub(crate) mod graph;
pub(crate) mod managed_identity;
pub(crate) mod on_behalf_of;
pub(crate) mod params;
pub(crate) mod sign_out;
pub(crate) mod token;
