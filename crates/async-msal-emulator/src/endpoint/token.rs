//! `POST /{tenant}/oauth2/v2.0/token`: code, refresh token, client credentials, on behalf of.

use std::collections::BTreeSet;
use std::sync::Arc;

use aws_lc_rs::digest;
use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, header};
use serde_json::{Map, Value, json};
use subtle::ConstantTimeEq as _;

use crate::aadsts::{Aadsts, Trace};
use crate::client::ClientRegistration;
use crate::directory::{Identity, Tenant};
use crate::endpoint::client_auth::{Audience, authenticate};
use crate::endpoint::on_behalf_of::{ON_BEHALF_OF, on_behalf_of};
use crate::endpoint::params::Params;
use crate::error::EmulatorError;
use crate::grants::{Code, RefreshGrant};
use crate::persons::Person;
use crate::policy::Policy;
use crate::random::{self, fingerprint};
use crate::resource::{Requested, Resource};
use crate::server::host;
use crate::state::{Shared, lock};
use crate::token::{self, IdTokenRequest};

/// What one token request is about, once tenant and client are known.
pub(super) struct TokenCall<'a> {
    pub(super) shared: &'a Shared,
    pub(super) params: &'a Params,
    pub(super) client: ClientRegistration,
    pub(super) tenant: Tenant,
    base_url: String,
}

/// Who gets tokens, and what for.
pub(super) struct Issue<'a> {
    pub(super) identity: &'a Identity,
    pub(super) requested: Requested,
    pub(super) nonce: Option<&'a str>,
    pub(super) auth_time: i64,
    pub(super) wants_auth_time: bool,
    pub(super) sid: &'a str,
    pub(super) grant_type: &'static str,
    pub(super) refresh: bool,
}

pub(crate) async fn token(
    State(shared): State<Arc<Shared>>,
    Path(segment): Path<String>,
    headers: HeaderMap,
    body: String,
) -> Response {
    let trace = Trace::new(&headers, shared.now());
    match answer(&shared, &segment, &headers, &body).await {
        Ok(tokens) => trace.mark(Json(tokens).into_response()),
        Err(error) => error.json(&trace),
    }
}

/// The home ids of the user: at B2C the object id carries the policy; AD FS and providers that are not Microsoft's send none.
pub(crate) fn client_info(tenant: &Tenant, person: &Person) -> Option<String> {
    let uid = match tenant {
        Tenant::Adfs(_) | Tenant::Provider(_) => return None,
        Tenant::B2c { policy, .. } => format!("{}-{}", person.home_object_id, policy.to_ascii_lowercase()),
        _ => person.home_object_id.clone(),
    };
    let info = json!({"uid": uid, "utid": person.home_tenant_id});
    Some(URL_SAFE_NO_PAD.encode(info.to_string()))
}

async fn answer(shared: &Shared, segment: &str, headers: &HeaderMap, body: &str) -> Result<Value, Aadsts> {
    let is_form = headers
        .get(header::CONTENT_TYPE)
        .and_then(|v| v.to_str().ok())
        .is_some_and(|v| v.to_ascii_lowercase().starts_with("application/x-www-form-urlencoded"));
    let params = Params::parse(if is_form { body } else { "" })?;
    let tenant = shared.directory().tenant(segment).ok_or_else(|| Aadsts::unknown_tenant(segment))?;
    let grant_type = params.require("grant_type")?;
    let known = ["authorization_code", "refresh_token", "client_credentials", ON_BEHALF_OF];
    if !known.contains(&grant_type) {
        return Err(Aadsts::unsupported_grant(grant_type));
    }
    let base_url = shared.base_url_for(host(headers));
    let client = authenticate(shared, &params, headers, &Audience { tenant: &tenant, base_url: &base_url })?;
    let call = TokenCall { shared, params: &params, client, tenant, base_url };
    match grant_type {
        "authorization_code" => redeem_code(&call).await,
        "refresh_token" => refresh(&call).await,
        ON_BEHALF_OF => on_behalf_of(&call).await,
        _ => client_credentials(&call),
    }
}

async fn redeem_code(call: &TokenCall<'_>) -> Result<Value, Aadsts> {
    let code_mark = fingerprint(call.params.require("code")?);
    let redirect_uri = call.params.require("redirect_uri")?;
    let code = lock(&call.shared.grants).code(&code_mark).cloned();
    let code =
        code.filter(|c| c.client_id == call.client.client_id).ok_or_else(|| Aadsts::unknown_grant("code"))?;
    if code.redeemed {
        return Err(Aadsts::code_redeemed());
    }
    if code.expires <= call.shared.now() {
        return Err(Aadsts::grant_expired());
    }
    if code.tenant != *call.tenant.segment() {
        return Err(Aadsts::wrong_tenant_for_code());
    }
    if code.redirect_uri != redirect_uri {
        return Err(Aadsts::redirect_differs(redirect_uri, &code.redirect_uri));
    }
    check_pkce(&code, call.params.get("code_verifier"))?;
    let requested = requested_scopes(call, &code.scope)?;
    let identity = identity(call, &code.username)?;
    check_consent(call, &requested, &code.username)?;
    if !lock(&call.shared.grants).redeem(&code_mark) {
        return Err(Aadsts::code_redeemed());
    }
    let refresh = code.scope.split_whitespace().any(|s| s == "offline_access");
    let issue = Issue {
        identity: &identity,
        requested,
        nonce: code.nonce.as_deref(),
        auth_time: code.auth_time,
        wants_auth_time: code.wants_auth_time,
        sid: &code.sid,
        grant_type: "authorization_code",
        refresh,
    };
    issue_tokens(call, &issue).await
}

