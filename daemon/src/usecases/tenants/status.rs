//! A tenant with what an operator watches.

use kgrca_core::api::{Stats, TenantStatus};
use kgrca_core::billing;
use kgrca_core::tenancy::{Tenant, TenantId};

use crate::usecases::error::{Error, Result};
use crate::usecases::{App, stats, usage};

pub async fn of_tenant(app: &App, tenant: Tenant) -> Result<TenantStatus> {
    let id = TenantId::parse(&tenant.client_id)
        .ok_or_else(|| Error::internal(format!("invalid tenant id `{}`", tenant.client_id)))?;
    let stats = if tenant.state.is_worked() {
        stats::of_tenant(app, &id).await?
    } else {
        Stats::default()
    };
    let today = usage::today(app, &id).await?;
    let limit = billing::find(&tenant.plan).and_then(|p| p.with(&tenant.limits).events_day);
    Ok(TenantStatus {
        client: tenant,
        graph_server: app.stores.meta.graph_server(&id).await?,
        lag: stats.lag,
        last_record: stats.clusters.iter().map(|c| c.last_record).max(),
        events_today: today.events,
        live_objects: stats
            .clusters
            .iter()
            .map(|c| c.counts.resources as u64)
            .sum(),
        quota_percent: limit.map(|limit| today.events * 100 / limit.max(1)),
        rejected: stats.records.rejected,
        storage_bytes: today.storage_bytes,
        damaged: Vec::new(),
    })
}
