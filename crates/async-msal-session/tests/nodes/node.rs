//! One node: what it is told, what it reports, and the process itself.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_msal_session::async_msal::{AuthResponse, Authority, ClientSecret, ConfidentialClient, Scopes};
use async_msal_session::store::{PostgresStore, RedisOptions, RedisStore, SessionStore, SqliteStore};
use async_msal_session::{Error, Msal, SessionId, SignInHooks};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};

use crate::held_store::HeldStore;

pub(crate) const PUBLIC_URL: &str = "https://app.example";
/// The environment variable that makes a process a node.
pub(crate) const PLAN: &str = "ASYNC_MSAL_NODE_PLAN";
/// What begins a line that is a report; the test harness writes lines of its own.
pub(crate) const MARK: &str = "@node ";

/// What all nodes share.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) client_id: String,
    pub(crate) client_secret: String,
    pub(crate) authority: String,
    pub(crate) graph: String,
    /// `sqlite:` and a path, or the address of a server.
    pub(crate) store: String,
    /// STORE_TIMEOUT.
    pub(crate) store_timeout: Duration,
    /// No lease lives longer than this.
    pub(crate) longest_lease: Duration,
}

impl Plan {
    pub(crate) fn open_store(&self) -> Arc<dyn SessionStore> {
        if let Some(path) = self.store.strip_prefix("sqlite:") {
            return Arc::new(SqliteStore::open_lazy(Path::new(path)));
        }
        let limit = self.store_timeout;
        if self.store.starts_with("postgres") {
            return Arc::new(PostgresStore::open_lazy(&self.store, limit).unwrap());
        }
        let options = RedisOptions::new(self.store.as_str()).timeout(limit);
        Arc::new(RedisStore::open_lazy(&options).unwrap())
    }

    pub(crate) fn msal(&self, store: Arc<dyn SessionStore>) -> Msal {
        let secret = ClientSecret::new(self.client_secret.clone());
        let client = ConfidentialClient::builder(&self.client_id)
            .authority(Authority::parse(&self.authority).unwrap())
            .client_secret(secret.clone())
            .dangerous_allow_loopback_authority()
            .build()
            .unwrap();
        Msal::builder(client, store)
            .public_url(PUBLIC_URL)
            .keys_from_secrets([secret])
            .graph_url(&self.graph)
            .store_timeout(self.store_timeout)
            .build()
            .unwrap()
    }
}

/// A moment in which a node can be held.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub(crate) enum Moment {
    /// The lease is taken, nothing is sent to the authority yet.
    LeaseTaken,
    /// The authority has answered, nothing is saved yet.
    BeforeSave,
    /// The index knows the new session, its record is not written yet.
    Indexed,
    /// The record is deleted, the index still knows it.
    Deleted,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Order {
    /// So many requests at once, each of which loads the session; the scope sets are taken in turn.
    Ask { session: String, requests: usize, scopes: Vec<String> },
    /// One request, whose caller goes away when it is told to abandon it.
    Begin { session: String, scopes: String },
    /// That caller goes away.
    Abandon,
    /// Stop at the next such moment.
    Hold(Moment),
    /// Go on.
    LetGo,
    /// Complete a sign-in: the sealed flow, and the query or form that the authority answered with.
    SignIn { sealed: String, answer: String },
    /// End the session.
    SignOut { session: String },
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Report {
    Ready,
    Done,
    At(Moment),
    Asked(Asked),
}

/// What came of requests.
#[derive(Clone, Default, Debug, Serialize, Deserialize)]
pub(crate) struct Asked {
    /// Tokens by fingerprint, and how many requests got each.
    pub(crate) tokens: BTreeMap<String, usize>,
    /// Codes of errors.
    pub(crate) errors: BTreeMap<String, usize>,
    /// How many of the errors ask for a new sign-in.
    pub(crate) sign_in_again: usize,
    /// The slowest request.
    pub(crate) slowest_ms: u128,
}

impl Asked {
    pub(crate) fn add(&mut self, other: Self) {
        for (token, count) in other.tokens {
            *self.tokens.entry(token).or_default() += count;
        }
        for (code, count) in other.errors {
            *self.errors.entry(code).or_default() += count;
        }
        self.sign_in_again += other.sign_in_again;
        self.slowest_ms = self.slowest_ms.max(other.slowest_ms);
    }

    pub(crate) fn served(&self) -> usize {
        self.tokens.values().sum()
    }

    pub(crate) fn failed(&self) -> usize {
        self.errors.values().sum()
    }
}

/// One order, and the number its answer carries.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Numbered<T> {
    pub(crate) number: Option<u64>,
    pub(crate) what: T,
}

