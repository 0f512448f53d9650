//! A local Entra ID and Microsoft Graph, for development and tests.
//!
//! The emulator speaks what the Microsoft identity platform speaks to a web application: discovery, keys, a login
//! page with people to choose from, the token endpoint with its AADSTS errors, sign-out, and the three Graph calls
//! about the signed-in user. It is strict where Entra ID is strict, so a mistake does not pass here and fail there.
//! It imports nothing of the client it judges.
//!
//! ```
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! use async_msal_emulator::Emulator;
//!
//! let emulator = Emulator::builder().redirect_uri("http://localhost:8400/user/authorized").start().await?;
//! println!("authority {}", emulator.authority_url());
//! println!("graph     {}", emulator.graph_url());
//! println!("client    {}", emulator.client_id());
//! emulator.shutdown().await;
//! # Ok::<(), async_msal_emulator::EmulatorError>(())
//! # }).unwrap();
//! ```
//!
//! # The people
//! [`Emulator::users`] lists them: Ada has a manager and a photo, Ben has no manager, Cleo has neither photo nor mail,
//! and Gil is a guest, whose ids at home differ from those in this tenant.
//!
//! # Addresses of other kinds
//! `/{tenant}/b2c_1_...` is Azure AD B2C with that policy, `/adfs` is AD FS, and a host under `ciamlogin.com`
//! ([`TlsMode::ThrowAway`]) is External ID: issuers, addresses and claims are theirs. [`Emulator::base_url`] itself is
//! the issuer of a provider that is none of Microsoft's, with no tenant in any path; there a client's assertion counts
//! once (RFC 7523 3).
//!
//! # Clients without a secret
//! A client may have certificates ([`ClientRegistration::with_certificate_pem`]) and federated credentials
//! ([`ClientRegistration::with_federated_credential`]): tokens of [`Emulator::workload_identity_token`], or of the
//! managed identity that the emulator serves as an Azure machine (`/metadata/identity/oauth2/token`) and as App
//! Service (`/msi/token`) do.
//!
//! # What is kept
//! With [`EmulatorBuilder::data_dir`] the signing keys, the certificate authority, the client secret, codes, refresh
//! tokens and consents live in that folder, so that a restart keeps users signed in. Without it they live in memory.
//! Ids depend on [`EmulatorBuilder::seed`] alone. Two emulators share nothing,
//! but a first signing key where [`EmulatorBuilder::shared_signing_key`] says so.
//!
//! # Faults and settings
//! [`Emulator::admin`] changes lifetimes, rotates keys, counts requests and plans faults: [`Admin`]. The same is
//! served as JSON under `/_admin`, for other languages; ADMIN.md beside this crate describes it.
//!
//! # Security
//! It listens on loopback unless told otherwise by a method whose name begins with `dangerous_`. Anybody who can reach
//! it can sign in as anybody, so nothing real may ever trust its tokens.

mod aadsts;
mod admin;
mod authorize;
mod builder;
mod client;
mod client_assertion;
mod counters;
mod data_dir;
mod directory;
mod emulator;
mod endpoint;
mod error;
mod fault;
mod grants;
mod keys;
mod logout_token;
mod pages;
mod persons;
mod photo;
mod policy;
mod random;
mod resource;
mod server;
mod shape;
mod state;
mod tls;
mod token;

pub use admin::Admin;
pub use authorize::AuthorizationAnswer;
pub use builder::{EmulatorBuilder, TlsMode};
pub use client::{ClientRegistration, FederatedCredential};
pub use counters::Counters;
pub use emulator::Emulator;
pub use error::EmulatorError;
pub use fault::{Endpoint, Fault, FaultRule, IdTokenFault, IdTokenFaultRule};
pub use logout_token::{LogoutTokenFault, LogoutTokenRequest};
pub use persons::Person;
pub use policy::{IssuerParameter, MetadataFault, Policy, StateParameter};
