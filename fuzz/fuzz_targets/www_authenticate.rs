//! An API's challenges: several in a header, several headers.
#![no_main]

use async_msal::ClaimsChallenge;
use http::HeaderMap;
use http::header::{HeaderValue, WWW_AUTHENTICATE};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut headers = HeaderMap::new();
    for line in data.split(|byte| *byte == b'\n') {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(WWW_AUTHENTICATE, value);
        }
    }
    if let Some(claims) = ClaimsChallenge::from_www_authenticate(&headers) {
        ClaimsChallenge::parse(claims.as_str()).expect("claims that were taken are claims");
    }
});
