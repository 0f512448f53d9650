//! Guards: who may use a route, said where the route is mounted.
//!
//! A [`Guard`] is a tower layer. Nobody signed in: browsers are sent to the login page and come back, programs get
//! 401. Signed in but refused: 403. A guard works below [`crate::MsalLayer`], after the router has found the route,
//! so it looks at the route that will really answer, however the address was spelled.
//!
//! ```
//! use async_msal_axum::guard;
//! use axum::{Router, routing::get};
//!
//! let admins = Router::<()>::new()
//!     .route("/admin", get(|| async { "for administrators" }))
//!     .route_layer(guard::all([
//!         guard::roles(["Admin", "Owner"]),
//!         guard::check(|user| user.mail().is_some_and(|mail| mail.ends_with("@example.com"))),
//!     ]));
//! # let _ = admins;
//! ```

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_msal::Scopes;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use futures_util::future::BoxFuture;
use tower::{Layer, Service};

use crate::extract::AsyncMsal;
use crate::rejection::Rejection;
use crate::visit::Visit;

type Check = dyn Fn(AsyncMsal) -> BoxFuture<'static, Result<(), Rejection>> + Send + Sync;

/// A condition on the signed-in user, and a tower layer that enforces it.
#[derive(Clone)]
#[must_use = "a guard does nothing until it is given to `Router::route_layer` or `Guard::require`"]
pub struct Guard {
    check: Arc<Check>,
}

/// Anybody who is signed in.
pub fn signed_in() -> Guard {
    check(|_| true)
}

/// A synchronous condition on the session.
pub fn check<F>(condition: F) -> Guard
where
    F: Fn(&AsyncMsal) -> bool + Send + Sync + 'static,
{
    Guard::new(move |session| std::future::ready(allowed(condition(&session))))
}

/// An asynchronous condition on the session, for example one that asks a database.
///
/// # Cancel safety
/// The condition is dropped with the request, at any of its awaits.
pub fn check_async<F, Fut>(condition: F) -> Guard
where
    F: Fn(AsyncMsal) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = bool> + Send + 'static,
{
    Guard::new(move |session| {
        let answer = condition(session);
        async move { allowed(answer.await) }
    })
}

/// One of these application roles (claim `roles` of the verified id token). For several at once put `roles` guards
/// into [`all`].
pub fn roles<R: Into<String>>(roles: impl IntoIterator<Item = R>) -> Guard {
    let wanted: Vec<String> = roles.into_iter().map(Into::into).collect();
    check(move |session| session.roles().iter().any(|role| wanted.iter().any(|wanted| wanted == role)))
}

/// Every one of these scopes was granted: the session has a token for them, or gets one by its refresh token. Where
/// the user has not agreed yet, a browser is sent to do so and comes back.
pub fn scopes<S: Into<String>>(scopes: impl IntoIterator<Item = S>) -> Guard {
    let wanted: Scopes = scopes.into_iter().collect();
    Guard::new(move |session| {
        let wanted = wanted.clone();
        async move {
            if session.token_info(&wanted).is_none() {
                session.get_token(&wanted).await?;
            }
            Ok(())
        }
    })
}

/// Every one of these guards, asked in order, the first refusal decides.
pub fn all(guards: impl IntoIterator<Item = Guard>) -> Guard {
    let guards: Arc<[Guard]> = guards.into_iter().collect();
    Guard::new(move |session| {
        let guards = Arc::clone(&guards);
        async move {
            for guard in guards.iter() {
                guard.require(&session).await?;
            }
            Ok(())
        }
    })
}

/// At least one of these guards, asked in order, the first that agrees decides. Where none does, the first refusal
/// stands; an empty list agrees to nobody.
pub fn any(guards: impl IntoIterator<Item = Guard>) -> Guard {
    let guards: Arc<[Guard]> = guards.into_iter().collect();
    Guard::new(move |session| {
        let guards = Arc::clone(&guards);
        async move {
            let mut first_refusal = None;
            for guard in guards.iter() {
                match guard.require(&session).await {
                    Ok(()) => return Ok(()),
                    Err(refusal) => first_refusal = first_refusal.or(Some(refusal)),
                }
            }
            Err(first_refusal.unwrap_or(Rejection::Forbidden))
        }
    })
}

fn allowed(answer: bool) -> Result<(), Rejection> {
    if answer { Ok(()) } else { Err(Rejection::Forbidden) }
}

impl Guard {
    fn new<F, Fut>(check: F) -> Self
    where
        F: Fn(AsyncMsal) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), Rejection>> + Send + 'static,
    {
        Self { check: Arc::new(move |session| Box::pin(check(session))) }
    }

    /// The same question inside a handler.
    ///
    /// # Errors
    /// [`Rejection::Forbidden`] where the condition does not hold; of [`scopes`] also
    /// [`Rejection::InteractionRequired`] and what else fetching a token can end in.
    ///
    /// # Cancel safety
    /// Nothing is changed by asking.
    pub async fn require(&self, session: &AsyncMsal) -> Result<(), Rejection> {
        (self.check)(session.clone()).await
    }

    async fn admit(&self, visit: Result<Visit, Rejection>) -> Result<(), Rejection> {
        self.require(&visit?.signed_in().await?).await
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Guard")
    }
}

impl<S> Layer<S> for Guard {
    type Service = GuardService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        GuardService { guard: self.clone(), inner }
    }
}

/// The service that a [`Guard`] makes of another.
#[derive(Clone, Debug)]
pub struct GuardService<S> {
    guard: Guard,
    inner: S,
}

impl<S> Service<Request> for GuardService<S>
where
    S: Service<Request, Response = Response> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        // The clone stays for the next request; the one that was polled ready answers this one.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let guard = self.guard.clone();
        let visit = Visit::of(request.extensions());
        Box::pin(async move {
            match guard.admit(visit).await {
                Ok(()) => inner.call(request).await,
                Err(rejection) => Ok(rejection.into_response()),
            }
        })
    }
}