/// RFC 7636 4.6; a verifier without a challenge is refused too, lest PKCE be stripped from a request (RFC 9700 4.8.2).
fn check_pkce(code: &Code, verifier: Option<&str>) -> Result<(), Aadsts> {
    let good = match (&code.challenge, verifier) {
        (None, None) => true,
        (Some(challenge), Some(verifier)) => {
            let hashed = URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, verifier.as_bytes()));
            let expected = if code.challenge_is_plain { verifier } else { &hashed };
            (43..=128).contains(&verifier.len())
                && bool::from(expected.as_bytes().ct_eq(challenge.as_bytes()))
        }
        _ => false,
    };
    if good { Ok(()) } else { Err(Aadsts::pkce_mismatch()) }
}

async fn refresh(call: &TokenCall<'_>) -> Result<Value, Aadsts> {
    let mark = fingerprint(call.params.require("refresh_token")?);
    let grant = lock(&call.shared.grants).refresh_token(&mark).cloned();
    let grant = grant
        .filter(|g| g.client_id == call.client.client_id)
        .ok_or_else(|| Aadsts::unknown_grant("refresh_token"))?;
    if grant.revoked {
        return Err(Aadsts::grant_revoked());
    }
    if grant.expires <= call.shared.now() {
        return Err(Aadsts::grant_expired());
    }
    let requested = requested_scopes(call, "openid profile offline_access")?;
    let identity = identity(call, &grant.username)?;
    check_consent(call, &requested, &grant.username)?;
    spend(call.shared, &mark, &grant)?;
    let issue = Issue {
        identity: &identity,
        requested,
        nonce: None, // OIDC Core 12.2: no nonce in a refreshed id token
        auth_time: grant.auth_time,
        wants_auth_time: false,
        sid: &grant.sid,
        grant_type: "refresh_token",
        refresh: true,
    };
    issue_tokens(call, &issue).await
}

/// Uses a refresh token, or refuses one that was used before.
fn spend(shared: &Shared, mark: &str, grant: &RefreshGrant) -> Result<(), Aadsts> {
    let policy = shared.policy();
    let mut grants = lock(&shared.grants);
    let Some(ago) = grants.use_refresh_token(mark, shared.now()) else { return Ok(()) };
    lock(&shared.counters).refresh_token_reuses += 1;
    if !policy.single_use_refresh_tokens || ago < policy.refresh_token_reuse_grace {
        return Ok(());
    }
    if policy.revoke_on_refresh_token_reuse {
        grants.revoke_sign_in(grant);
    }
    Err(Aadsts::grant_expired())
}

fn client_credentials(call: &TokenCall<'_>) -> Result<Value, Aadsts> {
    let scope = call.params.require("scope")?;
    let requested = requested_scopes(call, "")?;
    let resource = requested.resource();
    if !requested.asks_default(resource) || !requested.of(resource).is_empty() || !requested.oidc.is_empty() {
        return Err(Aadsts::not_default_scope(scope));
    }
    let (Tenant::Id(_) | Tenant::B2c { .. } | Tenant::Adfs(_) | Tenant::Provider(_)) = call.tenant else {
        return Err(Aadsts::single_tenant(&call.client.client_id));
    };
    let token = match resource {
        Resource::Graph => token::graph_app_token(call.shared, &call.client.client_id),
        Resource::Own => token::own_token(call.shared, None, &call.client.client_id, &call.base_url),
    };
    let mut answer = lifetimes(&call.shared.policy());
    answer.insert("access_token".into(), json!(token.map_err(internal)?));
    Ok(Value::Object(answer))
}

/// The scopes asked, of one resource only; without a `scope` parameter, those of the authorization request.
pub(super) fn requested_scopes(call: &TokenCall<'_>, default: &str) -> Result<Requested, Aadsts> {
    let explicit = call.params.get("scope");
    let scope = explicit.unwrap_or(default);
    let mut requested = Requested::parse(scope, &call.client.client_id)
        .map_err(|e| Aadsts::bad_scope(&e, &call.tenant.segment()))?;
    if requested.has_several_resources() {
        if explicit.is_some() {
            return Err(Aadsts::several_resources(scope));
        }
        requested.keep_first_resource();
    }
    Ok(requested)
}

fn identity(call: &TokenCall<'_>, username: &str) -> Result<Identity, Aadsts> {
    call.shared
        .directory()
        .identity(&call.tenant, username)
        .ok_or_else(|| Aadsts::not_in_tenant(username, &call.tenant.segment()))
}

