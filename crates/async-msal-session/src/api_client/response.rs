//! The answer of an API, read within limits.

use std::fmt;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use futures_util::stream::{self, TryStreamExt as _};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::ApiError;

/// Most bytes of a body read whole, unless told otherwise.
const DEFAULT_LIMIT: usize = 10 * 1024 * 1024;
/// Most bytes read of an error's body.
const ERROR_LIMIT: usize = 64 * 1024;
/// Longest silence within a body.
const IDLE: Duration = Duration::from_secs(30);

/// An answer whose body has not been read.
pub struct ApiResponse {
    inner: reqwest::Response,
    limit: usize,
}

impl fmt::Debug for ApiResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiResponse").field("status", &self.status()).finish_non_exhaustive()
    }
}

/// The part of Graph's error body that says what it is.
#[derive(Deserialize)]
struct ErrorBody {
    error: ErrorCode,
}

#[derive(Deserialize)]
struct ErrorCode {
    code: String,
}

impl ApiResponse {
    pub(super) fn new(inner: reqwest::Response) -> Self {
        Self { inner, limit: DEFAULT_LIMIT }
    }

    /// The status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.inner.status()
    }

    /// The headers.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        self.inner.headers()
    }

    /// The media type, in lower case and without parameters.
    #[must_use]
    pub fn content_type(&self) -> Option<String> {
        let value = self.headers().get(CONTENT_TYPE)?.to_str().ok()?;
        Some(value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
    }

    /// The length of the body, where the API told it.
    #[must_use]
    pub fn content_length(&self) -> Option<u64> {
        self.inner.content_length()
    }

    /// How long the API asks to wait (RFC 9110 10.2.3: seconds or a date).
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        async_msal::http_client::retry_after(self.headers())
    }

    /// Reads at most so many bytes of the body. Default: 10 MiB.
    #[must_use]
    pub fn limit(mut self, bytes: usize) -> Self {
        self.limit = bytes;
        self
    }

    /// The answer if it is a success, else [`ApiError::Status`] with Graph's code.
    ///
    /// # Errors
    /// When the status is no success.
    ///
    /// # Cancel safety
    /// The answer is lost.
    pub async fn success(self) -> Result<Self, ApiError> {
        let status = self.status();
        if status.is_success() {
            return Ok(self);
        }
        let retry_after = self.retry_after();
        let body = self.limit(ERROR_LIMIT).bytes().await.unwrap_or_default();
        let api_code = serde_json::from_slice::<ErrorBody>(&body).ok().map(|body| body.error.code);
        // A code is a word; anything else is not repeated in logs.
        let api_code = api_code.filter(|code| {
            code.len() <= 64 && code.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        });
        Err(ApiError::Status { status: status.as_u16(), api_code, retry_after })
    }

    /// The body, whole.
    ///
    /// # Errors
    /// When it is over the limit, stops coming or breaks off.
    ///
    /// # Cancel safety
    /// The answer is lost.
    pub async fn bytes(self) -> Result<Bytes, ApiError> {
        let expected =
            self.inner.content_length().and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
        let mut body = BytesMut::with_capacity(expected.min(self.limit).min(DEFAULT_LIMIT));
        let mut chunks = std::pin::pin!(self.stream());
        while let Some(chunk) = chunks.try_next().await? {
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }

    /// The body as text in UTF-8.
    ///
    /// # Errors
    /// As [`bytes`](Self::bytes), and when it is no UTF-8.
    ///
    /// # Cancel safety
    /// The answer is lost.
    pub async fn text(self) -> Result<String, ApiError> {
        String::from_utf8(self.bytes().await?.into())
            .map_err(|_| ApiError::Unusable { wanted: "text in UTF-8" })
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// As [`bytes`](Self::bytes), and when it is not the JSON wanted.
    ///
    /// # Cancel safety
    /// The answer is lost.
    pub async fn json<T: DeserializeOwned>(self) -> Result<T, ApiError> {
        serde_json::from_slice(&self.bytes().await?)
            .map_err(|_| ApiError::Unusable { wanted: "the JSON wanted" })
    }

    /// The body piece by piece; it ends with an error at the limit.
    pub fn stream(self) -> impl Stream<Item = Result<Bytes, ApiError>> + Send + 'static {
        let Self { inner, limit } = self;
        stream::try_unfold((inner, 0_usize), move |(mut response, read)| async move {
            let chunk = tokio::time::timeout(IDLE, response.chunk()).await.map_err(|_| ApiError::Timeout)?;
            let Some(chunk) = chunk.map_err(|error| ApiError::Unreachable(error.without_url()))? else {
                return Ok(None);
            };
            let read = read.saturating_add(chunk.len());
            if read > limit {
                return Err(ApiError::TooLarge { limit });
            }
            Ok(Some((chunk, (response, read))))
        })
    }
}
