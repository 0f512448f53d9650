//! async-msal-axum