fn consented(call: &TokenCall<'_>, username: &str, resource: Resource) -> BTreeSet<String> {
    let mut scopes = lock(&call.shared.grants).consents(&call.client.client_id, username, resource.name());
    if resource == Resource::Graph {
        scopes.extend(call.shared.admin_consent.iter().cloned());
    }
    scopes
}

pub(super) fn check_consent(
    call: &TokenCall<'_>,
    requested: &Requested,
    username: &str,
) -> Result<(), Aadsts> {
    let resource = requested.resource();
    let consented = consented(call, username, resource);
    if requested.of(resource).is_subset(&consented) {
        Ok(())
    } else {
        Err(Aadsts::consent_required(&call.client.client_id))
    }
}

/// All scopes of the resource that were consented so far, not only those asked: so does Entra ID.
fn granted(call: &TokenCall<'_>, issue: &Issue<'_>) -> (Vec<String>, BTreeSet<String>) {
    let resource = issue.requested.resource();
    let mut scopes = consented(call, &issue.identity.person.username, resource);
    scopes.remove("offline_access"); // never echoed
    let withheld = call.shared.policy().withheld_scopes;
    scopes.retain(|s| !withheld.contains(s));
    let prefix = match resource {
        Resource::Graph => String::new(),
        Resource::Own => format!("api://{}/", call.client.client_id),
    };
    let mut echoed: Vec<String> = scopes.iter().map(|s| format!("{prefix}{s}")).collect();
    if issue.requested.asks_default(resource) {
        let prefix = if resource == Resource::Graph { "https://graph.microsoft.com/" } else { &prefix };
        echoed.push(format!("{prefix}.default"));
    }
    (echoed, scopes)
}

pub(super) async fn issue_tokens(call: &TokenCall<'_>, issue: &Issue<'_>) -> Result<Value, Aadsts> {
    let shared = call.shared;
    let (echoed, scopes) = granted(call, issue);
    let client_id = &call.client.client_id;
    let access_token = match issue.requested.resource() {
        Resource::Graph => token::graph_token(shared, issue.identity, client_id, &scopes),
        Resource::Own => token::own_token(shared, Some(issue.identity), client_id, &call.base_url),
    };
    let mut answer = lifetimes(&shared.policy());
    answer.insert("scope".into(), json!(echoed.join(" ")));
    answer.insert("access_token".into(), json!(access_token.map_err(internal)?));
    if issue.refresh {
        answer.insert("refresh_token".into(), json!(new_refresh_token(call, issue)?));
    }
    if let Some(id_token) = new_id_token(call, issue)? {
        answer.insert("id_token".into(), json!(id_token));
    }
    if call.params.get("client_info") == Some("1") {
        let info = client_info(&call.tenant, &issue.identity.person);
        answer.extend(info.map(|info| ("client_info".to_owned(), json!(info))));
    }
    shared.save_grants().await.map_err(internal)?;
    Ok(Value::Object(answer))
}

/// How every answer begins.
fn lifetimes(policy: &Policy) -> Map<String, Value> {
    let mut answer = Map::new();
    answer.insert("token_type".into(), json!("Bearer"));
    answer.insert("expires_in".into(), json!(policy.access_token_lifetime));
    answer.insert("ext_expires_in".into(), json!(policy.access_token_lifetime));
    answer.extend(policy.refresh_in.map(|refresh_in| ("refresh_in".to_owned(), json!(refresh_in))));
    answer
}

fn new_refresh_token(call: &TokenCall<'_>, issue: &Issue<'_>) -> Result<String, Aadsts> {
    let refresh_token = format!("1.{}", random::token(64).map_err(internal)?);
    let now = call.shared.now();
    let grant = RefreshGrant {
        client_id: call.client.client_id.clone(),
        tenant: call.tenant.segment().into_owned(),
        username: issue.identity.person.username.clone(),
        auth_time: issue.auth_time,
        sid: issue.sid.to_owned(),
        expires: now + call.shared.policy().refresh_token_lifetime,
        used: false,
        used_at: 0,
        revoked: false,
    };
    lock(&call.shared.grants).add_refresh_token(fingerprint(&refresh_token), grant, now);
    Ok(refresh_token)
}

fn new_id_token(call: &TokenCall<'_>, issue: &Issue<'_>) -> Result<Option<String>, Aadsts> {
    if !issue.requested.oidc.contains("openid") {
        return Ok(None);
    }
    let client_id = &call.client.client_id;
    let request = IdTokenRequest {
        identity: issue.identity,
        tenant: &call.tenant,
        client_id,
        base_url: &call.base_url,
        nonce: issue.nonce,
        sid: issue.sid,
        auth_time: issue.wants_auth_time.then_some(issue.auth_time),
        scopes: &issue.requested.oidc,
        fault: lock(&call.shared.faults).take_id_token(client_id, issue.grant_type),
    };
    token::id_token(call.shared, &request).map_err(internal)
}

/// What went wrong stays in the log; the caller sees a transient error.
pub(super) fn internal(error: EmulatorError) -> Aadsts {
    tracing::error!(%error, "the emulator could not answer");
    Aadsts::internal()
}
