//! Which connections are let in: so many from one address, so many in all. Those of trusted proxies
//! count only in all: many clients are behind one. A connection that is refused gets an answer that
//! says so, while there is room for that, and otherwise none.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum_server::accept::Accept;
use kgrca_core::tenancy::Network;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_io_timeout::TimeoutStream;
use tower_service::Service;

use crate::budget::{Budget, Share};

/// A client that takes nothing of an answer for so long is gone.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// Connections beyond the limits that are answered, and not only closed.
const REFUSALS_PER_ADDRESS: usize = 16;
const REFUSALS: usize = 256;

/// Admits connections.
#[derive(Clone, Debug)]
pub(super) struct Admission {
    connections: Budget<SocketAddr>,
    refusals: Budget<SocketAddr>,
    proxies: Arc<[Network]>,
}

impl Admission {
    pub(super) fn new(per_address: usize, total: usize) -> Self {
        Self {
            connections: Budget::new(per_address, total),
            refusals: Budget::new(REFUSALS_PER_ADDRESS, REFUSALS),
            proxies: Arc::default(),
        }
    }

    /// Trusts proxies in these networks.
    pub(super) fn behind(mut self, proxies: &[Network]) -> Self {
        self.proxies = proxies.into();
        self
    }

    /// What a connection counts as: all of one address are the same, each of a proxy is another.
    fn counted_as(&self, peer: SocketAddr) -> SocketAddr {
        let address = peer.ip().to_canonical();
        let is_proxy = self.proxies.iter().any(|n| n.contains(address));
        SocketAddr::new(address, if is_proxy { peer.port() } else { 0 })
    }

    fn admit<S>(&self, stream: TcpStream, service: S) -> io::Result<(Admitted, Refusing<S>)> {
        let address = self.counted_as(stream.peer_addr()?);
        let (share, is_refused) = if let Ok(share) = self.connections.take(address, 1) {
            (share, false)
        } else {
            metrics::counter!("kg_connections_refused_total").increment(1);
            let refusal = self.refusals.take(address, 1);
            (refusal.map_err(|_| io::Error::other("too many"))?, true)
        };
        // Small answers must not wait for more of their packet.
        stream.set_nodelay(true)?;
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(WRITE_TIMEOUT));
        let admitted = Admitted {
            stream: Box::pin(stream),
            _share: share,
        };
        let service = Refusing {
            service,
            is_refused,
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
pub(super) struct Admitted {
    stream: Pin<Box<TimeoutStream<TcpStream>>>,
    _share: Share<SocketAddr>,
}

impl AsyncRead for Admitted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
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
pub(super) struct Refusing<S> {
    service: S,
    is_refused: bool,
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
        if self.is_refused {
            let headers = [(header::RETRY_AFTER, "5"), (header::CONNECTION, "close")];
            let text = "too many connections; retry in 5 s\n";
            let refusal = (StatusCode::SERVICE_UNAVAILABLE, headers, text).into_response();
            return Box::pin(std::future::ready(Ok(refusal)));
        }
        Box::pin(self.service.call(request))
    }
}
