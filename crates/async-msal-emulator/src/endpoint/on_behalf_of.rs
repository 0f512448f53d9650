//! The grant by which an API gets tokens on behalf of its caller (RFC 7523 2.1, in Entra ID's form).

use serde_json::Value;

use crate::aadsts::Aadsts;
use crate::directory::Identity;
use crate::endpoint::token::{Issue, TokenCall, check_consent, issue_tokens, requested_scopes};
use crate::random;
use crate::token::check_token;

pub(crate) const ON_BEHALF_OF: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// The assertion must be a user's access token for this very client.
pub(super) async fn on_behalf_of(call: &TokenCall<'_>) -> Result<Value, Aadsts> {
    if call.params.require("requested_token_use")? != "on_behalf_of" {
        return Err(Aadsts::unsupported_value("requested_token_use"));
    }
    let assertion = call.params.require("assertion")?;
    let claims = check_token(call.shared, assertion).map_err(|_| Aadsts::assertion_signature())?;
    let text = |name: &str| claims.get(name).and_then(Value::as_str).unwrap_or_default();
    if text("aud") != call.client.client_id || text("scp").is_empty() {
        return Err(Aadsts::assertion_audience());
    }
    if claims.get("exp").and_then(Value::as_i64).is_none_or(|exp| exp <= call.shared.now()) {
        return Err(Aadsts::assertion_expired());
    }
    let requested = requested_scopes(call, "")?;
    let identity = identity(call, text("tid"), text("oid"))?;
    check_consent(call, &requested, &identity.person.username)?;
    let refresh = requested.oidc.contains("offline_access");
    let sid = random::guid();
    let issue = Issue {
        identity: &identity,
        requested,
        nonce: None,
        auth_time: call.shared.now(),
        wants_auth_time: false,
        sid: &sid,
        grant_type: "on_behalf_of",
        refresh,
    };
    issue_tokens(call, &issue).await
}

fn identity(call: &TokenCall<'_>, tenant_id: &str, object_id: &str) -> Result<Identity, Aadsts> {
    let directory = call.shared.directory();
    let identity = directory.identity(&call.tenant, object_id);
    let same = identity.filter(|identity| identity.tenant_id == tenant_id);
    same.ok_or_else(|| Aadsts::not_in_tenant(object_id, &call.tenant.segment()))
}
