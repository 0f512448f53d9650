//! Signing in, without a web framework: start the flow, complete it once.
//!
//! The browser carries the flow, sealed, in a cookie of its own. At the callback its state is marked used in the store,
//! which is the only write before the sign-in succeeds; from there on it runs in a task of its own and leaves its
//! outcome, sealed, under the mark, so that a second submit of the same callback gets the same answer without a second
//! token request.

mod flow;
mod outcome;
mod redeem;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_msal::{AuthCodeRequest, AuthResponse, ClaimsChallenge, Prompt, ResponseMode, Scopes};
use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::oneshot;
use tracing::Instrument as _;
use url::Url;

use self::flow::StoredFlow;
pub(crate) use self::flow::check_state;
pub(crate) use self::redeem::redeem;
use crate::error::Error;
use crate::handle::AsyncMsal;
use crate::msal::Msal;
use crate::session_id::{SessionId, hex, sha256_hex};
use crate::store::{MarkKey, Operation, PutOnce};
use crate::telemetry;

/// Life of a sign-in between its two legs, and of the mark that it was used.
pub(crate) const FLOW_LIFE: Duration = Duration::from_secs(15 * 60);

/// What a sign-in asks for.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SignInRequest {
    redirect_uri: Url,
    return_to: String,
    prompt: Option<Prompt>,
    login_hint: Option<String>,
    domain_hint: Option<String>,
    max_age: Option<u64>,
    scopes: Option<Scopes>,
    claims: Option<ClaimsChallenge>,
    response_mode: Option<ResponseMode>,
    present: Option<SessionId>,
}

impl SignInRequest {
    /// A sign-in whose answer comes to `redirect_uri`: an address below PUBLIC_URL, registered at the authority, never one
    /// taken from a request.
    #[must_use]
    pub fn new(redirect_uri: Url) -> Self {
        Self {
            redirect_uri,
            return_to: "/".to_owned(),
            prompt: None,
            login_hint: None,
            domain_hint: None,
            max_age: None,
            scopes: None,
            claims: None,
            response_mode: None,
            present: None,
        }
    }

    /// The path to return to. What is no local path becomes `/`. Default: `/`.
    #[must_use]
    pub fn with_return_to(mut self, path: &str) -> Self {
        self.return_to = flow::local_path(path).to_owned();
        self
    }

    /// How the authority shall greet the user. Default: as it likes.
    #[must_use]
    pub fn with_prompt(mut self, prompt: Prompt) -> Self {
        self.prompt = Some(prompt);
        self
    }

    /// Who is expected to sign in.
    #[must_use]
    pub fn with_login_hint(mut self, hint: impl Into<String>) -> Self {
        self.login_hint = Some(hint.into());
        self
    }

    /// The domain the user belongs to.
    #[must_use]
    pub fn with_domain_hint(mut self, hint: impl Into<String>) -> Self {
        self.domain_hint = Some(hint.into());
        self
    }

    /// The user must have proved themselves within so many seconds.
    #[must_use]
    pub fn with_max_age(mut self, seconds: u64) -> Self {
        self.max_age = Some(seconds);
        self
    }

    /// Scopes in place of the configured ones. The same person keeps the tokens for these: a session grows scope by scope.
    /// All must be of one API, since a code buys a token for one.
    #[must_use]
    pub fn with_scopes(mut self, scopes: Scopes) -> Self {
        self.scopes = Some(scopes);
        self
    }

    /// Claims an API or the authority demands.
    #[must_use]
    pub fn with_claims(mut self, claims: ClaimsChallenge) -> Self {
        self.claims = Some(claims);
        self
    }

    /// How the authority answers. Default: form post over https, query over plain http.
    #[must_use]
    pub fn with_response_mode(mut self, mode: ResponseMode) -> Self {
        self.response_mode = Some(mode);
        self
    }

    /// The session this browser has now: the same person keeps its items, and it ends when the new one begins.
    #[must_use]
    pub fn with_present_session(mut self, id: &SessionId) -> Self {
        self.present = Some(id.clone());
        self
    }
}

