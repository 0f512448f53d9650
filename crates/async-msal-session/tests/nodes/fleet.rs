//! The emulator, one store, and as many nodes as a test wants.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_msal_emulator::{Emulator, Policy};
use async_msal_session::async_msal::AuthResponse;
use async_msal_session::{Msal, SessionId, SignInHooks, SignInOutcome, SignInRequest};
use async_msal_test_servers::{PostgresServer, RedisCluster, RedisServer};
use futures_util::future::join_all;
use tokio::sync::{mpsc, oneshot};

use crate::node::{Asked, MARK, Moment, Numbered, Order, PLAN, PUBLIC_URL, Plan, Report};

pub(crate) const ADA: &str = "ada@contoso.example";
pub(crate) const BEN: &str = "ben@contoso.example";

/// How long anything here may take; longer than the longest wait for a lease.
const PATIENCE: Duration = Duration::from_secs(60);
/// Longer than a living node needs to extend its lease (every five seconds).
pub(crate) const SHORT_LEASE: Duration = Duration::from_secs(6);
/// STORE_TIMEOUT of a race in milliseconds, unless ASYNC_MSAL_NODE_STORE_TIMEOUT says another. The default of 500 is enough on a
/// machine that has nothing else to do.
const STORE_TIMEOUT: u64 = 2000;

/// What the nodes share, and the servers behind it.
pub(crate) struct Fleet {
    pub(crate) emulator: Emulator,
    pub(crate) msal: Msal,
    plan: Plan,
    _store: Backend,
}

/// The store all nodes share. Dropped: gone.
pub(crate) enum Backend {
    /// One file.
    Sqlite(tempfile::TempDir),
    /// One server.
    Redis(RedisServer),
    /// Three masters.
    Cluster(RedisCluster),
    /// One server.
    Postgres(PostgresServer),
}

impl Backend {
    pub(crate) fn sqlite() -> Self {
        Self::Sqlite(tempfile::tempdir().unwrap())
    }

    pub(crate) fn redis() -> Self {
        Self::Redis(RedisServer::start())
    }

    pub(crate) fn cluster() -> Self {
        Self::Cluster(RedisCluster::start())
    }

    pub(crate) fn postgres() -> Self {
        Self::Postgres(PostgresServer::start())
    }

    fn address(&self) -> String {
        match self {
            Self::Sqlite(folder) => format!("sqlite:{}", folder.path().join("sessions.db").display()),
            Self::Redis(server) => server.url(),
            Self::Cluster(cluster) => cluster.url(),
            Self::Postgres(server) => server.url(),
        }
    }
}

/// Refresh tokens work once; whoever sends one again loses all of that sign-in.
pub(crate) fn strict() -> Policy {
    let mut policy = Policy::default();
    policy.single_use_refresh_tokens = true;
    policy.revoke_on_refresh_token_reuse = true;
    policy
}

/// Refresh tokens work once, and a little longer.
pub(crate) fn with_grace() -> Policy {
    let mut policy = strict();
    policy.refresh_token_reuse_grace = 120;
    policy
}

impl Fleet {
    /// Whose store calls may be held: none is given up before a test has let it go.
    pub(crate) async fn new(backend: Backend, policy: Policy) -> Self {
        Self::with(backend, policy, PATIENCE).await
    }

    /// With a STORE_TIMEOUT as applications have it.
    pub(crate) async fn in_a_hurry(backend: Backend, policy: Policy) -> Self {
        let told = std::env::var("ASYNC_MSAL_NODE_STORE_TIMEOUT").ok();
        let limit = told.map_or(STORE_TIMEOUT, |limit| limit.parse().unwrap());
        Self::with(backend, policy, Duration::from_millis(limit)).await
    }

