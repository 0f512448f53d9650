//! Signing out: the session ends here first, then the browser goes to the authority.

use std::time::Duration;

use async_msal::{AuthorityKind, IdTokenClaims, IdTokenError, SignOutRequest};
use bytes::Bytes;
use futures_util::TryStreamExt as _;
use url::Url;

use crate::error::Error;
use crate::msal::Msal;
use crate::session::Loaded;
use crate::session_id::{SessionId, SessionLayout, StoreKey};
use crate::store::{MarkKey, Operation, PutOnce};
use crate::telemetry;
use crate::user_index::{self, Find};

/// What stands under the mark of a logout token.
const LOGOUT_BEGUN: &[u8] = b"begun";
const LOGOUT_DONE: &[u8] = b"done";
/// The authority's sign-out address is not waited for longer: the session has ended already.
const DISCOVERY_TIME: Duration = Duration::from_secs(3);

/// Look-ups of one sign-out everywhere: more than any index holds.
const LOOK_UPS: u32 = 20;

/// A sign-out that was done here.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct SignedOut {
    /// Where to send the browser so that the authority's session ends too; `None` where the authority has no such
    /// address or it cannot be had.
    pub end_session_url: Option<Url>,
    /// Whether there was a session.
    pub was_signed_in: bool,
}

/// Whether the sessions are looked for beside the index.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Walk {
    Always,
    IfNeeded,
}

impl Msal {
    /// Ends the session of `id` and says where to send the browser. The authority sends it back to `post_logout_redirect_uri`,
    /// an address registered there, with `state`.
    ///
    /// # Errors
    /// [`Error::Store`] when the store failed: delete the cookie all the same. This process takes the session for ended
    /// from now on, and ending it for all is tried again in the background until the store is back.
    ///
    /// # Cancel safety
    /// Dropped, the session was ended or it was not.
    pub async fn sign_out(
        &self,
        id: &SessionId,
        post_logout_redirect_uri: &Url,
        state: Option<&str>,
    ) -> Result<SignedOut, Error> {
        // The record of the other layout first: whoever takes it over at this moment finds it gone and undoes that.
        let keys = [self.other_key(id), self.store_key(id)];
        let ended = match self.end_record(&keys[0], "sign_out").await {
            Ok(former) => self.end_record(&keys[1], "sign_out").await.map(|ended| ended.or(former)),
            failed => failed,
        };
        let ended = ended.inspect_err(|_| self.end_later(&keys, "sign_out"))?;
        let end_session_url = match &ended {
            Some(loaded) => self.end_session_url(loaded, post_logout_redirect_uri, state).await,
            None => None,
        };
        Ok(SignedOut { end_session_url, was_signed_in: ended.is_some() })
    }

    /// Ends all sessions of a user, a mail address or an authority's session; how many there were.
    ///
    /// # Errors
    /// [`Error::Store`] when the store failed; some may have ended, and those that were found end when it is back.
    ///
    /// # Cancel safety
    /// Dropped, some may have ended; calling again ends the rest.
    pub async fn sign_out_everywhere(&self, find: &Find) -> Result<usize, Error> {
        self.end_everywhere(find, Walk::IfNeeded, "everywhere").await
    }

    async fn end_everywhere(&self, find: &Find, walk: Walk, cause: &'static str) -> Result<usize, Error> {
        let mut ended = 0;
        // A look-up sees so many at a time, and those that have ended are in it no longer.
        for _ in 0..LOOK_UPS {
            let found = user_index::lookup(self, find).await?;
            let keys: Vec<StoreKey> = found.sessions.into_iter().map(|loaded| loaded.key).collect();
            ended += self.end_all(&keys, cause).await?;
            if !found.more {
                break;
            }
        }
        // Python services that share the records write no index; a session of nobody is in none either.
        let by_handle = matches!(find, Find::Handle(_)) && ended == 0;
        if walk == Walk::Always || by_handle || self.settings().layout() == SessionLayout::Aiohttp {
            let mut keys = Vec::new();
            let walked = self.sessions().try_for_each(|session| {
                if find.matches(&session.key, session.identity.as_ref(), session.mail.as_deref()) {
                    keys.push(session.key);
                }
                std::future::ready(Ok(()))
            });
            let walked = walked.await;
            // What was met before the walk failed ends all the same.
            keys.sort_unstable();
            keys.dedup();
            ended += self.end_all(&keys, cause).await?;
            walked?;
        }
        Ok(ended)
    }

    /// Ends the sessions of the authority's session `sid`, found by index (front-channel sign-out, where no cookie comes along);
    /// how many there were. `iss`, where given, must be the session's issuer.
    ///
    /// # Errors
    /// [`Error::Store`] when the store failed; some may have ended, and those that were found end when it is back.
    ///
    /// # Cancel safety
    /// Dropped, some may have ended; calling again ends the rest.
    ///
    /// # Security
    /// A `sid` bears a sign-out and nothing else.
    pub async fn sign_out_by_sid(&self, sid: &str, iss: Option<&str>) -> Result<usize, Error> {
        self.end_sid(sid, iss, "front_channel").await
    }

