//! A verified answer on its way to the cache and to the caller.

use super::ConfidentialClient;
use crate::authority::Metadata;
use crate::flow::auth_code::granted;
use crate::flow::{TokenResult, TokenSource};
use crate::id_token::VerifiedIdToken;
use crate::scope::Scopes;
use crate::token_cache::{TokenWrite, WriteOccasion};
use crate::token_endpoint::response::TokenResponse;

pub(crate) struct Grant<'a> {
    client: &'a ConfidentialClient,
    metadata: &'a Metadata,
    response: &'a TokenResponse,
    requested: &'a Scopes,
    granted: Scopes,
    id_token: Option<&'a VerifiedIdToken>,
    ext_cache_key: Option<&'a str>,
    now: i64,
}

impl ConfidentialClient {
    pub(crate) fn grant<'a>(
        &'a self,
        metadata: &'a Metadata,
        response: &'a TokenResponse,
        requested: &'a Scopes,
        id_token: Option<&'a VerifiedIdToken>,
    ) -> Grant<'a> {
        let granted = granted(response.scope.as_ref(), requested);
        let now = self.clock().now();
        Grant { client: self, metadata, response, requested, granted, id_token, ext_cache_key: None, now }
    }
}

impl<'a> Grant<'a> {
    /// Keeps the token apart from those of other requests.
    pub(crate) fn under(mut self, ext_cache_key: Option<&'a str>) -> Self {
        self.ext_cache_key = ext_cache_key;
        self
    }

    /// An application's token: nothing was added to its scopes.
    pub(crate) fn undecorated(mut self) -> Self {
        if self.response.scope.is_none() {
            self.granted = self.requested.clone();
        }
        self
    }

    pub(crate) fn to_write<'b>(
        &'b self,
        home_account_id: Option<&'b str>,
        occasion: WriteOccasion<'b>,
    ) -> TokenWrite<'b> {
        TokenWrite {
            client_id: self.client.client_id(),
            environment: self.client.environment(),
            realm: self.metadata.realm(),
            home_account_id,
            ext_cache_key: self.ext_cache_key,
            response: self.response,
            requested: self.requested,
            granted: &self.granted,
            id_token: self.id_token,
            now: self.now,
            occasion,
        }
    }

    pub(crate) fn into_result(self, correlation_id: String) -> TokenResult {
        let response = self.response;
        TokenResult {
            access_token: response.access_token.clone(),
            token_type: response.token_type.clone(),
            expires_on: self.now.saturating_add(response.expires_in),
            refresh_on: response.refresh_in.map(|seconds| self.now.saturating_add(seconds)),
            missing_scopes: self.requested.missing_from(&self.granted),
            scopes: self.granted,
            source: TokenSource::IdentityProvider,
            id_token: self.id_token.cloned(),
            renew_due: false,
            correlation_id: Some(correlation_id),
            raw_answer: Some(response.raw.clone()),
        }
    }
}
