//! Connections whose requests can be read in one way only.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum_server::accept::Accept;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tower_service::Service;

use super::Answer;
use super::framing::{Ambiguity, Framing};

/// Accepts connections, decrypted where they are, and refuses ambiguous requests on them.
#[derive(Clone, Debug)]
pub struct Strict<A>(pub A);

type Accepted<I, T> = io::Result<(Framed<I>, Unambiguous<T>)>;

impl<A, S, I, T> Accept<TcpStream, S> for Strict<A>
where
    A: Accept<TcpStream, S, Stream = I, Service = T>,
    A::Future: Send + 'static,
{
    type Stream = Framed<I>;
    type Service = Unambiguous<T>;
    type Future = Pin<Box<dyn Future<Output = Accepted<I, T>> + Send>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let accepted = self.0.accept(stream, service);
        Box::pin(async move {
            let (stream, service) = accepted.await?;
            let ambiguity = Arc::new(OnceLock::new());
            let service = Unambiguous {
                service,
                ambiguity: Arc::clone(&ambiguity),
            };
            let framing = Framing::new();
            let framed = Framed {
                stream,
                framing,
                ambiguity,
            };
            Ok((framed, service))
        })
    }
}

/// A connection whose requests are followed.
#[derive(Debug)]
pub struct Framed<I> {
    stream: I,
    framing: Framing,
    ambiguity: Arc<OnceLock<Ambiguity>>,
}

impl<I: AsyncRead + Unpin> AsyncRead for Framed<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        let arrived = &buf.filled()[before..];
        if self.ambiguity.get().is_none()
            && let Err(ambiguity) = self.framing.read(arrived)
        {
            // Set once: the connection ends with the answer.
            let _ = self.ambiguity.set(ambiguity);
        }
        read
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Framed<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// The service of one connection, which answers 400 and closes it once a request is ambiguous.
#[derive(Clone, Debug)]
pub struct Unambiguous<S> {
    service: S,
    ambiguity: Arc<OnceLock<Ambiguity>>,
}

impl<B, S> Service<Request<B>> for Unambiguous<S>
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
        let Some(ambiguity) = self.ambiguity.get() else {
            return Box::pin(self.service.call(request));
        };
        let headers = [(header::CONNECTION, "close")];
        let text = format!("ambiguous request: {ambiguity}\n");
        let refusal = (StatusCode::BAD_REQUEST, headers, text).into_response();
        Box::pin(std::future::ready(Ok(refusal)))
    }
}
