//! Authorities: whom we ask, and what we believe of their answers.

pub(crate) mod cloud;
pub(crate) mod coalesced;
pub(crate) mod discovery;
mod instance;
pub(crate) mod issuer;
pub(crate) mod metadata;
pub(crate) mod signing_keys;
pub(crate) mod tenant;

use std::fmt;

use url::{Host, Url};

pub use cloud::Cloud;
pub use metadata::Metadata;
pub use tenant::Tenant;

use crate::error::{ConfigError, Error};

/// The tenant of all personal Microsoft accounts.
pub const PERSONAL_TENANT: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";

/// The address tokens come from.
///
/// ```
/// use async_msal::Authority;
/// let authority = Authority::parse("https://login.microsoftonline.com/contoso.onmicrosoft.com")?;
/// assert_eq!(authority.environment(), "login.microsoftonline.com");
/// # Ok::<(), async_msal::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Authority {
    url: Url,
    environment: String,
    kind: AuthorityKind,
    tenant: Option<Tenant>,
}

/// The profile an authority follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AuthorityKind {
    /// Microsoft Entra ID, in any cloud.
    Entra,
    /// Azure AD B2C: tenant and policy in the path.
    B2c,
    /// Entra External ID (`ciamlogin.com`).
    Ciam,
    /// Active Directory Federation Services.
    Adfs,
    /// Any OpenID provider.
    Oidc,
}

impl Authority {
    /// Takes an address such as `https://login.microsoftonline.com/{tenant}`; another host for a
    /// sovereign cloud or the emulator.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for anything but https with a tenant. Plain http is taken for loopback hosts,
    /// which the client's builder must allow by name.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let url = checked_url(text)?;
        let environment = host_of(&url)?;
        let path = url.path().to_owned();
        let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
        // B2C's other way to write the same: its metadata stands there too.
        let segments = match segments.split_first() {
            Some((first, named))
                if first.eq_ignore_ascii_case("tfp")
                    && kind_of(&environment, named) == AuthorityKind::B2c =>
            {
                named
            }
            _ => &segments,
        };
        let kind = kind_of(&environment, segments);
        let tenant = match (kind, segments.first()) {
            (AuthorityKind::Ciam, None) => Some(Tenant::of_ciam_host(&environment)?),
            (_, None) => {
                let why = "it has no tenant in its path; another OpenID provider goes by Authority::oidc";
                return Err(ConfigError::Authority(why).into());
            }
            (AuthorityKind::Entra | AuthorityKind::Ciam, Some(_)) if segments.len() > 1 => {
                let why = "it ends with the tenant: what stands behind it belongs to an issuer or endpoint";
                return Err(ConfigError::Authority(why).into());
            }
            (AuthorityKind::B2c, Some(_)) if segments.len() < 2 => {
                return Err(
                    ConfigError::Authority("a B2C authority names its policy behind the tenant").into()
                );
            }
            (AuthorityKind::Adfs | AuthorityKind::Oidc, Some(_)) => None,
            (_, Some(segment)) => Some(Tenant::parse(segment)?),
        };
        let mut authority = Self { url, environment, kind, tenant };
        if segments.is_empty() {
            authority.url = with_path(&authority.url, authority.tenant.as_ref().map_or("", Tenant::as_str));
        }
        Ok(authority)
    }

    /// The public cloud's authority of one tenant.
    ///
    /// # Errors
    ///
    /// None today; the result leaves room for tenants that need another host.
    pub fn entra(tenant: &Tenant) -> Result<Self, Error> {
        Self::parse(&format!("https://{}/{tenant}", cloud::PUBLIC_HOST))
    }

    /// One tenant's authority in this cloud.
    ///
    /// # Errors
    ///
    /// As [`entra`](Self::entra).
    pub fn entra_in(cloud: Cloud, tenant: &Tenant) -> Result<Self, Error> {
        Self::parse(&format!("https://{}/{tenant}", cloud.login_host()))
    }

    /// Work, school and personal accounts.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse).
    pub fn common() -> Result<Self, Error> {
        Self::entra(&Tenant::Common)
    }

    /// Work and school accounts of any tenant.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse).
    pub fn organizations() -> Result<Self, Error> {
        Self::entra(&Tenant::Organizations)
    }

    /// Personal accounts alone.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse).
    pub fn consumers() -> Result<Self, Error> {
        Self::entra(&Tenant::Consumers)
    }

    /// Any OpenID provider, by its issuer. The metadata must name exactly this issuer.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for anything but https (http on loopback).
    pub fn oidc(issuer: &str) -> Result<Self, Error> {
        let url = checked_url(issuer)?;
        let environment = host_of(&url)?;
        Ok(Self { url, environment, kind: AuthorityKind::Oidc, tenant: None })
    }

    /// The address, without a slash at its end.
    #[must_use]
    pub fn url(&self) -> &str {
        self.url.as_str().trim_end_matches('/')
    }

    /// The host, lower-case: how the token cache names this authority.
    #[must_use]
    pub fn environment(&self) -> &str {
        &self.environment
    }

    /// The tenant, where the profile has one.
    #[must_use]
    pub const fn tenant(&self) -> Option<&Tenant> {
        self.tenant.as_ref()
    }

    /// The profile.
    #[must_use]
    pub const fn kind(&self) -> AuthorityKind {
        self.kind
    }

    /// Is this the machine itself?
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        crate::http_client::is_loopback(&self.url)
    }

    pub(crate) const fn parsed(&self) -> &Url {
        &self.url
    }

    /// The sign-in page, where the platform has a rule for its address.
    pub(crate) fn authorization_endpoint_by_rule(&self) -> Option<Url> {
        let path = match self.kind {
            AuthorityKind::Entra | AuthorityKind::B2c | AuthorityKind::Ciam => "/oauth2/v2.0/authorize",
            AuthorityKind::Adfs => "/oauth2/authorize",
            AuthorityKind::Oidc => return None,
        };
        Some(with_path(&self.url, &format!("{}{path}", self.url.path().trim_end_matches('/'))))
    }

    /// Where the metadata stands (OpenID Connect Discovery 4.1).
    pub(crate) fn metadata_url(&self) -> String {
        let version = match self.kind {
            AuthorityKind::Entra | AuthorityKind::B2c | AuthorityKind::Ciam => "/v2.0",
            AuthorityKind::Adfs | AuthorityKind::Oidc => "",
        };
        format!("{}{version}/.well-known/openid-configuration", self.url())
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Authority").field(&self.url()).finish()
    }
}

