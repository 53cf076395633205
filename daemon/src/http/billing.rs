//! The operator's side: plans, usage and invoices.

use std::sync::Arc;

use axum::Json;
use axum::extract::{self, Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use kgrca_core::api::{ErrorBody, Page, Usage, VerifiedDay};
use kgrca_core::billing::{self, Invoice, Metric, MonthUsage, Plan};
use kgrca_core::jobs::Job;
use kgrca_core::storage::UsageRow;
use kgrca_core::tenancy::Tenant;
use serde::Deserialize;
use utoipa::IntoParams;

use super::admin::find;
use super::auth::Accountant;
use super::error::{ApiError, ApiErrors};
use super::own::Span;
use crate::clock::now;
use crate::usecases::App;
use crate::usecases::recount::{self, Days, Recount};

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
    let of = |metric: Metric| {
        rows.iter()
            .filter(move |r| r.metric == metric)
            .map(|r| r.amount.max(0) as u64)
    };
    let stored: Vec<u64> = of(Metric::StorageBytes).collect();
    MonthUsage {
        events: of(Metric::EventsIngested).sum(),
        rca_queries: of(Metric::RcaQueries).sum(),
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

/// The recount in the path.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct RecountPath {
    /// The tenant.
    id: String,
    /// The job that recounts.
    job: String,
}

fn recounted(recount: Recount) -> Response {
    match recount {
        Recount::Done(page) => Json(page).into_response(),
        Recount::Pending(job) => (StatusCode::ACCEPTED, Json(job)).into_response(),
    }
}

/// Recounts events from the log, day by day, and compares them with what was charged. A recount
/// that takes long continues as a job.
#[utoipa::path(
    get,
    path = "/admin/billing/{id}/verify",
    operation_id = "verify_billing",
    tag = "billing",
    params(("id" = String, Path, description = "The tenant"), Span),
    responses(
        (status = 200, description = "The days", body = Page<VerifiedDay>),
        (status = 202, description = "Still counting: ask for this job's result", body = Job),
        ApiErrors
    )
)]
pub async fn verify(
    State(app): State<Arc<App>>,
    accountant: Accountant,
    Path(id): Path<String>,
    span: Result<Query<Span>, extract::rejection::QueryRejection>,
) -> Result<Response, ApiError> {
    let (from, to) = span?.0.days()?;
    let days = Days { from, to };
    let recount = recount::start(&app, &accountant.actor, &id, days).await?;
    Ok(recounted(recount))
}

/// Shows the result of a recount that takes long.
#[utoipa::path(
    get,
    path = "/admin/billing/{id}/verify/{job}",
    operation_id = "get_billing_verification",
    tag = "billing",
    params(RecountPath),
    responses(
        (status = 200, description = "The days", body = Page<VerifiedDay>),
        (status = 202, description = "Still counting: ask again", body = Job),
        ApiErrors
    )
)]
pub async fn verification(
    State(app): State<Arc<App>>,
    accountant: Accountant,
    Path(path): Path<RecountPath>,
) -> Result<Response, ApiError> {
    let recount = recount::result(&app, &accountant.actor, &path.id, &path.job).await?;
    Ok(recounted(recount))
}
