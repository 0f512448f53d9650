//! The authority's metadata document, checked (OpenID Connect Discovery 3).

use serde_json::{Map, Value};
use url::Url;

use super::cloud::{graph_host, same_cloud};
use super::issuer::{Issuer, may_name};
use super::{Authority, AuthorityKind};
use crate::error::{ConfigError, Error, InvalidResponse};

/// What the authority says of itself, after every check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    issuer: Issuer,
    authorization_endpoint: Url,
    token_endpoint: Url,
    jwks_uri: Url,
    end_session_endpoint: Option<Url>,
    msgraph_host: Option<String>,
    response_iss: bool,
    realm: String,
    only_basic: bool,
}

impl Metadata {
    /// The issuer; holds `{tenantid}` for `common` and `organizations`.
    #[must_use]
    pub fn issuer(&self) -> &str {
        self.issuer.as_str()
    }

    /// Where browsers are sent to sign in.
    #[must_use]
    pub const fn authorization_endpoint(&self) -> &Url {
        &self.authorization_endpoint
    }

    /// Where tokens come from.
    #[must_use]
    pub const fn token_endpoint(&self) -> &Url {
        &self.token_endpoint
    }

    /// Where the signing keys stand.
    #[must_use]
    pub const fn jwks_uri(&self) -> &Url {
        &self.jwks_uri
    }

    /// Where browsers are sent to sign out.
    #[must_use]
    pub const fn end_session_endpoint(&self) -> Option<&Url> {
        self.end_session_endpoint.as_ref()
    }

    /// Host of Microsoft Graph in this cloud; `None` at other providers.
    #[must_use]
    pub fn msgraph_host(&self) -> Option<&str> {
        self.msgraph_host.as_deref()
    }

    /// Does every authorization response carry `iss` (RFC 9207 3)?
    #[must_use]
    pub const fn authorization_response_iss_parameter_supported(&self) -> bool {
        self.response_iss
    }

    /// Tenant segment of the token endpoint: how the token cache names the tenant.
    #[must_use]
    pub fn realm(&self) -> &str {
        &self.realm
    }

    pub(crate) const fn issuer_rule(&self) -> &Issuer {
        &self.issuer
    }

    /// Does the provider take a client's secret by HTTP Basic alone?
    pub(crate) const fn only_basic(&self) -> bool {
        self.only_basic
    }

    /// Issuer and hosts may not change while the process lives.
    pub(crate) fn agrees_with(&self, earlier: &Self) -> bool {
        let hosts = |metadata: &Self| {
            [&metadata.authorization_endpoint, &metadata.token_endpoint, &metadata.jwks_uri]
                .map(|url| (url.host_str().map(str::to_owned), url.port_or_known_default()))
        };
        self.issuer == earlier.issuer && hosts(self) == hosts(earlier)
    }

    pub(crate) fn from_document(
        document: &Map<String, Value>,
        authority: &Authority,
        extra_hosts: &[String],
    ) -> Result<Self, Error> {
        let issuer = text(document, "issuer").ok_or(InvalidResponse::Member("issuer"))?;
        if !may_name(authority, issuer) {
            return Err(ConfigError::IssuerMismatch.into());
        }
        let endpoint = |name| endpoint(document, name, authority, extra_hosts);
        let required = |name| endpoint(name)?.ok_or_else(|| Error::from(InvalidResponse::Member(name)));
        let token_endpoint = required("token_endpoint")?;
        let entra = authority.kind() != AuthorityKind::Oidc;
        let graph = text(document, "msgraph_host")
            .map_or_else(|| graph_host(authority.environment()).to_owned(), str::to_owned);
        Ok(Self {
            issuer: Issuer::new(issuer),
            realm: token_endpoint
                .path_segments()
                .and_then(|mut path| path.next())
                .unwrap_or_default()
                .to_owned(),
            authorization_endpoint: required("authorization_endpoint")?,
            token_endpoint,
            jwks_uri: required("jwks_uri")?,
            end_session_endpoint: endpoint("end_session_endpoint")?,
            msgraph_host: entra.then_some(graph),
            response_iss: document.get("authorization_response_iss_parameter_supported")
                == Some(&Value::Bool(true)),
            only_basic: !entra && only_basic(document),
        })
    }
}

fn text<'a>(document: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    document.get(name).and_then(Value::as_str)
}

/// https, no user, and a host we already trust: the document cannot send secrets elsewhere.
fn endpoint(
    document: &Map<String, Value>,
    name: &'static str,
    authority: &Authority,
    extra_hosts: &[String],
) -> Result<Option<Url>, Error> {
    let Some(address) = text(document, name) else { return Ok(None) };
    let refuse = || Error::from(InvalidResponse::Endpoint(name));
    let url = Url::parse(address).map_err(|_| refuse())?;
    let host = url.host_str().unwrap_or_default();
    let own = host == authority.environment()
        && url.port_or_known_default() == authority.parsed().port_or_known_default();
    let known = url.port().is_none()
        && (same_cloud(host, authority.environment())
            || authority.kind() == AuthorityKind::Ciam && host.ends_with(".ciamlogin.com")
            || extra_hosts.iter().any(|extra| extra.eq_ignore_ascii_case(host)));
    let clean = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    let secure =
        url.scheme() == "https" || url.scheme() == "http" && authority.parsed().scheme() == "http" && own;
    if (own || known) && clean && secure { Ok(Some(url)) } else { Err(refuse()) }
}

/// RFC 8414 2: absent means `client_secret_basic`, but Entra-like providers all take the body, so only
/// a list without `client_secret_post` decides.
fn only_basic(document: &Map<String, Value>) -> bool {
    let methods = document.get("token_endpoint_auth_methods_supported").and_then(Value::as_array);
    methods.is_some_and(|methods| {
        methods.contains(&Value::from("client_secret_basic"))
            && !methods.contains(&Value::from("client_secret_post"))
    })
}
