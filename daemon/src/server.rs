//! Starting and stopping: a checklist first, then serving; stop accepting, finish, commit, leave.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use axum_server::tls_rustls::RustlsConfig;
use clap::ValueEnum;
use kgrca_core::storage::DaemonRow;
use kgrca_core::tenancy::{Scope, TenantId};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::api_key;
use crate::checks;
use crate::clock::now;
use crate::config::{Role, Settings};
use crate::error::{Failure, FailureKind};
use crate::http;
use crate::runtime;
use crate::secret::write_private;
use crate::storage::{self, Stores};
use crate::telemetry;
use crate::tls::TlsFiles;
use crate::usecases::App;
use crate::workers::Fleet;

/// A daemon that serves.
pub struct Running {
    app: Arc<App>,
    /// Where the API is.
    pub api: SocketAddr,
    /// Where metrics are.
    pub metrics: SocketAddr,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

/// Checks everything, then serves.
///
/// # Errors
/// Says which check failed and what to do next.
pub async fn start(settings: Settings) -> Result<Running, Failure> {
    // Installed by whoever started first in this process.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let handle = runtime::install(settings.log_format)?;
    let tls = TlsFiles::of(&settings);
    if tls.is_none() && !settings.listen.ip().is_loopback() && !settings.allow_plain_http {
        return Err(Failure::new(
            format!(
                "{} is not loopback, and plain HTTP would carry keys in the clear",
                settings.listen
            ),
            "give --tls-cert and --tls-key, put a TLS proxy in front, or pass --allow-plain-http",
        ));
    }
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
    checked("operator key", operator_key(&stores, &settings).await)?;
    let listener = checked("api listener", bind(settings.listen).await)?;
    let metrics_listener = checked("metrics listener", bind(settings.metrics_listen).await)?;
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
    let mut me = me(&app.settings, app.fleet.owner(), api);
    alone(&app, &me).await?;
    preload(&app).await?;
    app.fleet.share(&mut me).await?;
    let until = |mut stopped: watch::Receiver<bool>| async move {
        // The sender lives as long as the daemon.
        let _ = stopped.changed().await;
    };
    let mut tasks = Vec::new();
    let router = http::router(Arc::clone(&app));
    match TlsFiles::of(&app.settings).filter(|_| app.settings.has(Role::Api)) {
        Some(files) => tasks.push(serve_tls(files, listener, router, until(stopped.clone()))?),
        None if app.settings.has(Role::Api) => {
            let server =
                axum::serve(listener, router).with_graceful_shutdown(until(stopped.clone()));
            tasks.push(tokio::spawn(async move { log_end("api", server.await) }));
        }
        None => {}
    }
    let metrics_router = Router::new().route("/metrics", get(async move || handle.render()));
    let server = axum::serve(metrics_listener, metrics_router)
        .with_graceful_shutdown(until(stopped.clone()));
    tasks.push(tokio::spawn(
        async move { log_end("metrics", server.await) },
    ));
    let fleet = Arc::clone(&app.fleet);
    let share = stopped.clone();
    tasks.push(tokio::spawn(
        async move { fleet.keep_share(me, share).await },
    ));
    tasks.push(tokio::spawn(crate::jobs::watch_servers(
        Arc::clone(&app),
        stopped.clone(),
    )));
    tasks.push(tokio::spawn(crate::jobs::watch_agents(
        Arc::clone(&app),
        stopped.clone(),
    )));
    tasks.push(tokio::spawn(crate::jobs::keep_sagas(
        Arc::clone(&app),
        stopped.clone(),
    )));
    tasks.push(tokio::spawn(crate::jobs::run(Arc::clone(&app), stopped)));
    telemetry::Serving { api, metrics }.emit();
    if let Some(file) = &app.settings.ready_file {
        let scheme = if TlsFiles::of(&app.settings).is_some() {
            "https"
        } else {
            "http"
        };
        let text = format!(
            "api={scheme}://{api}\nmetrics=http://{metrics}\npid={}\n",
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
        tasks,
    })
}

/// How long calls that are under way may take when the daemon leaves.
const LEAVING: Duration = Duration::from_secs(15);

fn serve_tls(
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
        let keeper = tokio::spawn(files.watch(config));
        let leaver = tokio::spawn(async move {
            stopped.await;
            handle.graceful_shutdown(Some(LEAVING));
        });
        log_end("api", server.await);
        keeper.abort();
        leaver.abort();
    }))
}

/// Runs the migrations of the metadata. Returns how many there were.
///
/// # Errors
/// When the server does not answer, or a migration fails.
pub async fn migrate(settings: &Settings) -> Result<usize, Failure> {
    storage::migrate(settings).await
}

fn log_end(what: &str, end: std::io::Result<()>) {
    if let Err(e) = end {
        tracing::error!(error = %e, what, "a listener ended");
    }
}

