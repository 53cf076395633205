//! Endpoints of incidents.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use kgrca_core::api::{Feedback, IncidentChange, Page, Topology};
use kgrca_core::incident::State as IncidentState;
use kgrca_core::model::Severity;
use kgrca_core::storage::{IncidentFilter, IncidentRow, TransitionRow};
use serde::Deserialize;
use utoipa::IntoParams;

use super::answer::LargeAnswer;
use super::auth::{Admin, Caller, Read};
use super::body::JsonBody;
use super::error::{ApiError, ApiErrors, timestamp};
use crate::usecases::{App, Result, incidents};

/// Filter of the list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListParams {
    /// State of the incident.
    state: Option<IncidentState>,
    /// Minimum severity.
    severity: Option<Severity>,
    /// Component of the first cause.
    component: Option<String>,
    /// Namespace of the first cause.
    namespace: Option<String>,
    /// Cluster.
    cluster: Option<String>,
    /// Started at or after this time.
    #[param(format = DateTime)]
    since: Option<String>,
    /// Started before this time.
    #[param(format = DateTime)]
    until: Option<String>,
    /// `next` of the previous page.
    #[param(minimum = 0)]
    cursor: Option<i64>,
    /// Maximum number of items; default 50.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

impl ListParams {
    fn filter(self) -> Result<IncidentFilter> {
        Ok(IncidentFilter {
            state: self.state,
            severity: self.severity,
            component: self.component,
            namespace: self.namespace,
            cluster: self.cluster,
            since: timestamp("since", self.since.as_deref())?,
            until: timestamp("until", self.until.as_deref())?,
            before: self.cursor,
            ..IncidentFilter::default()
        })
    }
}

/// The incident in the path.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct IncidentPath {
    /// `inc-<number>`.
    pub(super) id: String,
}

/// Lists incidents, newest first.
#[utoipa::path(
    get,
    path = "/incidents",
    operation_id = "list_incidents",
    tag = "incidents",
    params(ListParams),
    responses((status = 200, description = "A page", body = Page<IncidentRow>), ApiErrors)
)]
pub async fn list(
    State(app): State<Arc<App>>,
    caller: Caller<Read>,
    answer: LargeAnswer,
    params: Result<Query<ListParams>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(params) = params?;
    let limit = params.limit;
    answer
        .make(incidents::list(&app, &caller, params.filter()?, limit))
        .await
}

/// Shows an incident.
#[utoipa::path(
    get,
    path = "/incidents/{id}",
    operation_id = "get_incident",
    tag = "incidents",
    params(IncidentPath),
    responses((status = 200, description = "The incident", body = IncidentRow), ApiErrors)
)]
pub async fn show(
    State(app): State<Arc<App>>,
    caller: Caller<Read>,
    Path(path): Path<IncidentPath>,
) -> Result<Json<IncidentRow>, ApiError> {
    Ok(Json(incidents::show(&app, &caller, &path.id).await?))
}

/// Acknowledges or resolves an incident.
///
/// The answer shows the incident as it was; it changes within seconds. Resolving ends no symptom:
/// `active_symptoms` in the answer counts those that last. A resolved incident reopens when one of
/// them recurs, or when new evidence of it arrives.
#[utoipa::path(
    patch,
    path = "/incidents/{id}",
    operation_id = "update_incident",
    tag = "incidents",
    params(IncidentPath),
    request_body = IncidentChange,
    responses((status = 202, description = "Accepted", body = IncidentRow), ApiErrors)
)]
pub async fn update(
    State(app): State<Arc<App>>,
    caller: Caller<Admin>,
    Path(path): Path<IncidentPath>,
    JsonBody(change): JsonBody<IncidentChange>,
) -> Result<(StatusCode, Json<IncidentRow>), ApiError> {
    let before = incidents::change(&app, &caller, &path.id, change).await?;
    Ok((StatusCode::ACCEPTED, Json(before)))
}

/// Reports what actually caused an incident.
#[utoipa::path(
    post,
    path = "/incidents/{id}/feedback",
    operation_id = "give_incident_feedback",
    tag = "incidents",
    params(IncidentPath),
    request_body = Feedback,
    responses((status = 202, description = "Recorded"), ApiErrors)
)]
pub async fn feedback(
    State(app): State<Arc<App>>,
    caller: Caller<Admin>,
    Path(path): Path<IncidentPath>,
    JsonBody(feedback): JsonBody<Feedback>,
) -> Result<StatusCode, ApiError> {
    incidents::give_feedback(&app, &caller, &path.id, feedback).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Lists every change of an incident's state, oldest first.
#[utoipa::path(
    get,
    path = "/incidents/{id}/timeline",
    operation_id = "get_incident_timeline",
    tag = "incidents",
    params(IncidentPath),
    responses((status = 200, description = "All changes", body = Page<TransitionRow>), ApiErrors)
)]
pub async fn timeline(
    State(app): State<Arc<App>>,
    caller: Caller<Read>,
    answer: LargeAnswer,
    Path(path): Path<IncidentPath>,
) -> Result<Response, ApiError> {
    answer
        .make(incidents::timeline(&app, &caller, &path.id))
        .await
}

/// Shows the resources around an incident's first cause.
#[utoipa::path(
    get,
    path = "/incidents/{id}/graph",
    operation_id = "get_incident_graph",
    tag = "incidents",
    params(IncidentPath),
    responses((status = 200, description = "Resources and edges", body = Topology), ApiErrors)
)]
pub async fn graph(
    State(app): State<Arc<App>>,
    caller: Caller<Read>,
    answer: LargeAnswer,
    Path(path): Path<IncidentPath>,
) -> Result<Response, ApiError> {
    answer.make(incidents::graph(&app, &caller, &path.id)).await
}
