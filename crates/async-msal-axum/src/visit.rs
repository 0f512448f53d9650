//! One request's view of the session: loaded when somebody asks, at most once, and not at all otherwise.

use std::net::IpAddr;
use std::sync::Arc;

use async_msal_session::{AsyncMsal as Session, Error, SessionId};
use axum::extract::{OriginalUri, Request};
use http::{Extensions, HeaderValue};
use tokio::sync::OnceCell;

use crate::client_kind::ClientKind;
use crate::cookies::{RequestCookies, TooManyCookies};
use crate::extract::AsyncMsal;
use crate::layer::Shared;
use crate::rejection::Rejection;

/// What the layer puts into a request's extensions.
#[derive(Clone, Debug)]
pub(crate) struct Visit(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    cookies: Result<RequestCookies, TooManyCookies>,
    page: RequestedPage,
    client_address: Option<IpAddr>,
    session: OnceCell<Loaded>,
}

#[derive(Debug)]
struct Loaded {
    session: Session,
    /// Whether the store had it: then its end takes the cookie away.
    was_stored: bool,
}

/// What was asked for, and who reads the answer.
#[derive(Clone, Debug)]
pub(crate) struct RequestedPage {
    pub(crate) client: ClientKind,
    pub(crate) reads_html: bool,
    pub(crate) path_and_query: String,
}

impl Visit {
    pub(crate) fn new(shared: Arc<Shared>, request: &Request) -> Self {
        let headers = request.headers();
        let uri =
            request.extensions().get::<OriginalUri>().map_or_else(|| request.uri(), |original| &original.0);
        let page = RequestedPage {
            client: ClientKind::of(request.method(), headers),
            reads_html: ClientKind::reads_html(headers),
            path_and_query: uri.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
        };
        let client_address = shared.proxies.client_address(request.extensions(), headers);
        let cookies = RequestCookies::read(headers);
        Self(Arc::new(Inner { shared, cookies, page, client_address, session: OnceCell::new() }))
    }

    /// # Errors
    /// [`Rejection::LayerMissing`] where the request did not come through [`crate::MsalLayer`].
    pub(crate) fn of(extensions: &Extensions) -> Result<Self, Rejection> {
        extensions.get::<Self>().cloned().ok_or(Rejection::LayerMissing)
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.0.shared
    }

    pub(crate) fn page(&self) -> &RequestedPage {
        &self.0.page
    }

    pub(crate) fn client_address(&self) -> Option<IpAddr> {
        self.0.client_address
    }

    /// # Errors
    /// [`Rejection::TooManyCookies`].
    pub(crate) fn cookies(&self) -> Result<&RequestCookies, Rejection> {
        self.0.cookies.as_ref().map_err(|TooManyCookies| Rejection::TooManyCookies)
    }

    /// The id in the session cookie, whether or not such a session exists.
    ///
    /// # Errors
    /// [`Rejection::TooManyCookies`].
    pub(crate) fn session_id(&self) -> Result<Option<SessionId>, Rejection> {
        Ok(self.shared().session_cookie.read(self.cookies()?))
    }

    /// The session of this request: the stored one, or an empty one where there is none.
    ///
    /// # Errors
    /// The store failed, or the request carries too many cookies. A failure is not remembered: the next asker of
    /// the same request asks the store again.
    pub(crate) async fn session(&self) -> Result<AsyncMsal, Rejection> {
        let loaded = self.0.session.get_or_try_init(|| self.load()).await?;
        Ok(AsyncMsal::new(loaded.session.clone()))
    }

    /// # Errors
    /// As [`Visit::session`], and [`Rejection::SignInRequired`] where nobody is signed in.
    pub(crate) async fn signed_in(&self) -> Result<AsyncMsal, Rejection> {
        let session = self.session().await?;
        if session.is_authenticated() { Ok(session) } else { Err(Rejection::SignInRequired) }
    }

    /// Whether anybody asked for the session.
    pub(crate) fn was_asked(&self) -> bool {
        self.0.session.initialized()
    }

    async fn load(&self) -> Result<Loaded, Rejection> {
        let msal = &self.shared().msal;
        let stored = match self.session_id()? {
            Some(id) => msal.load_session(&id).await?,
            None => None,
        };
        let was_stored = stored.is_some();
        Ok(Loaded { session: stored.unwrap_or_else(|| msal.new_session()), was_stored })
    }

    /// Saves what the handler changed, and says which `Set-Cookie` line the answer needs for it.
    ///
    /// # Errors
    /// The store failed. A session that ended meanwhile is no failure: the change was made for nobody.
    pub(crate) async fn save(&self) -> Result<Option<HeaderValue>, Rejection> {
        let Some(Loaded { session, was_stored }) = self.0.session.get() else { return Ok(None) };
        if session.is_changed() {
            match session.save().await {
                Ok(()) => {}
                Err(Error::SessionEnded) => {
                    tracing::info!("the session ended during a request; its change was dropped")
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(self.cookie_line(session, *was_stored))
    }

    /// A session that was made here gets its cookie, one that ended here loses it.
    fn cookie_line(&self, session: &Session, was_stored: bool) -> Option<HeaderValue> {
        let cookie = &self.shared().session_cookie;
        let in_browser = self.session_id().ok().flatten();
        match (session.store_key(), session.session_id(), in_browser) {
            (Some(_), Some(id), None) => Some(cookie.set(&id)),
            (Some(_), Some(id), Some(known)) if !id.ct_eq(&known) => Some(cookie.set(&id)),
            (None, _, Some(_)) if was_stored => Some(cookie.remove()),
            _ => None,
        }
    }
}
