//! The cookie that names the session: what it is called, where the browser sends it, how it ends.

use std::time::Duration;

use async_msal_session::{SessionId, SessionLayout, Settings};
use cookie::SameSite;
use http::HeaderValue;

use crate::cookies::{CookieKind, RequestCookies};

/// Name and attributes of the session cookie of one application.
#[derive(Clone, Debug)]
pub(crate) struct SessionCookie {
    name: String,
    kind: CookieKind,
    max_age: Duration,
}

impl SessionCookie {
    /// Layout `sealed`: `HttpOnly; SameSite=Lax; Secure`, host-only unless DOMAIN is set, so that no other site's
    /// form and no sibling host can use it. Layout `aiohttp`: what aiohttp_session and aiohttp_msal write, since a
    /// Python service shares the cookie.
    pub(crate) fn new(settings: &Settings) -> Self {
        let domain = settings.domain().map(str::to_owned);
        let kind = match settings.layout() {
            SessionLayout::Aiohttp => CookieKind { same_site: SameSite::None, secure: true, domain },
            _ => {
                let secure = settings.public_url().scheme() == "https";
                CookieKind { same_site: SameSite::Lax, secure, domain }
            }
        };
        Self { name: settings.cookie_name().to_owned(), kind, max_age: settings.session_absolute() }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The session this request names. A value that is no session id counts as none.
    pub(crate) fn read(&self, cookies: &RequestCookies) -> Option<SessionId> {
        cookies.single(&self.name).and_then(SessionId::parse)
    }

    /// The server ends a session by its own idle and absolute times; the cookie merely does not outlive the latter.
    pub(crate) fn set(&self, id: &SessionId) -> HeaderValue {
        self.kind.set(&self.name, id.expose_secret(), self.max_age)
    }

    pub(crate) fn remove(&self) -> HeaderValue {
        self.kind.remove(&self.name)
    }
}
