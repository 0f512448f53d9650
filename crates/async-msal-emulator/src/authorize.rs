//! An authorization request: what is checked before the redirect address is trusted, what after, and the answer.

use std::collections::BTreeSet;

use url::Url;

use crate::aadsts::{Aadsts, Trace};
use crate::client::ClientRegistration;
use crate::directory::{Identity, Tenant};
use crate::endpoint::params::Params;
use crate::endpoint::token::client_info;
use crate::error::EmulatorError;
use crate::grants::{Code, SignedIn};
use crate::policy::{IssuerParameter, StateParameter};
use crate::random;
use crate::resource::{Requested, Resource, needs_admin};
use crate::shape;
use crate::state::{Shared, lock};

/// How the answer travels back to the application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ResponseMode {
    Query,
    Fragment,
    FormPost,
}

/// An authorization response on its way to the application.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuthorizationAnswer {
    /// Where it goes.
    pub redirect_uri: String,
    /// `code`, `state`, ... or `error`, `error_description`, ...
    pub fields: Vec<(String, String)>,
    mode: ResponseMode,
}

impl AuthorizationAnswer {
    /// One field.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// The fields as `application/x-www-form-urlencoded`: the body of a form_post, or the query.
    #[must_use]
    pub fn body(&self) -> String {
        form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.fields).finish()
    }

    /// Whether the browser posts it (`response_mode=form_post`).
    #[must_use]
    pub fn is_form_post(&self) -> bool {
        self.mode == ResponseMode::FormPost
    }

    /// The address to go to, with the fields in the query or the fragment; without them for a form_post.
    #[must_use]
    pub fn location(&self) -> String {
        let Ok(mut url) = Url::parse(&self.redirect_uri) else { return self.redirect_uri.clone() };
        match self.mode {
            ResponseMode::FormPost => {}
            ResponseMode::Fragment => url.set_fragment(Some(&self.body())),
            ResponseMode::Query => {
                url.query_pairs_mut().extend_pairs(&self.fields);
            }
        }
        url.into()
    }
}

impl std::fmt::Debug for AuthorizationAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { redirect_uri, fields, mode } = self;
        let names: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("AuthorizationAnswer")
            .field("redirect_uri", redirect_uri)
            .field("fields", &names)
            .field("mode", mode)
            .finish()
    }
}

/// A request whose redirect address is registered and whose parameters are good.
#[derive(Debug, Clone)]
pub(crate) struct AuthorizeRequest {
    pub(crate) tenant: Tenant,
    pub(crate) client: ClientRegistration,
    pub(crate) requested: Requested,
    pub(crate) prompt: Option<String>,
    pub(crate) login_hint: Option<String>,
    pub(crate) max_age: Option<i64>,
    pub(crate) issuer: String,
    reply: ReplyTo,
    scope: String,
    nonce: Option<String>,
    challenge: Option<String>,
    challenge_is_plain: bool,
    client_info: bool,
}

#[derive(Debug, Clone)]
struct ReplyTo {
    redirect_uri: String,
    mode: ResponseMode,
    state: Option<String>,
}

/// A refused request: on a page while the redirect address is not trusted, else sent back to the application.
#[derive(Debug)]
pub(crate) enum Refusal {
    Page(Box<Aadsts>),
    Reply(Box<AuthorizationAnswer>),
}

impl From<Aadsts> for Refusal {
    fn from(error: Aadsts) -> Self {
        Self::Page(Box::new(error))
    }
}

impl AuthorizeRequest {
    /// Checks a request. The order matters: nothing is ever sent to an address that is not registered.
    pub(crate) fn check(
        shared: &Shared,
        (base_url, segment): (&str, &str),
        params: &Params,
        trace: &Trace,
    ) -> Result<Self, Refusal> {
        let tenant = shared.directory().tenant(segment).ok_or_else(|| Aadsts::unknown_tenant(segment))?;
        let client_id = params.require("client_id")?;
        let client = shared
            .client(client_id)
            .ok_or_else(|| Aadsts::client_not_in_tenant(client_id, &shared.tenant_id))?;
        let redirect_uri = params.require("redirect_uri")?;
        // Compared as text (RFC 6749 3.1.2.3, RFC 9700 4.1.3).
        if !client.redirect_uris.iter().any(|known| known == redirect_uri) {
            return Err(Aadsts::unregistered_redirect(redirect_uri, &client.client_id).into());
        }
        if tenant == Tenant::Consumers {
            return Err(Aadsts::consumers().into());
        }
        if !client.multi_tenant && matches!(tenant, Tenant::Common | Tenant::Organizations) {
            return Err(Aadsts::single_tenant(&client.client_id).into());
        }
        let mode = match params.get("response_mode") {
            None | Some("query") => Ok(ResponseMode::Query),
            Some("fragment") => Ok(ResponseMode::Fragment),
            Some("form_post") => Ok(ResponseMode::FormPost),
            Some(other) => Err(Aadsts::response_mode(other)),
        };
        let reply = ReplyTo {
            redirect_uri: redirect_uri.to_owned(),
            mode: mode.as_ref().map_or(ResponseMode::Query, |m| *m),
            state: params.get("state").map(str::to_owned),
        };
        let issuer = tenant.issuer(base_url);
        let request = Self {
            tenant,
            client,
            requested: Requested::default(),
            prompt: params.get("prompt").map(str::to_owned),
            login_hint: params.get("login_hint").map(str::to_owned),
            max_age: None,
            issuer,
            reply,
            scope: params.get("scope").unwrap_or_default().to_owned(),
            nonce: params.get("nonce").map(str::to_owned),
            challenge: params.get("code_challenge").map(str::to_owned),
            challenge_is_plain: params.get("code_challenge_method").unwrap_or("plain") == "plain",
            client_info: params.get("client_info") == Some("1"),
        };
        match mode.and_then(|_| request.check_values(params)) {
            Ok((requested, max_age)) => Ok(Self { requested, max_age, ..request }),
            Err(error) => Err(Refusal::Reply(Box::new(request.refuse(shared, &error, trace)))),
        }
    }

