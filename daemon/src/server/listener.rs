//! Listeners of the API and of metrics.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum_server::tls_rustls::RustlsConfig;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

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

/// Serves HTTPS until `stopped`; certificates are reloaded when their files change.
pub(super) fn serve_tls(
    files: TlsFiles,
    listener: TcpListener,
    router: Router,
    stopped: impl Future<Output = ()> + Send + 'static,
) -> Result<JoinHandle<()>, Failure> {
    let config = RustlsConfig::from_config(files.load()?);
    let handle = axum_server::Handle::new();
    let unusable = |e: std::io::Error| Failure::new(e.to_string(), "check --listen");
    let server =
        axum_server::from_tcp_rustls(listener.into_std().map_err(unusable)?, config.clone())
            .map_err(unusable)?;
    let server = server
        .handle(handle.clone())
        .serve(router.into_make_service());
    Ok(tokio::spawn(async move {
        let reloader = tokio::spawn(files.watch(config));
        let drain = tokio::spawn(async move {
            stopped.await;
            handle.graceful_shutdown(Some(DRAIN));
        });
        log_end("api", server.await);
        reloader.abort();
        drain.abort();
    }))
}

/// Reports a listener that ended with an error.
pub(super) fn log_end(what: &str, end: std::io::Result<()>) {
    if let Err(e) = end {
        tracing::error!(error = %e, what, "a listener failed");
    }
}
