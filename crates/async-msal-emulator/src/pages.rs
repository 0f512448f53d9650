//! The pages: login, consent, errors, signed out, and the form that posts itself.
//!
//! They load nothing from elsewhere, work without JavaScript, and say plainly that this is no real sign-in.

use askama::Template;
use axum::response::{Html, IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use url::Url;

use crate::aadsts::{Aadsts, Trace};
use crate::authorize::{AuthorizationAnswer, AuthorizeRequest};
use crate::directory::Identity;
use crate::persons::Person;
use crate::random;
use crate::resource::describe;

/// What the login page shows.
pub(crate) struct LoginPage<'a> {
    pub(crate) request: &'a AuthorizeRequest,
    pub(crate) people: &'a [Identity],
    pub(crate) signed_in: &'a [&'a str],
    pub(crate) hint: Option<&'a str>,
    pub(crate) raw: &'a str,
}

struct Card {
    username: String,
    name: String,
    initials: String,
    about: String,
    colour: String,
    signed_in: bool,
    hinted: bool,
}

#[derive(Template)]
#[template(path = "home.html")]
struct Home<'a> {
    nonce: String,
    base_url: &'a str,
    tenant_id: &'a str,
    people: &'a [Person],
}

#[derive(Template)]
#[template(path = "login.html")]
struct Login<'a> {
    nonce: String,
    action: String,
    client: &'a str,
    redirect_host: String,
    again: bool,
    people: Vec<Card>,
    raw: &'a str,
}

#[derive(Template)]
#[template(path = "consent.html")]
struct Consent<'a> {
    nonce: String,
    action: String,
    client: &'a str,
    redirect_host: String,
    person: Card,
    scopes: Vec<(String, &'static str)>,
    raw: &'a str,
}

#[derive(Template)]
#[template(path = "admin_consent.html")]
struct AdminConsent<'a> {
    nonce: String,
    action: String,
    client: &'a str,
    person: Card,
    details: Details,
    raw: &'a str,
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage<'a> {
    nonce: String,
    text: &'a str,
    details: Details,
}

struct Details {
    code: u32,
    correlation_id: String,
    trace_id: String,
    timestamp: String,
}

#[derive(Template)]
#[template(path = "signed_out.html")]
struct SignedOut<'a> {
    nonce: String,
    frames: &'a [String],
    target: Option<&'a str>,
    refused: Option<&'a str>,
}

#[derive(Template)]
#[template(path = "form_post.html")]
struct FormPost<'a> {
    nonce: String,
    answer: &'a AuthorizationAnswer,
}

/// What somebody sees who opens the emulator's address in a browser.
pub(crate) fn home(base_url: &str, tenant_id: &str, people: &[Person]) -> Response {
    render(&[], &[], |nonce| Home { nonce, base_url, tenant_id, people })
}

pub(crate) fn login(page: &LoginPage<'_>) -> Response {
    let request = page.request;
    let card = |identity: &Identity| {
        let person = &identity.person;
        Card {
            signed_in: page.signed_in.contains(&person.username.as_str()),
            hinted: page.hint.is_some_and(|h| person.is(h)),
            ..card_of(identity)
        }
    };
    render(&[request.redirect_uri()], &[], |nonce| Login {
        nonce,
        action: action(request),
        client: &request.client.display_name,
        redirect_host: host_of(request.redirect_uri()),
        again: request.prompt.as_deref() == Some("login"),
        people: page.people.iter().map(card).collect(),
        raw: page.raw,
    })
}

