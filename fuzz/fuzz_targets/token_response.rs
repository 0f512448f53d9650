//! The token endpoint's answer, good or bad, on its way into a cache.
#![no_main]

use async_msal::TokenCache;
use async_msal::internals::TokenAnswer;
use libfuzzer_sys::fuzz_target;

const NOW: i64 = 1_767_225_600;
const HOST: &str = "login.microsoftonline.com";
const CACHE: &str = include_str!("../../crates/async-msal/tests/fixtures/example_token_cache.json");

fuzz_target!(|data: &[u8]| {
    for status in [200, 400, 429, 503] {
        match TokenAnswer::read(status, data, NOW) {
            Ok(answer) => {
                let mut cache = TokenCache::parse(CACHE).expect("a cache");
                let account = cache.accounts(HOST).remove(0);
                answer.add_to(&mut cache, &account, "33333333-3333-3333-3333-333333333333", NOW);
                TokenCache::parse(&cache.to_json()).expect("what was written can be read");
            }
            Err(error) => drop((error.code(), error.to_string())),
        }
    }
});
