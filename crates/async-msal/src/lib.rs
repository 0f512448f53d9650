//! async-msal
