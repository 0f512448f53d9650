//! The signed-in user's photo, streamed.

use std::fmt;
use std::pin::Pin;

use bytes::Bytes;
use futures_util::Stream;
use http::StatusCode;

use crate::api_client::ApiError;
use crate::error::Error;
use crate::handle::AsyncMsal;

/// Most bytes of a photo: Graph's own limit is 4 MB.
const PHOTO_LIMIT: usize = 4 * 1024 * 1024;

/// Image types that are passed on. SVG is not among them: it may hold scripts.
const IMAGE_TYPES: [&str; 5] = ["image/jpeg", "image/png", "image/gif", "image/webp", "image/bmp"];

/// A photo whose bytes are still coming. None of Graph's headers go along but the type, checked, and the length.
#[non_exhaustive]
pub struct Photo {
    /// One of a few image types.
    pub content_type: &'static str,
    /// The length, where Graph told it.
    pub content_length: Option<u64>,
    /// The bytes; it ends with an error over 4 MiB.
    pub stream: Pin<Box<dyn Stream<Item = Result<Bytes, ApiError>> + Send>>,
}

impl fmt::Debug for Photo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { content_type, content_length, stream: _ } = self;
        f.debug_struct("Photo")
            .field("content_type", content_type)
            .field("content_length", content_length)
            .finish_non_exhaustive()
    }
}

impl AsyncMsal {
    /// The signed-in user's photo, by Graph's `/me/photo/$value`; `None` for who has none.
    ///
    /// # Errors
    /// As [`me`](Self::me); [`ApiError::Unusable`] when what came is no image, [`ApiError::TooLarge`] when it is
    /// announced as over 4 MiB.
    ///
    /// # Cancel safety
    /// Nothing is left behind.
    pub async fn photo(&self) -> Result<Option<Photo>, Error> {
        let response = self.get("me/photo/$value").send().await?;
        if response.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let response = response.success().await?;
        let told = response.content_type().unwrap_or_default();
        let content_type = IMAGE_TYPES.into_iter().find(|known| *known == told);
        let content_type = content_type.ok_or(ApiError::Unusable { wanted: "an image" })?;
        let content_length = response.content_length();
        if content_length.is_some_and(|length| length > PHOTO_LIMIT as u64) {
            return Err(ApiError::TooLarge { limit: PHOTO_LIMIT }.into());
        }
        let stream = Box::pin(response.limit(PHOTO_LIMIT).stream());
        Ok(Some(Photo { content_type, content_length, stream }))
    }
}
