//! What has to be done for a tenant every hour: removing what its plan no longer keeps, and
//! measuring what it stores.

use kgrca_core::billing::Metric;
use kgrca_core::model::time::DAY;
use kgrca_core::storage::{Applied, UsageRow};
use kgrca_core::tenancy::{Scope, TenantId};

use super::actor::Actor;
use super::app::App;
use super::error::Result;
use super::ingest::kept_repeats;
use super::notify::PATIENCE;
use super::tenants;
use crate::clock::now;

/// Applies retention to the log and graph of the actor's tenant, and records its storage of the
/// day. Returns the bytes stored; `None` while its records are not processed.
///
/// # Errors
/// When a store does not answer. What does not need that store is done all the same.
pub async fn maintain(app: &App, actor: &Actor) -> Result<Option<i64>> {
    let tenant = actor.tenant(Scope::Admin)?;
    if !tenants::find(app, tenant.id.as_str())
        .await?
        .row
        .state
        .is_worked()
    {
        return Ok(None);
    }
    let keep = kept_repeats(tenant.plan);
    let trimmed = app.stores.meta.trim_repeats(tenant.id, keep).await;
    let retention = i64::from(tenant.plan.retention_days) * DAY;
    let (log, graph) = (&app.stores.log, &app.stores.graph);
    let meta = &app.stores.meta;
    let applied = Applied::of(&**meta, tenant.id).await?;
    // Such as a record that cannot be decrypted, which would otherwise keep the tenant's data and
    // leave its storage out of its invoice.
    let maintained = log.maintain(tenant.id, retention, now(), applied).await;
    let oldest = now().plus(-retention);
    let forgotten = graph.forget(tenant.id, oldest).await;
    meta.forget_skipped(tenant.id, oldest).await?;
    let pending = now().plus(-PATIENCE);
    meta.trim_deliveries(tenant.id, pending, oldest).await?;
    if let Ok(compacted) = &maintained {
        meta.forget_compacted(tenant.id, compacted).await?;
    }
    let bytes = record_storage(app, tenant.id).await?;
    maintained?;
    trimmed?;
    forgotten?;
    Ok(Some(bytes))
}

async fn record_storage(app: &App, id: &TenantId) -> Result<i64> {
    let (log, graph) = (&app.stores.log, &app.stores.graph);
    let bytes = (log.bytes(id).await? + graph.bytes(id).await?) as i64;
    let counts = graph.counts(id).await?;
    let nodes = counts.resources + counts.episodes + counts.incidents;
    let level = |metric, amount| UsageRow {
        day: now().day(),
        metric,
        amount,
    };
    let levels = [
        level(Metric::StorageBytes, bytes),
        level(Metric::GraphNodes, nodes as i64),
        level(Metric::GraphEdges, counts.edges as i64),
    ];
    app.stores.meta.set_usage(id, &levels).await?;
    Ok(bytes)
}
