//! Listeners of the API and of metrics.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::certificate::TlsAdmission;
use crate::admission::{self, Admission, Strict};
use crate::error::Failure;
use crate::tls::TlsFiles;

pub(super) async fn bind(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|e| {
        Failure::new(
            format!("{address}: {e}"),
            "choose another address with --listen or --metrics-listen",
        )
    })
}

/// How long requests in flight may take when the daemon stops.
const DRAIN: Duration = Duration::from_secs(15);
/// What a listener serves, to whom.
pub(super) struct Serve {
    /// Named when the listener fails.
    pub what: &'static str,
    pub listener: TcpListener,
    pub admission: Admission,
    pub router: Router,
    /// Certificates, which are reloaded when their files change; without them it is plain HTTP.
    pub tls: Option<TlsFiles>,
}

impl Serve {
    /// Serves HTTP/1.1 until `stopped`.
    pub(super) fn until(
        self,
        stopped: impl Future<Output = ()> + Send + 'static,
    ) -> Result<JoinHandle<()>, Failure> {
        let unusable = |e: std::io::Error| Failure::new(e.to_string(), "check --listen");
        let listener = self.listener.into_std().map_err(unusable)?;
        let mut server = axum_server::from_tcp(listener).map_err(unusable)?;
        admission::bound_heads(&mut server);
        let handle = axum_server::Handle::new();
        let server = server.handle(handle.clone());
        let what = self.what;
        let router = self
            .router
            .into_make_service_with_connect_info::<SocketAddr>();
        let stop = async move {
            stopped.await;
            handle.graceful_shutdown(Some(DRAIN));
        };
        let Some(files) = self.tls else {
            // Without ALPN nothing says that a client may begin with HTTP/2.
            let server = server.acceptor(Strict(self.admission)).http1_only();
            return Ok(tokio::spawn(async move {
                let drain = tokio::spawn(stop);
                log_end(what, server.serve(router).await);
                drain.abort();
            }));
        };
        let config = RustlsConfig::from_config(files.load()?);
        let acceptor = RustlsAcceptor::new(config.clone()).acceptor(self.admission);
        let server = server.acceptor(Strict(TlsAdmission(acceptor))).http1_only();
        Ok(tokio::spawn(async move {
            let reloader = tokio::spawn(files.watch(config));
            let drain = tokio::spawn(stop);
            log_end(what, server.serve(router).await);
            reloader.abort();
            drain.abort();
        }))
    }
}

/// Reports a listener that ended with an error.
fn log_end(what: &str, end: std::io::Result<()>) {
    if let Err(e) = end {
        tracing::error!(error = %e, what, "a listener failed");
    }
}