    async fn with(backend: Backend, policy: Policy, store_timeout: Duration) -> Self {
        let emulator = Emulator::builder()
            .shared_signing_key()
            .redirect_uri(format!("{PUBLIC_URL}/user/authorized"))
            .redirect_uri(format!("{PUBLIC_URL}/user/signed-out"))
            .policy(policy)
            .start()
            .await
            .unwrap();
        let plan = Plan {
            client_id: emulator.client_id(),
            client_secret: emulator.client_secret(),
            authority: emulator.authority_url(),
            graph: emulator.graph_url(),
            store: backend.address(),
            store_timeout,
            longest_lease: Duration::MAX,
        };
        let msal = plan.msal(plan.open_store());
        Self { emulator, msal, plan, _store: backend }
    }

    /// The same, where a dead node's lease ends sooner: a test that waits for that need not wait long.
    pub(crate) fn with_short_leases(mut self) -> Self {
        self.plan.longest_lease = SHORT_LEASE;
        self
    }

    /// Starts so many processes and waits until each is ready.
    pub(crate) async fn nodes<const N: usize>(&self) -> [Node; N] {
        let nodes: Vec<_> = (0..N).map(|_| Node::start(&self.plan)).collect();
        let ready = join_all(nodes.into_iter().map(Node::ready)).await;
        ready.try_into().unwrap_or_else(|_| unreachable!("as many as were started"))
    }

    /// A sign-in up to the authority's answer: the sealed flow, and the answer.
    pub(crate) async fn answered(&self, person: &str) -> (String, String) {
        let request = SignInRequest::new(format!("{PUBLIC_URL}/user/authorized").parse().unwrap());
        let started = self.msal.initiate_sign_in(request).await.unwrap();
        let answer = self.emulator.authorize(started.auth_uri.as_str(), person).await.unwrap();
        (started.sealed, answer.body())
    }

    pub(crate) async fn sign_in(&self, person: &str) -> SessionId {
        let (sealed, answer) = self.answered(person).await;
        let response = AuthResponse::parse(&answer).unwrap();
        match self.msal.complete_sign_in(&sealed, response, &SignInHooks::new()).await.unwrap() {
            SignInOutcome::SignedIn(signed_in) => signed_in.session_id,
            other => panic!("not signed in: {other:?}"),
        }
    }

    /// Signed in, with access tokens that have expired; the counters begin at zero.
    pub(crate) async fn expired(&self, person: &str) -> SessionId {
        let id = self.sign_in(person).await;
        self.expire(&id).await;
        self.emulator.admin().reset_counters();
        id
    }

    async fn expire(&self, id: &SessionId) {
        let session = self.msal.load_session(id).await.unwrap().expect("a live session");
        let past = self.msal.clock().now() - 10;
        session.update_token_cache(|cache| cache.expire_access_tokens(past)).await.unwrap();
    }

    pub(crate) fn refreshes(&self) -> u64 {
        self.emulator.admin().counters().token_refresh_token
    }

    pub(crate) fn reuses(&self) -> u64 {
        self.emulator.admin().counters().refresh_token_reuses
    }

    /// A scope of another resource than Graph: the application's own.
    pub(crate) fn api_scope(&self) -> String {
        format!("api://{}/.default", self.plan.client_id)
    }
}

/// All of `nodes` make so many requests each, at once; what came of them together.
pub(crate) async fn ask_all(nodes: &[&Node], session: &SessionId, requests: usize, scopes: &[&str]) -> Asked {
    let mut all = Asked::default();
    for asked in join_all(nodes.iter().map(|node| node.ask(session, requests, scopes))).await {
        all.add(asked.expect("the node lives"));
    }
    all
}

type Answers = Arc<Mutex<HashMap<u64, oneshot::Sender<Report>>>>;

/// A process. Dropped: killed.
pub(crate) struct Node {
    child: Child,
    orders: Mutex<(ChildStdin, u64)>,
    answers: Answers,
    events: tokio::sync::Mutex<mpsc::UnboundedReceiver<Report>>,
}

