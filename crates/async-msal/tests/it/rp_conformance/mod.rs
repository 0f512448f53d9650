//! The OpenID Connect relying-party certification modules of the code flow, one test each, named after
//! the suite's. The emulator plays the provider.

mod discovery;
mod id_token;
mod keys;
mod refresh;
mod response;
mod token_endpoint;
