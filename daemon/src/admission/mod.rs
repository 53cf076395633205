//! Which connections are let in: so many from one address, so many in all, of which a part is kept
//! for addresses that sent a valid key lately. Those of trusted proxies count only in all: many
//! clients are behind one. A connection that is refused gets an answer that
//! says so, while there is room for that, and otherwise none.

mod framing;
mod local;
mod strict;

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum_server::Server;
use axum_server::accept::Accept;
use hyper_util::rt::TokioTimer;
use kgrca_core::tenancy::Network;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};
use tokio_io_timeout::TimeoutStream;
use tower_service::Service;

use crate::budget::{Budget, Kept, Share};
use crate::source::{Known, source};
pub use local::is_local;
pub use strict::Strict;

/// A client that takes nothing of an answer for so long is gone.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a connection may take for its first head, with the handshake of TLS. Those of proxies
/// may wait for a client.
const FIRST_HEAD: Duration = Duration::from_secs(5);
/// How long a connection may take for the head of a request; between two requests it may be idle
/// for as long.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Most bytes of a request's head.
const MAX_HEAD: usize = 64 << 10;
/// Which part of all connections is kept: for addresses that sent a valid key lately, or for those
/// that have no other connection.
const KEPT: usize = 4;
/// Connections beyond the limits that are answered, and not only closed.
const REFUSALS_PER_ADDRESS: usize = 16;
const REFUSALS: usize = 256;

/// Bounds the heads of requests, in time and size.
pub fn bound_heads(server: &mut Server<SocketAddr>) {
    let mut http1 = server.http_builder().http1();
    http1.timer(TokioTimer::new());
    http1.header_read_timeout(HEAD_TIMEOUT);
    http1.max_buf_size(MAX_HEAD);
}

/// Admits connections.
#[derive(Clone, Debug)]
pub struct Admission {
    connections: Budget<SocketAddr>,
    /// Those of addresses that sent no valid key lately.
    strangers: Budget<()>,
    refusals: Budget<SocketAddr>,
    proxies: Arc<[Network]>,
    known: Option<Arc<dyn Known>>,
}

impl Admission {
    /// So many connections of one address, and so many in all.
    #[cfg(feature = "server")]
    pub fn new(per_address: usize, total: usize) -> Self {
        Self::keeping(per_address, total, &[])
    }

    /// The same with a part for addresses that have one connection, such as that of a probe.
    pub fn leaving_room(per_address: usize, total: usize) -> Self {
        let amount = total / KEPT;
        Self::keeping(per_address, total, &[Kept { amount, each: 1 }])
    }

    fn keeping(per_address: usize, total: usize, kept: &[Kept]) -> Self {
        Self {
            connections: Budget::keeping(per_address, total, kept),
            strangers: Budget::new(total, total),
            refusals: Budget::new(REFUSALS_PER_ADDRESS, REFUSALS),
            proxies: Arc::default(),
            known: None,
        }
    }

    /// Keeps a part of the connections for known sources.
    #[must_use]
    #[cfg(feature = "server")]
    pub fn keeping_room_for(mut self, known: Arc<dyn Known>) -> Self {
        let total = self.strangers.total();
        let others = total - total / KEPT;
        self.strangers = Budget::new(others, others);
        self.known = Some(known);
        self
    }

    /// Trusts proxies in these networks.
    #[must_use]
    #[cfg(feature = "server")]
    pub fn behind(mut self, proxies: &[Network]) -> Self {
        self.proxies = proxies.into();
        self
    }

    fn is_proxy(&self, peer: IpAddr) -> bool {
        let address = peer.to_canonical();
        self.proxies.iter().any(|n| n.contains(address))
    }

    /// What a connection counts as: all of one source are the same, each of a proxy is another.
    fn counted_as(&self, peer: SocketAddr) -> SocketAddr {
        if self.is_proxy(peer.ip()) {
            return SocketAddr::new(peer.ip().to_canonical(), peer.port());
        }
        SocketAddr::new(source(peer.ip()), 0)
    }

    /// Takes a place for a connection; `None` when there is none.
    fn place(&self, peer: SocketAddr) -> Option<Place> {
        let address = self.counted_as(peer);
        let is_known = self.is_proxy(peer.ip())
            || self
                .known
                .as_ref()
                .is_some_and(|known| known.has(address.ip()));
        Some(Place {
            _connection: self.connections.take(address, 1).ok()?,
            _stranger: if is_known {
                None
            } else {
                Some(self.strangers.take((), 1).ok()?)
            },
        })
    }

    /// The same for one that is only answered that there is none.
    fn place_for_refusal(&self, peer: SocketAddr) -> io::Result<Place> {
        metrics::counter!("kg_connections_refused_total").increment(1);
        let refusal = self.refusals.take(self.counted_as(peer), 1);
        Ok(Place {
            _connection: refusal.map_err(|_| io::Error::other("too many"))?,
            _stranger: None,
        })
    }

