//! Endpoints of plans, usage and invoices, for the operator.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use kgrca_core::api::{Page, Usage, VerifiedDay};
use kgrca_core::billing::{Invoice, Plan};
use kgrca_core::jobs::Job;
use serde::Deserialize;
use utoipa::IntoParams;

use super::auth::{Accountant, Caller};
use super::error::{ApiError, ApiErrors};
use super::tenants::TenantPath;
use super::usage::SpanParams;
use crate::usecases::recount::{self, Recount};
use crate::usecases::{App, billing};

/// Lists the plans.
#[utoipa::path(
    get,
    path = "/admin/billing/plans",
    operation_id = "list_plans",
    tag = "billing",
    responses((status = 200, description = "All plans", body = Vec<Plan>), ApiErrors)
)]
pub async fn plans(caller: Caller<Accountant>) -> Result<Json<Vec<Plan>>, ApiError> {
    Ok(Json(billing::plans(&caller)?))
}

/// The month of an invoice.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct MonthParams {
    /// `YYYY-MM`; default: this month.
    #[param(pattern = "^[0-9]{4}-(0[1-9]|1[0-2])$")]
    month: Option<String>,
}

/// Shows a month's invoice so far.
#[utoipa::path(
    get,
    path = "/admin/billing/{id}/preview",
    operation_id = "preview_invoice",
    tag = "billing",
    params(TenantPath, MonthParams),
    responses((status = 200, description = "The invoice", body = Invoice), ApiErrors)
)]
pub async fn preview(
    State(app): State<Arc<App>>,
    caller: Caller<Accountant>,
    Path(path): Path<TenantPath>,
    params: Result<Query<MonthParams>, QueryRejection>,
) -> Result<Json<Invoice>, ApiError> {
    let Query(params) = params?;
    Ok(Json(
        billing::preview(&app, &caller, &path.id, params.month).await?,
    ))
}

/// Shows a tenant's usage by day and metric.
#[utoipa::path(
    get,
    path = "/admin/billing/{id}/report",
    operation_id = "get_tenant_usage",
    tag = "billing",
    params(TenantPath, SpanParams),
    responses((status = 200, description = "Usage by day and metric", body = Usage), ApiErrors)
)]
pub async fn report(
    State(app): State<Arc<App>>,
    caller: Caller<Accountant>,
    Path(path): Path<TenantPath>,
    params: Result<Query<SpanParams>, QueryRejection>,
) -> Result<Json<Usage>, ApiError> {
    let Query(params) = params?;
    Ok(Json(
        billing::report(&app, &caller, &path.id, params.span()?).await?,
    ))
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

/// Recounts events from the log, day by day, and compares them with what was charged.
///
/// A recount that takes long continues as a job.
#[utoipa::path(
    get,
    path = "/admin/billing/{id}/verify",
    operation_id = "verify_billing",
    tag = "billing",
    params(("id" = String, Path, description = "The tenant"), SpanParams),
    responses(
        (status = 200, description = "The days", body = Page<VerifiedDay>),
        (status = 202, description = "Still counting: ask for this job's result", body = Job),
        ApiErrors
    )
)]
pub async fn verify(
    State(app): State<Arc<App>>,
    accountant: Caller<Accountant>,
    Path(id): Path<String>,
    span: Result<Query<SpanParams>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(params) = span?;
    let recount = recount::start(&app, &accountant, &id, params.span()?).await?;
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
    accountant: Caller<Accountant>,
    Path(path): Path<RecountPath>,
) -> Result<Response, ApiError> {
    let recount = recount::result(&app, &accountant, &path.id, &path.job).await?;
    Ok(recounted(recount))
}