    fn check_values(&self, params: &Params) -> Result<(Requested, Option<i64>), Aadsts> {
        let response_type = params.require("response_type")?;
        if response_type != "code" {
            return Err(Aadsts::response_type(response_type));
        }
        let scope = params.require("scope")?;
        let requested = Requested::parse(scope, &self.client.client_id)
            .map_err(|e| Aadsts::bad_scope(&e, &self.tenant.segment()))?;
        let known_prompt = ["login", "none", "consent", "select_account", "create"];
        if self.prompt.as_deref().is_some_and(|p| !known_prompt.contains(&p)) {
            return Err(Aadsts::unsupported_value("prompt"));
        }
        // Entra ID does not accept the two together: one names the account, the other asks which.
        if self.prompt.as_deref() == Some("select_account") && self.login_hint.is_some() {
            return Err(Aadsts::unsupported_value("login_hint"));
        }
        let method = params.get("code_challenge_method");
        if method.is_some_and(|m| !matches!(m, "S256" | "plain")) {
            return Err(Aadsts::unsupported_value("code_challenge_method"));
        }
        // RFC 7636 4.2: the challenge has 43 to 128 characters.
        if self.challenge.as_ref().is_some_and(|c| !(43..=128).contains(&c.len())) {
            return Err(Aadsts::new(501_491, "invalid_request", "Invalid size of Code_Challenge parameter."));
        }
        let max_age = params.get("max_age").map(str::parse::<u32>).transpose();
        let max_age = max_age.map_err(|_| Aadsts::unsupported_value("max_age"))?;
        let claims = params.get("claims").map(serde_json::from_str::<serde_json::Map<_, _>>);
        if claims.is_some_and(|c| c.is_err()) {
            return Err(Aadsts::unsupported_value("claims"));
        }
        Ok((requested, max_age.map(i64::from)))
    }

    /// The scopes that `username` still has to consent to, by resource.
    pub(crate) fn missing_consents(
        &self,
        shared: &Shared,
        username: &str,
    ) -> Vec<(Resource, BTreeSet<String>)> {
        let grants = lock(&shared.grants);
        [Resource::Graph, Resource::Own]
            .into_iter()
            .map(|resource| {
                let mut missing = self.requested.of(resource);
                if resource == Resource::Graph {
                    missing.extend(self.requested.oidc.iter().cloned());
                }
                let consented = grants.consents(&self.client.client_id, username, resource.name());
                missing.retain(|s| !consented.contains(s) && !shared.admin_consent.contains(s));
                (resource, missing)
            })
            .filter(|(_, missing)| !missing.is_empty())
            .collect()
    }

    /// Whether something asked needs an administrator, who has not consented.
    pub(crate) fn needs_admin(missing: &[(Resource, BTreeSet<String>)]) -> bool {
        missing.iter().any(|(_, scopes)| scopes.iter().any(|s| needs_admin(s)))
    }

    /// Notes that `username` consents to everything asked. Entra ID grants `email` along with the sign-in scopes.
    pub(crate) fn consent(&self, shared: &Shared, username: &str) {
        let mut grants = lock(&shared.grants);
        for resource in [Resource::Graph, Resource::Own] {
            let mut scopes = self.requested.of(resource);
            if resource == Resource::Graph {
                scopes.extend(self.requested.oidc.iter().cloned());
                if self.requested.oidc.contains("openid") {
                    scopes.insert("email".into());
                }
            }
            grants.consent((&self.client.client_id, username, resource.name()), scopes);
        }
    }

