//! Endpoints of background jobs.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use kgrca_core::api::{JobChange, Page};
use kgrca_core::jobs::{Job, JobCursor, JobFilter, JobKind, JobState};
use serde::Deserialize;
use utoipa::IntoParams;

use super::auth::{Caller, Operator};
use super::body::JsonBody;
use super::error::{ApiError, ApiErrors};
use crate::usecases::{App, Error, Result, jobs};

/// Filter of the list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct JobParams {
    /// State of the job.
    state: Option<JobState>,
    /// Kind, such as `saga.run`.
    #[param(pattern = r"^(saga\.run|tenant\.maintain|billing\.verify|job\.purge)$")]
    kind: Option<String>,
    /// Tenant that the job works for.
    client_id: Option<String>,
    /// `next` of the previous page.
    #[param(pattern = r"^[+-]?[0-9]{1,18}\.")]
    cursor: Option<String>,
    /// Maximum number of items; default 50.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

impl JobParams {
    fn filter(self) -> Result<JobFilter> {
        let kind = |word: String| {
            JobKind::parse(&word).ok_or_else(|| {
                Error::invalid(format!("unknown job kind `{word}`"))
                    .hint(JobKind::ALL.map(JobKind::as_str).join(", "))
            })
        };
        let cursor = |text: String| {
            JobCursor::parse(&text)
                .ok_or_else(|| Error::invalid("`cursor` is not a cursor of this list"))
        };
        Ok(JobFilter {
            state: self.state,
            kind: self.kind.map(kind).transpose()?,
            client_id: self.client_id,
            after: self.cursor.map(cursor).transpose()?,
            ..JobFilter::default()
        })
    }
}

/// The job in the path.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct JobPath {
    /// `job_…`.
    id: String,
}

/// Lists background jobs, newest first.
#[utoipa::path(
    get,
    path = "/admin/jobs",
    operation_id = "list_jobs",
    tag = "admin",
    params(JobParams),
    responses((status = 200, description = "A page", body = Page<Job>), ApiErrors)
)]
pub async fn list(
    State(app): State<Arc<App>>,
    caller: Caller<Operator>,
    params: Result<Query<JobParams>, QueryRejection>,
) -> Result<Json<Page<Job>>, ApiError> {
    let Query(params) = params?;
    let limit = params.limit;
    Ok(Json(
        jobs::list(&app, &caller, params.filter()?, limit).await?,
    ))
}

/// Shows a background job.
#[utoipa::path(
    get,
    path = "/admin/jobs/{id}",
    operation_id = "get_job",
    tag = "admin",
    params(JobPath),
    responses((status = 200, description = "The job", body = Job), ApiErrors)
)]
pub async fn show(
    State(app): State<Arc<App>>,
    caller: Caller<Operator>,
    Path(path): Path<JobPath>,
) -> Result<Json<Job>, ApiError> {
    Ok(Json(jobs::show(&app, &caller, &path.id).await?))
}

/// Retries or cancels a background job.
#[utoipa::path(
    post,
    path = "/admin/jobs/{id}",
    operation_id = "change_job",
    tag = "admin",
    params(JobPath),
    request_body = JobChange,
    responses((status = 200, description = "The job after the change", body = Job), ApiErrors)
)]
pub async fn change(
    State(app): State<Arc<App>>,
    caller: Caller<Operator>,
    Path(path): Path<JobPath>,
    JsonBody(change): JsonBody<JobChange>,
) -> Result<Json<Job>, ApiError> {
    Ok(Json(
        jobs::change(&app, &caller, &path.id, change.act).await?,
    ))
}