fn checked_url(text: &str) -> Result<Url, Error> {
    let refuse = |why| Err(ConfigError::Authority(why).into());
    if text.len() > 1_024
        || text.bytes().any(|byte| byte == b'\\' || byte == b'%' || !byte.is_ascii_graphic())
    {
        return refuse("it is too long or holds a character that has no place there");
    }
    if text.contains("/../") || text.contains("/./") || text.ends_with("/..") || text.ends_with("/.") {
        return refuse("its path holds dots");
    }
    let Ok(url) = Url::parse(text) else { return refuse("it is no address") };
    if url.query().is_some() || url.fragment().is_some() {
        return refuse("it has a query or a fragment");
    }
    if !url.username().is_empty() || url.password().is_some() || text.contains('@') {
        return refuse("it names a user");
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if crate::http_client::is_loopback(&url) => Ok(url),
        _ => refuse("it is not https"),
    }
}

/// The host in lower case; one with a dot at its end would be a second name of the same.
fn host_of(url: &Url) -> Result<String, Error> {
    match url.host() {
        Some(Host::Domain(domain)) if domain.ends_with('.') => {
            Err(ConfigError::Authority("its host ends with a dot").into())
        }
        Some(host) => Ok(host.to_string().to_ascii_lowercase()),
        None => Err(ConfigError::Authority("it has no host").into()),
    }
}

fn kind_of(host: &str, segments: &[&str]) -> AuthorityKind {
    let b2c_host = [".b2clogin.com", ".b2clogin.cn", ".b2clogin.us", ".b2clogin.de"];
    if host.ends_with(".ciamlogin.com") {
        AuthorityKind::Ciam
    } else if b2c_host.iter().any(|suffix| host.ends_with(suffix))
        || segments.get(1).is_some_and(|policy| policy.to_ascii_lowercase().starts_with("b2c_"))
    {
        AuthorityKind::B2c
    } else {
        match segments.first().map(|segment| segment.to_ascii_lowercase()).as_deref() {
            Some("adfs") => AuthorityKind::Adfs,
            Some("dstsv2") => AuthorityKind::Oidc,
            _ => AuthorityKind::Entra,
        }
    }
}

