//! Watches one kind of object: lists it, then follows its changes from the version of the list, or
//! from where the previous process stopped.

mod ended;
mod follow;
mod sent;

use std::sync::Arc;
use std::time::Duration;

use kgrca_core::model::Topic;
use kgrca_core::model::watched::{WATCHED, Watched};
use kube::Client;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Shared;
use super::config::AgentSettings;
use super::outbox::{Outbox, SharedSpool, SourcePosition};
use crate::error::{Failure, FailureKind};
use ended::Ended;
use sent::SentObjects;

/// The server closes a watch earlier; a longer silence means that the connection is dead.
const READ_TIMEOUT: Duration = Duration::from_secs(400);
/// Retry interval for a kind that may not be read or does not exist.
const RETRY_DENIED: Duration = Duration::from_secs(30);
const FIRST_RETRY: Duration = Duration::from_millis(500);
const MAX_RETRY: Duration = Duration::from_secs(30);
/// Blocks of state that may be spooled when lost state is listed again.
const FEW_BLOCKS: usize = 2;

/// Starts a task per kind. Returns the API server's version, if it responds.
///
/// # Errors
/// If there is no API server to connect to.
pub(super) async fn start(
    settings: &AgentSettings,
    shared: &Shared,
    outbox: &Outbox,
    sources: &mut JoinSet<()>,
) -> Result<Option<String>, Failure> {
    let hint = "kgrcad uses the service account inside a cluster, and the current context of the \
                kubeconfig elsewhere";
    let failed = |message: &str| Failure::of(FailureKind::Config, message).hint(hint);
    let mut config = kube::Config::infer()
        .await
        .map_err(|e| failed("no Kubernetes API server configured").source(e))?;
    config.read_timeout = Some(READ_TIMEOUT);
    let client = Client::try_from(config)
        .map_err(|e| failed("invalid Kubernetes configuration").source(e))?;
    let is_wanted = |kind: &&Watched| !(settings.no_secrets && kind.kind == "Secret");
    for kind in WATCHED.iter().filter(is_wanted) {
        let watcher = Watcher {
            kind,
            cluster: settings.cluster.as_str().into(),
            client: client.clone(),
            outbox: outbox.clone(),
            shared: shared.clone(),
            sent: SentObjects::default(),
            streams_lists: true,
            state_losses: 0,
        };
        sources.spawn(watcher.run());
    }
    // The API server may be down: then each kind reports that.
    Ok(client.apiserver_version().await.ok().map(|v| v.git_version))
}

/// Watches one kind.
struct Watcher {
    kind: &'static Watched,
    /// Name of the cluster.
    cluster: Arc<str>,
    client: Client,
    outbox: Outbox,
    shared: Shared,
    sent: SentObjects,
    /// Whether the API server supports streaming lists, as far as is known.
    streams_lists: bool,
    /// The spool's count of lost state at the time of the last listing.
    state_losses: u64,
}

impl Watcher {
    /// Name of the source in the spool.
    fn source(&self) -> String {
        format!("watch/{}/{}", self.kind.group, self.kind.plural)
    }

    /// The position of a version. It is valid while no state is lost.
    fn position(&self, version: String) -> SourcePosition {
        SourcePosition {
            source: self.source(),
            position: format!("{} {version}", self.state_losses),
        }
    }

    /// The version of a position, unless state was lost since.
    fn version_of(&self, position: &str) -> Option<String> {
        let (losses, version) = position.split_once(' ')?;
        (losses == self.state_losses.to_string()).then(|| version.to_owned())
    }

    fn report_ok(&self) {
        self.shared.health.watch_ok(self.kind.kind, self.sent.len());
    }

    /// Watches until the task is dropped.
    async fn run(mut self) {
        let spool = Arc::clone(&self.shared.spool);
        let mut losses = spool.state_losses.subscribe();
        self.state_losses = *losses.borrow();
        let mut version = spool
            .lock()
            .position(&self.source())
            .and_then(|position| self.version_of(position));
        let mut retry = FIRST_RETRY;
        loop {
            let began = Instant::now();
            let (known_losses, topic) = (self.state_losses, self.kind.topic);
            let ended = tokio::select! {
                ended = self.list_and_watch(&mut version) => ended,
                lost = state_lost(&mut losses, known_losses, &spool, topic) => {
                    self.state_losses = lost;
                    Err(Ended::Gone)
                }
            };
            match ended {
                Ok(()) => retry = FIRST_RETRY,
                Err(Ended::Gone) => {
                    version = None;
                    // With a pause, in case the server expires versions faster than they are read.
                    pause(&mut retry, began).await;
                }
                Err(Ended::NoStream) if self.streams_lists => self.streams_lists = false,
                Err(Ended::Denied(reason)) => {
                    self.shared.health.watch_failed(self.kind.kind, &reason);
                    tokio::time::sleep(RETRY_DENIED).await;
                }
                Err(Ended::NoStream) => {
                    self.report_failed("the API server rejects the parameters of the list");
                    pause(&mut retry, began).await;
                }
                Err(Ended::Failed(reason)) => {
                    self.report_failed(&reason);
                    pause(&mut retry, began).await;
                }
            }
        }
    }

    fn report_failed(&self, reason: &str) {
        tracing::warn!(kind = self.kind.kind, reason, "watch failed, retrying");
        self.shared.health.watch_failed(self.kind.kind, reason);
    }
}

/// Waits before a retry, twice as long each time. A turn that lasted long resets the interval.
async fn pause(retry: &mut Duration, began: Instant) {
    if began.elapsed() > MAX_RETRY {
        *retry = FIRST_RETRY;
    }
    tokio::time::sleep(retry.mul_f64(rand::random_range(0.5..1.5))).await;
    *retry = (*retry * 2).min(MAX_RETRY);
}

/// Waits until state was lost again and few blocks are spooled: while the server is away, a new
/// listing would evict the previous one. Returns the new count of losses.
async fn state_lost(
    losses: &mut watch::Receiver<u64>,
    known: u64,
    spool: &SharedSpool,
    topic: Topic,
) -> u64 {
    if topic != Topic::Resource {
        return std::future::pending().await;
    }
    loop {
        let changed = spool.changed.notified();
        let now = *losses.borrow_and_update();
        if now != known && spool.lock().block_count_of(Topic::Resource) <= FEW_BLOCKS {
            return now;
        }
        tokio::select! {
            () = changed => {}
            // The sender lives as long as the spool.
            _ = losses.changed() => {}
        }
    }
}

#[cfg(test)]
mod tests;