/// A sign-in that was started: where to send the browser, and what it must keep.
#[derive(Clone)]
#[non_exhaustive]
pub struct StartedSignIn {
    /// The authority's page.
    pub auth_uri: Url,
    /// The value of the flow cookie.
    pub sealed: String,
    /// What distinguishes this flow's cookie from those of other tabs: 8 hexadecimal digits.
    pub cookie_suffix: String,
    /// Life of the cookie.
    pub expires_in: Duration,
}

impl fmt::Debug for StartedSignIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The address holds state and nonce, the cookie the verifier.
        f.debug_struct("StartedSignIn").field("cookie_suffix", &self.cookie_suffix).finish_non_exhaustive()
    }
}

/// A login callback refuses the user; the text is shown to them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refused(String);

impl Refused {
    /// With a text for the user.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }

    /// The text.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0
    }
}

/// What the application does before a sign-in counts: it may set items, ask Graph, or refuse.
#[async_trait]
pub trait SignInCallback: Send + Sync + 'static {
    /// Called with the new session, which no store has yet.
    ///
    /// # Errors
    /// [`Refused`] ends the sign-in: nothing is stored, and the earlier session stays.
    async fn on_sign_in(&self, session: &AsyncMsal) -> Result<(), Refused>;
}

/// The application's part of a sign-in.
#[derive(Clone, Default)]
pub struct SignInHooks {
    callbacks: Vec<Arc<dyn SignInCallback>>,
}

impl fmt::Debug for SignInHooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignInHooks").field("callbacks", &self.callbacks.len()).finish()
    }
}

impl SignInHooks {
    /// No callback.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a callback; they run in order, the first refusal ends it.
    #[must_use]
    pub fn with_callback(mut self, callback: Arc<dyn SignInCallback>) -> Self {
        self.callbacks.push(callback);
        self
    }
}

/// How a callback ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum SignInOutcome {
    /// The user is signed in, by this submit or by an earlier one of the same callback.
    SignedIn(SignedIn),
    /// The sign-in was used before and its outcome is gone: to the resume page.
    AlreadyUsed,
}

/// A sign-in that succeeded.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SignedIn {
    /// The value of the new session cookie.
    pub session_id: SessionId,
    /// The local path to go to.
    pub return_to: String,
    /// Whether an earlier submit did the work.
    pub repeated: bool,
}

impl Msal {
    /// Starts a sign-in. Nothing is stored: the browser keeps the flow, sealed.
    ///
    /// # Errors
    /// [`Error::Protocol`] when the authority's endpoints cannot be had.
    ///
    /// # Cancel safety
    /// Nothing is left behind.
    pub async fn initiate_sign_in(&self, request: SignInRequest) -> Result<StartedSignIn, Error> {
        let settings = self.settings();
        let scopes = request.scopes.unwrap_or_else(|| settings.scopes().clone());
        let by_scheme = if settings.is_https() { ResponseMode::FormPost } else { ResponseMode::Query };
        let mode = request.response_mode.unwrap_or(by_scheme);
        let mut wanted = AuthCodeRequest::new(request.redirect_uri, scopes).with_response_mode(mode);
        if let Some(prompt) = request.prompt {
            wanted = wanted.with_prompt(prompt);
        }
        if let Some(hint) = request.login_hint {
            wanted = wanted.with_login_hint(hint);
        }
        if let Some(hint) = request.domain_hint {
            wanted = wanted.with_domain_hint(hint);
        }
        if let Some(seconds) = request.max_age {
            wanted = wanted.with_max_age(seconds);
        }
        if let Some(claims) = request.claims {
            wanted = wanted.with_claims(claims);
        }
        let flow = self.client().initiate_auth_code_flow(wanted).await?;
        let auth_uri = flow.auth_uri().cloned().ok_or(Error::SignInExpired)?;
        let cookie_suffix = Self::flow_cookie_suffix(flow.state().expose_secret());
        let from = request.present.map(|id| self.store_key(&id));
        let sealed = StoredFlow::new(self, &flow, request.return_to, from.as_ref()).seal(self)?;
        telemetry::count_one(telemetry::SIGN_INS_STARTED);
        Ok(StartedSignIn { auth_uri, sealed, cookie_suffix, expires_in: FLOW_LIFE })
    }

