//! Extractors: who is there, in a handler's signature. They work under any application state.

use std::convert::Infallible;
use std::net::IpAddr;
use std::ops::Deref;

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use http::request::Parts;

use crate::rejection::Rejection;
use crate::visit::Visit;

/// The session of this request, signed in or not: the handle of [`async_msal_session`], with everything it can do.
///
/// Loading it is one store read per request, whoever asks first; a request in which nobody asks costs none. What a
/// handler changes through it is saved before the answer's headers go out.
///
/// ```
/// use async_msal_axum::AsyncMsal;
///
/// async fn greet(session: AsyncMsal) -> String {
///     match session.is_authenticated() {
///         true => format!("Hello {}", session.name().unwrap_or_default()),
///         false => "Hello stranger".to_owned(),
///     }
/// }
/// # let _ = axum::Router::<()>::new().route("/", axum::routing::get(greet));
/// ```
#[derive(Clone, Debug)]
pub struct AsyncMsal(async_msal_session::AsyncMsal);

impl AsyncMsal {
    pub(crate) fn new(session: async_msal_session::AsyncMsal) -> Self {
        Self(session)
    }

    /// The handle itself, for code that knows nothing of axum. It stays usable after the answer has gone out, as in
    /// a WebSocket.
    #[must_use]
    pub fn into_inner(self) -> async_msal_session::AsyncMsal {
        self.0
    }
}

impl Deref for AsyncMsal {
    type Target = async_msal_session::AsyncMsal;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<S: Send + Sync> FromRequestParts<S> for AsyncMsal {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Rejection> {
        Visit::of(&parts.extensions)?.session().await
    }
}

/// A user who is signed in. Where nobody is, the handler does not run: a browser is sent to the login page and comes
/// back to this address, a program gets 401.
///
/// `Option<SignedIn>` lets the handler run in both cases. A store that does not answer is neither: 503.
///
/// ```
/// use async_msal_axum::SignedIn;
///
/// async fn private(user: SignedIn) -> String {
///     format!("Hello {}", user.name().unwrap_or_default())
/// }
/// async fn public(user: Option<SignedIn>) -> &'static str {
///     if user.is_some() { "welcome back" } else { "hello" }
/// }
/// # use axum::routing::get;
/// # let _ = axum::Router::<()>::new().route("/private", get(private)).route("/", get(public));
/// ```
#[derive(Clone, Debug)]
pub struct SignedIn(AsyncMsal);

impl SignedIn {
    /// The session handle of this user.
    #[must_use]
    pub fn into_inner(self) -> AsyncMsal {
        self.0
    }
}

impl Deref for SignedIn {
    type Target = AsyncMsal;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<S: Send + Sync> FromRequestParts<S> for SignedIn {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Rejection> {
        Visit::of(&parts.extensions)?.signed_in().await.map(Self)
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for SignedIn {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Option<Self>, Rejection> {
        match Visit::of(&parts.extensions)?.signed_in().await {
            Ok(session) => Ok(Some(Self(session))),
            Err(Rejection::SignInRequired) => Ok(None),
            Err(other) => Err(other),
        }
    }
}

/// The caller's address as far as it can be known: the peer's, or behind `TRUSTED_PROXIES` the one they report.
/// `None` without the layer, or where the server does not tell the peer's address
/// (`into_make_service_with_connect_info::<SocketAddr>()`).
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ClientAddress(pub Option<IpAddr>);

impl<S: Send + Sync> FromRequestParts<S> for ClientAddress {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(Self(Visit::of(&parts.extensions).ok().and_then(|visit| visit.client_address())))
    }
}

/// The library's own handlers take the whole visit.
impl<S: Send + Sync> FromRequestParts<S> for Visit {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Rejection> {
        Self::of(&parts.extensions)
    }
}
