//! Examples of async-msal.
