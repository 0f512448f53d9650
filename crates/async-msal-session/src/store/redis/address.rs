//! What a Redis address says: one server, a master that Sentinels name, or a Cluster.

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion};

use crate::settings::StoreAddress;

/// Port of a Sentinel whose address names none.
const SENTINEL_PORT: u16 = 26_379;

/// Where the records are.
#[derive(Clone)]
pub(super) enum Target {
    /// One server.
    Single(ConnectionInfo),
    /// The master of this name, as most of the Sentinels see it.
    Sentinel(Watched),
    /// A Cluster, found by any of its nodes.
    Cluster(Vec<ConnectionInfo>),
}

impl Target {
    /// Whether the server can say by itself that a record changed.
    pub(super) fn can_track(&self) -> bool {
        match self {
            Self::Single(info) | Self::Sentinel(Watched { server: info, .. }) => {
                info.redis_settings().protocol() != ProtocolVersion::RESP2
            }
            Self::Cluster(_) => false,
        }
    }
}

/// A master watched by Sentinels.
#[derive(Clone)]
pub(super) struct Watched {
    pub(super) sentinels: Vec<ConnectionInfo>,
    pub(super) master: String,
    /// How the master is spoken to; its address comes from the Sentinels.
    pub(super) server: ConnectionInfo,
}

const WANTED: &str = "redis://[user:password@]host[:port][/db], rediss://.., redis+sentinel://host,host/master[/db] or \
                      redis+cluster://host,host is wanted";

/// Reads an address. It may hold a password, so no error repeats it.
pub(super) fn target(address: &StoreAddress) -> Result<Target, &'static str> {
    let (scheme, rest) = address.expose_secret().split_once("://").ok_or(WANTED)?;
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (user, hosts) = authority.rsplit_once('@').map_or(("", authority), |(user, hosts)| (user, hosts));
    let hosts: Vec<&str> = hosts.split(',').map(str::trim).collect();
    if rest.contains('#') || hosts.iter().any(|host| host.is_empty()) {
        return Err(WANTED);
    }
    let (base, kind) = scheme.split_once('+').unwrap_or((scheme, ""));
    let node = |host: &str, path: &str| node(base, user, host, path, query);
    match kind {
        "" if hosts.len() == 1 => Ok(Target::Single(node(hosts[0], path)?)),
        "cluster" => {
            Ok(Target::Cluster(hosts.iter().map(|host| node(host, path)).collect::<Result<_, _>>()?))
        }
        "sentinel" => {
            let (master, db) = path.split_once('/').unwrap_or((path, ""));
            if master.is_empty() {
                return Err("redis+sentinel://host,host/<name of the master>[/db] is wanted");
            }
            let server = node(hosts[0], db)?;
            let sentinels = hosts.iter().map(|host| sentinel(base, host, query)).collect::<Result<_, _>>()?;
            Ok(Target::Sentinel(Watched { sentinels, master: master.to_owned(), server }))
        }
        _ => Err(WANTED),
    }
}

fn node(
    scheme: &str,
    user: &str,
    host: &str,
    path: &str,
    query: &str,
) -> Result<ConnectionInfo, &'static str> {
    let at = if user.is_empty() { "" } else { "@" };
    let info = format!("{scheme}://{user}{at}{host}/{path}").into_connection_info().map_err(|_| WANTED)?;
    // RESP3 tells the client about a connection that broke while nobody was asking. `?protocol=resp2` is for servers, and
    // proxies before them, that do not speak it.
    let protocol = match query {
        "" | "protocol=resp3" => ProtocolVersion::RESP3,
        "protocol=resp2" => ProtocolVersion::RESP2,
        _ => return Err("of options, only ?protocol=resp2 and ?protocol=resp3 are known"),
    };
    let redis = info.redis_settings().clone().set_protocol(protocol).set_skip_set_lib_name();
    Ok(info.set_redis_settings(redis))
}

/// Sentinels take no user of the server's; one with a password of its own is not supported.
fn sentinel(scheme: &str, host: &str, query: &str) -> Result<ConnectionInfo, &'static str> {
    let info = node(scheme, "", host, "", query)?;
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    Ok(if has_port { info } else { with_port(info, SENTINEL_PORT) })
}

fn with_port(info: ConnectionInfo, port: u16) -> ConnectionInfo {
    let host = match info.addr() {
        ConnectionAddr::Tcp(host, _) | ConnectionAddr::TcpTls { host, .. } => host.clone(),
        _ => return info,
    };
    at(&info, host, port)
}

/// The same way of speaking, to another host.
pub(super) fn at(info: &ConnectionInfo, host: String, port: u16) -> ConnectionInfo {
    let addr = match info.addr() {
        ConnectionAddr::TcpTls { insecure, tls_params, .. } => {
            ConnectionAddr::TcpTls { host, port, insecure: *insecure, tls_params: tls_params.clone() }
        }
        _ => ConnectionAddr::Tcp(host, port),
    };
    info.clone().set_addr(addr)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Target, &'static str> {
        target(&StoreAddress::new(text))
    }

    #[test]
    fn every_kind_of_address_is_told_apart() {
        assert!(matches!(read("redis://h"), Ok(Target::Single(_))));
        assert!(matches!(read("rediss://u:p@h:7/2"), Ok(Target::Single(_))));
        assert!(matches!(read("redis+cluster://a:1,b:2"), Ok(Target::Cluster(nodes)) if nodes.len() == 2));
        let Ok(Target::Sentinel(watched)) = read("redis+sentinel://u:p%40@a:1,b/main/3") else { panic!() };
        assert_eq!(watched.master, "main");
        assert_eq!(watched.sentinels[1].addr(), &ConnectionAddr::Tcp("b".to_owned(), SENTINEL_PORT));
        assert_eq!(watched.sentinels[0].redis_settings().password(), None);
        assert_eq!(watched.server.redis_settings().password(), Some("p@"));
        assert_eq!(watched.server.redis_settings().db(), 3);
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for bad in [
            "redis:h",
            "redis://",
            "redis://a,b",
            "redis+sentinel://a",
            "redis+x://a",
            "redis://h/x",
            "rediss://h#insecure",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
