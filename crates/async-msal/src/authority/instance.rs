//! Instance discovery: whether a host that nobody knows is an authority of Microsoft's (Microsoft identity platform).

use serde_json::Value;
use url::Url;

use super::cloud::{PUBLIC_HOST, is_known};
use super::{Authority, AuthorityKind};
use crate::error::{ConfigError, Error, InvalidResponse};
use crate::http_client::{Fetched, HttpClient};
use crate::json;

const LIMIT: usize = 64 * 1024;

/// Only an Entra ID address on an unknown host is asked about. B2C, External ID, AD FS and generic providers are
/// what their owner says they are; so is a host that the application names.
pub(super) fn is_wanted(authority: &Authority, extra_hosts: &[String]) -> bool {
    let host = authority.environment();
    authority.kind() == AuthorityKind::Entra
        && !authority.is_loopback()
        && !is_known(host)
        && !extra_hosts.iter().any(|extra| extra.eq_ignore_ascii_case(host))
}

/// Asks the public cloud.
pub(super) async fn check(http: &HttpClient, authority: &Authority) -> Result<(), Error> {
    let endpoint = format!("{}/oauth2/v2.0/authorize", authority.url());
    let mut url = Url::parse(&format!("https://{PUBLIC_HOST}/common/discovery/instance"))
        .map_err(|_| ConfigError::UnknownInstance)?;
    url.query_pairs_mut().append_pair("authorization_endpoint", &endpoint).append_pair("api-version", "1.0");
    let fetched = http.get(url.as_str(), "instance discovery", LIMIT).await?;
    verdict(&fetched)
}

/// The status first: whoever is down, or asks to wait, says so with a page that is no answer to the question.
fn verdict(fetched: &Fetched) -> Result<(), Error> {
    if fetched.status != 400 {
        fetched.require_success()?;
    }
    let malformed = InvalidResponse::Json("instance discovery");
    let document = json::parse_object(&fetched.body).map_err(|_| malformed)?;
    if document.get("error").and_then(Value::as_str) == Some("invalid_instance") {
        return Err(ConfigError::UnknownInstance.into());
    }
    fetched.require_success()?;
    let found = document.get("tenant_discovery_endpoint").and_then(Value::as_str);
    found.map(drop).ok_or_else(|| InvalidResponse::Member("tenant_discovery_endpoint").into())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn only_unknown_entra_hosts_are_asked_about() {
        let wanted = |text: &str| is_wanted(&Authority::parse(text).unwrap(), &["login.internal".to_owned()]);
        assert!(wanted("https://login.example/contoso.example"));
        for known in [
            "https://login.microsoftonline.com/common",
            "https://login.sovcloud-identity.fr/common",
            "https://login.usgovcloudapi.net/common",
            "https://LOGIN.internal/common",
            "https://contoso.b2clogin.com/contoso.example/b2c_1_in",
            "https://contoso.ciamlogin.com",
            "https://sts.contoso.example/adfs",
            "http://127.0.0.1:1/common",
        ] {
            assert!(!wanted(known), "{known}");
        }
    }

    fn refusal(status: u16, body: &str, retry_after: Option<u64>) -> Error {
        let body = body.as_bytes().to_vec().into();
        let retry_after = retry_after.map(Duration::from_secs);
        verdict(&Fetched { status, body, max_age: None, retry_after }).unwrap_err()
    }

    #[test]
    fn page_of_a_server_that_is_down_says_to_wait() {
        for status in [429, 500, 503] {
            let error = refusal(status, "<html>", Some(7));
            assert_eq!(
                (error.code(), error.retry_after()),
                ("throttled", Some(Duration::from_secs(7))),
                "{status}"
            );
        }
        assert_eq!(refusal(429, "<html>", None).code(), "throttled");
        let error = refusal(503, "<html>", None);
        assert!(
            matches!(error, Error::InvalidResponse(InvalidResponse::Status(503))) && error.is_retryable()
        );
    }

    #[test]
    fn only_invalid_instance_makes_a_host_unknown() {
        let unknown = refusal(400, r#"{"error":"invalid_instance"}"#, None);
        assert!(matches!(unknown, Error::Config(ConfigError::UnknownInstance)));
        let other =
            refusal(400, r#"{"error":"invalid_request","tenant_discovery_endpoint":"https://a"}"#, None);
        assert!(matches!(other, Error::InvalidResponse(InvalidResponse::Status(400))), "{other:?}");
        assert_eq!(refusal(503, r#"{"error":"invalid_instance"}"#, None).code(), "invalid_response");
    }
}
