//! Whose word about the caller's address counts.
//!
//! Any client can send `X-Forwarded-For`. It is read only when the connection itself comes from a proxy that was
//! named (`TRUSTED_PROXIES`), and then only as far as those proxies reach: from the right, the first address that
//! is not one of them. The library's own address is never taken from a header; it is `PUBLIC_URL`.

use std::net::{IpAddr, SocketAddr};

use axum::extract::ConnectInfo;
use http::{Extensions, HeaderMap};
use ipnet::IpNet;

const FORWARDED_FOR: &str = "x-forwarded-for";
/// A chain longer than this is not a chain of proxies.
const MAX_HOPS: usize = 20;

/// The networks whose forwarded headers are believed.
#[derive(Clone, Debug, Default)]
pub(crate) struct TrustedProxies {
    networks: Vec<IpNet>,
}

impl TrustedProxies {
    pub(crate) fn new(networks: Vec<IpNet>) -> Self {
        Self { networks }
    }

    /// The caller's address for the log: `None` where the server does not tell the peer's
    /// (`into_make_service_with_connect_info`).
    pub(crate) fn client_address(&self, extensions: &Extensions, headers: &HeaderMap) -> Option<IpAddr> {
        let peer = extensions.get::<ConnectInfo<SocketAddr>>()?.0.ip().to_canonical();
        Some(self.behind(peer, headers))
    }

    fn behind(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut nearest = peer;
        let chain = headers.get_all(FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok());
        let hops: Vec<&str> = chain.flat_map(|value| value.split(',')).map(str::trim).collect();
        for hop in hops.iter().rev().take(MAX_HOPS) {
            if !self.is_trusted(nearest) {
                break;
            }
            let Some(address) = parse_hop(hop) else { break };
            nearest = address;
        }
        nearest
    }

    fn is_trusted(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(&address))
    }
}

fn parse_hop(hop: &str) -> Option<IpAddr> {
    let address = hop.parse::<IpAddr>().ok().or_else(|| hop.parse::<SocketAddr>().ok().map(|a| a.ip()));
    address.map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn proxies() -> TrustedProxies {
        TrustedProxies::new(vec!["10.0.0.0/8".parse().expect("network")])
    }

    fn address_of(peer: &str, forwarded: &[&'static str]) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append(FORWARDED_FOR, HeaderValue::from_static(value));
        }
        proxies().behind(peer.parse().expect("address"), &headers).to_string()
    }

    #[test]
    fn a_header_from_an_unnamed_peer_is_ignored() {
        assert_eq!(address_of("192.0.2.1", &["198.51.100.7"]), "192.0.2.1");
    }

    #[test]
    fn the_nearest_address_that_is_no_proxy_counts() {
        assert_eq!(address_of("10.0.0.1", &["203.0.113.9, 198.51.100.7, 10.0.0.2"]), "198.51.100.7");
    }

    #[test]
    fn several_header_lines_are_one_chain() {
        assert_eq!(address_of("10.0.0.1", &["203.0.113.9", "198.51.100.7"]), "198.51.100.7");
    }

    #[test]
    fn nonsense_ends_the_chain_at_the_last_known_address() {
        assert_eq!(address_of("10.0.0.1", &["198.51.100.7, unknown"]), "10.0.0.1");
    }

    #[test]
    fn the_underscore_spelling_is_not_read() {
        let mut headers = HeaderMap::new();
        headers.insert("x_forwarded_for", HeaderValue::from_static("198.51.100.7"));
        assert_eq!(proxies().behind("10.0.0.1".parse().expect("address"), &headers).to_string(), "10.0.0.1");
    }
}
