//! A connection to one server or to all masters of a Cluster, asked the same way.

use std::fmt;

use futures_util::future::try_join;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{RoutingInfo, SingleNodeRoutingInfo};
use redis::{Cmd, ErrorKind, Pipeline, RedisError, RedisFuture, RedisResult, Value};

use super::link::unexpected;

/// Questions a Cluster is asked at the same time by one call.
const AT_ONCE: usize = 64;

/// To one server, or to all masters of a Cluster.
#[derive(Clone)]
pub(super) enum Connection {
    One(MultiplexedConnection),
    Cluster(ClusterConnection),
}

/// One master; nothing to tell where there is only one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Node {
    Only,
    At(String, u16),
}

impl Node {
    /// As it was displayed.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text == "-" {
            return Some(Self::Only);
        }
        let (host, port) = text.rsplit_once(':')?;
        Some(Self::At(host.to_owned(), port.parse().ok()?))
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Only => f.write_str("-"),
            Self::At(host, port) => write!(f, "{host}:{port}"),
        }
    }
}

impl Connection {
    /// Value and remaining life of each key: one round trip to one server, in a Cluster as many at once as it has slots for.
    pub(super) async fn read(self, keys: &[&str]) -> RedisResult<Vec<(Value, Value)>> {
        match self {
            Self::One(mut one) => {
                let mut pipeline = Pipeline::with_capacity(keys.len() * 2);
                pipeline.ignore_errors();
                for key in keys {
                    pipeline.cmd("GET").arg(key).cmd("PTTL").arg(key);
                }
                let mut answers = pipeline.query_async::<Vec<Value>>(&mut one).await?.into_iter();
                let pairs = std::iter::from_fn(|| answers.next().zip(answers.next())).collect::<Vec<_>>();
                if pairs.len() == keys.len() {
                    Ok(pairs)
                } else {
                    Err(unexpected("fewer answers than questions"))
                }
            }
            // A pipeline is not led on to a slot's new master, a command is.
            Self::Cluster(cluster) => {
                let each: Vec<_> =
                    keys.iter().map(|key| read_one(cluster.clone(), (*key).to_owned())).collect();
                stream::iter(each).buffered(AT_ONCE).try_collect().await
            }
        }
    }

    /// The master that comes after `node` in the order of addresses; the first without one.
    pub(super) async fn next_master(&self, node: Option<&Node>) -> RedisResult<Option<Node>> {
        let Self::Cluster(cluster) = self else { return Ok(node.is_none().then_some(Node::Only)) };
        let random = RoutingInfo::SingleNode(SingleNodeRoutingInfo::Random);
        let mut question = redis::cmd("CLUSTER");
        question.arg("SLOTS");
        let slots = cluster.clone().route_command(question, random).await?;
        let slots: Vec<Vec<Value>> = redis::from_redis_value(slots)?;
        let mut masters = slots.into_iter().filter_map(master).collect::<Vec<_>>();
        masters.sort_unstable();
        Ok(masters.into_iter().find(|master| node.is_none_or(|node| master > node)))
    }

    /// Asks this master.
    pub(super) async fn ask_node(mut self, node: &Node, command: Cmd) -> RedisResult<Value> {
        match (&mut self, node) {
            (Self::Cluster(cluster), Node::At(host, port)) => {
                let to = SingleNodeRoutingInfo::ByAddress { host: host.clone(), port: *port };
                cluster.route_command(command, RoutingInfo::SingleNode(to)).await
            }
            (connection, _) => command.query_async(connection).await,
        }
    }

    /// Whether a new connection is better than this one after such an error. One to a Cluster replaces the connection to a
    /// node by itself, and must not lose the other nodes' for it.
    pub(super) fn is_worn_out_by(&self, error: &RedisError) -> bool {
        matches!(self, Self::One(_)) || error.kind() == ErrorKind::ClusterConnectionNotFound
    }
}

/// `[first, last, [host, port, id..], replicas..]` of CLUSTER SLOTS.
fn master(slots: Vec<Value>) -> Option<Node> {
    let Value::Array(node) = slots.into_iter().nth(2)? else { return None };
    let mut node = node.into_iter();
    let (host, port) = (node.next()?, node.next()?);
    Some(Node::At(redis::from_redis_value(host).ok()?, redis::from_redis_value(port).ok()?))
}

async fn read_one(cluster: ClusterConnection, key: String) -> RedisResult<(Value, Value)> {
    let (mut one, mut other) = (cluster.clone(), cluster);
    let get = async {
        match redis::cmd("GET").arg(&key).query_async(&mut one).await {
            Err(error) if error.code() == Some("WRONGTYPE") => Ok(Value::Nil),
            answer => answer,
        }
    };
    let left = async { redis::cmd("PTTL").arg(&key).query_async(&mut other).await };
    try_join(get, left).await
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::One(one) => one.req_packed_command(cmd),
            Self::Cluster(cluster) => cluster.req_packed_command(cmd),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::One(one) => one.req_packed_commands(pipeline, offset, count),
            Self::Cluster(cluster) => cluster.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::One(one) => one.get_db(),
            Self::Cluster(cluster) => cluster.get_db(),
        }
    }
}
