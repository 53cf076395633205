//! Process-wide set-up shared by the server and the agent: logging, the metrics recorder and stop
//! signals.

use clap::ValueEnum;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use crate::error::Failure;

/// Format of the lines on standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Plain text, for a terminal.
    Text,
    /// One JSON object per line, for log collectors.
    Json,
}

/// Waits for SIGINT or SIGTERM.
pub async fn stop_signal() {
    let interrupted = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        let terminated = async {
            match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
                Ok(mut signal) => {
                    signal.recv().await;
                }
                Err(_) => std::future::pending().await,
            }
        };
        tokio::select! { _ = interrupted => {}, () = terminated => {} }
    }
    #[cfg(not(unix))]
    {
        let _ = interrupted.await;
    }
}

/// Installs the log subscriber (filtered by `KGRCA_LOG`) and the metrics recorder. Returns the
/// handle that renders `/metrics`.
pub fn install(format: LogFormat) -> Result<PrometheusHandle, Failure> {
    let filter = tracing_subscriber::EnvFilter::try_from_env("KGRCA_LOG")
        .unwrap_or_else(|_| "info,sqlx=warn".into());
    // When standard error cannot be written, for instance because its disk is full, reporting that
    // on standard error would panic.
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .log_internal_errors(false);
    // Tests start several daemons in one process: the first subscriber stays.
    let _ = match format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    let seconds = [
        0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0,
    ];
    let shares = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99];
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &seconds)
        .map_err(Failure::bug)?
        .set_buckets_for_metric(Matcher::Suffix("_score".into()), &shares)
        .map_err(Failure::bug)?
        .build_recorder();
    let handle = recorder.handle();
    // As above: the first recorder stays.
    let _ = metrics::set_global_recorder(recorder);
    Ok(handle)
}
