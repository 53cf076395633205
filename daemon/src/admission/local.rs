//! Callers on the same machine.

use std::net::{IpAddr, SocketAddr};

use axum::extract::ConnectInfo;
use axum::http::header::HOST;
use axum::http::request::Parts;

/// What proxies add.
const PROXY_HEADERS: [&str; 4] = ["x-forwarded-for", "x-real-ip", "forwarded", "via"];

/// Whether a request comes from the same machine, and not through a proxy on it.
pub fn is_local(request: &Parts) -> bool {
    let peer = request.extensions.get::<ConnectInfo<SocketAddr>>();
    let is_loopback = |address: IpAddr| address.to_canonical().is_loopback();
    let shows_proxy = PROXY_HEADERS
        .iter()
        .any(|name| request.headers.contains_key(*name));
    let host = request
        .headers
        .get(HOST)
        .and_then(|host| host.to_str().ok());
    let names_loopback = host.is_some_and(|host| {
        let socket = host.parse::<SocketAddr>().ok().map(|socket| socket.ip());
        let address = socket.or_else(|| host.parse().ok());
        address.is_some_and(is_loopback) || host.split(':').next() == Some("localhost")
    });
    peer.is_some_and(|ConnectInfo(peer)| is_loopback(peer.ip())) && names_loopback && !shows_proxy
}
