//! The `async-msal` command.

fn main() {}
