//! Calls to APIs in the user's name: the bearer goes to Graph and to hosts the application allowed, nowhere else.
//!
//! ```no_run
//! # async fn f(session: async_msal_session::AsyncMsal) -> Result<(), async_msal_session::Error> {
//! let messages: serde_json::Value = session.get("me/messages?$top=5").send().await?.json().await?;
//! # Ok(()) }
//! ```

mod error;
mod exchange;
mod response;

use std::fmt;
use std::time::Duration;

use async_msal::http_client::{HttpClient, is_loopback};
use async_msal::{ConfidentialClient, Scopes};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, HOST, PROXY_AUTHORIZATION};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde::Serialize;
use url::Url;

pub use self::error::ApiError;
pub use self::response::ApiResponse;
use crate::error::Error;
use crate::handle::AsyncMsal;
use crate::settings::Settings;

/// Time limit of a call, retries included, until its answer begins.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// Longest time of a call with its whole body; that the answer begins has a limit of its own.
const BODY_TIMEOUT: Duration = Duration::from_secs(300);

/// The HTTP client of API calls and the rules of whom it may talk to.
pub(crate) struct ApiClient {
    http: HttpClient,
    graph_url: Option<Url>,
    allowed_hosts: Vec<String>,
    loopback: bool,
}

impl ApiClient {
    /// No I/O.
    pub(crate) fn new(settings: &Settings, client: &ConfidentialClient) -> Result<Self, Error> {
        // The protocol client's proxy, resolver and certificate authorities hold for APIs too.
        let options = client.http_options().clone().with_request_timeout(BODY_TIMEOUT);
        let http = HttpClient::new(&options)?;
        Ok(Self {
            http,
            graph_url: settings.graph_url.clone(),
            allowed_hosts: settings.allowed_hosts.clone(),
            loopback: settings.dangerous_allow_loopback_authority,
        })
    }

    /// Graph's address: as configured, else the cloud's own, which discovery names.
    pub(crate) async fn graph_url(&self, client: &ConfidentialClient) -> Result<Url, Error> {
        if let Some(url) = &self.graph_url {
            return Ok(url.clone());
        }
        let metadata = client.metadata().await?;
        let host = metadata.msgraph_host().ok_or(ApiError::NoGraph)?;
        Ok(Url::parse(&format!("https://{host}/v1.0")).map_err(|_| ApiError::NoGraph)?)
    }

    /// Whether the bearer may go to `url`: https, and a host that is Graph's or allowed. Hosts are compared as parsed, whole.
    fn may_send(&self, url: &Url, graph: &Url) -> Result<Destination, ApiError> {
        let host = url.host_str().unwrap_or_default();
        let local = self.loopback && is_loopback(url);
        if !url.username().is_empty() || url.password().is_some() {
            return Err(ApiError::InvalidUrl);
        }
        if url.scheme() != "https" && !(local && url.scheme() == "http") {
            return Err(ApiError::Insecure { host: host.to_owned() });
        }
        if url.origin() == graph.origin() {
            return Ok(Destination::Graph);
        }
        let default_port = url.port().is_none() || local;
        if default_port && self.allowed_hosts.iter().any(|allowed| allowed == host) {
            return Ok(Destination::Allowed);
        }
        Err(ApiError::HostNotAllowed { host: host.to_owned() })
    }
}

/// Whose host an address names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Destination {
    Graph,
    Allowed,
}

impl AsyncMsal {
    /// A GET. A path is one of Graph's (`me/messages`); an absolute address must be Graph's or an allowed host's.
    pub fn get(&self, url: &str) -> ApiRequest {
        self.request(Method::GET, url)
    }

    /// A POST, addressed as in [`get`](Self::get).
    pub fn post(&self, url: &str) -> ApiRequest {
        self.request(Method::POST, url)
    }

    /// A PUT, addressed as in [`get`](Self::get).
    pub fn put(&self, url: &str) -> ApiRequest {
        self.request(Method::PUT, url)
    }

