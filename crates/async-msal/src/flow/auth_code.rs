//! The authorization code flow (RFC 6749 4.1, RFC 7636, OpenID Connect Core 3.1).

use url::Url;

use super::auth_code_flow::{AuthCodeFlow, AuthUri};
use super::auth_code_request::AuthCodeRequest;
use super::auth_response::AuthResponse;
use super::callback::{self, ValidatedCallback};
use super::token_result::SignInResult;
use crate::claims_challenge::{self, ClaimsChallenge};
use crate::confidential_client::ConfidentialClient;
use crate::error::{ConfigError, Error, InvalidResponse};
use crate::id_token::verify::Occasion;
use crate::pkce;
use crate::random::token;
use crate::scope::Scopes;
use crate::secret::{Nonce, State};
use crate::token_cache::{TokenCache, WriteOccasion};
use crate::token_endpoint::response::home_account_id;

/// Names that `with_extra_query_parameter` may not set.
const PROTOCOL: [&str; 22] = [
    "client_id",
    "response_type",
    "redirect_uri",
    "scope",
    "state",
    "response_mode",
    "code_challenge",
    "code_challenge_method",
    "nonce",
    "client_info",
    "login_hint",
    "prompt",
    "domain_hint",
    "claims",
    "max_age",
    "x-anchormailbox",
    "request",
    "request_uri",
    "client_secret",
    "client_assertion",
    "client_assertion_type",
    "code_verifier",
];

pub(crate) async fn initiate(
    client: &ConfidentialClient,
    request: AuthCodeRequest,
) -> Result<AuthCodeFlow, Error> {
    check(&request)?;
    let metadata = client.metadata().await?;
    start(client, metadata.authorization_endpoint(), Some(metadata.issuer()), &request)
}

pub(crate) fn initiate_at_hand(
    client: &ConfidentialClient,
    request: AuthCodeRequest,
) -> Result<Option<AuthCodeFlow>, Error> {
    check(&request)?;
    if let Some(metadata) = client.metadata_at_hand() {
        let (endpoint, issuer) = (metadata.authorization_endpoint(), metadata.issuer());
        return start(client, endpoint, Some(issuer), &request).map(Some);
    }
    let by_rule = client.authority().authorization_endpoint_by_rule();
    by_rule.map(|endpoint| start(client, &endpoint, None, &request)).transpose()
}

fn start(
    client: &ConfidentialClient,
    endpoint: &Url,
    issuer: Option<&str>,
    request: &AuthCodeRequest,
) -> Result<AuthCodeFlow, Error> {
    let random = client.random().as_ref();
    let state = match request.state.clone() {
        Some(state) => state,
        None => State::new(token(random, 16)?),
    };
    let mut flow = AuthCodeFlow {
        state,
        nonce: Nonce::new(token(random, 16)?),
        code_verifier: pkce::new_verifier(random)?,
        redirect_uri: Some(request.redirect_uri.clone()),
        scopes: Some(request.scopes.clone()),
        max_age: request.max_age,
        issuer: issuer.map(str::to_owned),
        auth_uri: None,
        claims_challenge: request.claims.as_ref().map(|claims| claims.as_str().to_owned()),
    };
    flow.auth_uri = Some(AuthUri(auth_uri(client, endpoint, request, &flow)));
    Ok(flow)
}

pub(crate) async fn redeem(
    client: &ConfidentialClient,
    cache: &mut TokenCache,
    flow: &AuthCodeFlow,
    response: AuthResponse,
) -> Result<SignInResult, Error> {
    let metadata = client.metadata().await?;
    // State, issuer, error: the proof that the code belongs to this browser's sign-in.
    let callback = callback::validate(flow, &metadata, response)?;
    client.keys_at_hand().await?;
    let correlation_id = client.new_correlation_id();
    let form = redemption_form(client, flow, &callback);
    let anchor = callback.client_info.as_deref().and_then(home_account_id).map(|id| anchor_mailbox(&id));
    let response = client.request_token("authorization_code", form, &correlation_id, anchor).await?;
    let raw = response.id_token.as_ref().ok_or(InvalidResponse::NoIdToken)?;
    let occasion = Occasion::SignIn { nonce: &flow.nonce, max_age: flow.max_age };
    // Who signed in is proven before anything is written.
    let id_token = client.verify_id_token(&metadata, raw, &response.access_token, occasion).await?;
    let requested = flow.scopes.clone().unwrap_or_default();
    let grant = client.grant(&metadata, &response, &requested, Some(&id_token));
    let home = response.home_account_id.clone().unwrap_or_else(|| id_token.claims().sub.clone());
    cache.write(&grant.to_write(Some(&home), WriteOccasion::SignIn));
    let account = cache.account_written(&home, client.environment(), metadata.realm());
    let account = account.ok_or(InvalidResponse::Member("client_info"))?;
    let token = grant.into_result(correlation_id);
    Ok(SignInResult { token, account, id_token })
}

