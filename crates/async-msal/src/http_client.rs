//! The HTTP client and its rules: our TLS, our time limits, no redirects, loopback never by a proxy.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use http::header::{CACHE_CONTROL, RETRY_AFTER};
use reqwest::{Client, ClientBuilder, RequestBuilder, Response, redirect};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use url::{Host, Url};

use crate::error::{ConfigError, Error, InvalidResponse, Unreachable};

/// Pauses asked for longer than this are cut.
const LONGEST_PAUSE: Duration = Duration::from_secs(3_600);
/// GETs that failed are tried so often again, inside the same time limit.
const GET_RETRIES: u32 = 2;
/// Requests of one client that may be under way to the authority at once.
const CONCURRENT: usize = 64;

/// The application's own settings of the client: a proxy, a resolver, a user agent.
pub type Customize = Arc<dyn Fn(ClientBuilder) -> ClientBuilder + Send + Sync>;

/// What every client of these crates is built from.
#[derive(Clone)]
pub struct HttpOptions {
    customize: Option<Customize>,
    extra_ca_pem: Vec<u8>,
    request_timeout: Duration,
    connect_timeout: Duration,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            customize: None,
            extra_ca_pem: Vec::new(),
            request_timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(3),
        }
    }
}

impl HttpOptions {
    /// Applies this to every builder, before redirects and time limits are set.
    #[must_use]
    pub fn with_customize(mut self, customize: Customize) -> Self {
        self.customize = Some(customize);
        self
    }

    /// Trusts these certificate authorities (PEM) beside the machine's.
    #[must_use]
    pub fn with_extra_ca_pem(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.extra_ca_pem = pem.into();
        self
    }

    /// Limits a whole request. Default 10 s.
    #[must_use]
    pub const fn with_request_timeout(mut self, limit: Duration) -> Self {
        self.request_timeout = limit;
        self
    }

    /// The limit of a whole request.
    #[must_use]
    pub const fn request_timeout(&self) -> Duration {
        self.request_timeout
    }
}

impl fmt::Debug for HttpOptions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { customize, extra_ca_pem, request_timeout, connect_timeout } = self;
        formatter
            .debug_struct("HttpOptions")
            .field("customize", &customize.is_some())
            .field("extra_ca_pem", &!extra_ca_pem.is_empty())
            .field("request_timeout", request_timeout)
            .field("connect_timeout", connect_timeout)
            .finish()
    }
}

/// Two clients under one set of rules: one for loopback, which no proxy may see, and one for the rest.
#[derive(Clone)]
pub struct HttpClient {
    direct: Client,
    outside: Client,
    limit: Duration,
    slots: Arc<tokio::sync::Semaphore>,
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("HttpClient").field("limit", &self.limit).finish_non_exhaustive()
    }
}

impl HttpClient {
    /// Builds both clients; no I/O but reading the machine's certificate authorities.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for a certificate authority that is no PEM, or a client that cannot be built.
    pub fn new(options: &HttpOptions) -> Result<Self, Error> {
        let tls = tls_config(&options.extra_ca_pem)?;
        Ok(Self {
            direct: build(client_builder(options, &tls).no_proxy())?,
            outside: build(client_builder(options, &tls))?,
            limit: options.request_timeout,
            slots: Arc::new(tokio::sync::Semaphore::new(CONCURRENT)),
        })
    }

    /// The client for this address. Redirects are off: follow them, if at all, by your own rules.
    #[must_use]
    pub fn for_url(&self, url: &Url) -> &Client {
        if is_loopback(url) { &self.direct } else { &self.outside }
    }

    pub(crate) const fn limit(&self) -> Duration {
        self.limit
    }

    /// Gets a document; tries again after 5xx and broken connections, inside one time limit.
    pub(crate) async fn get(&self, address: &str, what: &'static str, most: usize) -> Result<Fetched, Error> {
        let url = Url::parse(address).map_err(|_| ConfigError::Authority("it is no address"))?;
        let request = || self.for_url(&url).get(url.clone()).header(http::header::ACCEPT, "application/json");
        self.patiently(request, what, most, |status| status >= 500).await
    }

