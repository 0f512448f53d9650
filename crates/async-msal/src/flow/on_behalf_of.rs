//! A token for another API on behalf of whoever called ours (RFC 7523 2.1; Microsoft identity platform,
//! on-behalf-of flow).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::client_credentials::{find, in_hand, slot, unless_told_to_wait};
use super::token_result::TokenResult;
use crate::claims_challenge::{self, ClaimsChallenge};
use crate::confidential_client::ConfidentialClient;
use crate::error::{ConfigError, Error, UserAssertionError};
use crate::id_token::verify::Occasion;
use crate::json;
use crate::pkce::sha256;
use crate::scope::Scopes;
use crate::secret::AccessToken;
use crate::token_cache::{HeldQuery, Lookup, TokenCache, WriteOccasion, extended_cache_key};

/// What a token was exchanged for is given again for so many seconds, where the token does not say when it expires: it may
/// have been revoked meanwhile.
const UNKNOWN_EXPIRY: i64 = 300;

/// Longer incoming tokens are refused: no header carries them.
const LONGEST: usize = 64 * 1024;

/// Wishes for one exchange.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct OnBehalfOfOptions {
    /// An API's claims challenge: no token of the cache answers it.
    pub claims: Option<ClaimsChallenge>,
    /// Claims of the caller's own, sent beside a challenge; their tokens are kept apart in the cache.
    pub client_claims: Option<ClaimsChallenge>,
    /// Ties the request to the caller's logs. Default: made here.
    pub correlation_id: Option<String>,
    /// Asks the authority although the cache has a token.
    pub renew: bool,
}

impl OnBehalfOfOptions {
    /// Carries a claims challenge.
    #[must_use]
    pub fn with_claims(mut self, claims: ClaimsChallenge) -> Self {
        self.claims = Some(claims);
        self
    }

    /// Sends claims of the caller's own.
    #[must_use]
    pub fn with_client_claims(mut self, claims: ClaimsChallenge) -> Self {
        self.client_claims = Some(claims);
        self
    }

    /// Sets the correlation id, a UUID.
    #[must_use]
    pub fn with_correlation_id(mut self, id: impl Into<String>) -> Self {
        self.correlation_id = Some(id.into());
        self
    }

    /// Renews a token whose `renew_due` was set. The one in hand is given where that fails.
    #[must_use]
    pub const fn renewing(mut self) -> Self {
        self.renew = true;
        self
    }
}

pub(crate) async fn acquire(
    client: &ConfidentialClient,
    cache: &mut TokenCache,
    assertion: &AccessToken,
    scopes: &Scopes,
    options: OnBehalfOfOptions,
) -> Result<TokenResult, Error> {
    scopes.check_askable()?;
    if scopes.is_empty() {
        return Err(ConfigError::Missing("the scope").into());
    }
    let now = client.clock().now();
    let expiry = check(assertion, now)?;
    let realm = client.realm().await?;
    let key = cache_key(assertion, options.client_claims.as_ref());
    let query = HeldQuery {
        client_id: client.client_id(),
        environment: client.environment(),
        realm: &realm,
        scopes,
        ext_cache_key: Some(&key),
        application: false,
        since: expiry.is_none().then(|| now.saturating_sub(UNKNOWN_EXPIRY)),
    };
    if options.claims.is_none()
        && !options.renew
        && let Lookup::Hit(hit) = find(client, cache, &query)
    {
        return Ok(hit.into());
    }
    let slot = slot(&query, options.claims.as_ref());
    match unless_told_to_wait(client, &slot, exchange(client, cache, assertion, &query, &options)).await {
        Err(error) if options.claims.is_none() => in_hand(client, cache, &query, &slot, error),
        result => result,
    }
}

