//! From the arguments of the constructor to a client of the protocol.

use std::sync::Arc;
use std::time::Duration;

use async_msal::client_credential::AssertionProvider;
use async_msal::{
    Authority, ClientAssertion, ClientCertificate, ClientCredential, ClientSecret, ConfidentialClient,
    Passphrase,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use crate::assertion::Callable;
use crate::error::raised;

/// What `async_msal.application` has checked and named.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Options {
    client_id: String,
    authority: String,
    oidc: bool,
    /// No instance discovery; an https authority on this machine is allowed.
    trusted: bool,
    credential: Credential,
    capabilities: Vec<String>,
    ca_pem: Option<Vec<u8>>,
    timeout: Option<f64>,
    connect_timeout: Option<f64>,
    proxies: Vec<(String, String)>,
    headers: Vec<(String, String)>,
}

/// One of these names is set.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct Credential {
    secret: Option<String>,
    assertion: Option<String>,
    callable: Option<Py<PyAny>>,
    takes_request: bool,
    pfx: Option<Vec<u8>>,
    key_pem: Option<Vec<u8>>,
    certificate_pem: Option<Vec<u8>>,
    thumbprint: Option<String>,
    passphrase: Option<Vec<u8>>,
    x5c: bool,
}

impl Options {
    pub(crate) fn read(options: &Bound<'_, PyDict>) -> PyResult<Self> {
        options.extract()
    }

    pub(crate) fn build(self) -> PyResult<ConfidentialClient> {
        let parsed =
            if self.oidc { Authority::oidc(&self.authority) } else { Authority::parse(&self.authority) };
        let authority = parsed.map_err(|error| raised(&error))?;
        let mut builder = ConfidentialClient::builder(self.client_id)
            .credential(self.credential.read().map_err(|error| raised(&error))?)
            .client_capabilities(self.capabilities);
        if self.trusted {
            // With https the certificate says who listens there.
            builder = builder
                .allowed_endpoint_hosts([authority.environment().to_owned()])
                .dangerous_allow_loopback_authority();
        }
        if let Some(pem) = self.ca_pem {
            builder = builder.ca_certificate_pem(pem);
        }
        if let Some(limit) = self.timeout.map(seconds).transpose()? {
            builder = builder.request_timeout(limit);
        }
        let proxies = self.proxies.iter().map(proxy).collect::<PyResult<Vec<_>>>()?;
        let headers = self.headers.iter().map(header).collect::<PyResult<HeaderMap>>()?;
        let connect_timeout = self.connect_timeout.map(seconds).transpose()?;
        builder = builder.http_client(move |mut http| {
            for proxy in &proxies {
                http = http.proxy(proxy.clone());
            }
            if let Some(limit) = connect_timeout {
                http = http.connect_timeout(limit);
            }
            http.default_headers(headers.clone())
        });
        builder.authority(authority).build().map_err(|error| raised(&error))
    }
}

impl Credential {
    fn read(self) -> Result<ClientCredential, async_msal::Error> {
        if let Some(callable) = self.callable {
            let provider: Arc<dyn AssertionProvider> =
                Arc::new(Callable { callable, takes_request: self.takes_request });
            return Ok(ClientCredential::Assertion(provider));
        }
        if let Some(assertion) = self.assertion {
            let assertion = ClientAssertion::new(assertion);
            return Ok(ClientCredential::assertion(move |_| {
                let assertion = assertion.clone();
                async move { Ok(assertion) }
            }));
        }
        let passphrase = self.passphrase.map(|bytes| Passphrase::new(String::from_utf8_lossy(&bytes)));
        let certificate = match (self.pfx, self.key_pem) {
            (Some(pfx), _) => {
                ClientCertificate::from_pfx(&pfx, &passphrase.unwrap_or_else(|| Passphrase::new("")))?
            }
            (None, Some(key)) => match (self.thumbprint, self.certificate_pem) {
                (Some(thumbprint), None) => {
                    ClientCertificate::from_key_and_thumbprint(&key, passphrase.as_ref(), &thumbprint)?
                }
                (Some(_), Some(certificates)) => {
                    ClientCertificate::from_pem(&key, passphrase.as_ref(), &certificates)?
                        .with_algorithm(async_msal::client_credential::AssertionAlgorithm::Rs256)
                }
                (None, certificates) => {
                    ClientCertificate::from_pem(&key, passphrase.as_ref(), &certificates.unwrap_or_default())?
                }
            },
            (None, None) => {
                let secret = ClientSecret::new(self.secret.unwrap_or_default());
                return Ok(ClientCredential::Secret(secret));
            }
        };
        Ok((if self.x5c { certificate.with_x5c() } else { certificate }).into())
    }
}

fn seconds(number: f64) -> PyResult<Duration> {
    let duration = Duration::try_from_secs_f64(number).ok().filter(|duration| !duration.is_zero());
    duration.ok_or_else(|| PyValueError::new_err("timeout: a positive number of seconds is wanted"))
}

fn proxy((scheme, url): &(String, String)) -> PyResult<reqwest::Proxy> {
    let proxy = match scheme.as_str() {
        "http" => reqwest::Proxy::http(url),
        "https" => reqwest::Proxy::https(url),
        _ => reqwest::Proxy::all(url),
    };
    proxy.map_err(|_| {
        PyValueError::new_err(format!("proxies: the address for {scheme} is no address of a proxy"))
    })
}

fn header((name, value): &(String, String)) -> PyResult<(HeaderName, HeaderValue)> {
    let refuse = || PyValueError::new_err(format!("{name}: it holds characters that no header can carry"));
    let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| refuse())?;
    Ok((header, HeaderValue::from_str(value).map_err(|_| refuse())?))
}
