//! Gauges of what the metadata store holds. Daemons that share a store show the same numbers.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use kgrca_core::billing::Metric;
use kgrca_core::model::time::DAY;
use kgrca_core::storage::Error;
use kgrca_core::tenancy::TenantId;
use tokio::sync::watch;

use super::next_round;
use crate::clock::now;
use crate::config::Role;
use crate::telemetry;
use crate::usecases::{App, usage};

const EVERY: Duration = Duration::from_secs(15);

/// Shows jobs by kind and state, and what tenants hold.
pub(super) async fn watch(app: Arc<App>, mut stop: watch::Receiver<bool>) {
    let mut logged = BTreeSet::new();
    while app.settings.has(Role::Worker) {
        if let Err(error) = show(&app, &mut logged).await {
            tracing::warn!(%error, "cannot update the gauges of jobs and tenants, retrying");
        }
        if !next_round(EVERY, &mut stop).await {
            return;
        }
    }
}

/// Updates the gauges. Damage that is not in `logged` yet is logged.
async fn show(app: &App, logged: &mut BTreeSet<String>) -> Result<(), Error> {
    let counts = app.stores.meta.job_counts().await?;
    telemetry::JobCounts { counts }.emit();
    let (today, tomorrow) = (now().day(), now().plus(DAY).day());
    for tenant in app.stores.meta.list_tenants().await? {
        let id = TenantId::parse(&tenant.client_id).filter(|_| tenant.state.is_worked());
        let Some(id) = id else { continue };
        show_damage(app, &id, logged).await;
        let objects = usage::live_objects(&app.stores.meta.clusters(&id).await?);
        metrics::gauge!("kg_client_live_objects", "client_id" => id.to_string())
            .set(objects as f64);
        let usage = app.stores.meta.usage(&id, &today, &tomorrow).await?;
        if let Some(row) = usage.iter().find(|row| row.metric == Metric::StorageBytes) {
            metrics::gauge!("kg_client_storage_bytes", "client_id" => tenant.client_id)
                .set(row.amount as f64);
        }
    }
    Ok(())
}

async fn show_damage(app: &App, tenant: &TenantId, logged: &mut BTreeSet<String>) {
    let parts = match app.stores.log.set_aside(tenant).await {
        Ok(parts) => parts,
        Err(error) => {
            tracing::warn!(client_id = %tenant, %error, "cannot look for damage to the log");
            return;
        }
    };
    let damage = telemetry::LogSetAside {
        tenant,
        parts: &parts,
    };
    damage.emit();
    for part in &parts {
        if logged.insert(part.file.clone()) {
            damage.log(part);
        }
    }
}
