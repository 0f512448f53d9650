//! One renewal at a time per session, over all nodes, whoever asks and whoever gives up waiting.
//!
//! First a lock in this process, then the store's lease, which outlives a token request and is extended while it runs.
//! After taking it the record is read again: another node may have renewed. The renewal runs in a task of its own, saves
//! before it hands out, and goes on when its caller is gone.

mod flights;
mod lease;
mod memory;

use std::sync::Arc;
use std::time::Instant;

use async_msal::{
    AccessToken, ClaimsChallenge, Hit, Lookup, RefreshOptions, Scopes, TokenCache, TokenResult,
};
use tokio::sync::oneshot;
use tracing::Instrument as _;

use self::flights::Landing;
pub(crate) use self::lease::{Lease, keep};
pub(crate) use self::memory::Renewals;
use crate::error::Error;
use crate::identity::Person;
use crate::msal::Msal;
use crate::patch::Patch;
use crate::record::item;
use crate::session::{Loaded, Slide};
use crate::session_id::{StoreKey, sha256_hex};
use crate::telemetry;

/// A lease that is lost before the request is sent is taken again, but not for ever.
const LEASE_ROUNDS: u32 = 3;

/// Why a token is renewed.
#[derive(Clone, Debug)]
pub(crate) enum Cause {
    /// None is at hand that lives long enough.
    Expired,
    /// One is at hand, and due for renewal ahead of time.
    Aging,
    /// An API refused the token with this hash and demands these claims.
    Claims { challenge: ClaimsChallenge, refused: String },
}

impl Cause {
    /// What the renewal asks for, and a copy of the cache for it without the token that was refused: beside the new one
    /// it might live the longer, and be handed out again. Says whether it was there.
    pub(crate) fn prepare(&self, cache: &TokenCache) -> (TokenCache, RefreshOptions, bool) {
        let mut cache = TokenCache::clone(cache);
        let options = RefreshOptions::default();
        let Self::Claims { challenge, refused } = self else { return (cache, options, false) };
        let removed = cache.remove_access_tokens(|token| token_hash(token) == *refused);
        (cache, options.with_claims(challenge.clone()), removed)
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Aging => "aging",
            Self::Claims { .. } => "claims",
        }
    }
}

/// What is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) key: StoreKey,
    pub(crate) scopes: Scopes,
    pub(crate) cause: Cause,
    /// When the caller began to want it, unix seconds: what was renewed since then is taken whatever its lifetime.
    pub(crate) since: i64,
}

/// What came of it: the token, and the record it stands in.
#[derive(Clone, Debug)]
pub(crate) struct Renewed {
    pub(crate) token: TokenResult,
    pub(crate) loaded: Loaded,
}

/// The hash by which a refused token is recognised.
pub(crate) fn token_hash(token: &AccessToken) -> String {
    sha256_hex(token.expose_secret().as_bytes())
}

/// Renews, or takes what somebody else renewed.
///
/// Cancel safety: the renewal goes on in its task; only its answer to this caller is lost.
pub(crate) async fn renew(msal: &Msal, request: Request) -> Result<Renewed, Error> {
    match request.cause {
        // Hundreds may ask at once, and all want the same: one of them asks the store.
        Cause::Expired => {
            let name = format!("{} {}", request.key.as_str(), request.scopes);
            let msal = msal.clone();
            let flights = msal.renewals().flights.clone();
            flights.join(name, move |landing| begin(&msal, request, Some(landing))).await
        }
        Cause::Aging | Cause::Claims { .. } => {
            begin(msal, request, None).await.unwrap_or(Err(Error::ShuttingDown))
        }
    }
}

/// Starts the task of one renewal; its answer comes here.
fn begin(
    msal: &Msal,
    request: Request,
    landing: Option<Landing>,
) -> oneshot::Receiver<Result<Renewed, Error>> {
    let (answer, waiting) = oneshot::channel();
    let span = tracing::info_span!(target: telemetry::TARGET, "async_msal.renewal",
        session = %request.key.handle(), cause = request.cause.name());
    let task = lead(msal.clone(), request, answer, landing).instrument(span);
    msal.background().spawn(task);
    waiting
}

async fn lead(
    msal: Msal,
    request: Request,
    answer: oneshot::Sender<Result<Renewed, Error>>,
    landing: Option<Landing>,
) {
    let lock = msal.renewals().lock(&request.key).await;
    let turn = lock.lock().await;
    let attempt = Attempt { msal: &msal, request: &request, lease: None, unsaved: None };
    let (result, lease, unsaved) = attempt.run().await;
    drop(turn);
    // Whoever asks from now on looks for itself.
    drop(landing);
    // The caller may be gone; the renewal counts all the same.
    drop(answer.send(result));
    if let Some(patch) = unsaved {
        keep(&msal, lease.as_ref(), memory::keep_saving(&msal, &request.key, &patch)).await;
    }
    if let Some(lease) = lease {
        lease.release(&msal).await;
    }
}

