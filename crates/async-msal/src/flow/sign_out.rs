//! Signing out at the authority (OpenID Connect RP-Initiated Logout 1.0).

use url::Url;

use crate::confidential_client::ConfidentialClient;
use crate::error::Error;
use crate::secret::IdToken;

/// What goes with the browser to the authority's sign-out page.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct SignOutRequest {
    /// A registered address to come back to.
    pub post_logout_redirect_uri: Option<Url>,
    /// Comes back with the browser.
    pub state: Option<String>,
    /// The id token's `login_hint` claim: spares the user the account picker.
    pub logout_hint: Option<String>,
    /// For providers that demand it. It puts the id token into the browser's history.
    pub id_token_hint: Option<IdToken>,
}

impl SignOutRequest {
    /// Comes back to this registered address.
    #[must_use]
    pub fn with_post_logout_redirect_uri(mut self, address: Url) -> Self {
        self.post_logout_redirect_uri = Some(address);
        self
    }

    /// Brings this back.
    #[must_use]
    pub fn with_state(mut self, state: impl Into<String>) -> Self {
        self.state = Some(state.into());
        self
    }

    /// Names the user by the id token's `login_hint` claim.
    #[must_use]
    pub fn with_logout_hint(mut self, hint: impl Into<String>) -> Self {
        self.logout_hint = Some(hint.into());
        self
    }

    /// Names the session by its id token.
    #[must_use]
    pub fn with_id_token_hint(mut self, hint: IdToken) -> Self {
        self.id_token_hint = Some(hint);
        self
    }
}

pub(crate) async fn sign_out_url(
    client: &ConfidentialClient,
    request: SignOutRequest,
) -> Result<Option<Url>, Error> {
    let metadata = client.metadata().await?;
    let Some(mut url) = metadata.end_session_endpoint().cloned() else { return Ok(None) };
    let pairs = [
        ("client_id", Some(client.client_id().to_owned())),
        ("post_logout_redirect_uri", request.post_logout_redirect_uri.map(String::from)),
        ("state", request.state),
        ("logout_hint", request.logout_hint),
        ("id_token_hint", request.id_token_hint.map(|token| token.expose_secret().to_owned())),
    ];
    url.query_pairs_mut().extend_pairs(pairs.into_iter().filter_map(|(name, value)| Some((name, value?))));
    Ok(Some(url))
}
