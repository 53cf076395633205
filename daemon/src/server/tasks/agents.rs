//! For how long the agents of each cluster have not reported.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kgrca_core::api::AgentMode;
use kgrca_core::storage::{AgentRow, Error};
use kgrca_core::tenancy::TenantId;
use tokio::sync::watch;

use super::next_round;
use crate::clock::now;
use crate::usecases::App;

const EVERY: Duration = Duration::from_secs(30);
/// Agents that are read at once.
const PAGE: usize = 500;

/// One series of the gauge.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Series {
    client_id: String,
    cluster: String,
    mode: &'static str,
}

impl Series {
    fn set(&self, seconds: f64) {
        let labels = [
            ("client_id", self.client_id.clone()),
            ("cluster", self.cluster.clone()),
            ("mode", self.mode.to_owned()),
        ];
        metrics::gauge!("kg_agent_silent_seconds", &labels).set(seconds);
    }
}

/// Measures the silence of agents. Each tenant's are measured by the daemon that owns its first
/// partition, not by a job: each lease could put the gauge on another daemon, and the value that
/// the previous one shows would stay and raise false alarms. When ownership moves, this daemon
/// stops showing a number.
pub(super) async fn watch(app: Arc<App>, mut stop: watch::Receiver<bool>) {
    let mut shown: BTreeMap<Series, f64> = BTreeMap::new();
    while next_round(EVERY, &mut stop).await {
        let silences = match measure(&app).await {
            Ok(silences) => silences,
            Err(error) => {
                tracing::warn!(%error, "cannot measure the silence of agents, retrying");
                continue;
            }
        };
        for series in shown.keys().filter(|s| !silences.contains_key(s)) {
            // No alert compares true with it.
            series.set(f64::NAN);
        }
        for (series, seconds) in &silences {
            series.set(*seconds);
        }
        shown = silences;
    }
}

/// The agents of a tenant, read in pages so that the store's answers stay small.
async fn all_agents(app: &App, id: &TenantId) -> Result<Vec<AgentRow>, Error> {
    let mut all: Vec<AgentRow> = Vec::new();
    loop {
        let after = all.last().map(AgentRow::position);
        let page = app.stores.meta.agents(id, after.as_ref(), PAGE).await?;
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}

async fn measure(app: &App) -> Result<BTreeMap<Series, f64>, Error> {
    // Of the nodes of a cluster the one that was silent longest counts: nodes come and go, and
    // their series would stay.
    let mut longest: BTreeMap<Series, f64> = BTreeMap::new();
    for tenant in app.stores.meta.list_tenants().await? {
        let id = TenantId::parse(&tenant.client_id)
            .filter(|id| tenant.state.is_worked() && app.fleet.is_mine(id, 0));
        let Some(id) = id else { continue };
        for agent in all_agents(app, &id).await? {
            let series = Series {
                client_id: tenant.client_id.clone(),
                cluster: agent.status.cluster,
                mode: match agent.status.mode {
                    AgentMode::Watch => "watch",
                    AgentMode::Logs => "logs",
                },
            };
            let silent = longest.entry(series).or_default();
            *silent = silent.max(now().seconds_since(agent.seen_at));
        }
    }
    Ok(longest)
}
