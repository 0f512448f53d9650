//! Three masters.

use std::process::Command;

use crate::clock::FakeClock;
use crate::process::until;
use crate::redis::{RedisServer, RedisServerBuilder};

/// A Redis Cluster of three masters without replicas.
#[derive(Debug)]
pub struct RedisCluster {
    nodes: Vec<RedisServer>,
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

    fn with(builder: RedisServerBuilder) -> Self {
        let builder = builder.args(["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"]);
        let nodes: Vec<RedisServer> = (0..3).map(|_| builder.clone().start()).collect();
        let mut create = Command::new("redis-cli");
        create.args(["--cluster", "create"]);
        create.args(nodes.iter().map(|node| format!("127.0.0.1:{}", node.port())));
        let output = create.args(["--cluster-replicas", "0", "--cluster-yes"]).output().expect("redis-cli");
        assert!(output.status.success(), "the Cluster was not made: {output:?}");
        let cluster = Self { nodes };
        cluster.wait_until_ok();
        cluster
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
        format!("redis+cluster://127.0.0.1:{},127.0.0.1:{}", self.nodes[0].port(), self.nodes[1].port())
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
