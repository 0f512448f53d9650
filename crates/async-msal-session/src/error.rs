//! What can go wrong, by who must act.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use async_msal::ClaimsChallenge;
use serde::{Deserialize, Serialize};

use crate::api_client::ApiError;
use crate::sealing::SealError;
use crate::settings::SettingsError;
use crate::store::StoreError;
use crate::user_index::PersonId;

/// Any failure of this crate. [`code`](Self::code) is stable; the text is for logs and is never matched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The protocol failed: the authority refused, is unreachable, or answered something that does not hold.
    #[error(transparent)]
    Protocol(#[from] async_msal::Error),
    /// The session store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The settings cannot be used.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// A call to an API failed before it gave an answer.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// A value could not be sealed or opened.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// A login callback refused the user; the text is the callback's, for the user.
    #[error("the application refused the sign-in: {0}")]
    Refused(String),
    /// A login callback panicked: nothing was stored.
    #[error("a login callback of the application panicked")]
    CallbackPanicked,
    /// The sign-in took longer than 15 minutes, or its cookie is not one of ours.
    #[error("the sign-in has expired or was not started here")]
    SignInExpired,
    /// An earlier attempt failed, and this is its answer: of the same callback submitted before, or of a renewal that
    /// another node tried a moment ago.
    #[error(transparent)]
    Earlier(EarlierFailure),
    /// Nobody is signed in.
    #[error("nobody is signed in")]
    NotSignedIn,
    /// The session ended while it was being changed; the change was dropped.
    #[error("the session has ended")]
    SessionEnded,
    /// An application's item could not be kept or read.
    #[error("session item {name}: {reason}")]
    Item {
        /// The item's name.
        name: String,
        /// Why.
        reason: &'static str,
    },
    /// Several people match; nobody is guessed. These are the choices, as tenant and object id.
    #[error("several people match: {}", listed(_0))]
    Ambiguous(Vec<PersonId>),
    /// A failure that several callers share.
    #[error(transparent)]
    Shared(Arc<Error>),
    /// A task of ours was stopped: the process is shutting down.
    #[error("shutting down")]
    ShuttingDown,
}

/// A failure as it is kept for whoever asks again: enough for the same answer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
#[non_exhaustive]
pub struct EarlierFailure {
    /// The error's code.
    pub code: String,
    /// The error's text.
    pub message: String,
    /// The error's hint.
    pub hint: String,
    /// The authority's correlation id.
    pub correlation_id: Option<String>,
    /// Whether the same call can succeed later.
    pub retryable: bool,
    /// Whether the user must act.
    pub interaction: bool,
}

impl EarlierFailure {
    pub(crate) fn of(error: &Error) -> Self {
        Self {
            code: error.code().into_owned(),
            message: error.to_string(),
            hint: error.hint().into_owned(),
            correlation_id: error.correlation_id().map(str::to_owned),
            retryable: error.is_retryable(),
            interaction: error.is_interaction_required(),
        }
    }
}

