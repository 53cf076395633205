//! The operator's side: plans, usage and invoices.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use axum::Json;
use axum::extract::{self, Path, Query, State};
use kgrca_core::api::{ErrorBody, Page, Usage, VerifiedDay};
use kgrca_core::billing::{self, Invoice, MonthUsage, Plan};
use kgrca_core::model::time::DAY;
use kgrca_core::model::{Record, Str};
use kgrca_core::parse::{self, Context};
use kgrca_core::storage::{StreamId, UsageRow, partition_of};
use kgrca_core::tenancy::{Tenant, TenantId};
use serde::Deserialize;
use utoipa::IntoParams;

use super::admin::find;
use super::auth::Accountant;
use super::error::ApiError;
use super::own::Span;
use crate::clock::now;
use crate::usecases::App;

/// The catalogue of plans.
#[utoipa::path(get, path = "/admin/billing/plans", tag = "billing", responses((status = 200, body = Vec<Plan>), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody)))]
pub async fn plans(_: Accountant) -> Json<Vec<Plan>> {
    Json(billing::plans().to_vec())
}

/// Which month.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Month {
    /// `YYYY-MM`; this month when absent.
    #[param(pattern = "^[0-9]{4}-(0[1-9]|1[0-2])$")]
    month: Option<String>,
}

/// The invoice of a month as it stands.
#[utoipa::path(get, path = "/admin/billing/{id}/preview", tag = "billing", params(("id" = String, Path), Month), responses((status = 200, body = Invoice), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub async fn preview(
    State(app): State<Arc<App>>,
    _: Accountant,
    Path(id): Path<String>,
    month: Result<Query<Month>, extract::rejection::QueryRejection>,
) -> Result<Json<Invoice>, ApiError> {
    let Query(month) = month?;
    let (tenant, client) = find(&app, &id).await?;
    let month = month.month.unwrap_or_else(|| now().day()[..7].to_owned());
    let days = billing::days_in_month(&month)
        .ok_or_else(|| ApiError::invalid(format!("`month`: `{month}` is no month YYYY-MM")))?;
    let plan = billing::find(&client.plan).ok_or_else(|| {
        ApiError::invalid(format!(
            "the plan `{}` is not in the catalogue",
            client.plan
        ))
    })?;
    app.flush_usage().await?;
    let (from, to) = (format!("{month}-01"), format!("{month}-32"));
    let rows = app.stores.meta.usage(&tenant, &from, &to).await?;
    Ok(Json(billing::invoice(
        &id,
        &month,
        &plan.with(&client.limits),
        &month_usage(&client, &month, days, &rows),
    )))
}

fn month_usage(client: &Tenant, month: &str, days: u32, rows: &[UsageRow]) -> MonthUsage {
    let of = |metric: &'static str| {
        rows.iter()
            .filter(move |r| r.metric == metric)
            .map(|r| r.amount.max(0) as u64)
    };
    let stored: Vec<u64> = of("storage_bytes").collect();
    MonthUsage {
        events: of("events_ingested_count").sum(),
        rca_queries: of("rca_queries_count").sum(),
        storage_bytes: stored.iter().sum::<u64>() / stored.len().max(1) as u64,
        days: existing_days(client, month, days),
        days_in_month: days,
    }
}

/// On how many days of a month the tenant existed.
fn existing_days(client: &Tenant, month: &str, days: u32) -> u32 {
    let day = |d: u32| format!("{month}-{d:02}");
    let (from, until) = (
        client.created_at.day(),
        client.deleted_at.map(kgrca_core::model::Time::day),
    );
    (1..=days)
        .filter(|d| day(*d) >= from && until.as_ref().is_none_or(|u| day(*d) <= *u))
        .count() as u32
}

/// Usage of a tenant by day and metric.
#[utoipa::path(get, path = "/admin/billing/{id}/report", tag = "billing", params(("id" = String, Path), Span), responses((status = 200, body = Usage), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub async fn report(
    State(app): State<Arc<App>>,
    _: Accountant,
    Path(id): Path<String>,
    span: Result<Query<Span>, extract::rejection::QueryRejection>,
) -> Result<Json<Usage>, ApiError> {
    let (from, to) = span?.0.days()?;
    let (tenant, _) = find(&app, &id).await?;
    app.flush_usage().await?;
    let rows = app.stores.meta.usage(&tenant, &from, &to).await?;
    Ok(Json(Usage { from, to, rows }))
}

