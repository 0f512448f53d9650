//! A cache of unknown origin: refused by name, or read, searched, merged and written back as it was.
#![no_main]

use async_msal::TokenCache;
use libfuzzer_sys::fuzz_target;

const HOST: &str = "login.microsoftonline.com";

fuzz_target!(|text: &str| {
    let cache = match TokenCache::parse(text) {
        Ok(cache) => cache,
        Err(refusal) => {
            let _ = refusal.to_string();
            return;
        }
    };
    let written = cache.to_json();
    let again = TokenCache::parse(&written).expect("what was written can be read");
    assert_eq!(again.to_json(), written);
    assert!(!TokenCache::merge(&cache, &cache, &again).has_changed());
    for account in cache.accounts(HOST) {
        assert!(cache.accounts_of(HOST, account.home_account_id()).contains(&account));
        let mut without = cache.clone();
        without.remove_account(&account, "client");
        assert!(without.accounts_of(account.environment(), account.home_account_id()).is_empty());
        let _ = cache.id_token(&account, "client");
    }
});