    /// Gets a document of a service of this very machine, never by a proxy, with one header. Such a service answers
    /// with 404, 410 or 429 while it starts.
    pub(crate) async fn get_here(
        &self,
        url: &Url,
        (name, value): (&'static str, http::HeaderValue),
        what: &'static str,
        most: usize,
    ) -> Result<Fetched, Error> {
        let request = || self.direct.get(url.clone()).header(name, value.clone());
        self.patiently(request, what, most, |status| status >= 500 || matches!(status, 404 | 410 | 429)).await
    }

    async fn patiently(
        &self,
        request: impl Fn() -> RequestBuilder,
        what: &'static str,
        most: usize,
        is_passing: fn(u16) -> bool,
    ) -> Result<Fetched, Error> {
        let attempts = async {
            let mut attempt = 0;
            loop {
                let result = self.send(request(), what, most).await;
                let again = match &result {
                    Ok(fetched) => is_passing(fetched.status) && fetched.retry_after.is_none(),
                    Err(error) => matches!(error.error, Error::Unreachable(_)),
                };
                if attempt == GET_RETRIES || !again {
                    return result.map_err(|failed| failed.error);
                }
                attempt += 1;
                tokio::time::sleep(jittered(attempt)).await;
            }
        };
        match tokio::time::timeout(self.limit, attempts).await {
            Ok(result) => result,
            Err(_) => Err(Unreachable { what, reason: "timeout", source: None }.into()),
        }
    }

    /// Sends one request and reads its bounded answer, all within the time limit.
    pub(crate) async fn send(
        &self,
        request: RequestBuilder,
        what: &'static str,
        most: usize,
    ) -> Result<Fetched, Failed> {
        let exchange = async {
            // Closed never: the semaphore lives as long as the client.
            let _slot = self.slots.acquire().await;
            let response = request.send().await.map_err(|error| failed(error, what))?;
            Fetched::read(response, what, most).await
        };
        match tokio::time::timeout(self.limit, exchange).await {
            Ok(result) => result,
            Err(_) => Err(Failed {
                error: Unreachable { what, reason: "timeout", source: None }.into(),
                unsent: false,
            }),
        }
    }
}

/// An error, and whether it is certain that no byte of the request went out.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) error: Error,
    pub(crate) unsent: bool,
}

impl From<InvalidResponse> for Failed {
    fn from(reason: InvalidResponse) -> Self {
        Self { error: reason.into(), unsent: false }
    }
}

/// An answer, read whole.
pub(crate) struct Fetched {
    pub(crate) status: u16,
    pub(crate) body: zeroize::Zeroizing<Vec<u8>>,
    pub(crate) max_age: Option<i64>,
    pub(crate) retry_after: Option<Duration>,
}

impl Fetched {
    async fn read(mut response: Response, what: &'static str, most: usize) -> Result<Self, Failed> {
        let status = response.status().as_u16();
        if response.status().is_redirection() {
            return Err(InvalidResponse::Redirect(status).into());
        }
        let (max_age, retry_after) = (max_age(response.headers()), retry_after(response.headers()));
        let mut body = zeroize::Zeroizing::new(Vec::new());
        while let Some(chunk) = response.chunk().await.map_err(|error| failed(error, what))? {
            if body.len() + chunk.len() > most {
                return Err(InvalidResponse::TooLarge(what).into());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Self { status, body, max_age, retry_after })
    }

    /// 200 and nothing else.
    pub(crate) fn require_success(&self) -> Result<(), Error> {
        match self.status {
            200 => Ok(()),
            429 => Err(Error::Throttled { retry_after: self.retry_after, server: None }),
            500.. if self.retry_after.is_some() => {
                Err(Error::Throttled { retry_after: self.retry_after, server: None })
            }
            status => Err(InvalidResponse::Status(status).into()),
        }
    }
}

/// A builder under our rules: TLS as [`tls_config`] makes it, then the caller's wishes, then redirects
/// off and time limits, which nobody can undo.
///
/// # Security
///
/// Answers are not decompressed, so a small body stays small.
pub fn client_builder(options: &HttpOptions, tls: &rustls::ClientConfig) -> ClientBuilder {
    let builder = Client::builder().user_agent(concat!("async-msal/", env!("CARGO_PKG_VERSION")));
    let builder = match &options.customize {
        Some(customize) => customize(builder),
        None => builder,
    };
    builder
        .tls_backend_preconfigured(tls.clone())
        .redirect(redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .connect_timeout(options.connect_timeout)
        .timeout(options.request_timeout)
        .pool_idle_timeout(Duration::from_secs(60))
}

/// TLS 1.2 and 1.3 by aws-lc-rs, certificates checked by the machine's authorities and those of
/// `extra_ca_pem`. There is no way to switch the check off.
///
/// # Errors
///
/// [`Error::Config`] when `extra_ca_pem` is not PEM.
pub fn tls_config(extra_ca_pem: &[u8]) -> Result<rustls::ClientConfig, Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let extra: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(extra_ca_pem)
        .collect::<Result<_, _>>()
        .map_err(|_| ConfigError::Certificate)?;
    if extra.is_empty() && !extra_ca_pem.is_empty() {
        return Err(ConfigError::Certificate.into());
    }
    let versions = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| ConfigError::HttpClient(error.to_string()))?;
    match platform_verifier(extra.clone(), provider) {
        Some(verifier) => {
            Ok(versions.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
        }
        None => {
            // A machine without certificate authorities can still talk to loopback and to `extra`.
            tracing::warn!(
                "this machine has no certificate authorities: only those given by name are trusted"
            );
            let mut roots = rustls::RootCertStore::empty();
            for certificate in extra {
                roots.add(certificate).map_err(|_| ConfigError::Certificate)?;
            }
            Ok(versions.with_root_certificates(roots).with_no_client_auth())
        }
    }
}

fn platform_verifier(
    extra: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
) -> Option<Arc<rustls_platform_verifier::Verifier>> {
    rustls_platform_verifier::Verifier::new_with_extra_roots(extra, provider).ok().map(Arc::new)
}

/// Is the host this machine by its very name or address?
#[must_use]
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(domain)) => domain == "localhost" || domain.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// `Retry-After` in seconds or as a date (RFC 9110 10.2.3), at most an hour.
#[must_use]
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let pause = match value.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let date = httpdate::parse_http_date(value).ok()?;
            date.duration_since(std::time::SystemTime::now()).unwrap_or_default()
        }
    };
    Some(pause.min(LONGEST_PAUSE))
}

