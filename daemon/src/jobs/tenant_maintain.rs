//! `tenant.maintain`: applies retention to a tenant's log and graph, and records its storage of the
//! day.

use kgrca_core::billing::{self, Metric};
use kgrca_core::jobs::Job;
use kgrca_core::model::time::DAY;
use kgrca_core::storage::{Error, UsageCounts};
use kgrca_core::tenancy::TenantId;
use serde_json::{Value, json};

use super::{Outcome, tenant_of};
use crate::clock::now;
use crate::usecases::App;

pub(super) async fn run(app: &App, job: &Job) -> Result<Outcome, Error> {
    let id = tenant_of(job)?;
    let tenant = app.stores.meta.tenant(id.as_str()).await?;
    let Some(tenant) = tenant.filter(|t| t.state.is_worked()) else {
        // A tenant within its grace period keeps the job: it may be resumed.
        return Ok(Outcome::Done(Value::Null));
    };
    let days = billing::find(&tenant.plan)
        .map(|plan| plan.with(&tenant.limits).retention_days)
        .unwrap_or(7);
    let retention = i64::from(days) * DAY;
    app.stores.log.maintain(&id, retention, now()).await?;
    let forgotten = app.stores.graph.forget(&id, now().plus(-retention));
    forgotten.await?;
    let bytes = record_storage(app, &id).await?;
    Ok(Outcome::Done(json!({ "storage_bytes": bytes })))
}

/// Records what the tenant stores today: levels, not flows, so the day's rows are moved to what is
/// there now. Returns the bytes.
async fn record_storage(app: &App, id: &TenantId) -> Result<i64, Error> {
    let (log, graph) = (&app.stores.log, &app.stores.graph);
    let bytes = (log.bytes(id).await? + graph.bytes(id).await?) as i64;
    let counts = graph.counts(id).await?;
    let today = now().day();
    let tomorrow = now().plus(DAY).day();
    let known = app.stores.meta.usage(id, &today, &tomorrow).await?;
    let mut usage = UsageCounts::default();
    let mut level = |metric: Metric, value: i64| {
        let row = known.iter().find(|r| r.metric == metric);
        let before = row.map(|r| r.amount).unwrap_or(0);
        usage.add(today.clone(), metric, value - before);
    };
    let nodes = counts.resources + counts.episodes + counts.incidents;
    level(Metric::StorageBytes, bytes);
    level(Metric::GraphNodes, nodes as i64);
    level(Metric::GraphEdges, counts.edges as i64);
    app.stores.meta.add_usage(id, &usage).await?;
    Ok(bytes)
}
