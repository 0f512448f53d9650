//! Issuers: what `iss` may say, and whether metadata may name it.

use super::cloud::same_cloud;
use super::tenant::{Tenant, is_guid};
use super::{Authority, AuthorityKind};

/// Stands for the token's own tenant in the metadata of multi-tenant authorities.
const TEMPLATE: &str = "{tenantid}";

/// An issuer, exact or with `{tenantid}` in the tenant's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Issuer(String);

impl Issuer {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The exact issuer for a token of this tenant; `None` where a template meets no GUID.
    pub(crate) fn for_tenant(&self, tid: Option<&str>) -> Option<String> {
        if !self.0.contains(TEMPLATE) {
            return Some(self.0.clone());
        }
        let tid = tid.filter(|tid| is_guid(tid))?;
        Some(self.0.replace(TEMPLATE, tid))
    }

    /// Does an authorization response's `iss` fit (RFC 9207 2.4)? Exact text, or the template with a
    /// GUID in it.
    pub(crate) fn accepts(&self, found: &str) -> bool {
        match self.0.split_once(TEMPLATE) {
            None => found == self.0,
            Some((before, after)) => {
                let middle = found.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
                middle.is_some_and(is_guid)
            }
        }
    }
}

/// May this authority's metadata name this issuer (OpenID Connect Discovery 4.3)?
pub(crate) fn may_name(authority: &Authority, issuer: &str) -> bool {
    if authority.kind() == AuthorityKind::Oidc {
        // Exactly the configured one; a slash at the end is the one freedom that addresses need.
        return issuer.trim_end_matches('/') == authority.url();
    }
    let Ok(parsed) = url::Url::parse(&issuer.replace(TEMPLATE, super::PERSONAL_TENANT)) else { return false };
    let host = parsed.host_str().unwrap_or_default();
    let same_origin = parsed.scheme() == authority.parsed().scheme()
        && parsed.port_or_known_default() == authority.parsed().port_or_known_default();
    if !same_origin || parsed.query().is_some() || parsed.fragment().is_some() {
        return false;
    }
    let segments: Vec<&str> = parsed.path().split('/').filter(|segment| !segment.is_empty()).collect();
    match authority.kind() {
        AuthorityKind::Ciam => {
            host.ends_with(".ciamlogin.com") && entra_path(&segments) && names_tenant(authority, &segments)
        }
        AuthorityKind::B2c => {
            host == authority.environment() && b2c_path(&segments) && names_tenant(authority, &segments)
        }
        AuthorityKind::Adfs => host == authority.environment() && segments == ["adfs"],
        _ => {
            same_cloud(host, authority.environment())
                && entra_path(&segments)
                && tenant_fits(authority, issuer)
        }
    }
}

/// `{tenant}/v2.0`, or with the policy in it: `tfp/{tenant}/{policy}/v2.0`.
fn b2c_path(segments: &[&str]) -> bool {
    matches!(segments, [tenant, "v2.0"] | ["tfp", tenant, _, "v2.0"] if is_guid(tenant))
}

/// A configured GUID must be the issuer's.
fn names_tenant(authority: &Authority, segments: &[&str]) -> bool {
    let guid = authority.tenant().and_then(Tenant::guid);
    guid.is_none_or(|guid| segments.iter().any(|segment| segment.eq_ignore_ascii_case(guid)))
}

fn entra_path(segments: &[&str]) -> bool {
    matches!(segments, [tenant, "v2.0"] if is_guid(tenant))
}

/// A configured GUID must be the issuer's; the template is for `common` and `organizations` only.
fn tenant_fits(authority: &Authority, issuer: &str) -> bool {
    let template = issuer.contains(TEMPLATE);
    match authority.tenant() {
        Some(Tenant::Common | Tenant::Organizations) => template,
        Some(tenant) => {
            !template
                && tenant
                    .guid()
                    .is_none_or(|guid| issuer.split('/').any(|part| part.eq_ignore_ascii_case(guid)))
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUID: &str = "11111111-1111-1111-1111-111111111111";

    fn named(authority: &str, issuer: &str) -> bool {
        may_name(&Authority::parse(authority).unwrap(), issuer)
    }

    #[test]
    fn tenant_document_names_its_guid() {
        let authority = format!("https://login.microsoftonline.com/{GUID}");
        assert!(named(&authority, &format!("https://login.microsoftonline.com/{GUID}/v2.0")));
        assert!(!named(
            &authority,
            "https://login.microsoftonline.com/22222222-2222-2222-2222-222222222222/v2.0"
        ));
    }

    #[test]
    fn alias_host_of_the_same_cloud_may_be_named() {
        assert!(named(
            "https://login.windows.net/contoso.example",
            &format!("https://login.microsoftonline.com/{GUID}/v2.0")
        ));
        assert!(!named(
            "https://login.windows.net/contoso.example",
            &format!("https://login.microsoftonline.us/{GUID}/v2.0")
        ));
    }

    #[test]
    fn b2c_and_external_id_name_their_tenant() {
        let b2c = format!("https://contoso.b2clogin.com/{GUID}/b2c_1_in");
        assert!(named(&b2c, &format!("https://contoso.b2clogin.com/{GUID}/v2.0/")));
        assert!(named(&b2c, &format!("https://contoso.b2clogin.com/tfp/{GUID}/b2c_1_in/v2.0/")));
        let other = "22222222-2222-2222-2222-222222222222";
        assert!(!named(&b2c, &format!("https://contoso.b2clogin.com/{other}/v2.0/")));
        assert!(!named(&b2c, &format!("https://fabrikam.b2clogin.com/{GUID}/v2.0/")));
        let ciam = format!("https://contoso.ciamlogin.com/{GUID}");
        assert!(named(&ciam, &format!("https://{GUID}.ciamlogin.com/{GUID}/v2.0")));
        assert!(!named(&ciam, &format!("https://{other}.ciamlogin.com/{other}/v2.0")));
        assert!(!named(&ciam, &format!("https://evil.example/{GUID}/v2.0")));
    }

    #[test]
    fn template_is_for_the_multi_tenant_words_only() {
        let template = "https://login.microsoftonline.com/{tenantid}/v2.0";
        assert!(named("https://login.microsoftonline.com/common", template));
        assert!(!named("https://login.microsoftonline.com/contoso.example", template));
    }

    #[test]
    fn foreign_host_and_path_are_refused() {
        assert!(!named(
            "https://login.microsoftonline.com/contoso.example",
            &format!("https://evil.example/{GUID}/v2.0")
        ));
        assert!(!named(
            "https://login.microsoftonline.com/contoso.example",
            &format!("https://login.microsoftonline.com/x/{GUID}/v2.0")
        ));
        assert!(!named(
            "https://login.microsoftonline.com/contoso.example",
            &format!("http://login.microsoftonline.com/{GUID}/v2.0")
        ));
    }

    #[test]
    fn response_issuer_is_compared_as_text() {
        let issuer = Issuer::new(format!("https://login.microsoftonline.com/{GUID}/v2.0"));
        assert!(issuer.accepts(issuer.as_str()));
        assert!(!issuer.accepts(&format!("{}/", issuer.as_str())));
        assert!(!issuer.accepts(&issuer.as_str().to_uppercase()));
    }
}
