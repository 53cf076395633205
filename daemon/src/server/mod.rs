//! Start and stop of a daemon: check everything, serve; then stop accepting, finish what runs,
//! commit, and leave the fleet.

mod certificate;
mod listener;
mod operator_key;
mod prepare;
pub mod simulated;
mod tasks;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::admission::Admission;
use crate::checks;
use crate::config::{Role, Settings};
use crate::error::{Failure, FailureKind};
use crate::http;
use crate::runtime;
use crate::storage;
use crate::telemetry;
use crate::tls::TlsFiles;
use crate::usecases::{App, audit_anchor};
use crate::workers::Fleet;
use listener::Serve;

/// Connections to the listener of metrics.
const MAX_SCRAPERS: usize = 32;
/// How long requests and tasks get to finish when the daemon stops, and after them the workers.
/// Charts kill it after 60 s.
const STOP_WITHIN: Duration = Duration::from_secs(20);

/// A running daemon.
pub struct Running {
    app: Arc<App>,
    /// Address of the API.
    pub api: SocketAddr,
    /// Address of the metrics.
    pub metrics: SocketAddr,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

/// Checks everything, then serves.
///
/// # Errors
/// Says which check failed and what to do next.
pub async fn start(settings: Settings) -> Result<Running, Failure> {
    // Fails when another daemon in this process installed it already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let handle = runtime::install(settings.log_format)?;
    prepare::check_encrypted(&settings)?;
    checked("private files", prepare::private_files(&settings))?;
    let stores = checked("stores", Box::pin(storage::open(&settings)).await)?;
    for check in checks::of_stores(&stores).await {
        let result = if check.ok {
            Ok(check.found)
        } else {
            let failure = Failure::of(FailureKind::Unavailable, check.found);
            Err(match check.hint {
                Some(hint) => failure.hint(hint),
                None => failure,
            })
        };
        checked(&check.what, result)?;
    }
    let listener = checked("api listener", listener::bind(settings.listen).await)?;
    let metrics_listener = checked(
        "metrics listener",
        listener::bind(settings.metrics_listen).await,
    )?;
    let owner = storage::owner(&settings.data)?;
    let tick = Duration::from_secs(settings.tick_seconds);
    let snapshots = settings.data.join("snapshots");
    let fleet = Arc::new(Fleet::new(
        stores.clone(),
        settings.has(Role::Worker),
        tick,
        owner,
        snapshots,
    ));
    let app = Arc::new(App::new(settings, stores, fleet));
    checked("audit anchor", audit_anchor::start(&app).await)?;
    // Last, when nothing else can refuse the start: another key revokes the one before for good.
    checked(
        "operator key",
        operator_key::prepare(&app.stores, &app.settings).await,
    )?;
    telemetry::Accuracy {
        ranks: app.stores.meta.feedback().await?,
    }
    .emit();
    Box::pin(serve(app, listener, metrics_listener, handle)).await
}

async fn serve(
    app: Arc<App>,
    listener: TcpListener,
    metrics_listener: TcpListener,
    handle: metrics_exporter_prometheus::PrometheusHandle,
) -> Result<Running, Failure> {
    let address = |l: &TcpListener| {
        l.local_addr()
            .map_err(|e| Failure::new(e.to_string(), "check --listen"))
    };
    let (api, metrics) = (address(&listener)?, address(&metrics_listener)?);
    let (stop, stopped) = watch::channel(false);
    let mut me = prepare::me(&app.settings, app.fleet.owner(), api);
    prepare::check_alone(&app, &me).await?;
    prepare::preload(&app).await?;
    app.fleet.share(&mut me).await?;
    let until = |mut stopped: watch::Receiver<bool>| async move {
        // The sender lives as long as the daemon.
        let _ = stopped.changed().await;
    };
    let mut running = Vec::new();
    let router = http::router(Arc::clone(&app));
    if app.settings.has(Role::Api) {
        let api = Serve {
            what: "api",
            listener,
            admission: Admission::new(
                app.settings.max_connections_per_address as usize,
                app.settings.max_connections as usize,
            )
            .behind(&app.settings.trusted_proxies)
            .keeping_room_for(Arc::clone(&app.known_sources) as _),
            router,
            tls: TlsFiles::of(&app.settings),
        };
        running.push(api.until(until(stopped.clone()))?);
    }
    let metrics_listener = Serve {
        what: "metrics",
        listener: metrics_listener,
        admission: Admission::new(MAX_SCRAPERS, MAX_SCRAPERS),
        router: http::metrics_router(&app, handle),
        tls: metrics_tls(&app.settings, metrics),
    };
    running.push(metrics_listener.until(until(stopped.clone()))?);
    running.extend(tasks::start(&app, me, &stopped));
    telemetry::Serving { api, metrics }.emit();
    if let Some(file) = &app.settings.ready_file {
        let scheme = |tls: Option<TlsFiles>| if tls.is_some() { "https" } else { "http" };
        let text = format!(
            "api={}://{api}\nmetrics={}://{metrics}\npid={}\n",
            scheme(TlsFiles::of(&app.settings)),
            scheme(metrics_tls(&app.settings, metrics)),
            std::process::id()
        );
        std::fs::write(file, text).map_err(|e| {
            Failure::new(
                format!("{}: {e}", file.display()),
                "choose another --ready-file",
            )
        })?;
    }
    Ok(Running {
        app,
        api,
        metrics,
        stop,
        tasks: running,
    })
}

/// Metrics that leave the machine are encrypted like the API. Prometheus and probes have no client
/// certificates.
fn metrics_tls(settings: &Settings, listener: SocketAddr) -> Option<TlsFiles> {
    TlsFiles::of(settings)
        .filter(|_| !listener.ip().is_loopback())
        .map(TlsFiles::without_client_ca)
}

/// Applies the migrations of the metadata store. Returns how many there were.
///
/// # Errors
/// When the server is unavailable, or a migration fails.
pub async fn migrate(settings: &Settings) -> Result<usize, Failure> {
    storage::migrate(settings).await
}

/// One line of the start-up checklist.
fn checked<T>(what: &str, result: Result<T, Failure>) -> Result<T, Failure> {
    match &result {
        Ok(_) => tracing::info!("✔ {what}"),
        Err(e) => tracing::error!("✖ {what}: {e}"),
    }
    result
}

impl Running {
    /// Serves until the process receives a stop signal, then stops in order.
    pub async fn until_stopped(self) {
        runtime::stop_signal().await;
        tracing::info!("stopping: finishing requests and batches under way");
        self.stop().await;
    }

    /// Stops: requests in flight end, jobs are handed back, usage is written, workers commit.
    pub async fn stop(self) {
        // Every receiver belongs to one of the tasks.
        let _ = self.stop.send(true);
        let until = tokio::time::Instant::now() + STOP_WITHIN;
        for task in self.tasks {
            if tokio::time::timeout_at(until, task).await.is_err() {
                tracing::warn!("a task did not stop within 20 s");
            }
        }
        let workers = self.app.fleet.shut_down();
        if tokio::time::timeout(STOP_WITHIN, workers).await.is_err() {
            // Their records are durable, and their leases expire.
            tracing::warn!("a worker did not stop within 20 s");
        }
    }
}
