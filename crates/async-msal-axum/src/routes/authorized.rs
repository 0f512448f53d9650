//! `POST` and `GET {prefix}/authorized`: the way back from the authority.
//!
//! Everything here is written by strangers: any page can send a browser here with any form. What makes an answer
//! ours is the flow cookie of this browser, whose state it has to carry; the rest is checked by
//! [`async_msal_session::Msal::complete_sign_in`].

use async_msal::{AuthResponse, ResponseMode};
use async_msal_session::{Error, Msal, SignInOutcome};
use axum::extract::{RawQuery, Request};
use axum::response::Response;
use http::{HeaderValue, Method, header};

use super::{failure, form};
use crate::headers;
use crate::pages::{Page, texts, texts::PageText};
use crate::rejection::Rejection;
use crate::visit::Visit;

/// Response mode `form_post` (OAuth 2.0 Form Post Response Mode): a cross-site POST with the answer in its body.
pub(crate) async fn by_form(visit: Visit, request: Request) -> Result<Response, Rejection> {
    if visit.shared().response_mode() != ResponseMode::FormPost {
        return Ok(wrong_method(&visit, Method::GET));
    }
    let (parts, body) = request.into_parts();
    if !form::is_form(&parts.headers) {
        return Ok(refuse(&visit, texts::WRONG_TYPE));
    }
    match form::read(body).await {
        Ok(form) => finish(&visit, &form).await,
        Err(text) => Ok(refuse(&visit, text)),
    }
}

/// Response mode `query`: used over plain http, where the browser would not send the flow cookie with a cross-site
/// POST.
pub(crate) async fn by_query(visit: Visit, RawQuery(query): RawQuery) -> Result<Response, Rejection> {
    match visit.shared().response_mode() {
        ResponseMode::Query => finish(&visit, query.as_deref().unwrap_or_default()).await,
        _ => Ok(wrong_method(&visit, Method::POST)),
    }
}

/// HEAD is safe (RFC 9110 9.2.1): a program that only looks at the address must not redeem the code in it.
pub(crate) async fn by_head(visit: Visit) -> Response {
    let allowed = match visit.shared().response_mode() {
        ResponseMode::Query => Method::GET,
        _ => Method::POST,
    };
    wrong_method(&visit, allowed)
}

async fn finish(visit: &Visit, text: &str) -> Result<Response, Rejection> {
    let shared = visit.shared();
    // 1. One state, within bounds, nothing twice.
    let Ok(answer) = AuthResponse::parse(text) else { return Ok(refuse(visit, texts::BAD_REQUEST)) };
    let Some(state) = answer.state() else { return Ok(refuse(visit, texts::BAD_REQUEST)) };
    // 2. This browser must hold the flow of that state. Without it nothing is redeemed and nothing stored; a repeated
    //    submit ends here too, and the same-site page behind the redirect tells which of the two it is.
    let suffix = Msal::flow_cookie_suffix(state.expose_secret());
    let Some(sealed) = shared.flow_cookies.find(visit.cookies()?, &suffix) else {
        return Ok(headers::see_other(&shared.site.route("login/resume")));
    };
    // 3. The rest of the sign-in, in a task of its own.
    let outcome = shared.msal.complete_sign_in(sealed, answer, &shared.hooks).await;
    Ok(answer_browser(visit, outcome, sealed, &suffix))
}

fn answer_browser(
    visit: &Visit,
    outcome: Result<SignInOutcome, Error>,
    sealed: &str,
    suffix: &str,
) -> Response {
    let shared = visit.shared();
    let keep_flow = matches!(outcome, Err(Error::Store(_)));
    let mut tries =
        visit.cookies().map(|cookies| shared.tries_cookie.read(&shared.msal, cookies)).unwrap_or_default();
    let mut lines = Vec::new();
    let mut response = match outcome {
        Ok(SignInOutcome::SignedIn(signed_in)) => {
            tries.succeeded(shared.now());
            lines.push(shared.session_cookie.set(&signed_in.session_id));
            headers::see_other(&shared.return_to.resolve(&signed_in.return_to))
        }
        Ok(_) => headers::see_other(&shared.site.route("login/resume")),
        Err(error) => {
            tries.failed(shared.now());
            // Another try ends at the page that this one was for.
            let wanted = shared.msal.flow_return_to(sealed).unwrap_or_default();
            failure::respond(visit, &error, &shared.return_to.resolve(&wanted))
        }
    };
    lines.extend(shared.tries_cookie.write(&shared.msal, &tries));
    // The flow ends with its answer, good or bad; only where the store could not take the mark may it be sent again.
    if !keep_flow {
        lines.push(shared.flow_cookies.remove(suffix));
    }
    response.headers_mut().extend(lines.into_iter().map(|line| (header::SET_COOKIE, line)));
    response
}

fn refuse(visit: &Visit, text: PageText) -> Response {
    let site = &visit.shared().site;
    Page::new(text).with_link("Sign in", site.route("login")).respond(site)
}

fn wrong_method(visit: &Visit, allowed: Method) -> Response {
    let mut response = refuse(visit, texts::WRONG_METHOD);
    let allow = if allowed == Method::GET { "GET" } else { "POST" };
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allow));
    response
}