    /// The answer that carries an error.
    pub(crate) fn refuse(&self, shared: &Shared, error: &Aadsts, trace: &Trace) -> AuthorizationAnswer {
        let mut fields = vec![
            ("error".to_owned(), error.error.clone()),
            ("error_description".to_owned(), error.description(trace)),
        ];
        fields.extend(error.error_uri().map(|uri| ("error_uri".to_owned(), uri)));
        fields.extend(error.subcode.map(|code| ("error_subcode".to_owned(), code.to_owned())));
        self.finish(shared, fields)
    }

    /// The answer that carries a code for `identity`, who signed in as `account` says.
    ///
    /// # Errors
    /// No randomness, or the data folder cannot be written.
    pub(crate) async fn approve(
        &self,
        shared: &Shared,
        identity: &Identity,
        account: &SignedIn,
    ) -> Result<AuthorizationAnswer, EmulatorError> {
        let code = format!("1.{}", random::token(48)?);
        let now = shared.now();
        let grant = Code {
            client_id: self.client.client_id.clone(),
            redirect_uri: self.reply.redirect_uri.clone(),
            tenant: self.tenant.segment().into_owned(),
            username: identity.person.username.clone(),
            scope: self.scope.clone(),
            nonce: self.nonce.clone(),
            challenge: self.challenge.clone(),
            challenge_is_plain: self.challenge_is_plain,
            auth_time: account.auth_time,
            wants_auth_time: self.max_age.is_some(),
            sid: account.sid.clone(),
            expires: now + shared.policy().code_lifetime,
            redeemed: false,
        };
        lock(&shared.grants).add_code(random::fingerprint(&code), grant, now);
        shared.save_grants().await?;
        let mut fields = vec![("code".to_owned(), code)];
        if self.client_info {
            let info = client_info(&self.tenant, &identity.person);
            fields.extend(info.map(|info| ("client_info".to_owned(), info)));
        }
        fields.push(("session_state".to_owned(), account.sid.clone()));
        Ok(self.finish(shared, fields))
    }

    fn finish(&self, shared: &Shared, mut fields: Vec<(String, String)>) -> AuthorizationAnswer {
        let policy = shared.policy();
        let state = match policy.authorization_response_state {
            StateParameter::Right => self.reply.state.clone(),
            StateParameter::Absent => None,
            StateParameter::Wrong => Some("another-state".to_owned()),
        };
        fields.extend(state.map(|s| ("state".to_owned(), s)));
        let iss = match policy.authorization_response_iss {
            IssuerParameter::Absent => None,
            IssuerParameter::Right => Some(self.issuer.clone()),
            IssuerParameter::Wrong => Some("https://attacker.example/v2.0".to_owned()),
        };
        fields.extend(iss.map(|i| ("iss".to_owned(), i)));
        AuthorizationAnswer { redirect_uri: self.reply.redirect_uri.clone(), fields, mode: self.reply.mode }
    }

    /// The redirect address, for the page's content security policy.
    pub(crate) fn redirect_uri(&self) -> &str {
        &self.reply.redirect_uri
    }
}

/// Answers `auth_uri` as if `person` had been chosen and had consented.
///
/// # Errors
/// No such person, or the request is refused on a page.
pub(crate) async fn answer_for(
    shared: &Shared,
    auth_uri: &str,
    person: &str,
) -> Result<AuthorizationAnswer, EmulatorError> {
    let url = Url::parse(auth_uri).map_err(|_| EmulatorError::InvalidAddress(auth_uri.to_owned()))?;
    let path = shape::routed(url.path()).unwrap_or_else(|| url.path().to_owned());
    let segment = path.split('/').nth(1).unwrap_or_default().to_owned();
    let trace = Trace::new(&http::HeaderMap::new(), shared.now());
    let refused = |error: Aadsts| EmulatorError::AuthorizationRefused(error.description(&trace));
    let params = Params::parse(url.query().unwrap_or_default()).map_err(refused)?;
    let host = url.host_str().map(|h| url.port().map_or_else(|| h.to_owned(), |p| format!("{h}:{p}")));
    let base_url = shared.base_url_for(host.as_deref());
    let request = match AuthorizeRequest::check(shared, (&base_url, &segment), &params, &trace) {
        Ok(request) => request,
        Err(Refusal::Reply(answer)) => return Ok(*answer),
        Err(Refusal::Page(error)) => return Err(refused(*error)),
    };
    let identity = shared
        .directory()
        .identity(&request.tenant, person)
        .ok_or_else(|| EmulatorError::UnknownPerson(person.to_owned()))?;
    let username = &identity.person.username;
    let missing = request.missing_consents(shared, username);
    if AuthorizeRequest::needs_admin(&missing) {
        let error = Aadsts::admin_consent_needed(&request.client.client_id);
        return Ok(request.refuse(shared, &error, &trace));
    }
    request.consent(shared, username);
    let account = SignedIn {
        username: username.clone(),
        auth_time: shared.now(),
        sid: random::guid(),
        clients: BTreeSet::new(),
    };
    request.approve(shared, &identity, &account).await
}
