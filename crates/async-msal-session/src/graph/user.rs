//! The signed-in user.

use serde::{Deserialize, Serialize};

use super::USER_FIELDS;
use crate::error::Error;
use crate::handle::AsyncMsal;

/// Most bytes of a user's answer.
pub(super) const USER_LIMIT: usize = 64 * 1024;

/// A user as Graph tells of them. Everything but the id may be missing, and none of it identifies anybody: see
/// [`Identity`](crate::Identity).
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct User {
    /// Object id.
    pub id: String,
    /// Name as shown.
    pub display_name: Option<String>,
    /// Mail address; missing for accounts without a mailbox.
    pub mail: Option<String>,
    /// Sign-in name.
    pub user_principal_name: Option<String>,
    /// First name.
    pub given_name: Option<String>,
    /// Family name.
    pub surname: Option<String>,
    /// Job title.
    pub job_title: Option<String>,
    /// Preferred language, such as `de-CH`.
    pub preferred_language: Option<String>,
}

impl User {
    /// Empty texts are none.
    pub(super) fn cleaned(mut self) -> Self {
        for field in [
            &mut self.display_name,
            &mut self.mail,
            &mut self.user_principal_name,
            &mut self.given_name,
            &mut self.surname,
            &mut self.job_title,
            &mut self.preferred_language,
        ] {
            if field.as_ref().is_some_and(|text| text.trim().is_empty()) {
                *field = None;
            }
        }
        self
    }
}

impl AsyncMsal {
    /// The signed-in user, by Graph's `/me`.
    ///
    /// # Errors
    /// As [`ApiRequest::send`](crate::api_client::ApiRequest::send), and
    /// [`ApiError::Status`](crate::api_client::ApiError::Status) when Graph refuses.
    ///
    /// # Cancel safety
    /// Nothing is left behind.
    pub async fn me(&self) -> Result<User, Error> {
        let response = self.get(&format!("me?{USER_FIELDS}")).send().await?.success().await?;
        let user: User = response.limit(USER_LIMIT).json().await?;
        Ok(user.cleaned())
    }
}