    fn admit<S>(&self, stream: TcpStream, service: S) -> io::Result<(Admitted, Refusing<S>)> {
        let peer = stream.peer_addr()?;
        let (place, is_refused) = match self.place(peer) {
            Some(place) => (place, false),
            None => (self.place_for_refusal(peer)?, true),
        };
        // Small answers must not wait for more of their packet.
        stream.set_nodelay(true)?;
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(WRITE_TIMEOUT));
        let admitted = Admitted {
            stream: Box::pin(stream),
            first_head: (!self.is_proxy(peer.ip())).then(|| Box::pin(sleep(FIRST_HEAD))),
            has_head: Arc::default(),
            _place: place,
        };
        let service = Refusing {
            service,
            is_refused,
            has_head: Arc::clone(&admitted.has_head),
        };
        Ok((admitted, service))
    }
}

impl<S> Accept<TcpStream, S> for Admission {
    type Stream = Admitted;
    type Service = Refusing<S>;
    type Future = std::future::Ready<io::Result<(Admitted, Refusing<S>)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        std::future::ready(self.admit(stream, service))
    }
}

/// An admitted connection, which counts until it is closed.
#[derive(Debug)]
pub struct Admitted {
    stream: Pin<Box<TimeoutStream<TcpStream>>>,
    /// Until when the first head must have arrived.
    first_head: Option<Pin<Box<Sleep>>>,
    has_head: Arc<AtomicBool>,
    _place: Place,
}

/// What a connection counts as until it is closed.
#[derive(Debug)]
struct Place {
    _connection: Share<SocketAddr>,
    _stranger: Option<Share<()>>,
}

impl Admitted {
    /// Whether the first head takes too long.
    fn is_late(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(deadline) = &mut self.first_head else {
            return false;
        };
        if self.has_head.load(Ordering::Relaxed) {
            self.first_head = None;
            return false;
        }
        deadline.as_mut().poll(cx).is_ready()
    }
}

impl AsyncRead for Admitted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.is_late(cx) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        self.stream.as_mut().poll_read(cx, buf)
    }
}

impl AsyncWrite for Admitted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.stream.as_mut().poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream.as_mut().poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// The service of one connection, which answers 503 on connections beyond the limits.
#[derive(Clone, Debug)]
pub struct Refusing<S> {
    service: S,
    is_refused: bool,
    has_head: Arc<AtomicBool>,
}

type Answer = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

impl<B, S> Service<Request<B>> for Refusing<S>
where
    S: Service<Request<B>, Response = Response, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Answer {
        self.has_head.store(true, Ordering::Relaxed);
        if self.is_refused {
            let headers = [(header::RETRY_AFTER, "5"), (header::CONNECTION, "close")];
            let text = "too many connections; retry in 5 s\n";
            let refusal = (StatusCode::SERVICE_UNAVAILABLE, headers, text).into_response();
            return Box::pin(std::future::ready(Ok(refusal)));
        }
        Box::pin(self.service.call(request))
    }
}

#[cfg(feature = "server")]
#[cfg(test)]
mod tests {
    use super::*;
    use crate::usecases::known_sources::KnownSources;

    fn peer(address: &str) -> SocketAddr {
        SocketAddr::new(address.parse().unwrap(), 5)
    }

    #[test]
    fn strangers_leave_room_for_those_who_sent_a_valid_key() {
        let known = Arc::new(KnownSources::default());
        let admission = Admission::new(2, 8).keeping_room_for(known.clone());
        let mut places = Vec::new();
        for i in 0..20 {
            places.extend(admission.place(peer(&format!("192.0.2.{i}"))));
        }
        assert_eq!(places.len(), 6, "two are kept");
        assert!(admission.place(peer("2001:db8::1")).is_none());
        known.note(peer("2001:db8::1").ip());
        places.extend(admission.place(peer("2001:db8::1")));
        places.extend(admission.place(peer("2001:db8::2")));
        assert_eq!(places.len(), 8);
        drop(places);
        let first = admission.place(peer("192.0.2.1"));
        assert!(first.is_some(), "what ended is given back");
    }

    #[test]
    fn addresses_with_many_connections_leave_room_for_those_with_one() {
        let admission = Admission::leaving_room(8, 32);
        let mut places = Vec::new();
        for address in ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"] {
            places.extend((0..8).filter_map(|_| admission.place(peer(address))));
        }
        assert_eq!(places.len(), 28);
        let probe = admission.place(peer("192.0.2.9"));
        assert!(probe.is_some(), "a probe gets in");
        assert!(admission.place(peer("192.0.2.9")).is_none(), "once");
    }

    #[test]
    fn addresses_of_one_network_of_ipv6_are_one_client() {
        let admission = Admission::new(2, 100);
        let places: Vec<_> = (0..10)
            .filter_map(|i| admission.place(peer(&format!("2001:db8::{i}"))))
            .collect();
        assert_eq!(places.len(), 2);
        assert!(admission.place(peer("2001:db8:0:1::1")).is_some());
    }

    #[test]
    fn each_connection_of_a_proxy_is_another() {
        let proxies = [Network::parse("192.0.2.0/24").unwrap()];
        let known = Arc::new(KnownSources::default());
        let admission = Admission::new(1, 4).keeping_room_for(known.clone());
        let admission = admission.behind(&proxies);
        let place = |port: u16| {
            let peer = SocketAddr::new("192.0.2.1".parse().unwrap(), port);
            admission.place(peer)
        };
        let places: Vec<_> = (1..10).filter_map(place).collect();
        assert_eq!(places.len(), 4);
    }
}
