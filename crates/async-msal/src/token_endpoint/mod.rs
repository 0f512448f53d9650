//! The only POST this crate makes.

mod raw_answer;
pub(crate) mod response;
mod send_gate;
mod throttle;

use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use url::Url;

pub use self::raw_answer::RawAnswer;
use self::response::TokenResponse;
pub use self::send_gate::SendGate;
pub(crate) use self::throttle::{Slot, Throttle};
use crate::client_credential::proof::{Proof, Proving};
use crate::error::{Error, Unreachable};
use crate::http_client::Failed;
use crate::telemetry;

/// Longer answers are cut off while they arrive.
const LIMIT: usize = 512 * 1024;

/// RFC 7523 2.2.
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// One token request, before it is sent.
pub(crate) struct TokenRequest<'a> {
    pub(crate) endpoint: &'a Url,
    pub(crate) grant: &'static str,
    pub(crate) form: Vec<(&'static str, String)>,
    pub(crate) correlation_id: &'a str,
    /// Lets Entra ID route the request to the datacenter that holds the user.
    pub(crate) anchor_mailbox: Option<String>,
    /// HTTP Basic instead of the body (RFC 6749 2.3.1).
    pub(crate) basic: bool,
    /// A refresh may be sent twice, a code never once a byte went out (RFC 6749 4.1.2).
    pub(crate) repeatable: bool,
    /// Closed where nobody waits any more.
    pub(crate) gate: Option<&'a SendGate>,
}

/// Sends the request and reads its answer. Nothing is stored here.
pub(crate) async fn send(proving: &Proving<'_>, request: &TokenRequest<'_>) -> Result<TokenResponse, Error> {
    // Without a proof nothing is sent.
    let proof = proving.proof().await?;
    if request.gate.is_some_and(|gate| !gate.pass()) {
        return Err(Unreachable { what: "the token endpoint", reason: "given up", source: None }.into());
    }
    let started = Instant::now();
    // One time limit over both attempts.
    let both = tokio::time::timeout(proving.means.http.limit(), exchange(proving, proof, request)).await;
    let result = both.unwrap_or_else(|_| {
        Err(Unreachable { what: "the token endpoint", reason: "timeout", source: None }.into())
    });
    let failure = result.as_ref().err();
    telemetry::token_request(request.grant, failure.map(Error::code), started.elapsed());
    match failure {
        None => {
            tracing::debug!(grant = request.grant, correlation_id = request.correlation_id, "token request")
        }
        Some(error) => tracing::warn!(
            grant = request.grant,
            correlation_id = request.correlation_id,
            code = error.code(),
            trace_id = error.server().and_then(|server| server.trace_id.as_deref()),
            %error,
            "token request failed"
        ),
    }
    result
}

async fn exchange(
    proving: &Proving<'_>,
    proof: Proof,
    request: &TokenRequest<'_>,
) -> Result<TokenResponse, Error> {
    let first = attempt(proving, &proof, request).await;
    let Err(failed) = first else { return first.map_err(|failed| failed.error) };
    let again = failed.unsent || request.repeatable && is_server_failure(&failed.error);
    // A time limit that has passed once would pass twice: the caller has waited long enough.
    if !again || is_timeout(&failed.error) {
        return Err(failed.error);
    }
    // Where an assertion is good once, the first attempt may have spent it.
    let proof = proving.proof().await?;
    attempt(proving, &proof, request).await.map_err(|failed| failed.error)
}

async fn attempt(
    proving: &Proving<'_>,
    proof: &Proof,
    request: &TokenRequest<'_>,
) -> Result<TokenResponse, Failed> {
    let (http, client_id) = (proving.means.http, proving.client_id());
    let mut post = http
        .for_url(request.endpoint)
        .post(request.endpoint.clone())
        .header(ACCEPT, "application/json")
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header("x-client-SKU", "async-msal.Rust")
        .header("x-client-Ver", env!("CARGO_PKG_VERSION"))
        .header("x-ms-lib-capability", "retry-after, h429")
        .header("client-request-id", request.correlation_id);
    if let Some(anchor) =
        request.anchor_mailbox.as_ref().and_then(|text| http::HeaderValue::from_str(text).ok())
    {
        post = post.header("X-AnchorMailbox", anchor);
    }
    if let (Proof::Secret(secret), true) = (proof, request.basic) {
        post = post.header(AUTHORIZATION, basic(client_id, secret.expose_secret()));
    }
    let fetched = http.send(post.body(form(client_id, proof, request)), "the token endpoint", LIMIT).await?;
    TokenResponse::read(&fetched, proving.means.clock.now()).map_err(|error| Failed { error, unsent: false })
}

fn form(client_id: &str, proof: &Proof, request: &TokenRequest<'_>) -> String {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("client_id", client_id).append_pair("grant_type", request.grant);
    form.append_pair("client_info", "1");
    match proof {
        Proof::Secret(_) if request.basic => {}
        Proof::Secret(secret) => drop(form.append_pair("client_secret", secret.expose_secret())),
        Proof::Assertion(assertion) => {
            form.append_pair("client_assertion_type", ASSERTION_TYPE)
                .append_pair("client_assertion", assertion.expose_secret());
        }
    }
    form.extend_pairs(request.form.iter().filter(|(_, value)| !value.is_empty()));
    form.finish()
}

/// Both halves are form-encoded before they are joined (RFC 6749 2.3.1).
fn basic(client_id: &str, secret: &str) -> http::HeaderValue {
    let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let pair = zeroize::Zeroizing::new(format!("{}:{}", encode(client_id), encode(secret)));
    let text = format!("Basic {}", STANDARD.encode(pair.as_bytes()));
    // Base64 is always a legal header value.
    let mut value = http::HeaderValue::from_str(&text).unwrap_or_else(|_| http::HeaderValue::from_static(""));
    value.set_sensitive(true);
    value
}

fn is_server_failure(error: &Error) -> bool {
    matches!(error, Error::Unreachable(_))
        || !matches!(error, Error::Throttled { .. }) && error.is_retryable()
}

fn is_timeout(error: &Error) -> bool {
    matches!(error, Error::Unreachable(unreachable) if unreachable.reason == "timeout")
}
