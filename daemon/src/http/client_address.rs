//! The address of whoever sent a request. Behind proxies it is in `X-Forwarded-For`, which is
//! believed as far as trusted proxies wrote it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use kgrca_core::tenancy::Network;

use super::error::ApiError;
use super::held;
use crate::source::source;
use crate::usecases::App;

/// The client certificate of a connection, in the extensions of its requests.
#[derive(Clone, Debug)]
pub struct PeerCertificate {
    /// SHA-256 of the certificate, in hexadecimal.
    pub sha256: String,
}

/// The address of a request's sender; `None` where it is not known.
pub fn of(request: &Parts, trusted: &[Network]) -> Option<IpAddr> {
    let ConnectInfo(peer) = request.extensions.get::<ConnectInfo<SocketAddr>>()?;
    behind_proxies(peer.ip(), &request.headers, trusted)
}

/// Counts the requests of each client that come through trusted proxies.
pub async fn count(
    State(app): State<Arc<App>>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let client = through_proxy(&parts, &app.settings.trusted_proxies);
    let request = Request::from_parts(parts, body);
    let Some(client) = client else {
        return Ok(next.run(request).await);
    };
    let share = app.budgets.enter_from(source(client))?;
    Ok(held::until_sent(next.run(request).await, share))
}

/// The client of a request that a trusted proxy passed on; the proxy itself when it does not name
/// one.
fn through_proxy(request: &Parts, trusted: &[Network]) -> Option<IpAddr> {
    let ConnectInfo(peer) = request.extensions.get::<ConnectInfo<SocketAddr>>()?;
    let proxy = peer.ip().to_canonical();
    let is_trusted = trusted.iter().any(|network| network.contains(proxy));
    is_trusted.then(|| behind_proxies(proxy, &request.headers, trusted).unwrap_or(proxy))
}

/// Each proxy appends the address that connected to it, so the list is read from its end: the first
/// address that is not a trusted proxy's is the client's. What stands before it may be forged. Behind
/// an element that is not an address the client is unknown: the proxy's address is not taken for it.
fn behind_proxies(peer: IpAddr, headers: &HeaderMap, trusted: &[Network]) -> Option<IpAddr> {
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
    let mut nearest = peer.to_canonical();
    let lists: Vec<&[u8]> = headers
        .get_all("x-forwarded-for")
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    for element in lists
        .iter()
        .rev()
        .flat_map(|list| list.rsplit(|b| *b == b','))
    {
        if !is_trusted(nearest) {
            break;
        }
        nearest = address(element)?.to_canonical();
    }
    Some(nearest)
}

/// An address, with or without a port.
fn address(element: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(element).ok()?.trim();
    let with_port = || text.parse::<SocketAddr>().ok().map(|socket| socket.ip());
    text.parse().ok().or_else(with_port)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, lists: &[&str]) -> String {
        let trusted = ["10.0.0.0/8", "192.0.2.1"].map(|n| Network::parse(n).unwrap());
        let mut headers = HeaderMap::new();
        for list in lists {
            let value = HeaderValue::from_bytes(list.as_bytes()).unwrap();
            headers.append("x-forwarded-for", value);
        }
        let client = behind_proxies(peer.parse().unwrap(), &headers, &trusted);
        client
            .map(|address| address.to_string())
            .unwrap_or_default()
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
        for hidden in ["127.0.0.1, nonsense, 10.0.0.2", "é", "", "unknown"] {
            assert_eq!(client("10.0.0.1", &[hidden]), "", "{hidden}");
        }
        assert_eq!(client("10.0.0.1", &["é, 203.0.113.5"]), "203.0.113.5");
        assert_eq!(client("10.0.0.1", &["198.51.100.1:5678"]), "198.51.100.1");
        assert_eq!(client("10.0.0.1", &["[2001:db8::1]:443"]), "2001:db8::1");
    }
}