fn with_path(url: &Url, path: &str) -> Url {
    let mut url = url.clone();
    url.set_path(path);
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slash_at_the_end_does_not_double() {
        let authority = Authority::parse("https://login.microsoftonline.com/common/").unwrap();
        let expected = "https://login.microsoftonline.com/common/v2.0/.well-known/openid-configuration";
        assert_eq!(authority.metadata_url(), expected);
    }

    #[test]
    fn unusable_addresses_are_refused() {
        let long = format!("https://login.microsoftonline.com/{}", "a".repeat(300));
        for text in [
            "http://login.microsoftonline.com/common",
            "https://login.microsoftonline.com",
            "https://login.microsoftonline.com./common",
            "https://user@login.microsoftonline.com/common",
            "https://login.microsoftonline.com/common?x",
            "https://login.microsoftonline.com/common#x",
            "https://login.microsoftonline.com/../common",
            "https://login.microsoftonline.com/a%2fb",
            "https://login.microsoftonline.com/a\\b",
            "https://login.microsoftonline.com/contoso。com",
            "https://login.microsoftonline.com/contoso.example/v2.0",
            "https://contoso.ciamlogin.com/contoso.example/oauth2/v2.0/token",
            "ftp://login.microsoftonline.com/common",
            "file:///common",
            long.as_str(),
        ] {
            assert!(Authority::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn upper_case_host_is_lowered() {
        let authority = Authority::parse("https://LOGIN.MicrosoftOnline.com/common").unwrap();
        assert_eq!(authority.environment(), "login.microsoftonline.com");
    }

    #[test]
    fn kinds_are_told_by_host_and_path() {
        for (text, kind) in [
            ("https://login.microsoftonline.us/contoso.example", AuthorityKind::Entra),
            ("https://contoso.b2clogin.com/contoso.example/any_policy", AuthorityKind::B2c),
            ("https://login.contoso.example/contoso.example/B2C_1_in", AuthorityKind::B2c),
            ("https://contoso.b2clogin.com/tfp/contoso.example/any_policy", AuthorityKind::B2c),
            ("https://login.contoso.example/tfp/contoso.example/B2C_1_in", AuthorityKind::B2c),
            ("https://contoso.ciamlogin.com/contoso.example", AuthorityKind::Ciam),
            ("https://sts.contoso.example/adfs", AuthorityKind::Adfs),
            ("https://dsts.contoso.example/dstsv2/common", AuthorityKind::Oidc),
            ("https://b2clogin.com/contoso.example", AuthorityKind::Entra),
        ] {
            assert_eq!(Authority::parse(text).unwrap().kind(), kind, "{text}");
        }
    }

    #[test]
    fn b2c_without_a_policy_is_refused() {
        assert!(Authority::parse("https://contoso.b2clogin.com/contoso.example").is_err());
    }

    #[test]
    fn b2c_behind_tfp_keeps_its_address_and_knows_its_tenant() {
        let url = "https://contoso.b2clogin.com/tfp/contoso.example/B2C_1_in";
        let authority = Authority::parse(url).unwrap();
        assert_eq!(authority.tenant(), Some(&Tenant::Domain("contoso.example".to_owned())));
        assert_eq!(authority.metadata_url(), format!("{url}/v2.0/.well-known/openid-configuration"));
        for url in ["https://contoso.b2clogin.com/tfp/contoso.example", "https://contoso.b2clogin.com/tfp"] {
            assert!(Authority::parse(url).is_err(), "{url}");
        }
    }

    #[test]
    fn sovereign_cloud_has_its_host() {
        let authority = Authority::entra_in(Cloud::China, &Tenant::Organizations).unwrap();
        assert_eq!(authority.url(), "https://login.partner.microsoftonline.cn/organizations");
    }

    #[test]
    fn sign_in_pages_have_the_platforms_addresses() {
        for (authority, expected) in [
            ("https://login.microsoftonline.com/common", Some("/common/oauth2/v2.0/authorize")),
            (
                "https://contoso.b2clogin.com/contoso.example/B2C_1_in/",
                Some("/contoso.example/B2C_1_in/oauth2/v2.0/authorize"),
            ),
            ("https://contoso.ciamlogin.com", Some("/contoso.onmicrosoft.com/oauth2/v2.0/authorize")),
            ("https://sts.contoso.example/adfs", Some("/adfs/oauth2/authorize")),
            ("https://dsts.contoso.example/dstsv2/common", None),
        ] {
            let endpoint = Authority::parse(authority).unwrap().authorization_endpoint_by_rule();
            assert_eq!(endpoint.as_ref().map(Url::path), expected, "{authority}");
        }
    }

    #[test]
    fn bare_ciam_host_gets_its_tenant() {
        let authority = Authority::parse("https://contoso.ciamlogin.com").unwrap();
        assert_eq!(authority.url(), "https://contoso.ciamlogin.com/contoso.onmicrosoft.com");
    }

    #[test]
    fn loopback_is_recognised_in_every_spelling() {
        for text in ["http://127.0.0.1:1/t", "http://127.9.9.9/t", "http://localhost/t", "http://[::1]:1/t"] {
            assert!(Authority::parse(text).unwrap().is_loopback(), "{text}");
        }
        assert!(!Authority::parse("https://127.0.0.1.example/t").unwrap().is_loopback());
    }
}
