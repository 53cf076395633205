//! The agent in a customer's cluster: looks at the API server or at the logs of a node, and ships
//! what it sees.
//!
//! ```text
//! watch (a task per kind) ─┐
//! logs                     ├─► outbox ─► spool (blocks on disk) ─► ship (a task per topic) ─► server
//! receiver (alerts)        ┘
//! ```

mod clock;
mod config;
mod health;
mod heartbeat;
mod logs;
mod outbox;
mod receiver;
mod ship;
mod spool;
mod trim;
mod watch;

use std::fs::{File, TryLockError};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use kgrca_core::api::AgentMode;
use kgrca_core::model::Topic;
use kgrca_core::model::watched::WATCHED;
use kgrca_core::storage::with_causes;
use tokio::task::JoinSet;

pub use config::AgentSettings;
#[cfg(not(feature = "server"))]
pub use config::{Command, CommandLine};

use crate::clock::now;
use crate::error::Failure;
use crate::random::random_id;
use crate::runtime::{self, LogFormat};
use clock::Clock;
use health::Health;
use heartbeat::Identity;
use outbox::{Outbox, Store};
use receiver::Door;
use ship::{Kafka, Key, Server, Target};
use spool::Spool;

/// How long one request to the server may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs until it is told to stop; what waits then is on disk.
///
/// # Errors
/// When the settings do not work: nothing was read then.
pub async fn run(settings: AgentSettings, format: LogFormat) -> Result<(), Failure> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let metrics = runtime::install(format)?;
    let folder = &settings.spool;
    let unusable = |e: std::io::Error| {
        Failure::new(
            format!("{}: {e}", folder.display()),
            "choose another folder with --spool",
        )
    };
    let _lock = lock(folder)?;
    let fresh = random_id(12);
    let store =
        Store::new(Spool::open(folder, settings.spool_mib << 20, &fresh).map_err(unusable)?);
    let (health, clock) = (Arc::<Health>::default(), Arc::<Clock>::default());
    let server = server(&settings)?;
    let target = target(&settings, &server)?;
    ship::learn_time(&server, &clock).await;
    let (outbox, gathering) = outbox::open(Arc::clone(&store), Arc::clone(&clock));
    let mut sources = JoinSet::new();
    let mut identity = Identity {
        cluster: settings.cluster.clone(),
        mode: if settings.logs_from.is_some() {
            AgentMode::Logs
        } else {
            AgentMode::Watch
        },
        node: settings.node.clone(),
        kubernetes: None,
        started_at: now(),
    };
    match &settings.logs_from {
        Some(_) => logs::start(&settings, &store, &health, &outbox, &mut sources).await?,
        None => {
            identity.kubernetes =
                watch_all(&settings, &store, &health, &clock, &outbox, &mut sources).await?;
        }
    }
    let token = settings
        .alerts_token
        .as_ref()
        .map(crate::secret::Secret::resolved)
        .transpose()?;
    let door = Door {
        identity: identity.clone(),
        store: Arc::clone(&store),
        health: Arc::clone(&health),
        clock: Arc::clone(&clock),
        outbox: outbox.clone(),
        token,
        metrics,
    };
    listen(&settings, door, &mut sources).await?;
    let mut shipping = JoinSet::new();
    for topic in [Topic::Resource, Topic::Events, Topic::Logs, Topic::Alerts] {
        shipping.spawn(ship::ship(
            topic,
            target.clone(),
            Arc::clone(&store),
            Arc::clone(&health),
            Arc::clone(&clock),
        ));
    }
    shipping.spawn(heartbeat::beat(identity, server, store, health, clock));
    runtime::stop_signal().await;
    // First who gives, then what was given is made durable; who ships may be in the middle of a
    // request.
    sources.shutdown().await;
    drop(outbox);
    gathering.await.ok();
    shipping.shutdown().await;
    Ok(())
}

/// Keeps a second agent out of the spool: both would number their blocks alike. The system gives it
/// back with the process.
fn lock(folder: &Path) -> Result<File, Failure> {
    let unusable = |e: std::io::Error| {
        Failure::new(
            format!("{}: {e}", folder.display()),
            "choose another folder with --spool",
        )
    };
    std::fs::create_dir_all(folder).map_err(unusable)?;
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(folder.join("lock"))
        .map_err(unusable)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Failure::new(
            format!("another agent works in {}", folder.display()),
            "stop it first, or choose another folder with --spool",
        )),
        Err(TryLockError::Error(e)) => Err(unusable(e)),
    }
}

