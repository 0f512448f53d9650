//! What goes into a token request: the secret, or an assertion made now or kept from before.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::assertion::AssertionRequest;
use super::certificate::AssertionAlgorithm;
use super::{AssertionProvider, ClientCredential};
use crate::authority::AuthorityKind;
use crate::clock::Clock;
use crate::error::{ClientAssertionError, Error};
use crate::http_client::HttpClient;
use crate::json;
use crate::random::Random;
use crate::secret::{ClientAssertion, ClientSecret};

/// An assertion is not used for its last minute: it has to arrive in time.
const MARGIN: i64 = 60;
/// Longer assertions are refused: no request carries them.
const LONGEST: usize = 64 * 1024;

/// The proof of one token request.
pub(crate) enum Proof {
    Secret(ClientSecret),
    Assertion(ClientAssertion),
}

/// Makes proofs, and keeps an assertion while it is good.
pub(crate) struct Prover {
    credential: ClientCredential,
    by_default: AssertionAlgorithm,
    /// An assertion that we sign is good once: its `jti` is not to be seen again unless that was agreed (OpenID Connect
    /// Core 9). Entra ID, its relatives and AD FS do not mind.
    signs_once: bool,
    kept: Mutex<Option<Kept>>,
    /// One maker at a time: the others take what it made.
    turn: tokio::sync::Mutex<()>,
}

struct Kept {
    request: AssertionRequest,
    assertion: ClientAssertion,
    good_until: i64,
}

/// One request's way to proofs: each attempt to send it asks for its own.
pub(crate) struct Proving<'a> {
    pub(crate) prover: &'a Prover,
    pub(crate) asked: AssertionRequest,
    pub(crate) means: Means<'a>,
}

impl Proving<'_> {
    pub(crate) async fn proof(&self) -> Result<Proof, Error> {
        self.prover.proof(&self.asked, &self.means).await
    }

    pub(crate) fn client_id(&self) -> &str {
        &self.asked.client_id
    }
}

/// What a prover borrows from its client.
pub(crate) struct Means<'a> {
    pub(crate) http: &'a HttpClient,
    pub(crate) clock: &'a dyn Clock,
    pub(crate) random: &'a dyn Random,
}

impl Prover {
    pub(crate) fn new(credential: ClientCredential, authority: AuthorityKind) -> Self {
        let adfs = authority == AuthorityKind::Adfs;
        let by_default = if adfs { AssertionAlgorithm::Rs256 } else { AssertionAlgorithm::Ps256 };
        let signs_once = authority == AuthorityKind::Oidc;
        let (kept, turn) = (Mutex::default(), tokio::sync::Mutex::default());
        Self { credential, by_default, signs_once, kept, turn }
    }

    pub(crate) async fn proof(&self, request: &AssertionRequest, means: &Means<'_>) -> Result<Proof, Error> {
        if let ClientCredential::Secret(secret) = &self.credential {
            return Ok(Proof::Secret(secret.clone()));
        }
        let made = tokio::time::timeout(means.http.limit(), self.assertion(request, means)).await;
        made.map_err(|_| ClientAssertionError::TimedOut)?.map(Proof::Assertion)
    }

    /// The authority refused the client: the next request brings a new assertion.
    pub(crate) fn forget(&self) {
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    async fn assertion(
        &self,
        request: &AssertionRequest,
        means: &Means<'_>,
    ) -> Result<ClientAssertion, Error> {
        let reusable = match &self.credential {
            ClientCredential::Certificate(_) => !self.signs_once,
            ClientCredential::Assertion(provider) => provider.may_reuse(),
            ClientCredential::Secret(_) | ClientCredential::ManagedIdentity(_) => true,
        };
        if !reusable {
            return Ok(self.make(request, means).await?.0);
        }
        if let Some(assertion) = self.kept_for(request, means.clock.now()) {
            return Ok(assertion);
        }
        let _turn = self.turn.lock().await;
        if let Some(assertion) = self.kept_for(request, means.clock.now()) {
            return Ok(assertion);
        }
        let (assertion, expiry) = self.make(request, means).await?;
        if let Some(expiry) = expiry {
            let good_until = expiry.saturating_sub(MARGIN);
            let kept = Kept { request: request.clone(), assertion: assertion.clone(), good_until };
            *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(kept);
        }
        Ok(assertion)
    }

    fn kept_for(&self, request: &AssertionRequest, now: i64) -> Option<ClientAssertion> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = kept.as_ref().filter(|kept| kept.request == *request && now < kept.good_until)?;
        Some(kept.assertion.clone())
    }

    /// An assertion and its `exp`, where it says one.
    async fn make(
        &self,
        request: &AssertionRequest,
        means: &Means<'_>,
    ) -> Result<(ClientAssertion, Option<i64>), Error> {
        let assertion = match &self.credential {
            ClientCredential::Certificate(certificate) => {
                let now = means.clock.now();
                certificate.warn_of_expiry(now);
                let (assertion, expiry) = certificate.sign(request, self.by_default, means.random, now)?;
                return Ok((assertion, Some(expiry)));
            }
            ClientCredential::Assertion(provider) => ask(provider, request).await?,
            ClientCredential::ManagedIdentity(identity) => identity.assertion(means.http).await?,
            ClientCredential::Secret(_) => return Err(ClientAssertionError::Malformed.into()),
        };
        let text = assertion.expose_secret();
        if text.is_empty() || text.len() > LONGEST || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(ClientAssertionError::Malformed.into());
        }
        let expiry = expiry(text);
        Ok((assertion, expiry))
    }
}

async fn ask(
    provider: &Arc<dyn AssertionProvider>,
    request: &AssertionRequest,
) -> Result<ClientAssertion, Error> {
    let failed = |source| ClientAssertionError::Failed(Arc::from(source));
    Ok(provider.assertion(request).await.map_err(failed)?)
}

/// `exp` of a JWT, unverified.
fn expiry(jwt: &str) -> Option<i64> {
    let payload = URL_SAFE_NO_PAD.decode(jwt.split('.').nth(1)?).ok()?;
    json::parse_object(&payload).ok()?.get("exp")?.as_i64()
}

impl fmt::Debug for Prover {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Prover").field("credential", &self.credential).finish_non_exhaustive()
    }
}