    /// The end of the flow cookie's name for a `state`: 8 hexadecimal digits of its SHA-256.
    #[must_use]
    pub fn flow_cookie_suffix(state: &str) -> String {
        sha256_hex(state.as_bytes())[..8].to_owned()
    }

    /// The page that a sign-in was asked for, from its flow cookie: for another try after it failed or grew too old. `None`
    /// where the cookie is none of ours.
    #[must_use]
    pub fn flow_return_to(&self, sealed: &str) -> Option<String> {
        let flow = StoredFlow::open_of_any_age(self, sealed).ok()?;
        Some(flow.return_to().to_owned())
    }

    /// Completes a sign-in with the authority's answer and the flow cookie of the same browser.
    ///
    /// Submitted again, it waits for the first submit and gives the same answer.
    ///
    /// # Errors
    /// [`Error::SignInExpired`] when the cookie is none of ours or over 15 minutes old; [`Error::Store`] when the store
    /// cannot be asked (keep the cookie: nothing was used up); [`Error::Refused`] by a callback; [`Error::Protocol`] as
    /// the authority answered. A repeated submit of a sign-in that failed gets [`Error::Earlier`], with the same code.
    ///
    /// # Cancel safety
    /// From the mark on the sign-in goes on in its task and leaves its outcome; submitting again gets it.
    pub async fn complete_sign_in(
        &self,
        sealed_flow: &str,
        response: AuthResponse,
        hooks: &SignInHooks,
    ) -> Result<SignInOutcome, Error> {
        let result = self.completed(sealed_flow, response, hooks).await;
        let outcome = match &result {
            Ok(SignInOutcome::SignedIn(signed_in)) if signed_in.repeated => "repeated",
            Ok(SignInOutcome::SignedIn(_)) => "signed_in",
            Ok(SignInOutcome::AlreadyUsed) => "already_used",
            Err(error) => error.label(),
        };
        telemetry::count(telemetry::SIGN_INS, "outcome", outcome);
        result
    }

    async fn completed(
        &self,
        sealed_flow: &str,
        response: AuthResponse,
        hooks: &SignInHooks,
    ) -> Result<SignInOutcome, Error> {
        let flow = StoredFlow::open(self, sealed_flow)?;
        // Before the mark: an answer from elsewhere, posted across sites, must not use up this browser's sign-in.
        flow.check_state(&response)?;
        let mark = MarkKey::of(flow.state());
        let mut owner = [0_u8; 16];
        self.client().random().fill(&mut owner)?;
        let owner = Bytes::from(hex(&owner));
        self.background().ensure_sweep(self.store());
        let marking =
            self.store().run(Operation::PutOnce, |store| store.put_once(&mark, owner.clone(), FLOW_LIFE));
        if let PutOnce::AlreadyThere(_) = marking.await? {
            return outcome::wait(self, &mark).await;
        }
        let (answer, waiting) = oneshot::channel();
        let span = tracing::info_span!(target: telemetry::TARGET, "async_msal.sign_in");
        let (msal, hooks, return_to) = (self.clone(), hooks.clone(), flow.return_to().to_owned());
        let task = async move {
            let redeemed = flow.redeem(&msal, response, &hooks).await;
            let result = redeemed.map(|session_id| SignedIn { session_id, return_to, repeated: false });
            outcome::leave(&msal, &mark, &owner, &result).await;
            // The browser may be gone; its next submit finds the outcome.
            drop(answer.send(result));
        };
        self.background().spawn(task.instrument(span));
        waiting.await.unwrap_or(Err(Error::ShuttingDown)).map(SignInOutcome::SignedIn)
    }
}
