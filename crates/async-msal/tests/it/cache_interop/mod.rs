//! MSAL's caches open here and stay what they are.

mod msal;
mod realms;
mod shapes;
mod table;
mod trips;

use async_msal::TokenCache;
use serde_json::Value;

const EXAMPLE: &str = include_str!("../../fixtures/example_token_cache.json");

#[test]
fn msals_example_is_written_back_unchanged() {
    let cache = TokenCache::parse(EXAMPLE).unwrap();
    let written: Value = serde_json::from_str(&cache.to_json()).unwrap();
    assert_eq!(written, serde_json::from_str::<Value>(EXAMPLE).unwrap());
    assert!(!cache.has_changed());
}

#[test]
fn alias_of_the_host_finds_the_account() {
    let cache = TokenCache::parse(EXAMPLE).unwrap();
    assert_eq!(cache.accounts("login.windows.net").len(), 1);
    assert_eq!(cache.accounts("login.microsoftonline.us").len(), 0);
}

#[test]
fn id_token_of_the_cache_can_be_read() {
    let cache = TokenCache::parse(EXAMPLE).unwrap();
    let account = cache.accounts("login.microsoftonline.com").remove(0);
    let token = cache.id_token(&account, "33333333-3333-3333-3333-333333333333").unwrap();
    let claims = async_msal::IdTokenClaims::from_stored(token.expose_secret()).unwrap();
    assert_eq!(claims.oid.as_deref(), account.local_account_id());
}
