//! Sign-out: `POST {prefix}/logout` from a page of this application, `GET` from a link in it, each with an optional
//! `/{to}` inside the application to end at.

use std::time::Duration;

use async_msal::SignOutRequest;
use async_msal_session::{Error, SignedOut};
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::response::Response;
use http::{HeaderMap, Method, header};

use crate::headers;
use crate::origin::RequestOrigin;
use crate::pages::{Page, texts};
use crate::rejection::Rejection;
use crate::visit::Visit;

const TARGET: &str = "async_msal::sign_out";
/// The authority's sign-out address is not waited for longer.
const AUTHORITY_TIME: Duration = Duration::from_secs(3);

type To = Result<Path<String>, PathRejection>;

pub(crate) async fn by_form(visit: Visit, headers: HeaderMap) -> Result<Response, Rejection> {
    from_form(&visit, &headers, None).await
}

pub(crate) async fn by_form_returning(
    visit: Visit,
    to: To,
    headers: HeaderMap,
) -> Result<Response, Rejection> {
    let to = resolve(&visit, to);
    from_form(&visit, &headers, Some(&to)).await
}

pub(crate) async fn by_link(visit: Visit, method: Method, headers: HeaderMap) -> Result<Response, Rejection> {
    from_link(&visit, &method, &headers, None).await
}

pub(crate) async fn by_link_returning(
    visit: Visit,
    to: To,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Rejection> {
    let to = resolve(&visit, to);
    from_link(&visit, &method, &headers, Some(&to)).await
}

fn resolve(visit: &Visit, to: To) -> String {
    let asked = to.map(|Path(to)| format!("/{to}")).unwrap_or_default();
    visit.shared().return_to.resolve_request(&asked)
}

/// Every browser of the last years tells the origin of a form; without it this is no form of ours.
async fn from_form(visit: &Visit, headers: &HeaderMap, to: Option<&str>) -> Result<Response, Rejection> {
    match RequestOrigin::of(headers, &visit.shared().site.origin()) {
        RequestOrigin::Own => sign_out(visit, to).await,
        RequestOrigin::Foreign | RequestOrigin::Unknown => Err(Rejection::CrossOrigin),
    }
}

/// A link works from our own pages and from the address bar; from anywhere else the user is asked first, since an
/// image on another site must not sign anybody out.
async fn from_link(
    visit: &Visit,
    method: &Method,
    headers: &HeaderMap,
    to: Option<&str>,
) -> Result<Response, Rejection> {
    if *method == Method::GET && is_own_navigation(headers) {
        sign_out(visit, to).await
    } else {
        Ok(confirm(visit, to).await)
    }
}

/// Not a picture or a frame of our own page either, nor a browser that looks ahead.
fn is_own_navigation(headers: &HeaderMap) -> bool {
    let own = headers.get("sec-fetch-site").is_some_and(|site| site == "same-origin" || site == "none");
    let document = headers.get("sec-fetch-dest").is_none_or(|destination| destination == "document");
    own && document && !headers.contains_key("sec-purpose")
}

async fn confirm(visit: &Visit, to: Option<&str>) -> Response {
    let shared = visit.shared();
    // The form's answer redirects to the sign-out page of the authority, which the page's policy has to allow.
    let metadata = shared.msal.client().metadata().await.ok();
    let authority =
        metadata.and_then(|m| m.end_session_endpoint().map(|url| url.origin().ascii_serialization()));
    let address = match to {
        Some(to) => shared.site.logout_returning_to(to),
        None => shared.site.route("logout"),
    };
    Page::new(texts::CONFIRM_SIGN_OUT)
        .with_button("Sign out", address, authority)
        .with_link("Stay signed in", shared.return_to.default_page().to_owned())
        .respond(&shared.site)
}

/// The session ends here first, whatever becomes of the browser's visit to the authority (RP-Initiated Logout 2).
async fn sign_out(visit: &Visit, to: Option<&str>) -> Result<Response, Rejection> {
    let shared = visit.shared();
    let signed_out_page = shared.site.absolute("signed-out");
    let (state, cookie_line) = shared.sign_out_cookie.remember(&shared.msal, to)?;
    let ended = match visit.session_id()? {
        Some(id) => shared.msal.sign_out(&id, &signed_out_page, state.as_deref()).await,
        None => Ok(SignedOut::default()),
    };
    let mut response = match ended {
        Ok(SignedOut { end_session_url: Some(url), .. }) => headers::see_other(url.as_str()),
        Ok(_) => headers::see_other(&shared.site.signed_out(state.as_deref())),
        Err(Error::Store(error)) => {
            tracing::warn!(target: TARGET, %error, "signed out in this browser; the session ends when the store is back");
            signed_out_in_this_browser(visit, state.as_deref()).await
        }
        Err(error) => return Err(error.into()),
    };
    let lines = [Some(shared.session_cookie.remove()), Some(shared.tries_cookie.remove()), cookie_line];
    response.headers_mut().extend(lines.into_iter().flatten().map(|line| (header::SET_COOKIE, line)));
    tracing::info!(target: TARGET, client = ?visit.client_address(), "signed out");
    Ok(response)
}

/// 202: done for this browser, accepted for the rest. The cookie has to arrive at the browser, and some proxies put
/// pages of their own in the place of a 503.
async fn signed_out_in_this_browser(visit: &Visit, state: Option<&str>) -> Response {
    let shared = visit.shared();
    let mut request =
        SignOutRequest::default().with_post_logout_redirect_uri(shared.site.absolute("signed-out"));
    if let Some(state) = state {
        request = request.with_state(state.to_owned());
    }
    let authority = tokio::time::timeout(AUTHORITY_TIME, shared.msal.client().sign_out_url(request)).await;
    let page = Page::new(texts::SIGNED_OUT_HERE);
    let page = match authority {
        Ok(Ok(Some(url))) => page.with_link("Sign out of your account too", url.into()),
        _ => page,
    };
    page.with_link("Back to the application", shared.return_to.default_page().to_owned())
        .respond(&shared.site)
}
