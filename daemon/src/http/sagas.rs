//! Endpoints of sagas, for the operator.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use kgrca_core::api::{CreatedTenant, Page, SagaChange};
use kgrca_core::tenancy::Saga;
use serde::Deserialize;
use utoipa::IntoParams;

use super::auth::{Caller, Operator};
use super::body::JsonBody;
use super::error::{ApiError, ApiErrors};
use crate::usecases::App;
use crate::usecases::sagas::{self, SagaOutcome};

/// Filter of sagas.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListParams {
    /// Sagas of this tenant.
    client_id: Option<String>,
    /// Only sagas that have not ended.
    open: Option<bool>,
}

/// The saga in the path.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct SagaPath {
    /// Id of the saga.
    id: String,
}

/// Lists sagas, newest first.
#[utoipa::path(
    get,
    path = "/admin/sagas",
    operation_id = "list_sagas",
    tag = "admin",
    params(ListParams),
    responses((status = 200, description = "The sagas", body = Page<Saga>), ApiErrors)
)]
pub async fn list(
    State(app): State<Arc<App>>,
    caller: Caller<Operator>,
    params: Result<Query<ListParams>, QueryRejection>,
) -> Result<Json<Page<Saga>>, ApiError> {
    let Query(params) = params?;
    let only_open = params.open.unwrap_or(false);
    Ok(Json(
        sagas::list(&app, &caller, params.client_id.as_deref(), only_open).await?,
    ))
}

/// Shows a saga with its steps.
#[utoipa::path(
    get,
    path = "/admin/sagas/{id}",
    operation_id = "get_saga",
    tag = "admin",
    params(SagaPath),
    responses((status = 200, description = "The saga", body = Saga), ApiErrors)
)]
pub async fn show(
    State(app): State<Arc<App>>,
    caller: Caller<Operator>,
    Path(path): Path<SagaPath>,
) -> Result<Json<Saga>, ApiError> {
    Ok(Json(sagas::show(&app, &caller, &path.id).await?))
}

/// Resumes a saga that stopped, or rolls back what it did.
///
/// When it completes the creation of a tenant, the answer holds new secrets.
#[utoipa::path(
    post,
    path = "/admin/sagas/{id}",
    operation_id = "act_on_saga",
    tag = "admin",
    params(SagaPath),
    request_body = SagaChange,
    responses(
        (status = 200, description = "Current state of the saga", body = Saga),
        (status = 201, description = "The tenant is set up", body = CreatedTenant),
        ApiErrors
    )
)]
pub async fn act(
    State(app): State<Arc<App>>,
    caller: Caller<Operator>,
    Path(path): Path<SagaPath>,
    JsonBody(change): JsonBody<SagaChange>,
) -> Result<Response, ApiError> {
    Ok(
        match sagas::act(&app, &caller, &path.id, change.act).await? {
            SagaOutcome::State(saga) => Json(saga).into_response(),
            SagaOutcome::Created(created) => (StatusCode::CREATED, Json(created)).into_response(),
        },
    )
}
