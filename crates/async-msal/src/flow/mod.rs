//! The flows: each reads top to bottom in the order it runs.

pub(crate) mod auth_code;
mod auth_code_flow;
mod auth_code_request;
mod auth_response;
mod callback;
pub(crate) mod client_credentials;
pub(crate) mod migration;
pub(crate) mod on_behalf_of;
pub(crate) mod refresh_token;
pub(crate) mod sign_out;
pub(crate) mod silent;
mod token_result;

pub use auth_code_flow::AuthCodeFlow;
pub use auth_code_request::{AuthCodeRequest, Prompt, ResponseMode};
pub use auth_response::AuthResponse;
pub use client_credentials::ClientTokenOptions;
pub use on_behalf_of::OnBehalfOfOptions;
pub use refresh_token::RefreshOptions;
pub use sign_out::SignOutRequest;
pub use token_result::{SignInResult, TokenResult, TokenSource};
