//! Counts of a tenant's live graph and of what became of its records.

use kgrca_core::api::{ClusterStats, Stats};
use kgrca_core::billing::Metric;
use kgrca_core::model::RecordCounts;
use kgrca_core::storage::ClusterRow;
use kgrca_core::tenancy::{Scope, TenantId};

use super::actor::Actor;
use super::app::App;
use super::error::Result;

/// The counter of records that were rejected before they reached the log.
pub(super) const REFUSED_COUNT: Metric = Metric::RecordsRefused;

/// The counts of the actor's tenant.
///
/// # Errors
/// When a store does not answer.
pub async fn show(app: &App, actor: &Actor) -> Result<Stats> {
    of_tenant(app, actor.tenant(Scope::Read)?.id).await
}

/// Counts as of the last commits, whichever daemons process the tenant.
pub async fn of_tenant(app: &App, tenant: &TenantId) -> Result<Stats> {
    app.flush_usage().await?;
    // Before the counters: a commit in between makes the lag too large, never too small.
    let lag = app.fleet.waiting(tenant).await?;
    let total = app.stores.meta.usage_total(tenant).await?;
    let count = |metric: Metric| total.get(&metric).copied().unwrap_or(0).max(0) as u64;
    let applied = count(Metric::RecordsApplied);
    let duplicate = count(Metric::RecordsDuplicate);
    let rejected = count(Metric::RecordsRejected) + count(REFUSED_COUNT);
    let lost = count(Metric::RecordsLost);
    let records = RecordCounts {
        seen: applied + duplicate + rejected + lost,
        applied,
        duplicate,
        rejected,
        lost,
    };
    let cluster = |row: ClusterRow| ClusterStats {
        cluster: row.cluster,
        counts: row.counts.unwrap_or_default(),
        last_record: row.last_record,
    };
    let rows = app.stores.meta.clusters(tenant).await?;
    Ok(Stats {
        client_id: tenant.to_string(),
        clusters: rows.into_iter().map(cluster).collect(),
        lag,
        records,
    })
}
