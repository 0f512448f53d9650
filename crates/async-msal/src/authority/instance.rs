//! Instance discovery: whether a host that nobody knows is an authority of Microsoft's (Microsoft identity platform).

use serde_json::Value;
use url::Url;

use super::cloud::{PUBLIC_HOST, is_known};
use super::{Authority, AuthorityKind};
use crate::error::{ConfigError, Error, InvalidResponse};
use crate::http::HttpClient;
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
}
