//! `/{tenant}/oauth2/v2.0/authorize` and the steps of the login page.
//!
//! The page keeps no state on the server: each step brings the whole authorization request along, and it is checked
//! anew. Only who signed in is remembered, under a cookie of the emulator's own.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::aadsts::{Aadsts, Trace};
use crate::authorize::{AuthorizationAnswer, AuthorizeRequest, Refusal};
use crate::directory::Identity;
use crate::endpoint::params::Params;
use crate::error::EmulatorError;
use crate::grants::SignedIn;
use crate::pages::{self, LoginPage};
use crate::random::{self, fingerprint};
use crate::server::host;
use crate::state::{Shared, lock};

/// One step of one browser.
struct Visit<'a> {
    shared: &'a Shared,
    segment: &'a str,
    /// The authorization request as it came.
    raw: &'a str,
    trace: Trace,
    /// The browser's cookie, new or known.
    browser: String,
    base_url: String,
}

pub(crate) async fn by_query(
    State(shared): State<Arc<Shared>>,
    Path(segment): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    begin(&shared, &segment, &query.unwrap_or_default(), &headers).await
}

pub(crate) async fn by_form(
    State(shared): State<Arc<Shared>>,
    Path(segment): Path<String>,
    headers: HeaderMap,
    body: String,
) -> Response {
    begin(&shared, &segment, &body, &headers).await
}

/// `POST /{tenant}/login`: an account was chosen, consent given, or the sign-in cancelled.
pub(crate) async fn step(
    State(shared): State<Arc<Shared>>,
    Path(segment): Path<String>,
    headers: HeaderMap,
    body: String,
) -> Response {
    let trace = Trace::new(&headers, shared.now());
    // Another site must not sign a browser in here behind its user's back.
    let origin = headers.get(header::ORIGIN).and_then(|v| v.to_str().ok());
    let base_url = shared.base_url_for(host(&headers));
    let form = Params::parse(&body);
    let form = match form {
        Ok(form) if origin.is_none_or(|o| o == base_url) => form,
        Ok(_) => return pages::error(&Aadsts::malformed(), &trace),
        Err(error) => return pages::error(&error, &trace),
    };
    let raw = form.get("request").unwrap_or_default();
    let browser = cookie(&shared, &headers).map_or_else(|| random::token(32), Ok);
    let Ok(browser) = browser else { return pages::error(&Aadsts::internal(), &trace) };
    let visit = Visit { shared: &shared, segment: &segment, raw, trace, browser, base_url };
    let request = match visit.check() {
        Ok(request) => request,
        Err(response) => return *response,
    };
    visit
        .advance(&request, form.get("step").unwrap_or_default(), form.get("person").unwrap_or_default())
        .await
}

async fn begin(shared: &Shared, segment: &str, raw: &str, headers: &HeaderMap) -> Response {
    let trace = Trace::new(headers, shared.now());
    let base_url = shared.base_url_for(host(headers));
    let browser = cookie(shared, headers).unwrap_or_default();
    let visit = Visit { shared, segment, raw, trace, browser, base_url };
    match visit.check() {
        Ok(request) => visit.begin(&request).await,
        Err(response) => *response,
    }
}

