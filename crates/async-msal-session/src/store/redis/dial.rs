//! Making a connection: TLS, who the master is, and how to speak to it.

use std::time::Duration;

use redis::aio::AsyncPushSender;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, ProtocolVersion, RedisResult,
    TlsCertificates,
};

use super::address::Target;
use super::link::Connection;

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
            Target::Sentinel(_) | Target::Cluster(_) => {
                Err((redis::ErrorKind::InvalidClientConfig, "Sentinel and Cluster").into())
            }
        }
    }

    async fn one(
        &self,
        info: ConnectionInfo,
        ended: impl AsyncPushSender,
    ) -> RedisResult<redis::aio::MultiplexedConnection> {
        let mut config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.limit * 2))
            .set_response_timeout(Some(self.limit));
        if info.redis_settings().protocol() != ProtocolVersion::RESP2 {
            config = config.set_push_sender(ended);
        }
        self.client(info)?.get_multiplexed_async_connection_with_config(&config).await
    }

    fn client(&self, info: ConnectionInfo) -> RedisResult<Client> {
        match (&self.roots, info.addr()) {
            (Some(roots), ConnectionAddr::TcpTls { .. }) => {
                let roots = TlsCertificates { client_tls: None, root_cert: Some(roots.clone()) };
                Client::build_with_tls(info, roots)
            }
            _ => Client::open(info),
        }
    }
}
