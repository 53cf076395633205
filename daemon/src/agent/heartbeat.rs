//! Reports the agent's status to the server at a fixed interval.

use std::time::Duration;

use kgrca_core::api::{AgentMode, AgentStatus, HARMLESS_DROPS};
use kgrca_core::model::Time;

use super::Shared;
use super::ship::Server;
use super::spool::Counts;

const HEARTBEAT_EVERY: Duration = Duration::from_secs(10);

/// The parts of the status that stay the same while the process runs.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Name of the cluster.
    pub cluster: String,
    /// Whether it watches the API server or tails logs.
    pub mode: AgentMode,
    /// The node whose logs are tailed.
    pub node: Option<String>,
    /// Version of the cluster's API server, if known.
    pub kubernetes: Option<String>,
    /// When the process started.
    pub started_at: Time,
}

fn lost(counts: &Counts) -> u64 {
    counts
        .dropped
        .iter()
        .filter(|(reason, _)| !HARMLESS_DROPS.contains(&reason.as_str()))
        .map(|(_, n)| n)
        .sum()
}

/// The agent's current status.
pub fn status(identity: &Identity, shared: &Shared) -> AgentStatus {
    let Shared {
        spool,
        health,
        clock,
    } = shared;
    let spool = spool.lock();
    let now = clock.now();
    let seconds_ago = |at: Time| now.seconds_since(at).max(0.0) as u64;
    let counts = spool.counts();
    let by_topic = |pick: fn(&Counts) -> u64| {
        counts
            .iter()
            .map(|(topic, c)| (topic.clone(), pick(c)))
            .collect()
    };
    let refused = health.refused();
    let losses = counts.values().map(lost).sum::<u64>() + refused.values().sum::<u64>();
    AgentStatus {
        cluster: identity.cluster.clone(),
        agent: spool.id().to_owned(),
        mode: identity.mode,
        node: identity.node.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        kubernetes: identity.kubernetes.clone(),
        started_at: identity.started_at,
        lag_seconds: spool.oldest_at().map(seconds_ago).unwrap_or(0),
        spooled_bytes: spool.bytes(),
        spooled: spool.records_by_topic(),
        seen: by_topic(|c| c.seen),
        shipped: by_topic(|c| c.shipped),
        shipped_bytes: counts.values().map(|c| c.shipped_bytes).sum(),
        dropped: counts
            .iter()
            .filter(|(_, c)| !c.dropped.is_empty())
            .map(|(topic, c)| (topic.clone(), c.dropped.clone()))
            .collect(),
        refused,
        lost_seconds_ago: health.note_losses(losses, now).map(seconds_ago),
        shipping_trouble: health.shipping_trouble(),
        damaged_blocks: spool.damaged_blocks(),
        kinds: health.kinds(),
        clock_ahead_seconds: clock.ahead() / 1_000_000,
        before: Vec::new(),
        rival: None,
    }
}

/// Sends heartbeats until the task is dropped.
pub async fn run(identity: Identity, server: Server, shared: Shared) {
    // Logged when it changes, rather than every few seconds.
    let mut trouble = None;
    loop {
        let failure = send(&server, &status(&identity, &shared), &shared)
            .await
            .err();
        if failure != trouble {
            if let Some(error) = &failure {
                tracing::warn!(server = server.url, error, "heartbeat failed");
            } else {
                tracing::info!(server = server.url, "heartbeat works again");
            }
            trouble = failure;
        }
        tokio::time::sleep(HEARTBEAT_EVERY).await;
    }
}

async fn send(server: &Server, status: &AgentStatus, shared: &Shared) -> Result<(), String> {
    let response = server
        .http
        .post(format!("{}/api/v1/agents", server.url))
        .header("x-api-key", server.key.header())
        .json(status)
        .send()
        .await
        .map_err(|e| super::ship::unreachable(&e))?;
    server.note_response(&response, &shared.clock);
    if response.status().is_success() {
        Ok(())
    } else {
        Err(super::ship::error_message(response).await)
    }
}
