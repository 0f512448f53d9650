//! The signed-in user's manager.

use http::StatusCode;

use super::USER_FIELDS;
use super::user::{USER_LIMIT, User};
use crate::error::Error;
use crate::handle::AsyncMsal;

impl AsyncMsal {
    /// The signed-in user's manager, by Graph's `/me/manager`. Who has none gets `None`: Graph answers 404 then.
    ///
    /// # Errors
    /// As [`me`](Self::me).
    ///
    /// # Cancel safety
    /// Nothing is left behind.
    pub async fn manager(&self) -> Result<Option<User>, Error> {
        let response = self.get(&format!("me/manager?{USER_FIELDS}")).send().await?;
        if response.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let user: User = response.success().await?.limit(USER_LIMIT).json().await?;
        Ok(Some(user.cleaned()))
    }
}