pub(crate) fn report(number: Option<u64>, what: &Report) {
    let line = serde_json::to_string(&Numbered { number, what }).unwrap();
    let mut out = std::io::stdout().lock();
    // The line may begin behind something the test harness has not ended.
    writeln!(out, "\n{MARK}{line}").unwrap();
    out.flush().unwrap();
}

#[test]
#[ignore = "the process that the other tests start"]
fn node() {
    let Ok(plan) = std::env::var(PLAN) else { return };
    let plan: Plan = serde_json::from_str(&plan).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(serve(&plan));
}

async fn serve(plan: &Plan) {
    let store = Arc::new(HeldStore::new(plan.open_store(), plan.longest_lease));
    let msal = plan.msal(Arc::clone(&store) as Arc<dyn SessionStore>);
    let (sender, mut orders) = tokio::sync::mpsc::unbounded_channel::<Numbered<Order>>();
    std::thread::spawn(move || {
        for line in std::io::stdin().lines() {
            if sender.send(serde_json::from_str(&line.unwrap()).unwrap()).is_err() {
                return;
            }
        }
    });
    // As a load balancer asks for health before it sends anybody.
    while msal.ping_store().await.is_err() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    report(None, &Report::Ready);
    let mut gate: Option<Arc<Notify>> = None;
    let mut caller: Option<JoinHandle<Asked>> = None;
    while let Some(Numbered { number, what }) = orders.recv().await {
        match what {
            Order::Hold(moment) => {
                gate = Some(store.hold(moment));
                report(number, &Report::Done);
            }
            Order::LetGo => {
                gate.take().expect("something is held").notify_one();
                report(number, &Report::Done);
            }
            Order::Begin { session, scopes } => {
                caller = Some(tokio::spawn(request(msal.clone(), id(&session), Scopes::parse(&scopes))));
                report(number, &Report::Done);
            }
            Order::Abandon => {
                let caller = caller.take().expect("something was begun");
                caller.abort();
                assert!(caller.await.is_err_and(|gone| gone.is_cancelled()), "it was answered too early");
                report(number, &Report::Done);
            }
            work => {
                let msal = msal.clone();
                tokio::spawn(async move { report(number, &perform(msal, work).await) });
            }
        }
    }
}

async fn perform(msal: Msal, order: Order) -> Report {
    match order {
        Order::Ask { session, requests, scopes } => {
            Report::Asked(ask(&msal, &session, requests, &scopes).await)
        }
        Order::SignIn { sealed, answer } => {
            let response = AuthResponse::parse(&answer).unwrap();
            msal.complete_sign_in(&sealed, response, &SignInHooks::new()).await.unwrap();
            Report::Done
        }
        Order::SignOut { session } => {
            let page = format!("{PUBLIC_URL}/user/signed-out").parse().unwrap();
            msal.sign_out(&id(&session), &page, None).await.unwrap();
            Report::Done
        }
        Order::Hold(_) | Order::LetGo | Order::Begin { .. } | Order::Abandon => {
            unreachable!("done by whoever reads the orders")
        }
    }
}

async fn ask(msal: &Msal, session: &str, requests: usize, scopes: &[String]) -> Asked {
    let mut tasks = JoinSet::new();
    for scopes in scopes.iter().cycle().take(requests) {
        let one = request(msal.clone(), id(session), Scopes::parse(scopes));
        tasks.spawn(one);
    }
    let mut asked = Asked::default();
    while let Some(one) = tasks.join_next().await {
        asked.add(one.unwrap());
    }
    asked
}

/// One request of a browser: the session is read anew, and a token asked for.
async fn request(msal: Msal, session: SessionId, scopes: Scopes) -> Asked {
    let started = Instant::now();
    let token = async {
        let session = msal.load_session(&session).await?.ok_or(Error::NotSignedIn)?;
        session.get_token(&scopes).await
    };
    let token = token.await;
    let mut asked = Asked { slowest_ms: started.elapsed().as_millis(), ..Asked::default() };
    match token {
        Ok(token) => {
            assert!(scopes.is_subset(&token.scopes), "{scopes} of {}", token.scopes);
            asked.tokens.insert(fingerprint(token.access_token.expose_secret()), 1);
        }
        Err(error) => {
            asked.sign_in_again = usize::from(error.is_interaction_required());
            asked.errors.insert(error.code().into_owned(), 1);
        }
    }
    asked
}

/// Tells tokens apart without telling them.
fn fingerprint(token: &str) -> String {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let mut hasher = DefaultHasher::new();
    token.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

fn id(text: &str) -> SessionId {
    SessionId::parse(text).expect("a session id")
}
