//! Who asks: the client's secret, or its assertion.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::{HeaderMap, header};
use serde_json::Value;
use subtle::ConstantTimeEq as _;

use crate::aadsts::Aadsts;
use crate::client::ClientRegistration;
use crate::client_assertion;
pub(super) use crate::client_assertion::Audience;
use crate::endpoint::params::Params;
use crate::state::Shared;

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// RFC 6749 2.3.1: the secret comes in the body or by HTTP Basic, each part of which is form-encoded; an assertion
/// in the body (RFC 7523 2.2). Never two of them.
pub(super) fn authenticate(
    shared: &Shared,
    params: &Params,
    headers: &HeaderMap,
    audience: &Audience<'_>,
) -> Result<ClientRegistration, Aadsts> {
    let basic = headers.get(header::AUTHORIZATION).map(|v| basic_credentials(v.as_bytes()));
    let basic = basic.transpose()?;
    let assertion = params.get("client_assertion");
    let proofs = [basic.is_some(), params.get("client_secret").is_some(), assertion.is_some()];
    if proofs.into_iter().filter(|given| *given).count() > 1 {
        return Err(Aadsts::malformed());
    }
    let (client_id, secret) = match &basic {
        Some((id, secret)) => (id.as_str(), Some(secret.as_str())),
        None => (params.require("client_id")?, params.get("client_secret")),
    };
    if params.get("client_id").is_some_and(|id| !id.eq_ignore_ascii_case(client_id)) {
        return Err(Aadsts::malformed());
    }
    let client = shared.client(client_id).ok_or_else(|| Aadsts::invalid_client_id(client_id))?;
    if let Some(assertion) = assertion {
        if params.require("client_assertion_type")? != ASSERTION_TYPE {
            return Err(Aadsts::unsupported_value("client_assertion_type"));
        }
        client_assertion::check(shared, &client, assertion, audience)?;
        return Ok(client);
    }
    let secret = secret.ok_or_else(Aadsts::no_credential)?;
    // An empty secret is none: this client has certificates only.
    let same = bool::from(secret.as_bytes().ct_eq(client.client_secret.as_bytes()));
    if client.client_secret.is_empty() || !same {
        return Err(Aadsts::wrong_secret(&client.client_id));
    }
    Ok(client)
}

fn basic_credentials(value: &[u8]) -> Result<(String, String), Aadsts> {
    let text = std::str::from_utf8(value).map_err(|_| Aadsts::malformed())?;
    let (scheme, encoded) = text.split_once(' ').ok_or_else(Aadsts::malformed)?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(Aadsts::malformed());
    }
    let decoded = STANDARD.decode(encoded.trim()).map_err(|_| Aadsts::malformed())?;
    let decoded = String::from_utf8(decoded).map_err(|_| Aadsts::malformed())?;
    let (id, secret) = decoded.split_once(':').ok_or_else(Aadsts::malformed)?;
    Ok((form_decode(id), form_decode(secret)))
}

fn form_decode(text: &str) -> String {
    let pair = format!("v={text}");
    form_urlencoded::parse(pair.as_bytes()).next().map(|(_, v)| v.into_owned()).unwrap_or_default()
}

/// The client id that an `Authorization` header names, unchecked: to scope a fault.
pub(crate) fn client_id_of(authorization: &str) -> Option<String> {
    if let Ok((id, _)) = basic_credentials(authorization.as_bytes()) {
        return Some(id);
    }
    let payload = authorization.split('.').nth(1)?;
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
    claims.get("appid").and_then(Value::as_str).map(str::to_owned)
}
