//! Errors as Entra ID words them: an OAuth error, an AADSTS number, a text with trace and correlation ids.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::macros::format_description;

use crate::random::guid;
use crate::resource::ScopeError;

/// One refusal.
#[derive(Debug, Clone)]
pub(crate) struct Aadsts {
    pub(crate) code: u32,
    pub(crate) error: String,
    pub(crate) text: String,
    pub(crate) status: StatusCode,
    pub(crate) suberror: Option<String>,
    pub(crate) claims: Option<String>,
    /// `error_subcode` of an authorization response.
    pub(crate) subcode: Option<&'static str>,
}

/// The ids of one request, for the error and for the answer's headers.
#[derive(Debug, Clone)]
pub(crate) struct Trace {
    pub(crate) correlation_id: String,
    pub(crate) trace_id: String,
    pub(crate) now: i64,
}

impl Trace {
    /// The caller's `client-request-id` is the correlation id, if it is a GUID.
    pub(crate) fn new(headers: &http::HeaderMap, now: i64) -> Self {
        let sent = headers.get("client-request-id").and_then(|v| v.to_str().ok());
        let sent = sent.and_then(|v| uuid::Uuid::parse_str(v).ok()).map(|id| id.to_string());
        Self { correlation_id: sent.unwrap_or_else(guid), trace_id: guid(), now }
    }

    /// `2016-01-09 02:02:12Z`
    pub(crate) fn timestamp(&self) -> String {
        let format = format_description!("[year]-[month]-[day] [hour]:[minute]:[second]Z");
        let time = OffsetDateTime::from_unix_timestamp(self.now).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        time.format(&format).unwrap_or_default()
    }

    /// Adds what Entra ID sends with every answer of the token endpoint.
    pub(crate) fn mark(&self, mut response: Response) -> Response {
        let headers = response.headers_mut();
        for (name, value) in
            [("x-ms-request-id", &self.trace_id), ("client-request-id", &self.correlation_id)]
        {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name, value);
            }
        }
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store, no-cache"));
        headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
        response
    }
}

impl Aadsts {
    pub(crate) fn new(code: u32, error: &str, text: impl Into<String>) -> Self {
        Self {
            code,
            error: error.to_owned(),
            text: text.into(),
            status: StatusCode::BAD_REQUEST,
            suberror: None,
            claims: None,
            subcode: None,
        }
    }

    fn unauthorized(mut self) -> Self {
        self.status = StatusCode::UNAUTHORIZED;
        self
    }

    fn suberror(mut self, suberror: &str) -> Self {
        self.suberror = Some(suberror.to_owned());
        self
    }

    pub(crate) fn description(&self, trace: &Trace) -> String {
        let Trace { correlation_id, trace_id, .. } = trace;
        let timestamp = trace.timestamp();
        format!(
            "AADSTS{}: {} Trace ID: {trace_id} Correlation ID: {correlation_id} Timestamp: {timestamp}",
            self.code, self.text
        )
    }

    /// Entra ID links some errors to a page and others not; these were seen with a link.
    pub(crate) fn error_uri(&self) -> Option<String> {
        matches!(self.code, 7_000_215 | 500_011 | 65_001 | 50_058 | 54_005 | 501_481 | 70_008)
            .then(|| format!("https://login.microsoftonline.com/error?code={}", self.code))
    }

    /// The answer of the token endpoint.
    pub(crate) fn json(&self, trace: &Trace) -> Response {
        let mut body = Map::new();
        body.insert("error".into(), json!(self.error));
        body.insert("error_description".into(), json!(self.description(trace)));
        body.insert("error_codes".into(), json!([self.code]));
        body.insert("timestamp".into(), json!(trace.timestamp()));
        body.insert("trace_id".into(), json!(trace.trace_id));
        body.insert("correlation_id".into(), json!(trace.correlation_id));
        let optional = [
            ("error_uri", self.error_uri()),
            ("suberror", self.suberror.clone()),
            ("claims", self.claims.clone()),
        ];
        body.extend(optional.into_iter().filter_map(|(name, value)| Some((name.to_owned(), json!(value?)))));
        trace.mark((self.status, Json(Value::Object(body))).into_response())
    }
}

// One constructor per refusal, so that each text stands once.
impl Aadsts {
    pub(crate) fn missing(parameter: &str) -> Self {
        let text = format!("The request body must contain the following parameter: '{parameter}'.");
        Self::new(900_144, "invalid_request", text)
    }

    pub(crate) fn malformed() -> Self {
        Self::new(9_002_313, "invalid_request", "Invalid request. Request is malformed or invalid.")
    }

