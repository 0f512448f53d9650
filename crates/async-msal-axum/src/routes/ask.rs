//! What the application wants the user to agree to, carried to the login route.
//!
//! The browser carries it, so it is sealed and bound to the session: a link cannot make somebody consent to more
//! than the application asked for (RFC 9700 keeps scopes the client's choice, not the browser's).

use async_msal::{ClaimsChallenge, Scopes};
use async_msal_session::Purpose;
use axum::response::Response;
use http::header;
use serde::{Deserialize, Serialize};

use crate::headers;
use crate::pages::{Page, texts};
use crate::rejection::Interaction;
use crate::visit::Visit;

/// Seconds a link to the login route may be old.
const LIFETIME: i64 = 600;
/// Name of the query parameter.
pub(crate) const PARAMETER: &str = "ask";

/// Scopes and claims beyond the configured ones.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Ask {
    #[serde(rename = "s", default, skip_serializing_if = "Option::is_none")]
    scopes: Option<String>,
    #[serde(rename = "c", default, skip_serializing_if = "Option::is_none")]
    claims: Option<String>,
    #[serde(rename = "t")]
    made_at: i64,
}

impl Ask {
    /// The login address that asks for it and returns to the page that was wanted.
    pub(crate) fn address(interaction: &Interaction, visit: &Visit) -> String {
        let shared = visit.shared();
        let back = shared.return_to.resolve_request(&visit.page().path_and_query);
        let login = shared.site.login_returning_to(&back);
        let ask = Self {
            scopes: interaction.scopes.as_ref().map(ToString::to_string),
            claims: interaction.claims.as_ref().map(|claims| claims.as_str().to_owned()),
            made_at: shared.now(),
        };
        let sealed = serde_json::to_vec(&ask)
            .ok()
            .and_then(|bytes| shared.msal.seal(Purpose::Cookie, &binding(visit), &bytes).ok());
        sealed.map_or_else(|| login.clone(), |sealed| format!("{login}?{PARAMETER}={sealed}"))
    }

    /// Sends the browser to agree, once: where it comes back without what was asked, it gets a page.
    pub(crate) async fn redirect(interaction: &Interaction, visit: &Visit) -> Response {
        let shared = visit.shared();
        let address = Self::address(interaction, visit);
        // Another person may be asked for the same. The claims do not count: an API may demand others each time.
        let identity = visit.session().await.ok().and_then(|session| session.identity());
        let person = identity.map(|person| (person.iss, person.tid, person.oid, person.sub));
        let what = format!("{:?} {} {person:?}", interaction.scopes, interaction.claims.is_some());
        let Ok(cookies) = visit.cookies() else { return headers::see_other(&shared.site.route("login")) };
        let mut tries = shared.tries_cookie.read(&shared.msal, cookies);
        let mut response = if tries.may_ask_for(&what, shared.now()) {
            headers::see_other(&address)
        } else {
            let page = Page::new(texts::MORE_CONSENT_NEEDED).with_link("Ask again", address);
            page.with_link("Back to the application", shared.return_to.default_page().to_owned())
                .respond(&shared.site)
        };
        let line = shared.tries_cookie.write(&shared.msal, &tries);
        response.headers_mut().extend(line.map(|line| (header::SET_COOKIE, line)));
        response
    }

    /// What the login route was asked for; nothing where the value is foreign, altered or old.
    pub(crate) fn open(sealed: &str, visit: &Visit) -> Option<(Option<Scopes>, Option<ClaimsChallenge>)> {
        let shared = visit.shared();
        let bytes = shared.msal.open(Purpose::Cookie, &binding(visit), sealed).ok()?;
        let ask: Self = serde_json::from_slice(&bytes).ok()?;
        if shared.now() - ask.made_at > LIFETIME {
            return None;
        }
        let scopes = ask.scopes.map(|scopes| Scopes::parse(&scopes));
        let claims = ask.claims.and_then(|claims| ClaimsChallenge::parse(&claims).ok());
        Some((scopes, claims))
    }
}

/// The session this was asked for, by its public handle.
fn binding(visit: &Visit) -> String {
    let handle = visit.session_id().ok().flatten().map(|id| id.handle().to_string());
    format!("ask {}", handle.unwrap_or_default())
}
