//! MSAL for async Rust: sign-in with Microsoft Entra ID, MSAL's token cache, silent renewal.
//!
//! This crate is the protocol. It knows no session, no store and no web framework; it does no I/O when
//! a client is built, and starts no renewal by itself.
//!
//! # A sign-in
//!
//! ```no_run
//! # // Needs a browser between the two halves.
//! use async_msal::{AuthCodeRequest, AuthResponse, Authority, ClientSecret, ConfidentialClient, Scopes, TokenCache};
//!
//! # async fn sign_in(body_of_the_callback: &str) -> Result<(), Box<dyn std::error::Error>> {
//! let client = ConfidentialClient::builder("33333333-3333-3333-3333-333333333333")
//!     .authority(Authority::parse("https://login.microsoftonline.com/contoso.onmicrosoft.com")?)
//!     .client_secret(ClientSecret::new("from your vault"))
//!     .build()?;
//! let request = AuthCodeRequest::new("https://app.example/authorized".parse()?, Scopes::from(["User.Read"]));
//! let flow = client.initiate_auth_code_flow(request).await?;
//! println!("send the browser to {:?}", flow.auth_uri());
//!
//! let mut cache = TokenCache::new();
//! let response = AuthResponse::parse(body_of_the_callback)?;
//! let signed_in = client.acquire_token_by_auth_code_flow(&mut cache, &flow, response).await?;
//!
//! let scopes = Scopes::from(["User.Read"]);
//! let token = client.acquire_token_silent(&mut cache, &signed_in.account, &scopes).await?;
//! # let _ = token; Ok(()) }
//! ```
//!
//! # Authorities
//!
//! [`Authority`] is the address tokens come from. Its metadata and keys are fetched on first use, by one
//! fetch for all who ask at once, and stay in use while the authority is down.
//!
//! # Credentials
//!
//! [`ClientCredential`]: a secret, a certificate, an assertion from a callback or a projected file, or the managed
//! identity of the machine. The feature `pfx` reads certificates from PKCS#12 files.
//!
//! # Proof
//!
//! [`VerifiedIdToken`] exists only after every check of OpenID Connect Core 3.1.3.7; nothing is written
//! to a cache before it. The signature cannot be switched off.
//!
//! # Ways to a token
//!
//! A signed-in user's: [`acquire_token_silent`](ConfidentialClient::acquire_token_silent). The application's own:
//! [`acquire_token_for_client`](ConfidentialClient::acquire_token_for_client). For another API, on behalf of whoever
//! called ours: [`acquire_token_on_behalf_of`](ConfidentialClient::acquire_token_on_behalf_of). From another library's
//! store: [`acquire_token_by_refresh_token`](ConfidentialClient::acquire_token_by_refresh_token).
//!
//! Left out on purpose: user name and password (RFC 9700 2.4 forbids the grant, and it passes by every second
//! factor) and WS-Trust, which exists for it; the device code and the interactive grant, which belong to public
//! clients: a server application has a browser before it and a credential of its own.
//!
//! # Token cache
//!
//! [`TokenCache`] is MSAL's JSON: what MSAL Python wrote opens here and the other way round, and fields
//! that neither knows are kept.
//!
//! # Without a tenant
//!
//! The emulator of this repository (`cargo run -- emulator`, or the crate `async-msal-emulator` in a test) is an authority
//! on this machine: take its address, client id and secret, and allow it by
//! [`dangerous_allow_loopback_authority`](ConfidentialClientBuilder::dangerous_allow_loopback_authority). A caller's token
//! for on-behalf-of is one that a user got for the scope `api://{client id}/access_as_user` there.
//!
//! # Errors
//!
//! [`Error`] answers who must act; `code()` is stable, `advice()` is what a web application does about it, `hint()`
//! says it in words.
//!
//! # Secrets, time, randomness
//!
//! Secrets are types without `Display` and with a redacted `Debug` ([`secret`]). [`Clock`] and [`Random`]
//! come in through the builder, so that tests own them.

mod account;
mod authority;
pub mod claims_challenge;
pub mod client_credential;
mod clock;
mod confidential_client;
pub mod error;
mod flow;
mod health;
pub mod http_client;
mod id_token;
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod internals;
mod json;
mod pkce;
mod random;
mod scope;
pub mod secret;
pub mod telemetry;
pub mod token_cache;
mod token_endpoint;

pub use account::Account;
pub use authority::{Authority, AuthorityKind, Cloud, Metadata, PERSONAL_TENANT, Tenant};
pub use claims_challenge::ClaimsChallenge;
pub use client_credential::{ClientCertificate, ClientCredential, ManagedIdentity};
pub use clock::{Clock, ManualClock, SystemClock};
pub use confidential_client::{ConfidentialClient, ConfidentialClientBuilder};
pub use error::{Advice, Error, ServerError};
pub use flow::{
    AuthCodeFlow, AuthCodeRequest, AuthResponse, ClientTokenOptions, OnBehalfOfOptions, Prompt,
    RefreshOptions, ResponseMode, SignInResult, SignOutRequest, TokenResult, TokenSource,
};
pub use health::{ClientHealth, ComponentHealth, Status};
pub use id_token::{IdTokenClaims, IdTokenError, LogoutToken, SigningAlgorithm, VerifiedIdToken};
pub use random::{Random, RandomError, SystemRandom};
pub use scope::{RESERVED, Scopes};
pub use secret::{
    AccessToken, AuthorizationCode, ClientAssertion, ClientSecret, CodeVerifier, IdToken, Nonce, Passphrase,
    RefreshToken, State,
};
pub use token_cache::{CacheError, CachedToken, Hit, Lookup, MissReason, TokenCache};
pub use token_endpoint::{RawAnswer, SendGate};