fn max_age(headers: &HeaderMap) -> Option<i64> {
    let value = headers.get(CACHE_CONTROL)?.to_str().ok()?;
    value.split(',').find_map(|part| part.trim().strip_prefix("max-age=")?.parse().ok())
}

fn build(builder: ClientBuilder) -> Result<Client, Error> {
    builder.build().map_err(|error| ConfigError::HttpClient(error.without_url().to_string()).into())
}

fn failed(error: reqwest::Error, what: &'static str) -> Failed {
    let error = error.without_url();
    let reason = match () {
        () if error.is_timeout() => "timeout",
        () if error.is_connect() && is_tls(&error) => "tls",
        () if error.is_connect() => "connect",
        () if error.is_body() || error.is_decode() => "body",
        () => "request",
    };
    // The connection was not made, so nothing can have been sent.
    let unsent = error.is_connect();
    Failed { error: Unreachable { what, reason, source: Some(Arc::new(error)) }.into(), unsent }
}

fn is_tls(error: &reqwest::Error) -> bool {
    let mut source: Option<&dyn std::error::Error> = Some(error);
    while let Some(current) = source {
        if current.is::<rustls::Error>() || current.to_string().contains("certificate") {
            return true;
        }
        source = current.source();
    }
    false
}

/// 100 ms, 200 ms, each with up to as much again by chance, so that many clients do not come back at once.
fn jittered(attempt: u32) -> Duration {
    let base = 100_u64 << (attempt - 1);
    let mut byte = [0_u8; 1];
    let chance = aws_lc_rs::rand::fill(&mut byte).map_or(0, |()| u64::from(byte[0]));
    Duration::from_millis(base + base * chance / 255)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(name: http::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, value.parse().unwrap())])
    }

    #[test]
    fn retry_after_takes_seconds_and_is_capped() {
        assert_eq!(retry_after(&header(RETRY_AFTER, "7")), Some(Duration::from_secs(7)));
        assert_eq!(retry_after(&header(RETRY_AFTER, "999999")), Some(LONGEST_PAUSE));
    }

    #[test]
    fn retry_after_takes_a_date() {
        let date = std::time::SystemTime::now() + Duration::from_secs(60);
        let pause = retry_after(&header(RETRY_AFTER, &httpdate::fmt_http_date(date))).unwrap();
        assert!((55..=60).contains(&pause.as_secs()));
    }

    #[test]
    fn max_age_is_found_among_other_directives() {
        assert_eq!(max_age(&header(CACHE_CONTROL, "private, max-age=86400")), Some(86_400));
    }

    #[test]
    fn certificate_authority_that_is_no_pem_is_a_configuration_error() {
        assert_eq!(tls_config(b"nonsense").unwrap_err().code(), "config");
    }
}
