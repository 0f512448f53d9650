//! `GET {prefix}/signed-out`: the one address registered for the way back from a sign-out, and the small cookie that
//! remembers where to go from there.

use std::time::Duration;

use async_msal_session::{Error, Msal, Purpose};
use axum::extract::RawQuery;
use axum::response::Response;
use cookie::SameSite;
use http::{HeaderValue, header};
use serde::{Deserialize, Serialize};

use crate::cookies::{CookieKind, RequestCookies};
use crate::headers;
use crate::pages::{Page, texts};
use crate::rejection::Rejection;
use crate::visit::Visit;

/// Time a user may spend at the authority's sign-out page.
const LIFETIME: Duration = Duration::from_secs(600);
/// Bytes of randomness in the state.
const STATE_BYTES: usize = 16;

/// A wrong or missing state is no error: the user is signed out either way (RP-Initiated Logout 3).
pub(crate) async fn signed_out(visit: Visit, RawQuery(query): RawQuery) -> Result<Response, Rejection> {
    let shared = visit.shared();
    let query = query.unwrap_or_default();
    let state =
        form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "state").map(|(_, value)| value);
    let to = match state {
        Some(state) => shared.sign_out_cookie.recall(&visit, &state)?,
        None => None,
    };
    let mut response = match to {
        Some(to) => headers::see_other(&shared.return_to.resolve(&to)),
        None => Page::new(texts::SIGNED_OUT)
            .with_link("Sign in again", shared.site.route("login"))
            .with_link("Back to the application", shared.return_to.default_page().to_owned())
            .respond(&shared.site),
    };
    response.headers_mut().append(header::SET_COOKIE, shared.sign_out_cookie.remove());
    Ok(response)
}

/// Where a browser goes after the authority's sign-out page, tied to it by a state.
#[derive(Clone, Debug)]
pub(crate) struct SignOutCookie {
    name: String,
    kind: CookieKind,
}

#[derive(Serialize, Deserialize)]
struct Remembered {
    state: String,
    to: String,
    made_at: i64,
}

impl SignOutCookie {
    /// Lax: the way back is a navigation by GET.
    pub(crate) fn new(session_cookie: &str, https: bool) -> Self {
        let kind = CookieKind { same_site: SameSite::Lax, secure: https, domain: None };
        Self { name: format!("{session_cookie}_sign_out"), kind }
    }

    /// A state to send along and the cookie that knows it; nothing of both where no page was asked for.
    pub(crate) fn remember(
        &self,
        msal: &Msal,
        to: Option<&str>,
    ) -> Result<(Option<String>, Option<HeaderValue>), Rejection> {
        let Some(to) = to else { return Ok((None, None)) };
        let mut bytes = [0; STATE_BYTES];
        msal.client().random().fill(&mut bytes).map_err(|_| Rejection::Misconfigured)?;
        let state: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let remembered = Remembered { state: state.clone(), to: to.to_owned(), made_at: msal.clock().now() };
        let json = serde_json::to_vec(&remembered).map_err(|_| Rejection::Misconfigured)?;
        let sealed = msal.seal(Purpose::PostLogout, &self.name, &json).map_err(Error::from)?;
        Ok((Some(state), Some(self.kind.set(&self.name, &sealed, LIFETIME))))
    }

    fn recall(&self, visit: &Visit, state: &str) -> Result<Option<String>, Rejection> {
        let msal = &visit.shared().msal;
        let cookies: &RequestCookies = visit.cookies()?;
        let opened = cookies
            .single(&self.name)
            .and_then(|value| msal.open(Purpose::PostLogout, &self.name, value).ok());
        let Some(remembered) = opened.and_then(|json| serde_json::from_slice::<Remembered>(&json).ok())
        else {
            return Ok(None);
        };
        let age = msal.clock().now() - remembered.made_at;
        let fresh = age <= i64::try_from(LIFETIME.as_secs()).unwrap_or(i64::MAX);
        Ok((fresh && remembered.state == state).then_some(remembered.to))
    }

    fn remove(&self) -> HeaderValue {
        self.kind.remove(&self.name)
    }
}
