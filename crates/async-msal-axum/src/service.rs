//! The life of a request stands in [`MsalService::call`].

use std::sync::Arc;
use std::task::{Context, Poll};

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use futures_util::future::BoxFuture;
use http::header;
use tower::Service;

use crate::headers;
use crate::layer::Shared;
use crate::origin::{self, RequestOrigin};
use crate::rejection::Rejection;
use crate::visit::Visit;

/// The service that [`crate::MsalLayer`] makes of another.
#[derive(Clone, Debug)]
pub struct MsalService<S> {
    shared: Arc<Shared>,
    inner: S,
}

impl<S> MsalService<S> {
    pub(crate) fn new(shared: Arc<Shared>, inner: S) -> Self {
        Self { shared, inner }
    }
}

impl<S> Service<Request> for MsalService<S>
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

    fn call(&mut self, mut request: Request) -> Self::Future {
        // The clone stays for the next request; the one that was polled ready answers this one.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);

        // 1. The request learns where its session would be found. Nothing is loaded yet: a handler that asks
        //    nothing costs no store read.
        let visit = Visit::new(Arc::clone(&self.shared), &request);
        let forged = self.shared.same_origin_only && is_forged(&request, &self.shared);
        request.extensions_mut().insert(visit.clone());

        Box::pin(async move {
            // 2. The handler runs; extractors and guards load the session when they need it.
            let mut response = match forged {
                true => Rejection::CrossOrigin.into_response(),
                false => inner.call(request).await?,
            };

            // 3. Whatever the handler changed is saved before the headers go out, whatever it answered: an error
            //    answer does not undo a renewed token. After a panic this line is not reached, so half-made changes
            //    are not kept.
            let saved = visit.save().await;

            // 4. Refusals become what this client understands: a redirect, a page, or a status with JSON.
            let refusal = match &saved {
                Ok(_) => response.extensions_mut().remove::<Rejection>(),
                Err(rejection) => Some(rejection.clone()),
            };
            if let Some(rejection) = refusal {
                response = rejection.render(&visit).await;
            }

            // 5. An answer that depends on the session is nobody else's.
            if let Ok(Some(line)) = saved {
                response.headers_mut().append(header::SET_COOKIE, line);
                headers::forbid_storing(response.headers_mut());
            } else if visit.was_asked() {
                headers::keep_private(response.headers_mut());
            }
            Ok(response)
        })
    }
}

/// An unsafe request that a page of another site made. The callback is the one that another site makes rightly: it
/// is protected by the state and the flow cookie.
fn is_forged(request: &Request, shared: &Shared) -> bool {
    // Most requests are safe ones, and need no more looking at.
    if !origin::is_unsafe(request.method(), request.headers()) {
        return false;
    }
    let path = request.uri().path();
    let callback =
        path == shared.site.route("authorized") || path == format!("{}/authorized", shared.site.prefix());
    !callback && RequestOrigin::of(request.headers(), &shared.site.origin()) == RequestOrigin::Foreign
}
