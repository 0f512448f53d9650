//! What benchmarks and fuzz targets call without a network. No part of the interface: it changes without notice.

use std::fmt;

use crate::account::Account;
use crate::http_client::Fetched;
use crate::id_token::SigningAlgorithm;
use crate::id_token::jws::Jws;
use crate::scope::Scopes;
use crate::token_cache::{TokenCache, TokenWrite, WriteOccasion};
use crate::token_endpoint::response::TokenResponse;

/// A token endpoint's answer that is good by its form.
pub struct TokenAnswer(TokenResponse);

impl TokenAnswer {
    /// Reads a body that came with this status.
    ///
    /// # Errors
    ///
    /// What a client would say.
    pub fn read(status: u16, body: &[u8], now: i64) -> Result<Self, crate::Error> {
        let body = zeroize::Zeroizing::new(body.to_vec());
        let fetched = Fetched { status, body, max_age: None, retry_after: None };
        TokenResponse::read(&fetched, now).map(Self)
    }

    /// Writes it as the answer to a renewal.
    pub fn add_to(&self, cache: &mut TokenCache, account: &Account, client_id: &str, now: i64) {
        let granted = self.0.scope.clone().unwrap_or_default();
        let used = cache.refresh_tokens(account, client_id).into_iter().next();
        let occasion = match &used {
            Some((used_key, _)) => WriteOccasion::Refresh { used_key },
            None => WriteOccasion::Exchange,
        };
        cache.write(&TokenWrite {
            client_id,
            environment: account.environment(),
            realm: account.realm(),
            home_account_id: Some(account.home_account_id()),
            ext_cache_key: None,
            response: &self.0,
            requested: &Scopes::new(),
            granted: &granted,
            id_token: None,
            now,
            occasion,
        });
    }
}

/// Nothing of the tokens.
impl fmt::Debug for TokenAnswer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("TokenAnswer")
    }
}

/// Is this text a signed token by its form, with an algorithm that can be checked?
#[must_use]
pub fn is_signed_token(text: &str) -> bool {
    Jws::parse(text, &[SigningAlgorithm::Rs256, SigningAlgorithm::Ps256, SigningAlgorithm::Es256]).is_ok()
}
