//! What a tenant sees of itself.

use std::sync::Arc;

use axum::Json;
use axum::extract::{self, Query, State};
use kgrca_core::analyze::Counts;
use kgrca_core::api::{ClusterStats, DeadLetter, ErrorBody, LimitsView, Page, Stats, Usage};
use kgrca_core::billing::Metric;
use kgrca_core::model::Topic;
use kgrca_core::storage::{ClusterRow, READ_BYTES, StreamId};
use kgrca_core::tenancy::TenantId;
use serde::Deserialize;
use utoipa::IntoParams;

use super::auth::{Billing, Caller, Read};
use super::error::ApiError;
use crate::clock::now;
use crate::usecases::{App, page_size};

/// Records that the door refused.
pub(super) const REFUSED: Metric = Metric::RecordsRefused;

/// Counts of a tenant over its partitions, as of the last commits: whichever daemons work on it.
pub(super) async fn tenant_stats(app: &App, tenant: &TenantId) -> Result<Stats, ApiError> {
    app.flush_usage().await?;
    // Before the counters: what is committed in between makes the lag too large, never too small.
    let lag = app.fleet.waiting(tenant).await?;
    let total = app.stores.meta.usage_total(tenant).await?;
    let of = |metric: Metric| total.get(&metric).copied().unwrap_or(0).max(0) as u64;
    let (applied, duplicate) = (of(Metric::RecordsApplied), of(Metric::RecordsDuplicate));
    let rejected = of(Metric::RecordsRejected) + of(REFUSED);
    let records = Counts {
        seen: applied + duplicate + rejected,
        applied,
        duplicate,
        rejected,
    };
    let cluster = |row: ClusterRow| {
        let counts = row.counts.unwrap_or_default();
        ClusterStats {
            cluster: row.cluster,
            counts,
            last_record: row.last_record,
        }
    };
    let clusters = app
        .stores
        .meta
        .clusters(tenant)
        .await?
        .into_iter()
        .map(cluster)
        .collect();
    Ok(Stats {
        client_id: tenant.to_string(),
        clusters,
        lag,
        records,
    })
}

/// Counts of the tenant's live graph and of what became of its records.
#[utoipa::path(get, path = "/stats", tag = "self", responses((status = 200, body = Stats), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 429, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn stats(
    State(app): State<Arc<App>>,
    caller: Caller<Read>,
) -> Result<Json<Stats>, ApiError> {
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
            Err(_) => Err(ApiError::invalid(format!(
                "`{field}`: `{text}` is no day YYYY-MM-DD"
            ))),
        };
        let today = now().day();
        let from = self.from.unwrap_or_else(|| format!("{}-01", &today[..7]));
        let to = self
            .to
            .unwrap_or_else(|| now().plus(kgrca_core::model::time::DAY).day());
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
    let (from, to) = span?.0.days()?;
    app.flush_usage().await?;
    let rows = app.stores.meta.usage(&caller.tenant, &from, &to).await?;
    Ok(Json(Usage { from, to, rows }))
}

/// The plan's limits and what is used of them today.
#[utoipa::path(get, path = "/limits", tag = "self", responses((status = 200, body = LimitsView), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 429, body = ErrorBody)))]
pub async fn limits(
    State(app): State<Arc<App>>,
    caller: Caller<Read>,
) -> Result<Json<LimitsView>, ApiError> {
    let (events_today, _) = today(&app, &caller.tenant).await?;
    Ok(Json(LimitsView {
        plan: caller.plan,
        events_today,
    }))
}

/// Events accepted today, as far as they are committed, and bytes that were stored when they were
/// measured last.
pub(super) async fn today(app: &App, tenant: &TenantId) -> Result<(u64, u64), ApiError> {
    use kgrca_core::model::time::DAY;
    let (today, tomorrow) = (now().day(), now().plus(DAY).day());
    let rows = app
        .stores
        .meta
        .usage(tenant, &now().plus(-DAY).day(), &tomorrow)
        .await?;
    let of = |metric: Metric| {
        rows.iter()
            .rev()
            .find(|r| r.metric == metric)
            .map_or(0, |r| r.amount.max(0) as u64)
    };
    let events = rows
        .iter()
        .filter(|r| r.metric == Metric::EventsIngested && r.day == today);
    Ok((
        events.map(|r| r.amount.max(0) as u64).sum(),
        of(Metric::StorageBytes),
    ))
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
    let Query(from) = from?;
    let limit = page_size("limit", from.limit, 100, 1000)?;
    let start = u64::try_from(from.cursor.unwrap_or(0))
        .map_err(|_| ApiError::invalid("`cursor` is not one of this list"))?;
    let stream = StreamId {
        topic: Topic::Dlq,
        partition: app.fleet.partition(&caller.tenant, caller.tenant.as_str()),
    };
    let stored = app
        .stores
        .log
        .read(&caller.tenant, stream, start, limit)
        .await?;
    let is_cut =
        stored.len() == limit || stored.iter().map(|s| s.value.len()).sum::<usize>() >= READ_BYTES;
    let next = stored
        .last()
        .filter(|_| is_cut)
        .map(|s| (s.offset + 1).to_string());
    let letter = |s: &kgrca_core::storage::Stored| {
        serde_json::from_slice::<DeadLetter>(&s.value)
            .ok()
            .map(|l| DeadLetter { id: s.offset, ..l })
    };
    Ok(Json(Page {
        items: stored.iter().filter_map(letter).collect(),
        next,
    }))
}
