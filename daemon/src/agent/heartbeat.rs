//! Tells the server now and then how the agent fares.

use std::sync::Arc;
use std::time::Duration;

use kgrca_core::api::{AgentMode, AgentStatus, HARMLESS_DROPS};
use kgrca_core::model::Time;
use kgrca_core::storage::with_causes;
use reqwest::StatusCode;
use reqwest::header::DATE;

use super::clock::Clock;
use super::health::Health;
use super::outbox::Store;
use super::ship::{self, Server};

const EVERY: Duration = Duration::from_secs(10);

/// What does not change while the process runs.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The cluster it is in.
    pub cluster: String,
    /// What it does.
    pub mode: AgentMode,
    /// The node whose logs it reads.
    pub node: Option<String>,
    /// Version of the cluster's API server.
    pub kubernetes: Option<String>,
    /// When it started.
    pub started_at: Time,
}

/// What there is to say at this moment.
pub fn status(identity: &Identity, store: &Store, health: &Health, clock: &Clock) -> AgentStatus {
    let spool = store.spool();
    let counts = spool.counts();
    let by = |pick: fn(&super::spool::Counts) -> u64| {
        counts
            .iter()
            .map(|(topic, c)| (topic.clone(), pick(c)))
            .collect()
    };
    let harmful = |c: &super::spool::Counts| -> u64 {
        c.dropped
            .iter()
            .filter(|(reason, _)| !HARMLESS_DROPS.contains(&reason.as_str()))
            .map(|(_, n)| n)
            .sum()
    };
    let refused = health.refusals();
    let lost = counts.values().map(harmful).sum::<u64>() + refused.values().sum::<u64>();
    AgentStatus {
        cluster: identity.cluster.clone(),
        agent: spool.id().to_owned(),
        mode: identity.mode,
        node: identity.node.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        kubernetes: identity.kubernetes.clone(),
        started_at: identity.started_at,
        lag_seconds: spool
            .oldest()
            .map_or(0, |at| clock.now().seconds_since(at).max(0.0) as u64),
        spooled_bytes: spool.bytes(),
        spooled: spool.waiting(),
        seen: by(|c| c.seen),
        shipped: by(|c| c.shipped),
        shipped_bytes: counts.values().map(|c| c.shipped_bytes).sum(),
        dropped: counts
            .iter()
            .filter(|(_, c)| !c.dropped.is_empty())
            .map(|(t, c)| (t.clone(), c.dropped.clone()))
            .collect(),
        refused,
        lost_seconds_ago: health
            .lost(lost, clock.now())
            .map(|at| clock.now().seconds_since(at).max(0.0) as u64),
        shipping_trouble: health.shipping(),
        damaged_blocks: spool.damaged(),
        kinds: health.kinds(),
        clock_ahead_seconds: clock.ahead() / 1_000_000,
        before: Vec::new(),
        rival: None,
    }
}

/// Beats until it is dropped.
pub async fn beat(
    identity: Identity,
    server: Server,
    store: Arc<Store>,
    health: Arc<Health>,
    clock: Arc<Clock>,
) {
    // Said once, and once more when it is over: it beats every few seconds.
    let mut trouble = None;
    loop {
        let told = status(&identity, &store, &health, &clock);
        let request = server
            .http
            .post(format!("{}/api/v1/agents", server.url))
            .header("x-api-key", server.key.header())
            .json(&told);
        let found = match request.send().await {
            Ok(answer) => {
                if let Some(date) = answer.headers().get(DATE).and_then(|d| d.to_str().ok()) {
                    clock.set(date);
                }
                if matches!(
                    answer.status(),
                    StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN
                ) {
                    server.key.refused();
                }
                if answer.status().is_success() {
                    None
                } else {
                    Some(ship::told(answer).await)
                }
            }
            Err(e) => Some(with_causes(&e)),
        };
        if found != trouble {
            if let Some(why) = &found {
                tracing::warn!(
                    server = server.url,
                    why,
                    "the server does not hear how this agent fares"
                );
            } else {
                tracing::info!("the server hears how this agent fares again");
            }
            trouble = found;
        }
        tokio::time::sleep(EVERY).await;
    }
}