    /// Ends the sessions that a logout token names (OpenID Connect Back-Channel Logout 1.0): those of the authority's
    /// session `sid`, or of the user where it names none; how many there were. Anybody may have sent the token: it is
    /// verified first, and taken once.
    ///
    /// # Errors
    /// [`async_msal::Error::IdToken`] where the token proves nothing or was used before. [`Error::Store`] when the store
    /// failed: the same token may be sent again.
    ///
    /// # Cancel safety
    /// Dropped, some may have ended; calling again ends the rest.
    pub async fn sign_out_by_logout_token(&self, token: &str) -> Result<usize, Error> {
        let token = self.client().verify_logout_token(token).await?;
        let mark = MarkKey::of(&format!("logout {} {}", token.iss, token.jti));
        let ttl = token.refused_from.saturating_sub(self.clock().now()).max(1).unsigned_abs();
        let begun = Bytes::from_static(LOGOUT_BEGUN);
        let marking = self
            .store()
            .run(Operation::PutOnce, |store| store.put_once(&mark, begun.clone(), Duration::from_secs(ttl)));
        match marking.await {
            Ok(PutOnce::AlreadyThere(value)) if value != begun => {
                return Err(async_msal::Error::from(IdTokenError::Replayed).into());
            }
            Ok(_) => {}
            // A store without room for a mark can still delete. One that is in other trouble is asked again with the token.
            Err(error) if !error.reads_go_on() => return Err(error.into()),
            Err(error) => tracing::warn!(target: telemetry::TARGET, %error, "a logout token goes unmarked"),
        }
        let ended = match (&token.sid, &token.sub) {
            (Some(sid), _) => self.end_sid(sid, Some(&token.iss), "back_channel").await?,
            (None, Some(sub)) => self.end_subject(&Find::user(&token.iss, sub)).await?,
            (None, None) => 0,
        };
        // From here on the token is spent. One whose sessions could not be ended may come again.
        let done = Bytes::from_static(LOGOUT_DONE);
        let spent = self.store().run(Operation::ReplaceOnce, |store| store.replace_once(&mark, &begun, done));
        if let Err(error) = spent.await {
            tracing::warn!(target: telemetry::TARGET, %error, "a logout token could be used again");
        }
        Ok(ended)
    }

    /// Entra ID and its kin send no logout tokens, so the subject is no name of their users' sessions: should one come, the
    /// store is walked through.
    async fn end_subject(&self, find: &Find) -> Result<usize, Error> {
        match self.client().authority().kind() {
            AuthorityKind::Oidc => self.end_everywhere(find, Walk::IfNeeded, "back_channel").await,
            _ => self.end_everywhere(find, Walk::Always, "back_channel").await,
        }
    }

    async fn end_sid(&self, sid: &str, iss: Option<&str>, cause: &'static str) -> Result<usize, Error> {
        const LONGEST: usize = 255;
        if sid.is_empty() || sid.len() > LONGEST {
            return Ok(0);
        }
        let found = self.find(&Find::Sid(sid.to_owned())).await?;
        let issued = |loaded: &Loaded| {
            let person = loaded.person.as_ref();
            person.is_some_and(|person| iss.is_none_or(|iss| iss == person.identity.iss))
        };
        let theirs = found.into_iter().filter(issued);
        let keys: Vec<StoreKey> = theirs.map(|session| session.key).collect();
        self.end_all(&keys, cause).await
    }

    async fn end_all(&self, keys: &[StoreKey], cause: &'static str) -> Result<usize, Error> {
        let mut ended = 0;
        for (at, key) in keys.iter().enumerate() {
            let end = self.end_record(key, cause).await;
            ended += usize::from(end.inspect_err(|_| self.end_later(&keys[at..], cause))?.is_some());
        }
        Ok(ended)
    }

    async fn end_session_url(&self, ended: &Loaded, back: &Url, state: Option<&str>) -> Option<Url> {
        let mut request = SignOutRequest::default().with_post_logout_redirect_uri(back.clone());
        if let Some(state) = state {
            request = request.with_state(state.to_owned());
        }
        if let Some(hint) = self.logout_hint(ended) {
            request = request.with_logout_hint(hint);
        }
        match tokio::time::timeout(DISCOVERY_TIME, self.client().sign_out_url(request)).await {
            Ok(Ok(url)) => url,
            Ok(Err(error)) => {
                tracing::warn!(target: telemetry::TARGET, code = error.code(), "the authority's sign-out address cannot be had");
                None
            }
            Err(_) => None,
        }
    }

    /// The id token's `login_hint`, by which the authority needs not ask which account it is.
    fn logout_hint(&self, loaded: &Loaded) -> Option<String> {
        let account = &loaded.person.as_ref()?.account;
        let token = loaded.cache.id_token(account, self.client().client_id())?;
        let claims = IdTokenClaims::from_stored(token.expose_secret()).ok()?;
        claims.login_hint
    }
}