/// Recounts events from the log, day by day, against what was counted.
#[utoipa::path(get, path = "/admin/billing/{id}/verify", tag = "billing", params(("id" = String, Path), Span), responses((status = 200, body = Page<VerifiedDay>), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub async fn verify(
    State(app): State<Arc<App>>,
    _: Accountant,
    Path(id): Path<String>,
    span: Result<Query<Span>, extract::rejection::QueryRejection>,
) -> Result<Json<Page<VerifiedDay>>, ApiError> {
    let (from, to) = span?.0.days()?;
    let (tenant, client) = find(&app, &id).await?;
    let (in_log, reaches) = recount(&app, &tenant, &client).await?;
    let rows = app.stores.meta.usage(&tenant, &from, &to).await?;
    let counted: BTreeMap<String, i64> = rows
        .into_iter()
        .filter(|r| r.metric == "events_ingested_count")
        .map(|r| (r.day, r.amount))
        .collect();
    let days: std::collections::BTreeSet<&String> = counted
        .keys()
        .chain(in_log.keys().filter(|d| **d >= from && **d < to))
        .collect();
    let verified = days.into_iter().map(|day| {
        let counted = counted.get(day).copied().unwrap_or(0);
        let in_log = (*day >= reaches).then(|| in_log.get(day).copied().unwrap_or(0));
        VerifiedDay {
            day: day.clone(),
            counted,
            in_log,
            agrees: in_log.map(|n| n == counted),
        }
    });
    Ok(Json(Page {
        items: verified.collect(),
        next: None,
    }))
}

/// Whether a record is no repeat of one before it in the log, by its sender's own numbers: as the
/// engine sees it, which remembers them for a day.
fn is_new(highest: &mut HashMap<(Str, Str), u64>, record: &Record) -> bool {
    let Some((source, number)) = &record.sequence else {
        return true;
    };
    match highest.entry((record.cluster.clone(), source.clone())) {
        Entry::Occupied(known) if known.get() >= number => false,
        entry => {
            entry.insert_entry(*number);
            true
        }
    }
}

/// Events in the log by day, up to what was committed, and the first day on which it is whole. What
/// an import brought was taken by another door before the tenant was here: nobody pays for it
/// again.
async fn recount(
    app: &App,
    tenant: &TenantId,
    client: &Tenant,
) -> Result<(BTreeMap<String, i64>, String), ApiError> {
    let offsets: BTreeMap<StreamId, u64> = app
        .stores
        .meta
        .offsets(tenant)
        .await?
        .into_iter()
        .map(|o| (o.stream, o.next))
        .collect();
    let (mut days, mut reaches) = (BTreeMap::new(), String::new());
    for (stream, end) in offsets.into_iter().filter(|(s, _)| s.topic.is_metered()) {
        let mut from = 0;
        let (mut records, mut highest) = (Vec::new(), HashMap::new());
        while from < end {
            let read = app.stores.log.read(tenant, stream, from, 10_000).await?;
            let (Some(first), Some(last)) = (read.first(), read.last()) else {
                break;
            };
            if from == 0 && first.offset > 0 {
                // Retention took the beginning: the first day that is left is not whole.
                reaches = reaches.max(first.received_at.plus(DAY).day());
            }
            from = last.offset + 1;
            for stored in read
                .iter()
                .filter(|s| s.offset < end && s.received_at >= client.created_at)
            {
                let key = std::str::from_utf8(&stored.key).ok();
                let context = Context {
                    received_at: stored.received_at,
                    cluster: key,
                    client_id: Some(tenant.as_str()),
                };
                records.clear();
                let is_read =
                    parse::parse(stream.topic, &stored.value, &context, &mut records).is_ok();
                // What lies in another partition than its own was sent on, and is counted there.
                let is_own = |r: &Record| {
                    partition_of(tenant, &r.cluster, client.partitions) == stream.partition
                };
                if is_read
                    && records.first().is_some_and(is_own)
                    && records.iter().filter(|r| is_new(&mut highest, r)).count() > 0
                {
                    *days.entry(stored.received_at.day()).or_default() += 1;
                }
            }
        }
    }
    Ok((days, reaches))
}
