//! What runs by the clock: usage that waits is written, storage is measured, logs are maintained,
//! servers are watched.

mod agents;
mod servers;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kgrca_core::billing;
use kgrca_core::model::time::DAY;
use kgrca_core::storage::Error;
use kgrca_core::tenancy::{Tenant, TenantId, TenantState};
use tokio::sync::watch;

use crate::clock::now;
use crate::tenancy;
use crate::usecases::App;

pub use agents::watch as watch_agents;
pub use servers::watch as watch_servers;

/// How often is looked for sagas that go on by themselves.
const SAGAS: Duration = Duration::from_secs(2);

/// Lets sagas go on that go by themselves, until the daemon stops. By itself: a graph may take
/// minutes to move.
pub async fn keep_sagas(app: Arc<App>, mut stop: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(SAGAS) => {}
            _ = stop.changed() => return,
        }
        let went_on = tokio::select! {
            went_on = tenancy::go_on(&app.tenancy) => went_on,
            // What was begun goes on where the next daemon is.
            _ = stop.changed() => return,
        };
        if let Err(e) = went_on {
            tracing::error!(error = %e, "sagas go on in a moment");
        }
    }
}

/// Runs until the daemon stops.
pub async fn run(app: Arc<App>, mut stop: watch::Receiver<bool>) {
    let mut maintained = None;
    loop {
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(500)) => {}
            _ = stop.changed() => break,
        }
        if let Err(e) = app.flush_usage().await {
            tracing::error!(error = %e, "usage could not be written");
        }
        let hour = now().0 / (DAY / 24);
        if maintained != Some(hour) {
            maintained = Some(hour);
            if let Err(e) = maintain(&app).await {
                tracing::error!(error = %e, "maintenance goes on in an hour");
            }
        }
    }
    if let Err(e) = app.flush_usage().await {
        tracing::error!(error = %e, "usage of the last moment could not be written");
    }
}

/// Retention, compaction, and the day's storage of every tenant. One tenant's trouble does not keep
/// the others waiting.
async fn maintain(app: &App) -> Result<(), Error> {
    let clients = app.stores.meta.list_tenants().await?;
    let living = clients
        .iter()
        .filter(|c| c.state != TenantState::Deleted)
        .filter_map(|c| TenantId::parse(&c.client_id))
        .collect();
    if let Err(e) = app.fleet.forget_others(&living) {
        tracing::warn!(error = %e, "snapshots of tenants that are gone were not removed");
    }
    for client in clients {
        let Some(tenant) = TenantId::parse(&client.client_id).filter(|_| client.state.is_worked())
        else {
            continue;
        };
        // One daemon for each tenant: levels are moved, not set.
        if !app.fleet.is_mine(&tenant, 0) {
            continue;
        }
        if let Err(e) = maintain_tenant(app, &tenant, &client).await {
            tracing::error!(error = %e, client_id = %tenant, "maintenance of this tenant goes on in an hour");
        }
    }
    Ok(())
}

async fn maintain_tenant(app: &App, tenant: &TenantId, client: &Tenant) -> Result<(), Error> {
    let days = billing::find(&client.plan).map_or(7, |p| p.with(&client.limits).retention_days);
    let retention = i64::from(days) * DAY;
    app.stores.log.maintain(tenant, retention, now()).await?;
    app.stores
        .graph
        .forget(tenant, now().plus(-retention))
        .await?;
    let bytes =
        (app.stores.log.bytes(tenant).await? + app.stores.graph.bytes(tenant).await?) as i64;
    metrics::gauge!("kg_client_storage_bytes", "client_id" => tenant.to_string()).set(bytes as f64);
    let counts = app.stores.graph.counts(tenant).await?;
    let today = now().day();
    let known = app
        .stores
        .meta
        .usage(tenant, &today, &now().plus(DAY).day())
        .await?;
    // These are levels, not flows: the day's row is moved to what is there now.
    let level = |metric: &str, value: i64| {
        let before = known
            .iter()
            .find(|r| r.metric == metric)
            .map_or(0, |r| r.amount);
        ((today.clone(), metric.to_owned()), value - before)
    };
    let usage = BTreeMap::from([
        level("storage_bytes", bytes),
        level(
            "graph_nodes_count",
            (counts.resources + counts.episodes + counts.incidents) as i64,
        ),
        level("graph_edges_count", counts.edges as i64),
    ]);
    app.stores.meta.add_usage(tenant, &usage).await
}
