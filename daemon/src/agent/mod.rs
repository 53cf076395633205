//! The agent in a cluster: watches the API server, or tails the logs of a node, and ships what it
//! reads.
//!
//! ```text
//! watch (a task per kind) ─┐
//! logs                     ├─► outbox ─► spool (blocks on disk) ─► ship (a task per topic)
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
mod startup;
mod trim;
mod watch;

use std::sync::Arc;

use kgrca_core::api::AgentMode;
use kgrca_core::model::Topic;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

pub use config::AgentSettings;
#[cfg(not(feature = "server"))]
pub use config::{Command, CommandLine};

use crate::clock::now;
use crate::error::Failure;
use crate::random::random_id;
use crate::runtime::{self, LogFormat};
use crate::secret::Secret;
use clock::Clock;
use health::Health;
use heartbeat::Identity;
use outbox::{Outbox, SharedSpool};
use receiver::Receiver;
use spool::Spool;

/// Topics that an agent ships to.
fn topics() -> impl Iterator<Item = Topic> {
    let is_sent = |topic: &Topic| topic.signal().is_sent_by_agents;
    Topic::ALL.into_iter().filter(is_sent)
}

/// State that the agent's tasks share.
#[derive(Clone)]
pub(crate) struct Shared {
    spool: Arc<SharedSpool>,
    health: Arc<Health>,
    clock: Arc<Clock>,
}

/// Runs the agent until SIGINT or SIGTERM. Records that are not shipped by then stay in the spool.
///
/// # Errors
/// If a setting does not work; nothing was read then.
pub async fn run(settings: AgentSettings, format: LogFormat) -> Result<(), Failure> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let metrics = runtime::install(format)?;
    let folder = &settings.spool;
    let _lock = startup::lock(folder)?;
    let spool = Spool::open(folder, settings.spool_mib << 20, &random_id(12))
        .map_err(|e| startup::spool_unusable(folder, e))?;
    let shared = Shared {
        spool: SharedSpool::new(spool),
        health: Arc::default(),
        clock: Arc::default(),
    };
    let server = startup::server(&settings)?;
    let target = startup::target(&settings, &server)?;
    let token = settings.alerts_token.as_ref().map(Secret::resolved);
    let token = token.transpose()?;
    ship::learn_time(&server, &shared.clock).await;
    let (outbox, gathering) = Outbox::open(Arc::clone(&shared.spool), Arc::clone(&shared.clock));
    let mut sources = JoinSet::new();
    let mut identity = Identity {
        cluster: settings.cluster.clone(),
        mode: AgentMode::Watch,
        node: settings.node.clone(),
        kubernetes: None,
        started_at: now(),
    };
    if settings.logs_from.is_some() {
        identity.mode = AgentMode::Logs;
        logs::start(&settings, &shared, &outbox, &mut sources).await?;
    } else {
        identity.kubernetes = watch::start(&settings, &shared, &outbox, &mut sources).await?;
    }
    let receiver = Receiver {
        identity: identity.clone(),
        shared: shared.clone(),
        outbox: outbox.clone(),
        token,
        open_metrics: settings.open_metrics,
        notifications: Semaphore::new(receiver::NOTIFICATIONS),
        metrics,
    };
    startup::listen(&settings, receiver, &mut sources).await?;
    let mut shipping = JoinSet::new();
    for topic in topics() {
        shipping.spawn(ship::run(topic, target.clone(), shared.clone()));
    }
    shipping.spawn(heartbeat::run(identity, server, shared));
    runtime::stop_signal().await;
    // Stop the sources first, then write what they produced. Shipping can stop in the middle of a
    // request: the block is sent again after a restart.
    sources.shutdown().await;
    drop(outbox);
    gathering.await.ok();
    shipping.shutdown().await;
    Ok(())
}
