//! What every process of ours needs: a clock, chance, a log with metrics, and word that it should
//! stop.

use clap::ValueEnum;
use kgrca_core::model::Time;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use rand::RngExt;

use crate::error::Failure;

/// How the daemon logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// A JSON object per line.
    Json,
}

/// The one place where the daemon reads the clock for data.
pub fn now() -> Time {
    Time(jiff::Timestamp::now().as_microsecond())
}

/// Random characters of an alphabet of at least two.
pub fn random(alphabet: &[u8], len: usize) -> String {
    let mut rng = rand::rng();
    (0..len)
        .map(|_| char::from(alphabet[rng.random_range(0..alphabet.len())]))
        .collect()
}

/// Waits until the process is told to stop.
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

/// Sets logging and metrics up. Returns the handle that renders metrics.
pub fn install(format: LogFormat) -> Result<PrometheusHandle, Failure> {
    let filter = tracing_subscriber::EnvFilter::try_from_env("KGRCA_LOG")
        .unwrap_or_else(|_| "info,sqlx=warn".into());
    // Where the log cannot be written, because its disk is full, there is nowhere to say so: trying
    // would panic.
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .log_internal_errors(false);
    // A second daemon in one process (tests) keeps the first one's subscriber.
    let _ = match format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    let seconds = [
        0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0,
    ];
    let shares = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99];
    let failed = |e: metrics_exporter_prometheus::BuildError| {
        Failure::new(e.to_string(), "this is a defect; report it")
    };
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &seconds)
        .map_err(failed)?
        .set_buckets_for_metric(Matcher::Suffix("_score".into()), &shares)
        .map_err(failed)?
        .build_recorder();
    let handle = recorder.handle();
    // As above: the first recorder of a process stays.
    let _ = metrics::set_global_recorder(recorder);
    Ok(handle)
}
