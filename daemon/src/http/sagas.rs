//! The operator's side: how tenants come and go.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State, rejection::QueryRejection};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use kgrca_core::api::{CreatedTenant, ErrorBody, Page, SagaAct, SagaChange};
use kgrca_core::tenancy::Saga;
use serde::Deserialize;
use utoipa::IntoParams;

use super::admin::{audit, created};
use super::auth::Operator;
use super::body::JsonBody;
use super::error::ApiError;
use crate::tenancy;
use crate::usecases::App;

/// Which sagas are wanted.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Of {
    /// Those of one tenant.
    client_id: Option<String>,
    /// Only those that are not over.
    open: Option<bool>,
}

/// Sagas, newest first.
#[utoipa::path(get, path = "/admin/sagas", tag = "admin", params(Of), responses((status = 200, body = Page<Saga>), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody)))]
pub async fn list(
    State(app): State<Arc<App>>,
    _: Operator,
    of: Result<Query<Of>, QueryRejection>,
) -> Result<Json<Page<Saga>>, ApiError> {
    let Query(of) = of?;
    let mut items = app.stores.meta.sagas(of.client_id.as_deref()).await?;
    items.retain(|s| !of.open.unwrap_or(false) || !s.is_over());
    Ok(Json(Page { items, next: None }))
}

pub(super) async fn find(app: &App, id: &str) -> Result<Saga, ApiError> {
    let missing = || {
        ApiError::not_found(format!("there is no saga `{id}`"))
            .hint("GET /api/v1/admin/sagas lists them")
    };
    app.stores.meta.saga(id).await?.ok_or_else(missing)
}

/// One saga with its steps.
#[utoipa::path(get, path = "/admin/sagas/{id}", tag = "admin", params(("id" = String, Path)), responses((status = 200, body = Saga), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub async fn show(
    State(app): State<Arc<App>>,
    _: Operator,
    Path(id): Path<String>,
) -> Result<Json<Saga>, ApiError> {
    Ok(Json(find(&app, &id).await?))
}

/// Goes on with a saga that stopped, or takes back what it did. A creation that ends tells the
/// secrets, anew.
#[utoipa::path(post, path = "/admin/sagas/{id}", tag = "admin", params(("id" = String, Path)), request_body = SagaChange, responses((status = 200, body = Saga, description = "it stands there now"), (status = 201, body = CreatedTenant, description = "the tenant is set up"), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody), (status = 500, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn change(
    State(app): State<Arc<App>>,
    operator: Operator,
    Path(id): Path<String>,
    JsonBody(change): JsonBody<SagaChange>,
) -> Result<Response, ApiError> {
    let saga = find(&app, &id).await?;
    let action = if change.act == SagaAct::Resume {
        "saga.resume"
    } else {
        "saga.compensate"
    };
    audit(&app, &operator.actor, &saga.client_id, action, &id).await?;
    match change.act {
        SagaAct::Resume => {
            let (saga, secrets) = tenancy::resume(&app.tenancy, &saga.saga_id).await?;
            if secrets.api_key.is_some() {
                return Ok(
                    (StatusCode::CREATED, Json(created(&app, &saga, secrets))).into_response()
                );
            }
            Ok(Json(saga).into_response())
        }
        SagaAct::Compensate => {
            Ok(Json(tenancy::compensate(&app.tenancy, &saga.saga_id).await?).into_response())
        }
    }
}
