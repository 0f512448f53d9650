//! Sessions of people who do not exist, each findable as one that a sign-in made.
//!
//! The record of one real sign-in is written again for every person, under layout aiohttp, where it is plain; then an
//! application in the wanted layout opens each session. It takes the record over as after a change of SESSION_LAYOUT, and
//! with that seals it and puts it into the index.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_msal_axum::Msal;
use async_msal_axum::async_msal_session::SessionId;
use async_msal_axum::async_msal_session::store::SessionStore;
use async_msal_emulator::Emulator;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::Value;

use crate::world::{Plan, record_of_a_sign_in};
use crate::{Anything, Layout};

/// Calls under way; the store's connection makes pipelines of them.
const AT_ONCE: usize = 256;
/// While seeding nothing is given up.
const PATIENT: Duration = Duration::from_secs(60);
const LIFE: Duration = Duration::from_secs(24 * 3600);

/// What records are made of.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    text: String,
    pub(crate) tenant: String,
}

const MAIL: &str = "@mail@";
const OBJECT: &str = "@object@";
const SID: &str = "@sid@";

impl Template {
    /// The record of a real sign-in; a small one has lost its access token.
    pub(crate) async fn new(emulator: &Emulator, small: bool) -> Result<Self, Anything> {
        let mut record: Value = serde_json::from_str(&record_of_a_sign_in(emulator).await?)?;
        let session = &mut record["session"];
        session["mail"] = MAIL.into();
        session["async_msal"]["oid"] = OBJECT.into();
        session["async_msal"]["sid"] = SID.into();
        let tenant = session["async_msal"]["tid"].as_str().ok_or("no tenant")?.to_owned();
        if small {
            let mut cache: Value = serde_json::from_str(session["token_cache"].as_str().unwrap_or("{}"))?;
            cache["AccessToken"] = serde_json::json!({});
            session["token_cache"] = cache.to_string().into();
        }
        Ok(Self { text: record.to_string(), tenant })
    }

    pub(crate) fn bytes(&self) -> usize {
        self.record(0).len()
    }

    fn record(&self, number: u64) -> String {
        self.text.replace(MAIL, &mail(number)).replace(OBJECT, &object(number)).replace(SID, &object(number))
    }
}

pub(crate) fn mail(number: u64) -> String {
    format!("user{number:08}@contoso.example")
}

pub(crate) fn object(number: u64) -> String {
    format!("{number:08x}-0000-4000-8000-{number:012x}")
}

pub(crate) fn id(number: u64) -> SessionId {
    SessionId::parse(&format!("{number:032x}")).expect("32 hexadecimal digits")
}

/// Makes so many sessions in the plan's layout.
pub(crate) async fn seed(plan: &Plan, template: &Template, sessions: u64) -> Result<Duration, Anything> {
    let started = Instant::now();
    let store = plan.open_store(PATIENT)?;
    let of = |layout| Plan { layout, ..plan.clone() }.msal(Arc::clone(&store), PATIENT);
    let (plain, sealed) = (of(Layout::Aiohttp)?, of(Layout::Sealed)?);
    all(sessions, |number| write(Arc::clone(&store), plain.clone(), template.clone(), number)).await?;
    all(sessions, |number| open(sealed.clone(), number)).await?;
    if matches!(plan.layout, Layout::Aiohttp) {
        all(sessions, |number| open(plain.clone(), number)).await?;
    }
    Ok(started.elapsed())
}

async fn all<F>(sessions: u64, work: impl FnMut(u64) -> F) -> Result<(), Anything>
where
    F: Future<Output = Result<(), Anything>> + Send + 'static,
{
    let tasks = stream::iter(0..sessions).map(work).map(tokio::spawn).buffer_unordered(AT_ONCE);
    tasks.map_err(Anything::from).try_for_each(|done| async move { done }).await
}

async fn write(
    store: Arc<dyn SessionStore>,
    plain: Msal,
    template: Template,
    number: u64,
) -> Result<(), Anything> {
    let made = store.create(&plain.store_key(&id(number)), template.record(number).into(), LIFE).await?;
    made.map(drop).ok_or_else(|| "a record is there already".into())
}

async fn open(msal: Msal, number: u64) -> Result<(), Anything> {
    let opened = msal.load_session(&id(number)).await?;
    opened.map(drop).ok_or_else(|| "a session cannot be opened".into())
}
