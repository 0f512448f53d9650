//! What the callers of the flows get.

use crate::account::Account;
use crate::id_token::VerifiedIdToken;
use crate::scope::Scopes;
use crate::secret::AccessToken;
use crate::token_cache::{CachedToken, Hit};
use crate::token_endpoint::RawAnswer;

/// Where a token came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenSource {
    /// The token cache; nothing was sent.
    Cache,
    /// The authority.
    IdentityProvider,
}

/// An access token to use now.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TokenResult {
    /// The token.
    pub access_token: AccessToken,
    /// `Bearer`.
    pub token_type: String,
    /// Unix seconds.
    pub expires_on: i64,
    /// Unix seconds from which on it may be renewed ahead.
    pub refresh_on: Option<i64>,
    /// What was granted; often more than was asked.
    pub scopes: Scopes,
    /// What was asked and not granted: at a sign-in, where the user may decline a part, or on behalf of a caller.
    /// A renewal says so by its error.
    pub missing_scopes: Scopes,
    /// Where it came from.
    pub source: TokenSource,
    /// The id token that came with it.
    pub id_token: Option<VerifiedIdToken>,
    /// Should somebody renew it, without making anybody wait?
    pub renew_due: bool,
    /// Ties the request to the authority's logs.
    pub correlation_id: Option<String>,
    /// The authority's answer as it came; `None` for a token of the cache.
    pub raw_answer: Option<RawAnswer>,
}

impl TokenResult {
    pub(crate) fn cached(token: CachedToken, renew_due: bool) -> Self {
        Self {
            access_token: token.access_token,
            token_type: token.token_type,
            expires_on: token.expires_on,
            refresh_on: token.refresh_on,
            scopes: token.scopes,
            missing_scopes: Scopes::new(),
            source: TokenSource::Cache,
            id_token: None,
            renew_due,
            correlation_id: None,
            raw_answer: None,
        }
    }
}

impl From<Hit> for TokenResult {
    fn from(hit: Hit) -> Self {
        Self::cached(hit.token, hit.renew_due)
    }
}

/// A finished sign-in.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SignInResult {
    /// The first access token.
    pub token: TokenResult,
    /// Names the user's entries in the cache.
    pub account: Account,
    /// The proof of who signed in.
    pub id_token: VerifiedIdToken,
}
