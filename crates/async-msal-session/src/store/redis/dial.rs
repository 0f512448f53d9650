//! Making a connection: TLS, who the master is, and how to speak to it.

use std::time::Duration;

use futures_util::future::join_all;
use redis::aio::{AsyncPushSender, MultiplexedConnection};
use redis::cluster::ClusterClient;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, ErrorKind, ProtocolVersion, RedisError,
    RedisResult, TlsCertificates, Value,
};

use super::address::{Target, Watched, at};
use super::connection::Connection;

/// Tries of one question in a Cluster, all within the time limit.
const CLUSTER_RETRIES: u32 = 4;
/// Milliseconds between them.
const CLUSTER_WAIT: (u64, u64) = (10, 80);

/// Knows how to reach the records; cheap to clone.
#[derive(Clone)]
pub(super) struct Dial {
    target: Target,
    /// The authorities trusted, machine's and CA_FILE's, where not the machine's alone.
    roots: Option<Vec<u8>>,
    limit: Duration,
}

impl Dial {
    pub(super) fn new(target: Target, roots: Option<Vec<u8>>, limit: Duration) -> Self {
        Self { target, roots, limit }
    }

    /// Makes a connection that reports its end to `ended`.
    pub(super) async fn connect(&self, ended: impl AsyncPushSender) -> RedisResult<Connection> {
        match &self.target {
            Target::Single(info) => self.one(info.clone(), ended).await.map(Connection::One),
            Target::Sentinel(watched) => self.master(watched, ended).await.map(Connection::One),
            Target::Cluster(nodes) => self.cluster(nodes).await.map(Connection::Cluster),
        }
    }

    async fn one(
        &self,
        info: ConnectionInfo,
        ended: impl AsyncPushSender,
    ) -> RedisResult<MultiplexedConnection> {
        let mut config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.limit * 2))
            .set_response_timeout(Some(self.limit));
        if info.redis_settings().protocol() != ProtocolVersion::RESP2 {
            config = config.set_push_sender(ended);
        }
        self.client(info)?.get_multiplexed_async_connection_with_config(&config).await
    }

    fn client(&self, info: ConnectionInfo) -> RedisResult<Client> {
        match (self.certificates(), info.addr()) {
            (Some(certificates), ConnectionAddr::TcpTls { .. }) => Client::build_with_tls(info, certificates),
            _ => Client::open(info),
        }
    }

    fn certificates(&self) -> Option<TlsCertificates> {
        let roots = self.roots.clone()?;
        Some(TlsCertificates { client_tls: None, root_cert: Some(roots) })
    }

    async fn cluster(
        &self,
        nodes: &[ConnectionInfo],
    ) -> RedisResult<redis::cluster_async::ClusterConnection> {
        let mut builder = ClusterClient::builder(nodes.iter().cloned())
            .retries(CLUSTER_RETRIES)
            .min_retry_wait(CLUSTER_WAIT.0)
            .max_retry_wait(CLUSTER_WAIT.1)
            .connection_timeout(self.limit)
            .response_timeout(self.limit)
            .overall_response_timeout(Some(self.limit));
        if let Some(certificates) = self.certificates() {
            builder = builder.certs(certificates);
        }
        builder.build()?.get_async_connection().await
    }

    /// The master most Sentinels name, if it says itself that it is one; else the next.
    async fn master(
        &self,
        watched: &Watched,
        ended: impl AsyncPushSender,
    ) -> RedisResult<MultiplexedConnection> {
        let mut failure: RedisError =
            (ErrorKind::MasterNameNotFoundBySentinel, "no Sentinel knows the master").into();
        let ended = std::sync::Arc::new(ended);
        for (host, port) in self.candidates(watched).await {
            let ended = std::sync::Arc::clone(&ended);
            let report = move |push| ended.send(push);
            match self.one(at(&watched.server, host, port), report).await {
                Ok(mut connection) => {
                    match redis::cmd("ROLE").query_async::<Vec<Value>>(&mut connection).await {
                        Ok(role) if matches!(role.first(), Some(Value::BulkString(role)) if role == b"master") =>
                        {
                            return Ok(connection);
                        }
                        Ok(_) => {}
                        Err(error) => failure = error,
                    }
                }
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    /// All Sentinels are asked at once, so one that is down costs nothing; the most named address comes first.
    async fn candidates(&self, watched: &Watched) -> Vec<(String, u16)> {
        let answers = join_all(watched.sentinels.iter().map(async |sentinel| {
            let ask = async {
                let mut connection =
                    self.one(sentinel.clone(), |_| Ok::<(), redis::aio::SendError>(())).await.ok()?;
                let mut question = redis::cmd("SENTINEL");
                question.arg("GET-MASTER-ADDR-BY-NAME").arg(&watched.master);
                question.query_async::<Option<(String, u16)>>(&mut connection).await.ok().flatten()
            };
            tokio::time::timeout(self.limit / 2, ask).await.ok().flatten()
        }))
        .await;
        let mut votes: Vec<((String, u16), usize)> = Vec::new();
        for address in answers.into_iter().flatten() {
            match votes.iter_mut().find(|(known, _)| *known == address) {
                Some((_, count)) => *count += 1,
                None => votes.push((address, 1)),
            }
        }
        votes.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        votes.into_iter().map(|(address, _)| address).collect()
    }
}