impl Visit<'_> {
    fn check(&self) -> Result<AuthorizeRequest, Box<Response>> {
        let params = Params::parse(self.raw).map_err(|e| Box::new(pages::error(&e, &self.trace)))?;
        let at = (self.base_url.as_str(), self.segment);
        AuthorizeRequest::check(self.shared, at, &params, &self.trace).map_err(|refusal| {
            Box::new(match refusal {
                Refusal::Page(error) => pages::error(&error, &self.trace),
                Refusal::Reply(answer) => reply(&answer),
            })
        })
    }

    /// Where Entra ID would not ask, neither does this: `prompt=none`, or a hint at somebody who is signed in.
    async fn begin(&self, request: &AuthorizeRequest) -> Response {
        let accounts = self.accounts(request);
        let hint = request.login_hint.as_deref();
        let hinted = accounts.iter().find(|(i, _)| hint.is_some_and(|h| i.person.is(h)));
        let silent = match request.prompt.as_deref() {
            Some("none") if hint.is_none() => accounts.first(),
            Some("none") | None => hinted,
            Some(_) => None,
        };
        let fresh = silent.filter(|(_, account)| is_fresh(request, account, self.shared.now()));
        match (fresh, request.prompt.as_deref()) {
            (Some((identity, account)), _) => self.proceed(request, identity, account).await,
            (None, Some("none")) => {
                reply(&request.refuse(self.shared, &Aadsts::login_required(), &self.trace))
            }
            (None, _) => self.login_page(request, &accounts),
        }
    }

    async fn advance(&self, request: &AuthorizeRequest, step: &str, person: &str) -> Response {
        if step == "cancel" {
            return reply(&request.refuse(self.shared, &Aadsts::declined(), &self.trace));
        }
        let Some(identity) = self.shared.directory().identity(&request.tenant, person) else {
            return pages::error(&Aadsts::not_in_tenant(person, &request.tenant.segment()), &self.trace);
        };
        if step == "admin" {
            let error = Aadsts::admin_consent_needed(&request.client.client_id);
            return reply(&request.refuse(self.shared, &error, &self.trace));
        }
        let account = self.sign_in(request, &identity, step);
        let response = if step == "consent" {
            if AuthorizeRequest::needs_admin(&request.missing_consents(self.shared, &account.username)) {
                self.admin_page(request, &identity)
            } else {
                request.consent(self.shared, &account.username);
                self.approve(request, &identity, &account).await
            }
        } else {
            self.proceed(request, &identity, &account).await
        };
        with_cookie(self.shared, response, &self.browser)
    }

    /// Consent where it is missing or asked for, else the answer.
    async fn proceed(&self, request: &AuthorizeRequest, identity: &Identity, account: &SignedIn) -> Response {
        let missing = request.missing_consents(self.shared, &account.username);
        let silent = request.prompt.as_deref() == Some("none");
        if missing.is_empty() && request.prompt.as_deref() != Some("consent") {
            return self.approve(request, identity, account).await;
        }
        if silent {
            let mut error = Aadsts::consent_required(&request.client.client_id);
            error.error = "interaction_required".into();
            return reply(&request.refuse(self.shared, &error, &self.trace));
        }
        if AuthorizeRequest::needs_admin(&missing) {
            return self.admin_page(request, identity);
        }
        pages::consent(request, identity, self.raw)
    }

    async fn approve(&self, request: &AuthorizeRequest, identity: &Identity, account: &SignedIn) -> Response {
        let mut account = account.clone();
        account.clients.insert(request.client.client_id.clone());
        let now = self.shared.now();
        lock(&self.shared.grants).sign_in(&fingerprint(&self.browser), account.clone(), now);
        match request.approve(self.shared, identity, &account).await {
            Ok(answer) => reply(&answer),
            Err(error) => self.failed(&error),
        }
    }

    /// The browser's sign-in of this person, kept if it is good enough, else made now.
    fn sign_in(&self, request: &AuthorizeRequest, identity: &Identity, step: &str) -> SignedIn {
        let now = self.shared.now();
        let known = self.accounts(request).into_iter().map(|(_, a)| a);
        let known = known.filter(|a| a.username == identity.person.username).find(|a| {
            let again = step == "account" && request.prompt.as_deref() == Some("login");
            !again && is_fresh(request, a, now)
        });
        let account = known.unwrap_or_else(|| SignedIn {
            username: identity.person.username.clone(),
            auth_time: now,
            sid: random::guid(),
            clients: BTreeSet::new(),
        });
        lock(&self.shared.grants).sign_in(&fingerprint(&self.browser), account.clone(), now);
        account
    }

    /// Who is signed in in this browser and exists in the tenant asked for, the latest first.
    fn accounts(&self, request: &AuthorizeRequest) -> Vec<(Identity, SignedIn)> {
        let accounts = lock(&self.shared.grants)
            .browser(&fingerprint(&self.browser), self.shared.now())
            .map(|b| b.accounts.clone())
            .unwrap_or_default();
        let directory = self.shared.directory();
        let known = accounts.into_iter();
        known.filter_map(|a| directory.identity(&request.tenant, &a.username).map(|i| (i, a))).collect()
    }

    fn login_page(&self, request: &AuthorizeRequest, accounts: &[(Identity, SignedIn)]) -> Response {
        let hint = request.login_hint.as_deref();
        let signed_in: Vec<&str> = accounts.iter().map(|(_, a)| a.username.as_str()).collect();
        let mut people = self.shared.directory().identities(&request.tenant);
        people.sort_by_key(|i| {
            let hinted = hint.is_some_and(|h| i.person.is(h));
            (!hinted, !signed_in.contains(&i.person.username.as_str()))
        });
        pages::login(&LoginPage { request, people: &people, signed_in: &signed_in, hint, raw: self.raw })
    }

    fn admin_page(&self, request: &AuthorizeRequest, identity: &Identity) -> Response {
        pages::admin_consent(request, identity, self.raw, &self.trace)
    }

    fn failed(&self, error: &EmulatorError) -> Response {
        tracing::error!(%error, "the emulator could not answer");
        pages::error(&Aadsts::internal(), &self.trace)
    }
}

/// The cookie that names this browser; the port keeps two emulators on one host apart.
pub(crate) fn cookie(shared: &Shared, headers: &HeaderMap) -> Option<String> {
    let name = cookie_name(shared);
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(n, v)| *n == name && v.len() == 43)
        .map(|(_, v)| v.to_owned())
}

fn cookie_name(shared: &Shared) -> String {
    format!("emulator_sso_{}", shared.address.port())
}

fn with_cookie(shared: &Shared, mut response: Response, browser: &str) -> Response {
    // Over https the cookie also comes with a form_post of the authorization request from another site.
    let attributes = if shared.tls { "SameSite=None; Secure" } else { "SameSite=Lax" };
    let cookie = format!("{}={browser}; Path=/; HttpOnly; {attributes}", cookie_name(shared));
    if let Ok(value) = HeaderValue::try_from(cookie) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
    response
}

/// OIDC Core 3.1.2.1: with max_age, a sign-in that is older does not count.
fn is_fresh(request: &AuthorizeRequest, account: &SignedIn, now: i64) -> bool {
    request.max_age.is_none_or(|max_age| now - account.auth_time < max_age)
}

fn reply(answer: &AuthorizationAnswer) -> Response {
    if answer.is_form_post() {
        return pages::form_post(answer);
    }
    let Ok(location) = HeaderValue::try_from(answer.location()) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let headers =
        [(header::LOCATION, location), (header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    (StatusCode::FOUND, headers).into_response()
}
