//! `GET {prefix}/login` and `GET {prefix}/login/{to}`: starts a sign-in.

use async_msal::Prompt;
use async_msal_session::{SignInRequest, StartedSignIn};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery};
use axum::response::Response;
use http::header;

use super::ask::{self, Ask};
use super::failure;
use crate::headers;
use crate::layer;
use crate::pages::{Page, texts};
use crate::rejection::Rejection;
use crate::visit::Visit;

/// Characters of a hint from the browser; the authority shows or ignores it.
const MAX_HINT: usize = 320;

pub(crate) async fn login(visit: Visit, RawQuery(query): RawQuery) -> Result<Response, Rejection> {
    let return_to = visit.shared().return_to.default_page().to_owned();
    start(&visit, return_to, query.as_deref().unwrap_or_default()).await
}

/// A malformed return address never stops a sign-in: it becomes the default page.
pub(crate) async fn login_returning(
    visit: Visit,
    to: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
) -> Result<Response, Rejection> {
    let asked = to.map(|Path(to)| format!("/{to}")).unwrap_or_default();
    let return_to = visit.shared().return_to.resolve_request(&asked);
    start(&visit, return_to, query.as_deref().unwrap_or_default()).await
}

async fn start(visit: &Visit, return_to: String, query: &str) -> Result<Response, Rejection> {
    let shared = visit.shared();
    let cookies = visit.cookies()?;
    let session_id = visit.session_id()?;
    let tries = shared.tries_cookie.read(&shared.msal, cookies);
    if tries.exhausted(shared.now(), session_id.is_some()) {
        let page = Page::new(texts::TOO_MANY_TRIES)
            .with_link("Try again", shared.site.login_returning_to(&return_to))
            .with_link("Back to the application", shared.return_to.default_page().to_owned());
        let mut response = page.respond(&shared.site);
        headers::retry_after(response.headers_mut(), std::time::Duration::from_secs(60));
        return Ok(response);
    }
    let Some(mut request) = parse_query(visit, query).await? else {
        return Ok(Page::new(texts::BAD_REQUEST)
            .with_link("Sign in", shared.site.route("login"))
            .respond(&shared.site));
    };
    request = request.with_return_to(&return_to);
    if let Some(id) = &session_id {
        request = request.with_present_session(id);
    }
    match shared.msal.initiate_sign_in(request).await {
        Ok(started) => Ok(redirect(visit, &started)?),
        Err(error) => Ok(failure::respond(visit, &error, &return_to)),
    }
}

fn redirect(visit: &Visit, started: &StartedSignIn) -> Result<Response, Rejection> {
    let shared = visit.shared();
    let mut response = headers::see_other(started.auth_uri.as_str());
    let lines = shared.flow_cookies.add(
        visit.cookies()?,
        &started.cookie_suffix,
        &started.sealed,
        started.expires_in,
    );
    response.headers_mut().extend(lines.into_iter().map(|line| (header::SET_COOKIE, line)));
    Ok(response)
}

/// The few parameters a link may set, each checked; every other name is ignored, so nothing of the browser's reaches
/// the authorization request by accident. `None` for a known name with an impossible value or given twice.
async fn parse_query(visit: &Visit, query: &str) -> Result<Option<SignInRequest>, Rejection> {
    let mut request = layer::sign_in_request(&visit.shared().site);
    let mut seen = Vec::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let known =
            ["prompt", "login_hint", "domain_hint", ask::PARAMETER].into_iter().find(|known| *known == name);
        let Some(known) = known else { continue };
        if seen.contains(&known) {
            return Ok(None);
        }
        seen.push(known);
        let parsed = match known {
            "prompt" => prompt(&value).map(|prompt| request.with_prompt(prompt)),
            "login_hint" => hint(&value).map(|hint| request.with_login_hint(hint)),
            "domain_hint" => hint(&value).map(|hint| request.with_domain_hint(hint)),
            _ => Some(with_ask(request, visit, &value).await?),
        };
        let Some(parsed) = parsed else { return Ok(None) };
        request = parsed;
    }
    Ok(Some(request))
}

/// What the application asks of the user beyond the ordinary sign-in. It asks this user: the authority is told who that is.
async fn with_ask(
    mut request: SignInRequest,
    visit: &Visit,
    sealed: &str,
) -> Result<SignInRequest, Rejection> {
    let Some((scopes, claims)) = Ask::open(sealed, visit) else { return Ok(request) };
    if let Some(scopes) = scopes {
        request = request.with_scopes(scopes);
    }
    if let Some(claims) = claims {
        request = request.with_claims(claims);
    }
    if let Some(hint) = visit.session().await?.login_hint() {
        request = request.with_login_hint(hint);
    }
    Ok(request)
}

fn prompt(value: &str) -> Option<Prompt> {
    let prompts = [Prompt::Login, Prompt::SelectAccount, Prompt::Consent, Prompt::Create, Prompt::None];
    prompts.into_iter().find(|prompt| prompt.as_str() == value)
}

fn hint(value: &str) -> Option<&str> {
    let fine = !value.is_empty() && value.len() <= MAX_HINT && !value.contains(char::is_control);
    fine.then_some(value)
}
