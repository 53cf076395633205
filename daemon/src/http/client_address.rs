//! The address of whoever sent a request. Behind proxies it is in `X-Forwarded-For`, which is
//! believed as far as trusted proxies wrote it.

use std::net::{IpAddr, SocketAddr};

use axum::extract::ConnectInfo;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use kgrca_core::tenancy::Network;

/// The client certificate of a connection, in the extensions of its requests.
#[derive(Clone, Debug)]
pub struct PeerCertificate {
    /// SHA-256 of the certificate, in hexadecimal.
    pub sha256: String,
}

/// The address of a request's sender; `None` where the listener does not know it.
pub fn of(request: &Parts, trusted: &[Network]) -> Option<IpAddr> {
    let ConnectInfo(peer) = request.extensions.get::<ConnectInfo<SocketAddr>>()?;
    Some(behind_proxies(peer.ip(), &request.headers, trusted))
}

/// Each proxy appends the address that connected to it, so the list is read from its end: the first
/// address that is not a trusted proxy's is the client's. What stands before it may be forged.
fn behind_proxies(peer: IpAddr, headers: &HeaderMap, trusted: &[Network]) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
    let peer = peer.to_canonical();
    if !is_trusted(peer) {
        return peer;
    }
    let mut nearest = peer;
    let lists: Vec<&str> = headers
        .get_all("x-forwarded-for")
        .iter()
        .map(|list| list.to_str().unwrap_or_default())
        .collect();
    for text in lists.iter().rev().flat_map(|list| list.rsplit(',')) {
        let Ok(address) = text.trim().parse::<IpAddr>() else {
            return nearest;
        };
        nearest = address.to_canonical();
        if !is_trusted(nearest) {
            return nearest;
        }
    }
    nearest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, lists: &[&str]) -> String {
        let trusted = ["10.0.0.0/8", "192.0.2.1"].map(|n| Network::parse(n).unwrap());
        let mut headers = HeaderMap::new();
        for list in lists {
            headers.append("x-forwarded-for", list.parse().unwrap());
        }
        behind_proxies(peer.parse().unwrap(), &headers, &trusted).to_string()
    }

    #[test]
    fn only_trusted_proxies_say_who_is_behind_them() {
        assert_eq!(client("203.0.113.5", &["198.51.100.1"]), "203.0.113.5");
        assert_eq!(client("10.0.0.1", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(client("::ffff:10.0.0.1", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(client("10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn what_a_client_writes_itself_is_ignored() {
        let forged = "10.9.9.9, 127.0.0.1, 198.51.100.1";
        assert_eq!(client("10.0.0.1", &[forged]), "198.51.100.1");
        assert_eq!(
            client("10.0.0.1", &["127.0.0.1", "198.51.100.1, 192.0.2.1"]),
            "198.51.100.1"
        );
        assert_eq!(
            client("10.0.0.1", &["127.0.0.1, nonsense, 10.0.0.2"]),
            "10.0.0.2"
        );
    }
}