/// One line of the start-up checklist.
fn checked<T>(what: &str, result: Result<T, Failure>) -> Result<T, Failure> {
    match &result {
        Ok(_) => tracing::info!("✔ {what}"),
        Err(e) => tracing::error!("✖ {what}: {e}"),
    }
    result
}

async fn bind(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|e| {
        Failure::new(
            format!("{address}: {e}"),
            "choose another address with --listen or --metrics-listen",
        )
    })
}

/// How this daemon is known to the others.
fn me(settings: &Settings, owner: &str, api: SocketAddr) -> DaemonRow {
    let roles: Vec<String> = settings
        .roles
        .iter()
        .filter_map(|r| Some(r.to_possible_value()?.get_name().to_owned()))
        .collect();
    DaemonRow {
        owner: owner.to_owned(),
        address: settings
            .advertise
            .clone()
            .unwrap_or_else(|| api.to_string()),
        roles: roles.join(","),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started_at: now(),
        seen_at: now(),
    }
}

/// Lets the operator's given key work. Without one the first start makes it and writes it to a file
/// that only its owner reads.
async fn operator_key(stores: &Stores, settings: &Settings) -> Result<(), Failure> {
    if let Some(given) = &settings.operator_key {
        let known = api_key::known_key("operator", &given.resolved()?)?;
        if stores.meta.key_by_hash(&known.hash).await?.is_none() {
            stores.meta.put_key(&known.key, &known.hash).await?;
        }
        return Ok(());
    }
    if !stores.meta.keys(None).await?.is_empty() {
        return Ok(());
    }
    let file = settings.data.join("operator.key");
    let new = api_key::new_key(None, "operator", Scope::ALL.to_vec());
    write_private(&file, &new.secret).map_err(|e| {
        Failure::new(
            format!("{}: {e}", file.display()),
            "choose another folder with --data",
        )
    })?;
    stores.meta.put_key(&new.key, &new.hash).await?;
    tracing::info!(file = %file.display(), "the operator's key was made");
    Ok(())
}

/// Refuses to be the second daemon on shared metadata where each has a log or a graph of its own:
/// neither would see the other's records.
async fn alone(app: &App, me: &DaemonRow) -> Result<(), Failure> {
    let local = app.settings.local_stores()?;
    if !app.stores.are_shared || local.is_empty() {
        return Ok(());
    }
    let at = app.stores.meta.now().await?.unwrap_or_else(now);
    let living = app
        .stores
        .meta
        .daemons(at.plus(-10 * kgrca_core::model::time::SECOND))
        .await?;
    match living.iter().find(|d| d.owner != me.owner) {
        Some(other) => Err(Failure::new(
            format!(
                "another daemon ({}) works on this metadata, and this one keeps {} in its own folder",
                other.address,
                local.join(" and ")
            ),
            "give both the same --log-url kafka: and --graph-url neo4j:, or stop the other one",
        )),
        None => Ok(()),
    }
}

/// Brings the limits and the log up to what was committed, before the first record comes.
async fn preload(app: &Arc<App>) -> Result<(), Failure> {
    for client in app.stores.meta.list_tenants().await? {
        let Some(tenant) = TenantId::parse(&client.client_id).filter(|_| client.state.is_worked())
        else {
            continue;
        };
        let today = app
            .stores
            .meta
            .usage(
                &tenant,
                &now().day(),
                &now().plus(kgrca_core::model::time::DAY).day(),
            )
            .await?;
        let used = today
            .iter()
            .filter(|r| r.metric == "events_ingested_count")
            .map(|r| r.amount.max(0) as u64)
            .sum();
        app.stores.limits.preload_day(&tenant, used, now()).await?;
        if !app.settings.has(Role::Worker) {
            continue;
        }
        // At an offset that was committed nobody would look for a record.
        for offset in app.stores.meta.offsets(&tenant).await? {
            let end = app
                .stores
                .log
                .go_on_at(&tenant, offset.stream, offset.next)
                .await?;
            if end < offset.next {
                telemetry::LogCut {
                    tenant: &tenant,
                    stream: offset.stream,
                    committed: offset.next,
                    end,
                }
                .emit();
            }
        }
    }
    Ok(())
}

impl Running {
    /// Serves until the process is told to stop, then leaves in order.
    pub async fn until_stopped(self) {
        runtime::stop_signal().await;
        tracing::info!("stopping: no new requests, batches are finished");
        self.stop().await;
    }

    /// Stops: no new requests, running ones end, workers commit, usage is written.
    pub async fn stop(self) {
        // Everybody who listens is in `tasks`.
        let _ = self.stop.send(true);
        for task in self.tasks {
            if tokio::time::timeout(Duration::from_secs(20), task)
                .await
                .is_err()
            {
                tracing::warn!("a task did not end within 20 s");
            }
        }
        self.app.fleet.shut_down().await;
    }
}
