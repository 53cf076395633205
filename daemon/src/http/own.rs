//! What a tenant sees of itself.

use std::sync::Arc;

use axum::Json;
use axum::extract::{self, Query, State};
use kgrca_core::api::{ClusterStats, DeadLetter, ErrorBody, LimitsView, Page, Stats, Usage};
use kgrca_core::incident::Incident;
use kgrca_core::model::Topic;
use kgrca_core::storage::{READ_BYTES, StreamId, Tenant};
use serde::Deserialize;
use utoipa::IntoParams;

use super::error::{ApiError, within};
use super::guard::{Billing, Caller, Read};
use crate::app::{App, now};

/// Counts of a tenant over its partitions.
pub(super) async fn tenant_stats(app: &App, tenant: &Tenant) -> Result<Stats, ApiError> {
    let mut stats = Stats::default();
    let refused = app.refused.of(tenant);
    stats.records.seen = refused;
    stats.records.rejected = refused;
    for loaded in app.engine.ready(tenant).await? {
        let live = loaded.live.read().await;
        stats.lag += *loaded.lag.borrow();
        stats.records.seen += live.committed.seen;
        stats.records.applied += live.committed.applied;
        stats.records.duplicate += live.committed.duplicate;
        stats.records.rejected += live.committed.rejected;
        stats.clusters.extend(live.clusters.values().map(|c| ClusterStats {
            cluster: c.name.to_string(),
            resources: c.graph.live(),
            edges: c.graph.edge_count(),
            episodes: c.episodes.len(),
            incidents: c.incidents.iter().filter(|i: &&Incident| i.is_live()).count(),
            last_record: c.last_record,
        }));
    }
    Ok(stats)
}

/// Counts of the tenant's live graph and of what became of its records.
#[utoipa::path(get, path = "/stats", tag = "self", responses((status = 200, body = Stats), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 429, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn stats(State(app): State<Arc<App>>, caller: Caller<Read>) -> Result<Json<Stats>, ApiError> {
    Ok(Json(tenant_stats(&app, &caller.tenant).await?))
}

/// A span of days.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Span {
    /// First day, `YYYY-MM-DD`; the first of this month when absent.
    #[param(format = Date)]
    from: Option<String>,
    /// Day after the last; tomorrow when absent.
    #[param(format = Date)]
    to: Option<String>,
}

impl Span {
    /// The two days, checked.
    pub(super) fn days(self) -> Result<(String, String), ApiError> {
        let day = |field: &str, text: String| match text.parse::<jiff::civil::Date>() {
            Ok(day) => Ok(day.to_string()),
            Err(_) => Err(ApiError::invalid(format!("`{field}`: `{text}` is no day YYYY-MM-DD"))),
        };
        let today = now().day();
        let from = self.from.unwrap_or_else(|| format!("{}-01", &today[..7]));
        let to = self.to.unwrap_or_else(|| now().plus(kgrca_core::model::time::DAY).day());
        Ok((day("from", from)?, day("to", to)?))
    }
}

/// Usage by day and metric.
#[utoipa::path(get, path = "/usage", tag = "self", params(Span), responses((status = 200, body = Usage), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 429, body = ErrorBody)))]
pub async fn usage(
    State(app): State<Arc<App>>,
    caller: Caller<Billing>,
    span: Result<Query<Span>, extract::rejection::QueryRejection>,
) -> Result<Json<Usage>, ApiError> {
    let (from, to) = span.map_err(|e| ApiError::query(&e))?.0.days()?;
    crate::jobs::flush_usage(&app).await?;
    let rows = app.stores.meta.usage(&caller.tenant, &from, &to).await?;
    Ok(Json(Usage { from, to, rows }))
}

/// The plan's limits and what is used of them today.
#[utoipa::path(get, path = "/limits", tag = "self", responses((status = 200, body = LimitsView), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 429, body = ErrorBody)))]
pub async fn limits(State(app): State<Arc<App>>, caller: Caller<Read>) -> Result<Json<LimitsView>, ApiError> {
    let events_today = events_today(&app, &caller.tenant).await?;
    Ok(Json(LimitsView { plan: caller.plan.clone(), events_today }))
}

/// Events accepted today, as far as they are committed.
pub(super) async fn events_today(app: &App, tenant: &Tenant) -> Result<u64, ApiError> {
    let rows = app.stores.meta.usage(tenant, &now().day(), &now().plus(kgrca_core::model::time::DAY).day()).await?;
    Ok(rows.iter().filter(|r| r.metric == "events_ingested_count").map(|r| r.amount.max(0) as u64).sum())
}

/// Where to go on.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct From {
    /// Cursor from `next`.
    #[param(minimum = 0)]
    cursor: Option<i64>,
    /// Most items, 1 to 1000.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

/// Rejected records, oldest first.
#[utoipa::path(get, path = "/dlq", tag = "self", params(From), responses((status = 200, body = Page<DeadLetter>), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 429, body = ErrorBody)))]
pub async fn dlq(
    State(app): State<Arc<App>>,
    caller: Caller<Read>,
    from: Result<Query<From>, extract::rejection::QueryRejection>,
) -> Result<Json<Page<DeadLetter>>, ApiError> {
    let Query(from) = from.map_err(|e| ApiError::query(&e))?;
    let limit = within("limit", from.limit, 100, 1000)?;
    let start = u64::try_from(from.cursor.unwrap_or(0)).map_err(|_| ApiError::invalid("`cursor` is not one of this list"))?;
    let stream = StreamId { topic: Topic::Dlq, partition: app.engine.partition(&caller.tenant, caller.tenant.as_str()) };
    let stored = app.stores.log.read(&caller.tenant, stream, start, limit).await?;
    let is_cut = stored.len() == limit || stored.iter().map(|s| s.value.len()).sum::<usize>() >= READ_BYTES;
    let next = stored.last().filter(|_| is_cut).map(|s| (s.offset + 1).to_string());
    let letter = |s: &kgrca_core::storage::Stored| {
        serde_json::from_slice::<DeadLetter>(&s.value).ok().map(|l| DeadLetter { id: s.offset, ..l })
    };
    Ok(Json(Page { items: stored.iter().filter_map(letter).collect(), next }))
}