    pub(crate) fn duplicated(parameter: &str) -> Self {
        let text =
            format!("The request is not properly formatted. The parameter '{parameter}' is duplicated.");
        Self::new(9_000_411, "invalid_request", text)
    }

    pub(crate) fn unknown_tenant(tenant: &str) -> Self {
        let text = format!(
            "Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud."
        );
        Self::new(90_002, "invalid_request", text)
    }

    pub(crate) fn client_not_in_tenant(client: &str, tenant: &str) -> Self {
        let text = format!(
            "Application with identifier '{client}' was not found in the directory '{tenant}'. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant."
        );
        Self::new(700_016, "unauthorized_client", text)
    }

    pub(crate) fn invalid_client_id(client: &str) -> Self {
        Self::new(700_038, "unauthorized_client", format!("{client} is not a valid application identifier."))
    }

    pub(crate) fn wrong_secret(client: &str) -> Self {
        let text = format!(
            "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '{client}'."
        );
        Self::new(7_000_215, "invalid_client", text).unauthorized()
    }

    pub(crate) fn no_credential() -> Self {
        let text =
            "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.";
        Self::new(7_000_218, "invalid_client", text).unauthorized()
    }

    pub(crate) fn assertion_unknown() -> Self {
        let text = "The certificate with identifier used to sign the client assertion is not registered on application.";
        Self::new(700_027, "invalid_client", text).unauthorized()
    }

    pub(crate) fn invalid_jwt() -> Self {
        Self::new(50_027, "invalid_client", "JWT token is invalid or malformed.").unauthorized()
    }

    pub(crate) fn assertion_subject() -> Self {
        let text = "Client assertion application identifier doesn't match 'client_id' parameter.";
        Self::new(700_021, "invalid_client", text).unauthorized()
    }

    pub(crate) fn assertion_realm() -> Self {
        let text = "Client assertion audience claim does not match Realm issuer.";
        Self::new(700_023, "invalid_client", text).unauthorized()
    }

    /// Not Entra ID's: it takes an assertion as often as it comes.
    pub(crate) fn assertion_replayed() -> Self {
        Self::new(50_027, "invalid_client", "The client assertion was used before.").unauthorized()
    }

    pub(crate) fn assertion_times() -> Self {
        let text = "Client assertion is not within its valid time range.";
        Self::new(700_024, "invalid_client", text).unauthorized()
    }

    pub(crate) fn federated_audience(audience: &str) -> Self {
        let text = format!(
            "No matching federated identity record found for presented assertion audience '{audience}'."
        );
        Self::new(700_212, "invalid_client", text).unauthorized()
    }

    pub(crate) fn federated_unknown(subject: &str) -> Self {
        let text = format!(
            "No matching federated identity record found for presented assertion subject '{subject}'."
        );
        Self::new(700_213, "invalid_client", text).unauthorized()
    }

    pub(crate) fn assertion_signature() -> Self {
        Self::new(50_013, "invalid_grant", "Assertion failed signature validation.")
    }

    pub(crate) fn assertion_audience() -> Self {
        let text = "Assertion audience claim does not match the required value.";
        Self::new(50_013, "invalid_grant", text)
    }

    pub(crate) fn assertion_expired() -> Self {
        let text = "Assertion is not within its valid time range.";
        Self::new(500_133, "invalid_grant", text)
    }

    pub(crate) fn unsupported_grant(grant: &str) -> Self {
        let text = format!("The app requested an unsupported grant type '{grant}'.");
        Self::new(70_003, "unsupported_grant_type", text)
    }

    pub(crate) fn unregistered_redirect(uri: &str, client: &str) -> Self {
        let text = format!(
            "The redirect URI '{uri}' specified in the request does not match the redirect URIs configured for the application '{client}'. Make sure the redirect URI sent in the request matches one added to your application in the Azure portal."
        );
        Self::new(50_011, "invalid_request", text)
    }

    pub(crate) fn single_tenant(client: &str) -> Self {
        let text = format!(
            "Application '{client}' is not configured as a multi-tenant application. Usage of the /common endpoint is not supported for such apps. Use a tenant-specific endpoint or configure the application to be multi-tenant."
        );
        Self::new(50_194, "invalid_request", text)
    }

    pub(crate) fn consumers() -> Self {
        let text = "The client does not exist or is not enabled for consumers.";
        Self::new(70_001, "unauthorized_client", text)
    }

    pub(crate) fn not_in_tenant(user: &str, tenant: &str) -> Self {
        let text = format!("The user account '{user}' does not exist in the directory '{tenant}'.");
        Self::new(50_034, "interaction_required", text)
    }