/// The id token first; only then is anything stored.
async fn exchange(
    client: &ConfidentialClient,
    cache: &mut TokenCache,
    assertion: &AccessToken,
    query: &HeldQuery<'_>,
    options: &OnBehalfOfOptions,
) -> Result<TokenResult, Error> {
    let metadata = client.metadata().await?;
    client.keys_at_hand().await?;
    let correlation_id = options.correlation_id.clone().unwrap_or_else(|| client.new_correlation_id());
    let claims = claims_challenge::merged_with(
        options.claims.as_ref(),
        client.capabilities(),
        options.client_claims.as_ref(),
    );
    let form = vec![
        ("assertion", assertion.expose_secret().to_owned()),
        ("requested_token_use", "on_behalf_of".to_owned()),
        ("scope", query.scopes.decorated().to_string()),
        ("claims", claims.unwrap_or_default()),
    ];
    let grant_type = "urn:ietf:params:oauth:grant-type:jwt-bearer";
    let response = client.request_token(grant_type, form, &correlation_id, None).await?;
    let id_token = match &response.id_token {
        Some(raw) => {
            let occasion = Occasion::Refresh { previous: None };
            Some(client.verify_id_token(&metadata, raw, &response.access_token, occasion).await?)
        }
        None => None,
    };
    let subject = id_token.as_ref().map(|token| token.claims().sub.clone());
    let home = response.home_account_id.clone().or(subject);
    let grant = client.grant(&metadata, &response, query.scopes, id_token.as_ref());
    let grant = grant.under(query.ext_cache_key);
    cache.write(&grant.to_write(home.as_deref(), WriteOccasion::Exchange));
    Ok(grant.into_result(correlation_id))
}

/// Each incoming token has its own entries: nobody is given what another's was exchanged for.
fn cache_key(assertion: &AccessToken, client_claims: Option<&ClaimsChallenge>) -> String {
    let hash = URL_SAFE_NO_PAD.encode(sha256(assertion.expose_secret().as_bytes()));
    let claims = client_claims.map(ClaimsChallenge::as_str).unwrap_or_default();
    extended_cache_key(&[("async_msal_user_assertion", &hash), ("client_claims", claims)])
}

/// When the token expires, where it says so. One that has is refused even where the cache still has what it was exchanged
/// for. Tokens that are no JWT are the authority's to judge, and are remembered for [`UNKNOWN_EXPIRY`] only.
fn check(assertion: &AccessToken, now: i64) -> Result<Option<i64>, Error> {
    let text = assertion.expose_secret();
    let allowed = |byte: u8| byte.is_ascii_graphic();
    if text.is_empty() || text.len() > LONGEST || !text.bytes().all(allowed) {
        return Err(UserAssertionError::Malformed.into());
    }
    match expiry(text) {
        Some(expiry) if expiry <= now => Err(UserAssertionError::Expired.into()),
        expiry => Ok(expiry),
    }
}

/// `exp` of a JWT, unverified.
fn expiry(jwt: &str) -> Option<i64> {
    let payload = URL_SAFE_NO_PAD.decode(jwt.split('.').nth(1)?.trim_end_matches('=')).ok()?;
    let claims = json::parse_object(&payload).ok()?;
    let exp = claims.get("exp")?;
    exp.as_i64()
        .or_else(|| exp.as_f64().map(whole))
        .or_else(|| exp.as_str().and_then(|text| text.parse().ok()))
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "fractions of a second do not matter; the cast saturates"
)]
fn whole(seconds: f64) -> i64 {
    seconds as i64
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn jwt(payload: &Value) -> AccessToken {
        AccessToken::new(format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(payload.to_string())))
    }

    #[test]
    fn expired_assertion_is_refused() {
        for exp in [Value::from(100), Value::from(99.5), Value::from("100")] {
            let error = check(&jwt(&serde_json::json!({ "exp": exp })), 100).unwrap_err();
            assert!(matches!(error, Error::UserAssertion(UserAssertionError::Expired)), "{exp}");
        }
        check(&jwt(&serde_json::json!({ "exp": 101 })), 100).unwrap();
    }

    #[test]
    fn opaque_assertion_is_left_to_the_authority() {
        assert_eq!(check(&AccessToken::new("opaque"), 100).unwrap(), None);
    }

    #[test]
    fn unusable_text_is_no_assertion() {
        for text in ["", "a b", "a\nb", "é", &"a".repeat(LONGEST + 1)] {
            let error = check(&AccessToken::new(text), 100).unwrap_err();
            assert!(matches!(error, Error::UserAssertion(UserAssertionError::Malformed)));
        }
    }

    #[test]
    fn two_assertions_have_two_keys() {
        assert_ne!(cache_key(&AccessToken::new("a"), None), cache_key(&AccessToken::new("b"), None));
        let claims = ClaimsChallenge::parse("{}").unwrap();
        assert_ne!(cache_key(&AccessToken::new("a"), None), cache_key(&AccessToken::new("a"), Some(&claims)));
    }
}
