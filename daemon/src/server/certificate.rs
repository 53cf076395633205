//! Which client certificate a connection has, so that keys can be bound to one.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::extract::Request;
use axum_server::accept::Accept;
use axum_server::tls_rustls::RustlsAcceptor;
use kgrca_core::tenancy::hex;
use sha2::{Digest, Sha256};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tower_service::Service;

use crate::admission::{Admission, Admitted, Refusing};
use crate::http::PeerCertificate;

/// Accepts TLS connections and adds the client's certificate to each of their requests.
#[derive(Clone)]
pub(super) struct TlsAdmission(pub RustlsAcceptor<Admission>);

type Accepted<S> = (TlsStream<Admitted>, Identified<Refusing<S>>);

impl<S: Send + 'static> Accept<TcpStream, S> for TlsAdmission {
    type Stream = TlsStream<Admitted>;
    type Service = Identified<Refusing<S>>;
    type Future = Pin<Box<dyn Future<Output = io::Result<Accepted<S>>> + Send>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let handshake = self.0.accept(stream, service);
        Box::pin(async move {
            let (stream, service) = handshake.await?;
            let chain = stream.get_ref().1.peer_certificates();
            let certificate = chain.and_then(|chain| chain.first());
            let peer = certificate.map(|certificate| PeerCertificate {
                sha256: hex(&Sha256::digest(certificate)),
            });
            Ok((stream, Identified { service, peer }))
        })
    }
}

/// The service of one connection, whose requests carry the client's certificate.
#[derive(Clone, Debug)]
pub(super) struct Identified<S> {
    service: S,
    peer: Option<PeerCertificate>,
}

impl<B, S: Service<Request<B>>> Service<Request<B>> for Identified<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        if let Some(peer) = &self.peer {
            request.extensions_mut().insert(peer.clone());
        }
        self.service.call(request)
    }
}