impl Error {
    /// A stable code for logs, pages and metrics.
    #[must_use]
    pub fn code(&self) -> Cow<'static, str> {
        match self.root() {
            Self::Earlier(failure) => Cow::Owned(failure.code.clone()),
            other => Cow::Borrowed(other.label()),
        }
    }

    /// What to do, for a developer or operator.
    #[must_use]
    pub fn hint(&self) -> Cow<'_, str> {
        match self {
            Self::Protocol(error) => error.hint().into(),
            Self::Store(StoreError::NewerSchema { .. }) => {
                "The store was made by a later version: update, or use another store.".into()
            }
            Self::Store(StoreError::Denied { .. }) => "Compare user, password, database and permissions with what the store wants.".into(),
            Self::Store(_) => "See whether the session store runs and can be written; everything recovers by itself.".into(),
            Self::Settings(_) => "Set what is named and start again.".into(),
            Self::Api(error) => error.hint().into(),
            Self::Seal(_) => {
                "If keys were changed, keep the former ones in SESSION_KEYS, COOKIE_KEYS or SP_APP_PW_FORMER for a while.".into()
            }
            Self::Refused(_) => "A login callback of the application decided so.".into(),
            Self::CallbackPanicked => "See the log for the panic: the callback needs a correction.".into(),
            Self::SignInExpired => "Start the sign-in again.".into(),
            Self::Earlier(failure) => failure.hint.as_str().into(),
            Self::NotSignedIn | Self::SessionEnded => "Send the user to the sign-in route.".into(),
            Self::Item { .. } => "Items are small JSON values under names of the application's own.".into(),
            Self::Ambiguous(_) => "Ask by tenant and object id instead of mail.".into(),
            Self::Shared(error) => error.hint(),
            Self::ShuttingDown => "Ask another node.".into(),
        }
    }

    /// Whether the same call can succeed later without anybody acting.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Protocol(error) => error.is_retryable(),
            Self::Store(error) => error.is_retryable(),
            Self::Api(error) => error.is_retryable(),
            Self::Earlier(failure) => failure.retryable,
            Self::Shared(error) => error.is_retryable(),
            Self::ShuttingDown => true,
            Self::Settings(_)
            | Self::Seal(_)
            | Self::Refused(_)
            | Self::CallbackPanicked
            | Self::SignInExpired
            | Self::NotSignedIn
            | Self::SessionEnded
            | Self::Item { .. }
            | Self::Ambiguous(_) => false,
        }
    }

    /// How long to wait before trying again, where somebody said so.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self.root() {
            Self::Protocol(error) => error.retry_after(),
            Self::Api(error) => error.retry_after(),
            _ => None,
        }
    }

    /// The claims that the next sign-in must ask for.
    #[must_use]
    pub fn claims(&self) -> Option<&ClaimsChallenge> {
        match self.root() {
            Self::Protocol(error) => error.claims(),
            _ => None,
        }
    }

    /// The authority's correlation id.
    #[must_use]
    pub fn correlation_id(&self) -> Option<&str> {
        match self.root() {
            Self::Protocol(error) => error.correlation_id(),
            Self::Earlier(failure) => failure.correlation_id.as_deref(),
            _ => None,
        }
    }

    /// The user must sign in again, consent, or meet a policy; [`claims`](Self::claims) says what to ask for.
    #[must_use]
    pub fn is_interaction_required(&self) -> bool {
        match self.root() {
            Self::NotSignedIn | Self::SessionEnded => true,
            Self::Protocol(error) => {
                matches!(error, async_msal::Error::InteractionRequired(_)) || error.ends_session()
            }
            Self::Earlier(failure) => failure.interaction,
            _ => false,
        }
    }

    /// The failure itself where it is shared.
    #[must_use]
    pub fn root(&self) -> &Self {
        match self {
            Self::Shared(error) => error.root(),
            other => other,
        }
    }

    /// The code as a label of counters: from a closed list.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::Protocol(error) => error.code(),
            Self::Store(error) => error.code(),
            Self::Settings(_) => "settings",
            Self::Api(error) => error.code(),
            Self::Seal(error) => error.code(),
            Self::Refused(_) => "refused",
            Self::CallbackPanicked => "callback_panicked",
            Self::SignInExpired => "sign_in_expired",
            Self::Earlier(_) => "earlier_failure",
            Self::NotSignedIn => "not_signed_in",
            Self::SessionEnded => "session_ended",
            Self::Item { .. } => "item",
            Self::Ambiguous(_) => "ambiguous",
            Self::Shared(error) => error.label(),
            Self::ShuttingDown => "shutting_down",
        }
    }

    /// The error as another caller gets it.
    pub(crate) fn shared(error: &Arc<Self>) -> Self {
        Self::Shared(Arc::clone(error))
    }
}

fn listed(choices: &[PersonId]) -> String {
    choices.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

impl From<async_msal::RandomError> for Error {
    fn from(_: async_msal::RandomError) -> Self {
        Self::Seal(SealError::Failed)
    }
}