fn check(request: &AuthCodeRequest) -> Result<(), Error> {
    request.scopes.check_askable()?;
    let address = &request.redirect_uri;
    if address.fragment().is_some() || !matches!(address.scheme(), "https" | "http") {
        return Err(ConfigError::RedirectUri.into());
    }
    let taken = |name: &str| PROTOCOL.iter().any(|protocol| name.eq_ignore_ascii_case(protocol));
    match request.extra.iter().find(|(name, _)| taken(name)) {
        Some((name, _)) => Err(ConfigError::ReservedParameter(name.clone()).into()),
        None => Ok(()),
    }
}

/// The parameters in MSAL's order. `response_type` is `code` and nothing else.
fn auth_uri(
    client: &ConfidentialClient,
    endpoint: &Url,
    request: &AuthCodeRequest,
    flow: &AuthCodeFlow,
) -> Url {
    let mut uri = endpoint.clone();
    let claims = claims_challenge::merged(request.claims.as_ref(), client.capabilities());
    let mut query = uri.query_pairs_mut();
    query
        .append_pair("client_id", client.client_id())
        .append_pair("response_type", "code")
        .append_pair("redirect_uri", request.redirect_uri.as_str())
        .append_pair("scope", &request.scopes.decorated().to_string())
        .append_pair("state", flow.state.expose_secret())
        .append_pair("response_mode", request.response_mode.as_str())
        .append_pair("code_challenge", &pkce::challenge(&flow.code_verifier))
        .append_pair("code_challenge_method", "S256")
        .append_pair("nonce", &pkce::nonce_on_the_wire(&flow.nonce))
        .append_pair("client_info", "1");
    let optional = [
        ("login_hint", request.login_hint.clone()),
        ("prompt", request.prompt.map(|prompt| prompt.as_str().to_owned())),
        ("domain_hint", request.domain_hint.clone()),
        ("claims", claims),
        ("max_age", request.max_age.map(|seconds| seconds.to_string())),
        ("X-AnchorMailbox", request.login_hint.as_ref().map(|hint| format!("UPN:{hint}"))),
    ];
    query.extend_pairs(optional.into_iter().filter_map(|(name, value)| Some((name, value?))));
    query.extend_pairs(&request.extra);
    drop(query);
    uri
}

/// `claims` as on the authorization request, as far as the flow still knows them.
fn redemption_form(
    client: &ConfidentialClient,
    flow: &AuthCodeFlow,
    callback: &ValidatedCallback,
) -> Vec<(&'static str, String)> {
    let scope = flow.scopes.as_ref().map(|scopes| scopes.decorated().to_string()).unwrap_or_default();
    let challenge = flow.claims_challenge.as_deref().and_then(|text| ClaimsChallenge::parse(text).ok());
    let claims = claims_challenge::merged(challenge.as_ref(), client.capabilities());
    vec![
        ("code", callback.code.expose_secret().to_owned()),
        ("redirect_uri", flow.redirect_uri.as_ref().map(ToString::to_string).unwrap_or_default()),
        ("code_verifier", flow.code_verifier.expose_secret().to_owned()),
        ("scope", scope),
        ("claims", claims.unwrap_or_default()),
    ]
}

/// Names the user's home to Entra ID's routing.
pub(super) fn anchor_mailbox(home_account_id: &str) -> String {
    format!("Oid:{}", home_account_id.replace('.', "@"))
}

/// What an answer grants: its own words, or all that was asked where it has none (RFC 6749 5.1).
pub(crate) fn granted(scope: Option<&Scopes>, requested: &Scopes) -> Scopes {
    scope.cloned().unwrap_or_else(|| requested.decorated())
}
