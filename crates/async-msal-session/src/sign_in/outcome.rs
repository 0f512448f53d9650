//! The outcome of a sign-in, sealed under its mark, for whoever submits the same callback again.

use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{SignInOutcome, SignedIn};
use crate::error::{EarlierFailure, Error};
use crate::msal::Msal;
use crate::sealing::Purpose;
use crate::session_id::SessionId;
use crate::store::{MarkKey, Operation};
use crate::telemetry;

/// Longest wait for the first submit: a token request, the profile, and a little.
const MAX_WAIT: Duration = Duration::from_secs(20);
/// First and longest pause between two looks.
const PAUSES: (Duration, Duration) = (Duration::from_millis(15), Duration::from_millis(250));
/// Attempts to leave the outcome.
const ATTEMPTS: u32 = 3;

#[derive(Serialize, Deserialize)]
enum Outcome {
    SignedIn { session_id: String, return_to: String },
    Refused(String),
    Failed(EarlierFailure),
}

/// Leaves the outcome. Should that fail, a second submit finds the mark alone and is sent to the resume page.
pub(super) async fn leave(msal: &Msal, mark: &MarkKey, owner: &Bytes, result: &Result<SignedIn, Error>) {
    let outcome = match result {
        Ok(done) => Outcome::SignedIn {
            session_id: done.session_id.expose_secret().to_owned(),
            return_to: done.return_to.clone(),
        },
        Err(Error::Refused(message)) => Outcome::Refused(message.clone()),
        Err(error) => Outcome::Failed(EarlierFailure::of(error)),
    };
    let text = zeroize::Zeroizing::new(serde_json::to_vec(&outcome).unwrap_or_default());
    let keys = msal.cookie_keys();
    let sealed = match keys.seal_json(msal.client().random().as_ref(), Purpose::Outcome, mark.as_str(), &text)
    {
        Ok(sealed) => Bytes::from(sealed),
        Err(error) => {
            return tracing::error!(target: telemetry::TARGET, %error, "sign-in outcome was not sealed");
        }
    };
    for attempt in 1..=ATTEMPTS {
        let value = sealed.clone();
        let leaving =
            msal.store().run(Operation::ReplaceOnce, |store| store.replace_once(mark, owner, value));
        match leaving.await {
            Ok(_) => return,
            Err(error) if attempt == ATTEMPTS => {
                tracing::warn!(target: telemetry::TARGET, %error, "sign-in outcome was not kept");
            }
            Err(_) => tokio::time::sleep(PAUSES.1).await,
        }
    }
}

/// Waits for the outcome of the first submit.
pub(super) async fn wait(msal: &Msal, mark: &MarkKey) -> Result<SignInOutcome, Error> {
    let (started, mut pause) = (Instant::now(), PAUSES.0);
    loop {
        let value = msal.store().run(Operation::LoadOnce, |store| store.load_once(mark)).await?;
        let Some(value) = value else { return Ok(SignInOutcome::AlreadyUsed) };
        // Until the outcome is there the mark holds its owner's name, which is no sealed value.
        if let Ok((text, _)) = msal.cookie_keys().open_json(Purpose::Outcome, mark.as_str(), &value) {
            let outcome = serde_json::from_slice(&text).map_err(|_| Error::SignInExpired)?;
            return answer(outcome);
        }
        if started.elapsed() > MAX_WAIT {
            return Ok(SignInOutcome::AlreadyUsed);
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSES.1);
    }
}

fn answer(outcome: Outcome) -> Result<SignInOutcome, Error> {
    match outcome {
        Outcome::SignedIn { session_id, return_to } => match SessionId::parse(&session_id) {
            Some(session_id) => {
                Ok(SignInOutcome::SignedIn(SignedIn { session_id, return_to, repeated: true }))
            }
            None => Ok(SignInOutcome::AlreadyUsed),
        },
        Outcome::Refused(message) => Err(Error::Refused(message)),
        Outcome::Failed(failure) => Err(Error::Earlier(failure)),
    }
}
