//! Agents that fell silent.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kgrca_core::api::AgentMode;
use kgrca_core::storage::Error;
use kgrca_core::tenancy::TenantId;
use tokio::sync::watch;

use crate::clock::now;
use crate::usecases::App;

/// How often is looked.
const EVERY: Duration = Duration::from_secs(30);

/// Measures for how long each agent was silent, until the daemon stops.
pub async fn watch(app: Arc<App>, mut stop: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            _ = stop.changed() => return,
        }
        if let Err(e) = look(&app).await {
            tracing::warn!(error = %e, "agents are looked at again in a moment");
        }
    }
}

async fn look(app: &App) -> Result<(), Error> {
    for client in app.stores.meta.list_tenants().await? {
        // One daemon for each tenant.
        let tenant = TenantId::parse(&client.client_id)
            .filter(|t| client.state.is_worked() && app.fleet.is_mine(t, 0));
        let Some(tenant) = tenant else { continue };
        // Of the nodes of a cluster the one that was silent longest stands for all: nodes come and
        // go, and their series would stay.
        let mut longest: BTreeMap<(String, &str), f64> = BTreeMap::new();
        for agent in app.stores.meta.agents(&tenant).await? {
            let mode = if agent.status.mode == AgentMode::Watch {
                "watch"
            } else {
                "logs"
            };
            let silent = longest.entry((agent.status.cluster, mode)).or_default();
            *silent = silent.max(now().seconds_since(agent.seen_at));
        }
        for ((cluster, mode), silent) in longest {
            let labels = [
                ("client_id", tenant.to_string()),
                ("cluster", cluster),
                ("mode", mode.to_owned()),
            ];
            metrics::gauge!("kg_agent_silent_seconds", &labels).set(silent);
        }
    }
    Ok(())
}
