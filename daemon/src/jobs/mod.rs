//! What runs by the clock: usage that waits is written, storage is measured, logs are maintained.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kgrca_core::billing;
use kgrca_core::model::time::DAY;
use kgrca_core::storage::{Error, Tenant};
use tokio::sync::watch;

use crate::app::{App, now};

/// Writes API usage that waits.
pub async fn flush_usage(app: &App) -> Result<(), Error> {
    for (tenant, usage) in app.pending_usage.take() {
        app.stores.meta.add_usage(&tenant, &usage).await?;
    }
    Ok(())
}

/// Runs until the daemon stops.
pub async fn run(app: Arc<App>, mut stop: watch::Receiver<bool>) {
    let mut maintained = None;
    loop {
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(500)) => {}
            _ = stop.changed() => break,
        }
        if let Err(e) = flush_usage(&app).await {
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
    if let Err(e) = flush_usage(&app).await {
        tracing::error!(error = %e, "usage of the last moment could not be written");
    }
}

/// Retention, compaction, and the day's storage of every tenant.
async fn maintain(app: &App) -> Result<(), Error> {
    for client in app.stores.meta.list_clients().await? {
        let Some(tenant) = Tenant::parse(&client.client_id).filter(|_| client.deleted_at.is_none()) else { continue };
        let days = billing::find(&client.plan).map_or(7, |p| p.retention_days);
        app.stores.log.maintain(&tenant, i64::from(days) * DAY, now()).await?;
        let bytes = app.stores.log.bytes(&tenant).await? as i64;
        metrics::gauge!("kg_client_storage_bytes", "client_id" => tenant.to_string()).set(bytes as f64);
        let today = now().day();
        let known = app.stores.meta.usage(&tenant, &today, &now().plus(DAY).day()).await?;
        let before = known.iter().find(|r| r.metric == "storage_bytes").map_or(0, |r| r.amount);
        let usage = BTreeMap::from([((today, "storage_bytes".to_owned()), bytes - before)]);
        app.stores.meta.add_usage(&tenant, &usage).await?;
    }
    Ok(())
}