impl Node {
    fn start(plan: &Plan) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "node::node", "--ignored", "--nocapture"])
            .env(PLAN, serde_json::to_string(plan).unwrap())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let orders = Mutex::new((child.stdin.take().unwrap(), 0));
        let out = BufReader::new(child.stdout.take().unwrap());
        let (sender, events) = mpsc::unbounded_channel();
        let answers = Answers::default();
        let waiting = Arc::clone(&answers);
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                let Some(text) = line.strip_prefix(MARK) else { continue };
                let Numbered { number, what } = serde_json::from_str(text).unwrap();
                let waiter = number.and_then(|number| waiting.lock().unwrap().remove(&number));
                // Nobody may be waiting any more.
                match waiter {
                    Some(waiter) => drop(waiter.send(what)),
                    None => drop(sender.send(what)),
                }
            }
            // It is dead: nobody waits for its answers.
            waiting.lock().unwrap().clear();
        });
        Self { child, orders, answers, events: tokio::sync::Mutex::new(events) }
    }

    async fn ready(self) -> Self {
        assert!(matches!(self.event().await, Report::Ready));
        self
    }

    async fn event(&self) -> Report {
        let mut events = self.events.lock().await;
        tokio::time::timeout(PATIENCE, events.recv()).await.expect("in time").expect("the node lives")
    }

    /// Gives an order; the answer comes later, or never where the node dies first.
    fn give(&self, order: Order) -> oneshot::Receiver<Report> {
        let (sender, answer) = oneshot::channel();
        let mut orders = self.orders.lock().unwrap();
        orders.1 += 1;
        let number = orders.1;
        self.answers.lock().unwrap().insert(number, sender);
        let line = serde_json::to_string(&Numbered { number: Some(number), what: order }).unwrap();
        writeln!(orders.0, "{line}").unwrap();
        answer
    }

    async fn done(&self, order: Order) {
        let answer = tokio::time::timeout(PATIENCE, self.give(order)).await.expect("in time");
        assert!(matches!(answer, Ok(Report::Done)), "{answer:?}");
    }

    /// Makes requests; `None` where the node dies before they are answered.
    pub(crate) fn ask(
        &self,
        session: &SessionId,
        requests: usize,
        scopes: &[&str],
    ) -> impl Future<Output = Option<Asked>> + Send + use<> {
        let scopes = scopes.iter().map(|&scopes| scopes.to_owned()).collect();
        let answer = self.give(Order::Ask { session: text(session), requests, scopes });
        async move {
            match tokio::time::timeout(PATIENCE, answer).await.expect("in time") {
                Ok(Report::Asked(asked)) => Some(asked),
                Ok(other) => panic!("{other:?}"),
                Err(_) => None,
            }
        }
    }

    pub(crate) async fn begin(&self, session: &SessionId, scopes: &str) {
        self.done(Order::Begin { session: text(session), scopes: scopes.to_owned() }).await;
    }

    /// The caller of what was begun goes away.
    pub(crate) async fn abandon(&self) {
        self.done(Order::Abandon).await;
    }

    pub(crate) async fn sign_out(&self, session: &SessionId) {
        self.done(Order::SignOut { session: text(session) }).await;
    }

    /// Begins to end a session, and is not expected to come to an end.
    pub(crate) fn begin_sign_out(&self, session: &SessionId) {
        drop(self.give(Order::SignOut { session: text(session) }));
    }

    /// Begins to complete a sign-in ([`Fleet::answered`]), and is not expected to come to an end.
    pub(crate) fn begin_sign_in(&self, (sealed, answer): (String, String)) {
        drop(self.give(Order::SignIn { sealed, answer }));
    }

    /// It will stop at the next such moment.
    pub(crate) async fn hold(&self, moment: Moment) {
        self.done(Order::Hold(moment)).await;
    }

    /// Waits until it stopped there.
    pub(crate) async fn held(&self, moment: Moment) {
        let event = self.event().await;
        assert!(matches!(event, Report::At(at) if at == moment), "{event:?}");
    }

    pub(crate) async fn let_go(&self) {
        self.done(Order::LetGo).await;
    }

    /// SIGKILL.
    pub(crate) fn kill9(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGSTOP: it does nothing at all until it is resumed.
    pub(crate) fn pause(&self) {
        self.signal("STOP");
    }

    pub(crate) fn resume(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let done = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status();
        assert!(done.is_ok_and(|status| status.success()), "kill -s {name}");
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may be dead already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn text(session: &SessionId) -> String {
    session.expose_secret().to_owned()
}