    pub(crate) fn response_type(response_type: &str) -> Self {
        let text = format!("response_type '{response_type}' is not enabled for the application.");
        Self::new(700_054, "unsupported_response_type", text)
    }

    pub(crate) fn response_mode(mode: &str) -> Self {
        let text = format!("'{mode}' is not a supported value of 'response_mode' when requesting a token.");
        Self::new(70_007, "invalid_request", text)
    }

    pub(crate) fn unsupported_value(parameter: &str) -> Self {
        let text = format!("The parameter '{parameter}' in the request has an unsupported value.");
        Self::new(90_023, "invalid_request", text)
    }

    pub(crate) fn login_required() -> Self {
        let text = "Session information is not sufficient for single-sign-on.";
        Self::new(50_058, "login_required", text)
    }

    pub(crate) fn declined() -> Self {
        let mut error = Self::new(65_004, "access_denied", "User declined to consent to access the app.");
        error.subcode = Some("cancel");
        error
    }

    pub(crate) fn admin_consent_needed(client: &str) -> Self {
        let text = format!(
            "The application '{client}' needs permission to access resources in your organization that only an admin can grant. Please ask an admin to grant permission to this app before you can use it."
        );
        Self::new(90_094, "access_denied", text)
    }

    pub(crate) fn consent_required(client: &str) -> Self {
        let text = format!(
            "The user or administrator has not consented to use the application with ID '{client}'. Send an interactive authorization request for this user and resource."
        );
        Self::new(65_001, "invalid_grant", text).suberror("consent_required")
    }

    pub(crate) fn bad_scope(error: &ScopeError, tenant: &str) -> Self {
        match error {
            ScopeError::UnknownResource(name) => {
                let text = format!(
                    "The resource principal named {name} was not found in the tenant named {tenant}. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant. You might have sent your authentication request to the wrong tenant."
                );
                Self::new(500_011, "invalid_resource", text)
            }
            ScopeError::UnknownScope(scope) => {
                let text = format!(
                    "The provided request must include a 'scope' input parameter. The provided value for the input parameter 'scope' is not valid. The scope {scope} is not valid."
                );
                Self::new(70_011, "invalid_scope", text)
            }
        }
    }

    pub(crate) fn several_resources(scope: &str) -> Self {
        let text = format!(
            "Provided value for the input parameter scope is not valid because it contains more than one resource. Scope {scope} is not valid."
        );
        Self::new(28_000, "invalid_scope", text)
    }

    pub(crate) fn not_default_scope(scope: &str) -> Self {
        let text = format!(
            "The provided value for scope {scope} is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier (application ID URI)."
        );
        Self::new(1_002_012, "invalid_scope", text)
    }

    pub(crate) fn unknown_grant(parameter: &str) -> Self {
        let text = format!("The provided value for the input parameter '{parameter}' is not valid.");
        Self::new(70_000, "invalid_grant", text)
    }

    pub(crate) fn code_redeemed() -> Self {
        let text = "OAuth2 Authorization code was already redeemed, please retry with a new valid code or use an existing refresh token.";
        Self::new(54_005, "invalid_grant", text)
    }

    pub(crate) fn grant_expired() -> Self {
        let text = "The provided authorization code or refresh token has expired due to inactivity. Send a new interactive authorization request for this user and resource.";
        Self::new(70_008, "invalid_grant", text)
    }

    pub(crate) fn grant_revoked() -> Self {
        let text = "The provided grant has expired due to it being revoked, a fresh auth token is needed. The user might have changed or reset their password.";
        Self::new(50_173, "invalid_grant", text)
    }

    pub(crate) fn pkce_mismatch() -> Self {
        let text =
            "The Code_Verifier does not match the code_challenge supplied in the authorization request.";
        Self::new(501_481, "invalid_grant", text)
    }

    pub(crate) fn wrong_tenant_for_code() -> Self {
        let text = "Provided Authorization Code is intended to use against other tenant, thus rejected. OAuth2 Authorization Code must be redeemed against same tenant it was acquired for (/common or /{tenant-ID} as appropriate)";
        Self::new(700_005, "invalid_grant", text)
    }

    pub(crate) fn redirect_differs(given: &str, requested: &str) -> Self {
        let text = format!(
            "The reply address '{given}' does not match the reply address '{requested}' provided when requesting Authorization code."
        );
        Self::new(500_112, "invalid_grant", text)
    }

    pub(crate) fn internal() -> Self {
        let mut error =
            Self::new(90_033, "temporarily_unavailable", "A transient error has occurred. Please try again.");
        error.status = StatusCode::SERVICE_UNAVAILABLE;
        error
    }
}