pub(crate) fn consent(request: &AuthorizeRequest, identity: &Identity, raw: &str) -> Response {
    let asked = request.requested.oidc.iter().chain(&request.requested.graph).chain(&request.requested.own);
    let mut scopes: Vec<(String, &'static str)> = Vec::new();
    for scope in asked.filter(|s| *s != ".default") {
        // `openid` and `profile` read the same to a person.
        match scopes
            .iter_mut()
            .find(|(_, text)| *text == describe(scope) && describe(scope).contains("basic"))
        {
            Some((names, _)) => *names = format!("{names} {scope}"),
            None => scopes.push((scope.clone(), describe(scope))),
        }
    }
    render(&[request.redirect_uri()], &[], |nonce| Consent {
        nonce,
        action: action(request),
        client: &request.client.display_name,
        redirect_host: host_of(request.redirect_uri()),
        person: card_of(identity),
        scopes,
        raw,
    })
}

/// "Need admin approval": shown, as at Entra ID, in place of the consent page.
pub(crate) fn admin_consent(
    request: &AuthorizeRequest,
    identity: &Identity,
    raw: &str,
    trace: &Trace,
) -> Response {
    render(&[request.redirect_uri()], &[], |nonce| AdminConsent {
        nonce,
        action: action(request),
        client: &request.client.display_name,
        person: card_of(identity),
        details: details(90_094, trace),
        raw,
    })
}

/// An error that must not go back to the application, since its address is not trusted.
pub(crate) fn error(error: &Aadsts, trace: &Trace) -> Response {
    let mut response =
        render(&[], &[], |nonce| ErrorPage { nonce, text: &error.text, details: details(error.code, trace) });
    *response.status_mut() = error.status;
    response
}

/// "You are signed out", with the front-channel frames, and on to `target` if there is one.
pub(crate) fn signed_out(frames: &[String], target: Option<&str>, refused: Option<&str>) -> Response {
    let sources: Vec<&str> = frames.iter().map(String::as_str).collect();
    render(&[], &sources, |nonce| SignedOut { nonce, frames, target, refused })
}

/// OAuth 2.0 Form Post Response Mode: posts itself, with a button where scripts are off.
pub(crate) fn form_post(answer: &AuthorizationAnswer) -> Response {
    render(&[&answer.redirect_uri], &[], |nonce| FormPost { nonce, answer })
}

/// Renders a page under a policy that allows what it needs and nothing else. Chromium applies `form-action` to the
/// redirects after a form was posted too, so the application's origin is among the targets.
fn render<T: Template>(targets: &[&str], frames: &[&str], page: impl FnOnce(String) -> T) -> Response {
    let Ok(nonce) = random::token(16) else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
    let csp = format!(
        "default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; form-action 'self'{}; frame-src{}; frame-ancestors 'none'; base-uri 'none'",
        origins(targets),
        if frames.is_empty() { " 'none'".to_owned() } else { origins(frames) },
    );
    let html = page(nonce).render();
    let (Ok(html), Ok(csp)) = (html, HeaderValue::try_from(csp)) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let headers = [
        (header::CONTENT_SECURITY_POLICY, csp),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        // Not `no-referrer`: with it a form_post would carry `Origin: null` in place of this origin.
        (header::REFERRER_POLICY, HeaderValue::from_static("strict-origin")),
    ];
    (headers, Html(html)).into_response()
}

fn origins(addresses: &[&str]) -> String {
    let mut origins: Vec<String> = addresses
        .iter()
        .filter_map(|a| Url::parse(a).ok())
        .map(|u| u.origin().ascii_serialization())
        .collect();
    origins.sort();
    origins.dedup();
    origins.iter().map(|o| format!(" {o}")).collect()
}

fn action(request: &AuthorizeRequest) -> String {
    format!("/{}/login", request.tenant.segment())
}

fn card_of(identity: &Identity) -> Card {
    let person = &identity.person;
    let [red, green, blue] = person.colour;
    Card {
        username: person.username.clone(),
        name: person.display_name.clone(),
        initials: person.initials(),
        about: person.about.clone(),
        colour: format!("#{red:02x}{green:02x}{blue:02x}"),
        signed_in: false,
        hinted: false,
    }
}

fn host_of(uri: &str) -> String {
    Url::parse(uri).ok().map(|u| u.authority().to_owned()).unwrap_or_default()
}

fn details(code: u32, trace: &Trace) -> Details {
    Details {
        code,
        correlation_id: trace.correlation_id.clone(),
        trace_id: trace.trace_id.clone(),
        timestamp: trace.timestamp(),
    }
}
