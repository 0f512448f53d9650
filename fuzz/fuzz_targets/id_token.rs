//! An id token before its signature is looked at, and one that a cache kept.
#![no_main]

use async_msal::IdTokenClaims;
use async_msal::internals::is_signed_token;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = is_signed_token(text);
    if let Err(error) = IdTokenClaims::from_stored(text) {
        let _ = error.to_string();
    }
});
