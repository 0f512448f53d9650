//! async-msal-session
