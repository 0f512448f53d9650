//! Three masters.

use crate::clock::FakeClock;
use crate::process::until;
use crate::redis::{RedisServer, RedisServerBuilder};
use crate::tls::TlsFiles;

/// A Redis Cluster of three masters without replicas.
#[derive(Debug)]
pub struct RedisCluster {
    nodes: Vec<RedisServer>,
    tls: Option<(TlsFiles, tempfile::TempDir)>,
}

impl RedisCluster {
    /// Starts it and waits until every node says that all is well.
    ///
    /// # Panics
    /// Where it does not start.
    #[must_use]
    pub fn start() -> Self {
        Self::with(RedisServer::builder())
    }

    /// Starts it under this clock.
    ///
    /// # Panics
    /// Where it does not start.
    #[must_use]
    pub fn with_clock(clock: &FakeClock) -> Self {
        Self::with(RedisServer::builder().with_clock(clock))
    }

    /// Starts it with TLS everywhere, between the nodes too ([`ca_pem`](Self::ca_pem)).
    ///
    /// # Panics
    /// Where it does not start.
    #[must_use]
    pub fn with_tls() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let files = TlsFiles::make(folder.path());
        let builder = RedisServer::builder().tls_as(&files);
        let mut cluster = Self::with(builder.args(["--tls-cluster", "yes", "--tls-replication", "yes"]));
        cluster.tls = Some((files, folder));
        cluster
    }

    /// Starts three such servers as a Cluster.
    ///
    /// # Panics
    /// Where it does not start.
    #[must_use]
    pub fn with(builder: RedisServerBuilder) -> Self {
        let builder = builder.args(["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"]);
        let nodes: Vec<RedisServer> = (0..3).map(|_| builder.clone().start()).collect();
        let mut create = vec!["--cluster".to_owned(), "create".to_owned()];
        create.extend(nodes.iter().map(|node| format!("127.0.0.1:{}", node.port())));
        create.extend(["--cluster-replicas", "0", "--cluster-yes"].map(str::to_owned));
        let create: Vec<&str> = create.iter().map(String::as_str).collect();
        // It says so where it fails.
        let _report = nodes[0].cli(&create);
        let cluster = Self { nodes, tls: None };
        cluster.wait_until_ok();
        cluster
    }

    /// The authority of its certificates.
    ///
    /// # Panics
    /// Where it was not started with TLS.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        &self.tls.as_ref().expect("started with TLS").0.ca_pem
    }

    /// Waits until every node sees all slots served.
    ///
    /// # Panics
    /// Where that takes too long.
    pub fn wait_until_ok(&self) {
        until("the Cluster is ok", || {
            (self.nodes.iter()).all(|node| node.cli(&["CLUSTER", "INFO"]).contains("cluster_state:ok"))
        });
    }

    /// Its address: two of its nodes.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "rediss" } else { "redis" };
        format!("{scheme}+cluster://127.0.0.1:{},127.0.0.1:{}", self.nodes[0].port(), self.nodes[1].port())
    }

    /// Its masters.
    #[must_use]
    pub fn nodes(&self) -> &[RedisServer] {
        &self.nodes
    }

    /// One of its masters, to be stopped or started.
    #[must_use]
    pub fn node_mut(&mut self, number: usize) -> &mut RedisServer {
        &mut self.nodes[number]
    }
}
