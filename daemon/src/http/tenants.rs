//! Endpoints of tenants, for the operator.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use kgrca_core::api::{CreatedTenant, MoveGraph, NewTenant, Page, TenantChange, TenantStatus};
use kgrca_core::tenancy::Saga;
use serde::Deserialize;
use utoipa::IntoParams;

use super::auth::{Accountant, Caller, Operator};
use super::body::JsonBody;
use super::error::{ApiError, ApiErrors};
use super::header_text;
use crate::usecases::{App, tenants};

/// The tenant in the path.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct TenantPath {
    /// Id of the tenant.
    pub id: String,
}

/// Creates a tenant with its first key. The secrets are shown only here.
#[utoipa::path(
    post,
    path = "/admin/clients",
    operation_id = "create_tenant",
    tag = "admin",
    params(("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255,
        pattern = "^[!-~]([ -~]*[!-~])?$",
        description = "For 24 h the same request with the same key resumes the same operation; \
                       when that is done, it issues new secrets. Another request with the key is \
                       refused with 409")),
    request_body = NewTenant,
    responses((status = 201, description = "The tenant is set up", body = CreatedTenant), ApiErrors)
)]
pub async fn create(
    State(app): State<Arc<App>>,
    caller: Caller<Operator>,
    headers: HeaderMap,
    JsonBody(new): JsonBody<NewTenant>,
) -> Result<(StatusCode, Json<CreatedTenant>), ApiError> {
    let idempotency_key = header_text(&headers, "idempotency-key")?;
    let created = tenants::create(&app, &caller, new, idempotency_key).await?;
    Ok((StatusCode::CREATED, Json(created)))
}

/// Lists tenants with what an operator watches. A key for billing may list them, too.
#[utoipa::path(
    get,
    path = "/admin/clients",
    operation_id = "list_tenants",
    tag = "admin",
    responses((status = 200, description = "All tenants", body = Page<TenantStatus>), ApiErrors)
)]
pub async fn list(
    State(app): State<Arc<App>>,
    caller: Caller<Accountant>,
) -> Result<Json<Page<TenantStatus>>, ApiError> {
    Ok(Json(tenants::list(&app, &caller).await?))
}

/// Shows a tenant.
#[utoipa::path(
    get,
    path = "/admin/clients/{id}",
    operation_id = "get_tenant",
    tag = "admin",
    params(TenantPath),
    responses((status = 200, description = "The tenant", body = TenantStatus), ApiErrors)
)]
pub async fn show(
    State(app): State<Arc<App>>,
    caller: Caller<Operator>,
    Path(path): Path<TenantPath>,
) -> Result<Json<TenantStatus>, ApiError> {
    Ok(Json(tenants::show(&app, &caller, &path.id).await?))
}

/// Changes a tenant's state, plan, limits, partitions or contact. It takes effect at once.
#[utoipa::path(
    patch,
    path = "/admin/clients/{id}",
    operation_id = "update_tenant",
    tag = "admin",
    params(TenantPath),
    request_body = TenantChange,
    responses((status = 200, description = "The changed tenant", body = TenantStatus), ApiErrors)
)]
pub async fn update(
    State(app): State<Arc<App>>,
    caller: Caller<Operator>,
    Path(path): Path<TenantPath>,
    JsonBody(change): JsonBody<TenantChange>,
) -> Result<Json<TenantStatus>, ApiError> {
    Ok(Json(
        tenants::change(&app, &caller, &path.id, change).await?,
    ))
}

/// How long a deletion can be reversed.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DeleteParams {
    /// Days until the data is removed; default 30, 0 for at once.
    #[param(maximum = 365)]
    grace_days: Option<u32>,
}

/// Deletes a tenant.
///
/// It is no longer served from now on, and its data is removed after the grace period.
#[utoipa::path(
    delete,
    path = "/admin/clients/{id}",
    operation_id = "delete_tenant",
    tag = "admin",
    params(TenantPath, DeleteParams),
    responses((status = 202, description = "The saga that deletes it", body = Saga), ApiErrors)
)]
pub async fn delete(
    State(app): State<Arc<App>>,
    caller: Caller<Operator>,
    Path(path): Path<TenantPath>,
    params: Result<Query<DeleteParams>, QueryRejection>,
) -> Result<(StatusCode, Json<Saga>), ApiError> {
    let Query(params) = params?;
    let saga = tenants::delete(&app, &caller, &path.id, params.grace_days).await?;
    Ok((StatusCode::ACCEPTED, Json(saga)))
}

/// Moves a tenant's graph to another server while the tenant is served.
///
/// The saga shows the progress.
#[utoipa::path(
    post,
    path = "/admin/clients/{id}/move",
    operation_id = "move_tenant_graph",
    tag = "admin",
    params(TenantPath),
    request_body = MoveGraph,
    responses((status = 202, description = "The saga that moves it", body = Saga), ApiErrors)
)]
pub async fn move_graph(
    State(app): State<Arc<App>>,
    caller: Caller<Operator>,
    Path(path): Path<TenantPath>,
    JsonBody(to): JsonBody<MoveGraph>,
) -> Result<(StatusCode, Json<Saga>), ApiError> {
    let saga = tenants::move_graph(&app, &caller, &path.id, &to.graph_server).await?;
    Ok((StatusCode::ACCEPTED, Json(saga)))
}
