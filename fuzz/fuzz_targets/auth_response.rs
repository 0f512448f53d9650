//! The authorization response: a form that anybody can send to the callback.
#![no_main]

use async_msal::AuthResponse;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Err(error) = AuthResponse::parse(text) {
        let _ = (error.code(), error.to_string());
    }
});
