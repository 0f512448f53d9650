//! A connection to one server or to all masters of a Cluster, asked the same way.

use std::fmt;

use futures_util::future::try_join;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{MultipleNodeRoutingInfo, RoutingInfo, SingleNodeRoutingInfo};
use redis::{Cmd, ErrorKind, Pipeline, RedisError, RedisFuture, RedisResult, Value};

use super::link::unexpected;
use super::view::{self, View};

/// Questions a Cluster is asked at the same time by one call.
const AT_ONCE: usize = 64;

/// To one server, or to all masters of a Cluster.
#[derive(Clone)]
pub(super) enum Connection {
    One(MultiplexedConnection),
    Cluster(ClusterConnection),
}

/// One master; nothing to tell where there is only one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
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
        let (host, port) = text.rsplit_once(':').filter(|(host, _)| !host.is_empty())?;
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

    /// Every master, and what it says of the Cluster: `None` where there is only one server.
    ///
    /// The addresses are those under which the connection knows them. One that CLUSTER SLOTS names by an empty or no host is
    /// at the host that was asked.
    pub(super) async fn masters(&self) -> RedisResult<Vec<(Node, Option<View>)>> {
        let Self::Cluster(cluster) = self else { return Ok(vec![(Node::Only, None)]) };
        let all = RoutingInfo::MultiNode((MultipleNodeRoutingInfo::AllMasters, None));
        let answers = cluster.clone().route_command(view::question(), all).await?;
        let Value::Map(answers) = answers else { return Err(unexpected("no answer of each master")) };
        let read = |(address, text): (Value, Value)| {
            let address: String = redis::from_redis_value(address)?;
            let node = Node::parse(&address).ok_or_else(|| unexpected("a master without an address"))?;
            let text: String = redis::from_redis_value(text)?;
            Ok((node, Some(View::parse(&text))))
        };
        answers.into_iter().map(read).collect()
    }

    /// Asks this master, all on one connection.
    pub(super) async fn ask_node(mut self, node: &Node, pipeline: Pipeline) -> RedisResult<Vec<Value>> {
        let answers = match (&mut self, node) {
            (Self::Cluster(cluster), Node::At(host, port)) => {
                let to = SingleNodeRoutingInfo::ByAddress { host: host.clone(), port: *port };
                let count = pipeline.len();
                cluster.route_pipeline(pipeline, 0, count, to).await?
            }
            (connection, _) => pipeline.query_async(connection).await?,
        };
        answers.into_iter().map(Value::extract_error).collect()
    }

    /// Whether a new connection is better than this one after such an error. One to a Cluster replaces the connection to a
    /// node by itself, and must not lose the other nodes' for it.
    pub(super) fn is_worn_out_by(&self, error: &RedisError) -> bool {
        matches!(self, Self::One(_)) || error.kind() == ErrorKind::ClusterConnectionNotFound
    }
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
