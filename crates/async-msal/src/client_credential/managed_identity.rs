//! The identity of the Azure machine or App Service, as a federated credential of the registration (Microsoft identity
//! platform, "Configure an application to trust a managed identity").

use http::HeaderValue;
use serde_json::Value;
use url::Url;

use crate::error::{ClientAssertionError, ConfigError, Error};
use crate::http_client::{Fetched, HttpClient};
use crate::json;
use crate::secret::ClientAssertion;

/// Whom the identity's token is for when it is an assertion.
const AUDIENCE: &str = "api://AzureADTokenExchange";
/// Azure's Instance Metadata Service: link-local, so that it never leaves the machine.
const IMDS: &str = "http://169.254.169.254";
/// Where App Service tells its endpoint and the secret header's value.
const ENDPOINT: &str = "IDENTITY_ENDPOINT";
const HEADER: &str = "IDENTITY_HEADER";
/// Longer answers are none of the service's.
const LIMIT: usize = 64 * 1024;
/// Longer texts of a refusal are cut.
const LONGEST_TEXT: usize = 256;

/// A managed identity, and where its tokens come from.
///
/// The registration must list it as a federated credential.
#[derive(Debug, Clone)]
pub struct ManagedIdentity {
    source: Source,
    client_id: Option<String>,
    audience: String,
}

#[derive(Debug, Clone)]
enum Source {
    Imds { base: Url },
    AppService { endpoint: Url, header: HeaderValue },
}

impl ManagedIdentity {
    /// The machine's own identity: App Service's endpoint where `IDENTITY_ENDPOINT` and `IDENTITY_HEADER` are set,
    /// else the Instance Metadata Service.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] where `IDENTITY_ENDPOINT` is no address.
    pub fn from_env() -> Result<Self, Error> {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        match (variable(ENDPOINT), variable(HEADER)) {
            (Some(endpoint), Some(header)) => Self::app_service(&endpoint, &header),
            _ => Self::imds(IMDS),
        }
    }

    /// The Instance Metadata Service at this address; Azure's is `http://169.254.169.254`.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] where it is no http or https address.
    pub fn imds(base: &str) -> Result<Self, Error> {
        let base = address(base)?;
        Ok(Self { source: Source::Imds { base }, client_id: None, audience: AUDIENCE.to_owned() })
    }

    /// App Service's endpoint, and the value of its secret header.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] where it is no http or https address, or no header can have the value.
    pub fn app_service(endpoint: &str, header: &str) -> Result<Self, Error> {
        let mut header = HeaderValue::from_str(header).map_err(|_| ConfigError::ManagedIdentity)?;
        // Redacts its `Debug`.
        header.set_sensitive(true);
        let source = Source::AppService { endpoint: address(endpoint)?, header };
        Ok(Self { source, client_id: None, audience: AUDIENCE.to_owned() })
    }

    /// A user-assigned identity, by its client id. Default: the machine's own.
    #[must_use]
    pub fn user_assigned(mut self, client_id: impl Into<String>) -> Self {
        self.client_id = Some(client_id.into());
        self
    }

    /// The audience that the federated credential names. Default: `api://AzureADTokenExchange`; sovereign clouds have
    /// their own.
    #[must_use]
    pub fn with_audience(mut self, audience: impl Into<String>) -> Self {
        self.audience = audience.into();
        self
    }

    /// Asks for a token; it is tried again within the client's time limit while the service starts.
    pub(super) async fn assertion(&self, http: &HttpClient) -> Result<ClientAssertion, Error> {
        let (mut url, version, name, value) = match &self.source {
            Source::Imds { base } => {
                let mut url = base.clone();
                url.set_path("/metadata/identity/oauth2/token");
                (url, "2018-02-01", "Metadata", HeaderValue::from_static("true"))
            }
            Source::AppService { endpoint, header } => {
                (endpoint.clone(), "2019-08-01", "X-IDENTITY-HEADER", header.clone())
            }
        };
        url.query_pairs_mut().append_pair("api-version", version).append_pair("resource", &self.audience);
        if let Some(client_id) = &self.client_id {
            url.query_pairs_mut().append_pair("client_id", client_id);
        }
        let fetched = http.get_here(&url, (name, value.clone()), "the managed identity", LIMIT).await?;
        read(&fetched, &value)
    }
}

fn read(fetched: &Fetched, header: &HeaderValue) -> Result<ClientAssertion, Error> {
    if fetched.status != 200 {
        return Err(refused(fetched, header).into());
    }
    let object = json::parse_object(&fetched.body).map_err(|_| ClientAssertionError::Malformed)?;
    let token = object.get("access_token").and_then(Value::as_str).filter(|token| !token.is_empty());
    Ok(ClientAssertion::new(token.ok_or(ClientAssertionError::Malformed)?))
}

/// What the endpoint says of its refusal: as words and bounded, since it goes into logs, and not where it repeats the
/// secret header.
fn refused(fetched: &Fetched, header: &HeaderValue) -> ClientAssertionError {
    let object = json::parse_object(&fetched.body).unwrap_or_default();
    let text = |name: &str| object.get(name).and_then(Value::as_str);
    let secret = header.to_str().unwrap_or_default();
    let description = text("error_description").or_else(|| text("message"));
    let is_word = |error: &&str| {
        (1..=64).contains(&error.len())
            && error.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    ClientAssertionError::ManagedIdentity {
        status: fetched.status,
        error: text("error").filter(is_word).map(str::to_owned),
        description: description.filter(|text| !header.is_sensitive() || !text.contains(secret)).map(
            |text| text.chars().take(LONGEST_TEXT).map(|c| if c.is_control() { ' ' } else { c }).collect(),
        ),
    }
}

fn address(text: &str) -> Result<Url, Error> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    url.ok_or_else(|| ConfigError::ManagedIdentity.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(body: &str, header: &HeaderValue) -> String {
        let body = body.as_bytes().to_vec().into();
        refused(&Fetched { status: 400, body, max_age: None, retry_after: None }, header).to_string()
    }

    #[test]
    fn refusal_shows_what_the_service_says() {
        let plain = HeaderValue::from_static("true");
        for (body, expected) in [
            (
                r#"{"error":"invalid_request","error_description":"Identity not found"}"#,
                ": invalid_request: Identity not found",
            ),
            (r#"{"statusCode":400,"message":"No identity\r\nis assigned"}"#, ": No identity  is assigned"),
            (r#"{"error":{"code":1},"error_description":7}"#, ""),
            ("<html>", ""),
        ] {
            let expected = format!("client assertion: the managed identity refused (status 400){expected}");
            assert_eq!(said(body, &plain), expected);
        }
    }

    #[test]
    fn refusal_is_bounded_and_never_shows_the_secret_header() {
        let mut secret = HeaderValue::from_static("CANARY");
        secret.set_sensitive(true);
        let long = format!(r#"{{"error":"a b","error_description":"{}"}}"#, "x".repeat(10_000));
        assert!(said(&long, &secret).len() < 400);
        assert!(!said(r#"{"error":"e","error_description":"no CANARY"}"#, &secret).contains("CANARY"));
    }
}