    /// A PATCH, addressed as in [`get`](Self::get).
    pub fn patch(&self, url: &str) -> ApiRequest {
        self.request(Method::PATCH, url)
    }

    /// A DELETE, addressed as in [`get`](Self::get).
    pub fn delete(&self, url: &str) -> ApiRequest {
        self.request(Method::DELETE, url)
    }

    /// Any other method, addressed as in [`get`](Self::get).
    pub fn request(&self, method: Method, url: &str) -> ApiRequest {
        ApiRequest {
            session: self.clone(),
            method,
            url: url.to_owned(),
            scopes: None,
            headers: HeaderMap::new(),
            body: None,
            timeout: DEFAULT_TIMEOUT,
            problem: None,
        }
    }
}

/// A call to an API that has not been sent.
#[must_use = "nothing is sent before send()"]
pub struct ApiRequest {
    session: AsyncMsal,
    method: Method,
    url: String,
    scopes: Option<Scopes>,
    headers: HeaderMap,
    body: Option<Bytes>,
    timeout: Duration,
    problem: Option<ApiError>,
}

impl fmt::Debug for ApiRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiRequest").field("method", &self.method).finish_non_exhaustive()
    }
}

impl ApiRequest {
    /// Scopes of the token. Default for Graph: the scopes of the sign-in; for another host there is none.
    pub fn scopes(mut self, scopes: Scopes) -> Self {
        self.scopes = Some(scopes);
        self
    }

    /// Sets a header, in place of an earlier one of the same name. `Authorization`, `Cookie` and `Host` are not the
    /// application's to set.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let parsed = HeaderName::try_from(name).ok().zip(HeaderValue::try_from(value).ok());
        match parsed {
            Some((name, value)) if ![AUTHORIZATION, PROXY_AUTHORIZATION, COOKIE, HOST].contains(&name) => {
                self.headers.insert(name, value);
            }
            _ => self.problem = Some(ApiError::InvalidHeader { name: name.chars().take(64).collect() }),
        }
        self
    }

    /// A JSON body. Its content type stands once, whatever was set before.
    pub fn json<T: Serialize + ?Sized>(mut self, value: &T) -> Self {
        match serde_json::to_vec(value) {
            Ok(text) => {
                self.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                self.body = Some(text.into());
            }
            Err(_) => self.problem = Some(ApiError::InvalidBody),
        }
        self
    }

    /// A body of any bytes. Its content type is `application/octet-stream` unless a header says otherwise.
    pub fn body(mut self, bytes: impl Into<Bytes>) -> Self {
        let default = HeaderValue::from_static("application/octet-stream");
        self.headers.entry(CONTENT_TYPE).or_insert(default);
        self.body = Some(bytes.into());
        self
    }

    /// Time limit of the call, retries included, until its answer begins. Default: 30 s.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = limit;
        self
    }

    /// Sends it with the user's token.
    ///
    /// What can succeed on retry is tried again, at most twice, with a short pause first: a GET or HEAD that met a
    /// connection failure, 429, 502, 503 or 504; another method that met 429, or 503 with `Retry-After`. `Retry-After` is obeyed, and
    /// where it asks for more time than there is, the answer is given back as it came. Redirects are followed, at most five, and
    /// the token goes along to allowed hosts only. An answer that demands claims (`insufficient_claims`) is met by one renewal.
    ///
    /// # Errors
    /// [`Error::Api`] when the address is not allowed or nobody answered; errors of [`AsyncMsal::get_token`]; when an API
    /// refuses the renewed token too, `InteractionRequired` with its claims. Any status is an answer, not an error.
    ///
    /// # Cancel safety
    /// Dropped, the API may have got the call or not.
    ///
    /// # Security
    /// The token is sent over https to Graph's host and those of ALLOWED_HOSTS; anything else is refused before sending.
    pub async fn send(self) -> Result<ApiResponse, Error> {
        exchange::send(self).await
    }
}