fn server(settings: &AgentSettings) -> Result<Server, Failure> {
    let failed = |what: String| Failure::new(what, "look at --server, --api-key and --ca-file");
    let mut builder = reqwest::Client::builder()
        .timeout(PATIENCE)
        .connect_timeout(Duration::from_secs(5));
    if let Some(file) = &settings.ca_file {
        let pem = std::fs::read(file).map_err(|e| failed(format!("{}: {e}", file.display())))?;
        for certificate in reqwest::Certificate::from_pem_bundle(&pem)
            .map_err(|e| failed(format!("{}: {e}", file.display())))?
        {
            builder = builder.add_root_certificate(certificate);
        }
    }
    let key = Key::open(settings.api_key.clone())?;
    let http = builder.build().map_err(|e| failed(with_causes(&e)))?;
    let url = settings.server.trim_end_matches('/').to_owned();
    if !url.starts_with("http://") && !url.starts_with("https://") {
        return Err(failed(format!(
            "`{url}` is no address of a server: it begins with https://"
        )));
    }
    Ok(Server {
        http,
        url,
        key,
        cluster: settings.cluster.clone(),
    })
}

/// Where records go.
fn target(settings: &AgentSettings, server: &Server) -> Result<Target, Failure> {
    let Some(url) = &settings.kafka else {
        return Ok(Target::Api(server.clone()));
    };
    let kafka = Kafka::open(url.clone(), settings.ca_file.clone(), &settings.cluster)?;
    Ok(Target::Kafka(Arc::new(kafka)))
}

/// Begins to watch every kind. Returns the API server's version.
async fn watch_all(
    settings: &AgentSettings,
    store: &Arc<Store>,
    health: &Arc<Health>,
    clock: &Arc<Clock>,
    outbox: &Outbox,
    sources: &mut JoinSet<()>,
) -> Result<Option<String>, Failure> {
    let hint = "inside a cluster the service account is used, elsewhere the current context of the kubeconfig";
    let mut config = kube::Config::infer().await.map_err(|e| {
        Failure::new(
            format!("no Kubernetes API server: {}", with_causes(&e)),
            hint,
        )
    })?;
    // A watch is silent for long; the server ends it, and a dead connection is found by keep-alive.
    config.read_timeout = Some(Duration::from_secs(400));
    let client = kube::Client::try_from(config).map_err(|e| Failure::new(with_causes(&e), hint))?;
    for what in WATCHED {
        let watcher = watch::Watcher {
            what,
            cluster: settings.cluster.as_str().into(),
            client: client.clone(),
            outbox: outbox.clone(),
            health: Arc::clone(health),
            clock: Arc::clone(clock),
            told: std::collections::HashMap::default(),
            streams: true,
            lost: 0,
        };
        sources.spawn(watcher.run(Arc::clone(store)));
    }
    // It may be away for a moment: that is told later, kind by kind.
    Ok(client.apiserver_version().await.ok().map(|v| v.git_version))
}

async fn listen(
    settings: &AgentSettings,
    door: Door,
    sources: &mut JoinSet<()>,
) -> Result<(), Failure> {
    let address = settings.agent_listen;
    let in_use = |e: std::io::Error| {
        Failure::new(
            format!("{address}: {e}"),
            "choose another address with --agent-listen",
        )
    };
    let listener = tokio::net::TcpListener::bind(address)
        .await
        .map_err(in_use)?;
    let own = listener.local_addr().map_err(in_use)?;
    tracing::info!(listen = %own, cluster = settings.cluster, "the agent is up");
    if let Some(file) = &settings.agent_ready_file {
        std::fs::write(
            file,
            format!("listen=http://{own}\npid={}\n", std::process::id()),
        )
        .map_err(|e| {
            Failure::new(
                format!("{}: {e}", file.display()),
                "choose another --agent-ready-file",
            )
        })?;
    }
    sources.spawn(async move {
        if let Err(e) = axum::serve(listener, receiver::routes(Arc::new(door))).await {
            tracing::error!(error = %e, "the agent's own door is closed");
        }
    });
    Ok(())
}