/// The record after a save, and the token of another node that stands in place of ours.
type Saved = (Loaded, Option<TokenResult>);

/// One renewal under the session's lock.
struct Attempt<'a> {
    msal: &'a Msal,
    request: &'a Request,
    lease: Option<Lease>,
    /// Renewed tokens that the store would not take.
    unsaved: Option<Arc<Patch>>,
}

impl Attempt<'_> {
    async fn run(mut self) -> (Result<Renewed, Error>, Option<Lease>, Option<Arc<Patch>>) {
        let result = self.renewed().await;
        let outcome = match &result {
            Ok((_, outcome)) => *outcome,
            Err(error) => error.label(),
        };
        telemetry::count_renewal(outcome, self.request.cause.name());
        (result.map(|(renewed, _)| renewed), self.lease, self.unsaved)
    }

    async fn renewed(&mut self) -> Result<(Renewed, &'static str), Error> {
        let loaded = self.load().await?;
        let person = person(&loaded)?;
        if let Some(token) = self.settled(&loaded, &person) {
            return Ok((Renewed { token, loaded }, "taken_over"));
        }
        if let Some(error) = self.msal.renewals().failure(self.request, &person).await {
            return self.old_or(loaded, &person, error);
        }
        for _ in 0..LEASE_ROUNDS {
            match self.take_lease().await {
                Ok(None) => {}
                Ok(Some(renewed)) => return Ok((renewed, "taken_over")),
                Err(error) => return self.old_or(loaded, &person, error),
            }
            let _room =
                keep(self.msal, self.lease.as_ref(), self.msal.background().token_requests().acquire()).await;
            // Never a local copy: another node may have renewed while the lease was waited for.
            let loaded = match self.load().await {
                Err(error @ Error::Store(_)) => return self.old_or(loaded, &person, error),
                read => read?,
            };
            let person = self::person(&loaded)?;
            if let Some(token) = self.settled(&loaded, &person) {
                return Ok((Renewed { token, loaded }, "taken_over"));
            }
            if let Some(error) = memory::failed_elsewhere(self.msal, self.request, &person).await {
                return self.old_or(loaded, &person, error);
            }
            // A process that stood still since it took the lease may have lost it: its refresh token may be spent by now.
            match lease::is_ours(self.msal, self.lease.as_ref()).await {
                Ok(true) => return self.refresh(loaded, &person).await,
                Err(error) if error.reads_go_on() => return self.refresh(loaded, &person).await,
                Ok(false) => self.lease = None,
                Err(error) => return self.old_or(loaded, &person, error.into()),
            }
        }
        self.old_or(loaded, &person, lease::lost_again())
    }

    async fn load(&self) -> Result<Loaded, Error> {
        self.msal.load_record(&self.request.key).await?.ok_or(Error::SessionEnded)
    }

    /// A token that answers the request without a token request of our own.
    fn settled(&self, loaded: &Loaded, person: &Person) -> Option<TokenResult> {
        let client = self.msal.client();
        let hit = match client.find_access_token(&loaded.cache, &person.account, &self.request.scopes) {
            Lookup::Hit(hit) => Some(TokenResult::from(hit)),
            _ => None,
        };
        match &self.request.cause {
            Cause::Expired => hit.or_else(|| {
                let unexpired = self.unexpired(loaded, person)?;
                (unexpired.token.cached_at? >= self.request.since).then(|| unexpired.into())
            }),
            Cause::Aging => hit.filter(|token| !token.renew_due),
            Cause::Claims { refused, .. } => hit.filter(|token| token_hash(&token.access_token) != *refused),
        }
    }

    /// A token that has not expired, however soon it will.
    fn unexpired(&self, loaded: &Loaded, person: &Person) -> Option<Hit> {
        self.msal.client().find_unexpired_token(&loaded.cache, &person.account, &self.request.scopes)
    }

    /// Waits for the lease, looking in between whether its holder has renewed for us. Where the store takes no writes
    /// (read-only, full), nobody gets a lease, and the renewal goes on under this process's lock alone.
    async fn take_lease(&mut self) -> Result<Option<Renewed>, Error> {
        let started = Instant::now();
        let mut waiting = lease::Waiting::new();
        loop {
            match Lease::take(self.msal, &self.request.key).await {
                Ok(Some(lease)) => {
                    metrics::histogram!(telemetry::LEASE_WAIT).record(started.elapsed().as_secs_f64());
                    self.lease = Some(lease);
                    return Ok(None);
                }
                Ok(None) => waiting.pause().await?,
                Err(error) if error.reads_go_on() => {
                    tracing::warn!(target: telemetry::TARGET, %error, "renewing without a lease");
                    return Ok(None);
                }
                Err(error) => return Err(error.into()),
            }
            let loaded = self.load().await?;
            let person = person(&loaded)?;
            if let Some(token) = self.settled(&loaded, &person) {
                return Ok(Some(Renewed { token, loaded }));
            }
        }
    }

    async fn refresh(&mut self, loaded: Loaded, person: &Person) -> Result<(Renewed, &'static str), Error> {
        let (mut cache, options, refused) = self.request.cause.prepare(&loaded.cache);
        cache.mark_unchanged();
        let (client, asked) = (self.msal.client(), options.clone());
        let refreshing = client.refresh(&mut cache, &person.account, &self.request.scopes, options);
        let result = keep(self.msal, self.lease.as_ref(), refreshing).await;
        let id_token = result.as_ref().ok().and_then(|token| token.id_token.as_ref());
        let mut patch =
            Patch::renewal(person.account.clone(), TokenCache::clone(&loaded.cache), cache.clone());
        if let Some(token) = id_token {
            patch.set(item::IDENTITY, person.identity.renewed(token.claims(), token.raw()).to_value());
        }
        // A refusal may have changed the cache too: tokens for fewer scopes than asked are kept.
        let mut theirs = None;
        let changed = cache.has_changed() || refused && is_final(&result);
        let saved = if changed {
            let (saved, newer) = self.save(patch, loaded, person).await?;
            theirs = newer;
            saved
        } else {
            loaded
        };
        match result {
            Ok(_) if let Some(token) = theirs => Ok((Renewed { token, loaded: saved }, "taken_over")),
            Ok(token) => Ok((Renewed { token, loaded: saved }, "renewed")),
            // The answer was for somebody else (OpenID Connect Core 12.2): whose session this is has become doubtful.
            Err(error) if error.ends_session() => {
                self.msal.end_record(&self.request.key, "refresh_refused").await?;
                Err(error.into())
            }
            Err(error) => {
                // Refused since another node's renewal came first, in spite of all: its token serves as well.
                if let Ok(now) = self.load().await
                    && let Some(token) = self.settled(&now, person)
                {
                    return Ok((Renewed { token, loaded: now }, "taken_over"));
                }
                let error = Arc::new(Error::from(error));
                // The client's own memory of the failure may be older than this attempt: both end together.
                let pause = client.refresh_pause(&cache, &person.account, &self.request.scopes, &asked);
                memory::remember(self.msal, self.request, person, &error, pause).await;
                self.old_or(saved, person, Error::Shared(error))
            }
        }
    }

    /// Saves what was renewed. The store's trouble is not the caller's: the token is handed out, and saved later.
    async fn save(&mut self, patch: Patch, loaded: Loaded, person: &Person) -> Result<Saved, Error> {
        match self.save_unless_fenced(&patch, loaded.clone(), person).await {
            Err(Error::Store(error)) => {
                telemetry::count(telemetry::SAVE_FAILURES, "outcome", "retrying");
                tracing::error!(target: telemetry::TARGET, %error, "a renewed token could not be saved; trying again");
                let patch = self.msal.renewals().keep_unsaved(&self.request.key, patch).await;
                self.unsaved = Some(Arc::clone(&patch));
                let mut local = loaded;
                local.apply_locally(self.msal, &patch);
                Ok((local, None))
            }
            other => other,
        }
    }

    /// The fence: where the record was changed meanwhile, and the lease is another node's by now which has renewed too, its
    /// tokens stand, whatever the two clocks say, and are handed out.
    async fn save_unless_fenced(&self, patch: &Patch, from: Loaded, person: &Person) -> Result<Saved, Error> {
        let key = &self.request.key;
        if let Some(saved) = self.msal.try_save(key, patch, Slide::No, from).await? {
            return Ok((saved, None));
        }
        let now = self.load().await?;
        match lease::is_ours(self.msal, self.lease.as_ref()).await {
            Ok(false) => {
                if let Some(token) = self.settled(&now, person) {
                    return Ok((now, Some(token)));
                }
            }
            Err(error) if !error.reads_go_on() => return Err(error.into()),
            Ok(true) | Err(_) => {}
        }
        Ok((self.msal.save_patch(key, patch, Slide::No, Some(now)).await?, None))
    }

    /// The old token while it has not expired, and a report; else the failure.
    fn old_or(
        &self,
        loaded: Loaded,
        person: &Person,
        error: Error,
    ) -> Result<(Renewed, &'static str), Error> {
        let usable = !matches!(self.request.cause, Cause::Claims { .. });
        match self.unexpired(&loaded, person).filter(|_| usable) {
            Some(hit) => {
                let token = TokenResult::from(hit);
                tracing::warn!(target: telemetry::TARGET, code = %error.code(), "renewal failed; the old token still lives");
                Ok((Renewed { token, loaded }, "kept_old"))
            }
            None => Err(error),
        }
    }
}

/// Only then is a token given up that an API refused: elsewhere it may be good while the authority is down.
pub(crate) const fn is_final(result: &Result<TokenResult, async_msal::Error>) -> bool {
    matches!(result, Ok(_) | Err(async_msal::Error::InteractionRequired(_)))
}

fn person(loaded: &Loaded) -> Result<Arc<Person>, Error> {
    loaded.person.clone().ok_or(Error::NotSignedIn)
}
