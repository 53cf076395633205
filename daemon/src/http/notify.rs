//! The endpoints of notifications and silences.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use kgrca_core::api::{
    Delivery, NewSilence, NotifyConfig, NotifyPlan, Page, Redelivered, TestedReceiver,
};
use kgrca_core::notify::Silence;

use super::auth::{Admin, Caller, Read};
use super::body::JsonBody;
use super::error::{ApiError, ApiErrors};
use super::incidents::IncidentPath;
use crate::usecases::{App, notify};

/// Shows receivers and routes, without secrets.
#[utoipa::path(
    get,
    path = "/notify",
    operation_id = "get_notify_config",
    tag = "notify",
    responses((status = 200, description = "The configuration", body = NotifyConfig), ApiErrors)
)]
pub async fn show(
    State(app): State<Arc<App>>,
    caller: Caller<Admin>,
) -> Result<Json<NotifyConfig>, ApiError> {
    Ok(Json(notify::show(&app, &caller).await?))
}

/// Replaces receivers and routes.
#[utoipa::path(
    put,
    path = "/notify",
    operation_id = "put_notify_config",
    tag = "notify",
    request_body = NotifyConfig,
    responses((status = 200, description = "As it is stored", body = NotifyConfig), ApiErrors)
)]
pub async fn apply(
    State(app): State<Arc<App>>,
    caller: Caller<Admin>,
    JsonBody(config): JsonBody<NotifyConfig>,
) -> Result<Json<NotifyConfig>, ApiError> {
    Ok(Json(notify::apply(&app, &caller, config).await?))
}

/// Sends a test notification to a receiver.
#[utoipa::path(
    post,
    path = "/notify/receivers/{name}/test",
    operation_id = "test_receiver",
    tag = "notify",
    params(("name" = String, Path, description = "Name of the receiver")),
    responses((status = 200, description = "What came of it", body = TestedReceiver), ApiErrors)
)]
pub async fn test(
    State(app): State<Arc<App>>,
    caller: Caller<Admin>,
    Path(name): Path<String>,
) -> Result<Json<TestedReceiver>, ApiError> {
    Ok(Json(notify::test(&app, &caller, &name).await?))
}

/// Shows who would be notified of an incident, without sending anything.
#[utoipa::path(
    get,
    path = "/incidents/{id}/receivers",
    operation_id = "get_incident_receivers",
    tag = "notify",
    params(IncidentPath),
    responses((status = 200, description = "The plan", body = NotifyPlan), ApiErrors)
)]
pub async fn receivers(
    State(app): State<Arc<App>>,
    caller: Caller<Admin>,
    Path(path): Path<IncidentPath>,
) -> Result<Json<NotifyPlan>, ApiError> {
    Ok(Json(notify::dry_run(&app, &caller, &path.id).await?))
}

/// Lists what was sent about an incident, and what was not, oldest first.
#[utoipa::path(
    get,
    path = "/incidents/{id}/deliveries",
    operation_id = "list_deliveries",
    tag = "notify",
    params(IncidentPath),
    responses((status = 200, description = "All of them", body = Page<Delivery>), ApiErrors)
)]
pub async fn deliveries(
    State(app): State<Arc<App>>,
    caller: Caller<Read>,
    Path(path): Path<IncidentPath>,
) -> Result<Json<Page<Delivery>>, ApiError> {
    Ok(Json(notify::deliveries(&app, &caller, &path.id).await?))
}

/// Sends what could not be sent about an incident again.
#[utoipa::path(
    post,
    path = "/incidents/{id}/deliveries/retry",
    operation_id = "retry_deliveries",
    tag = "notify",
    params(IncidentPath),
    responses((status = 202, description = "How many", body = Redelivered), ApiErrors)
)]
pub async fn retry(
    State(app): State<Arc<App>>,
    caller: Caller<Admin>,
    Path(path): Path<IncidentPath>,
) -> Result<(StatusCode, Json<Redelivered>), ApiError> {
    let retried = notify::retry(&app, &caller, &path.id).await?;
    Ok((StatusCode::ACCEPTED, Json(retried)))
}

/// Lists the silences in effect, in the order of their ends.
#[utoipa::path(
    get,
    path = "/silences",
    operation_id = "list_silences",
    tag = "notify",
    responses((status = 200, description = "All of them", body = Page<Silence>), ApiErrors)
)]
pub async fn silences(
    State(app): State<Arc<App>>,
    caller: Caller<Read>,
) -> Result<Json<Page<Silence>>, ApiError> {
    Ok(Json(notify::silences(&app, &caller).await?))
}

/// Adds a silence.
#[utoipa::path(
    post,
    path = "/silences",
    operation_id = "add_silence",
    tag = "notify",
    request_body = NewSilence,
    responses((status = 201, description = "The silence", body = Silence), ApiErrors)
)]
pub async fn add_silence(
    State(app): State<Arc<App>>,
    caller: Caller<Admin>,
    JsonBody(new): JsonBody<NewSilence>,
) -> Result<(StatusCode, Json<Silence>), ApiError> {
    let silence = notify::add_silence(&app, &caller, new).await?;
    Ok((StatusCode::CREATED, Json(silence)))
}

/// Ends a silence at once.
#[utoipa::path(
    delete,
    path = "/silences/{id}",
    operation_id = "end_silence",
    tag = "notify",
    params(("id" = String, Path, description = "Id of the silence", pattern = "^sil_[a-z0-9]+$")),
    responses((status = 204, description = "Ended"), ApiErrors)
)]
pub async fn end_silence(
    State(app): State<Arc<App>>,
    caller: Caller<Admin>,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    notify::end_silence(&app, &caller, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}
