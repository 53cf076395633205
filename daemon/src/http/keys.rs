//! Endpoints of API keys: a tenant's own, a tenant's for the operator, and the operator's.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use kgrca_core::api::{CreatedKey, NewKey, NewOperatorKey, NewOwnKey, Page, Rotation};
use kgrca_core::tenancy::ApiKey;
use serde::Deserialize;
use utoipa::IntoParams;

use super::auth::{Admin, Caller, Operator};
use super::body::JsonBody;
use super::error::{ApiError, ApiErrors};
use super::tenants::TenantPath;
use crate::usecases::keys::{self, KeyOwner};
use crate::usecases::{App, Result};

type Keys = Result<Json<Page<ApiKey>>, ApiError>;
type Created = Result<(StatusCode, Json<CreatedKey>), ApiError>;
type Revoked = Result<StatusCode, ApiError>;

fn created(result: Result<CreatedKey>) -> Created {
    Ok((StatusCode::CREATED, Json(result?)))
}

/// A key in the path.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct KeyPath {
    /// Id of the key.
    #[param(pattern = "^key_[a-z0-9]+$")]
    key_id: String,
}

/// A tenant and one of its keys in the path.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct TenantKeyPath {
    /// Id of the tenant.
    id: String,
    /// Id of the key.
    #[param(pattern = "^key_[a-z0-9]+$")]
    key_id: String,
}

/// Lists the tenant's keys, without the secrets.
#[utoipa::path(
    get,
    path = "/keys",
    operation_id = "list_own_keys",
    tag = "self",
    responses((status = 200, description = "All keys", body = Page<ApiKey>), ApiErrors)
)]
pub async fn list_own(State(app): State<Arc<App>>, caller: Caller<Admin>) -> Keys {
    Ok(Json(keys::list(&app, &caller, KeyOwner::OwnTenant).await?))
}

/// Creates a key of the tenant. The secret is shown only here.
#[utoipa::path(
    post,
    path = "/keys",
    operation_id = "create_own_key",
    tag = "self",
    request_body = NewOwnKey,
    responses((status = 201, description = "The key and its secret", body = CreatedKey), ApiErrors)
)]
pub async fn create_own(
    State(app): State<Arc<App>>,
    caller: Caller<Admin>,
    JsonBody(new): JsonBody<NewOwnKey>,
) -> Created {
    created(keys::create(&app, &caller, KeyOwner::OwnTenant, new.into()).await)
}

/// Revokes a key of the tenant. It stops working within 5 seconds.
#[utoipa::path(
    delete,
    path = "/keys/{key_id}",
    operation_id = "revoke_own_key",
    tag = "self",
    params(KeyPath),
    responses((status = 204, description = "Revoked"), ApiErrors)
)]
pub async fn revoke_own(
    State(app): State<Arc<App>>,
    caller: Caller<Admin>,
    Path(path): Path<KeyPath>,
) -> Revoked {
    keys::revoke(&app, &caller, KeyOwner::OwnTenant, &path.key_id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Replaces a key of the tenant. Both keys work during the overlap.
#[utoipa::path(
    post,
    path = "/keys/{key_id}/rotate",
    operation_id = "rotate_own_key",
    tag = "self",
    params(KeyPath),
    request_body = Rotation,
    responses((status = 201, description = "The key and its secret", body = CreatedKey), ApiErrors)
)]
pub async fn rotate_own(
    State(app): State<Arc<App>>,
    caller: Caller<Admin>,
    Path(path): Path<KeyPath>,
    JsonBody(rotation): JsonBody<Rotation>,
) -> Created {
    let owner = KeyOwner::OwnTenant;
    created(keys::rotate(&app, &caller, owner, &path.key_id, rotation).await)
}

/// Lists a tenant's keys, without the secrets.
#[utoipa::path(
    get,
    path = "/admin/clients/{id}/keys",
    operation_id = "list_tenant_keys",
    tag = "admin",
    params(TenantPath),
    responses((status = 200, description = "All keys", body = Page<ApiKey>), ApiErrors)
)]
pub async fn list(
    State(app): State<Arc<App>>,
    caller: Caller<Operator>,
    Path(path): Path<TenantPath>,
) -> Keys {
    let owner = KeyOwner::Tenant(&path.id);
    Ok(Json(keys::list(&app, &caller, owner).await?))
}

/// Creates a key of a tenant. The secret is shown only here.
#[utoipa::path(
    post,
    path = "/admin/clients/{id}/keys",
    operation_id = "create_tenant_key",
    tag = "admin",
    params(TenantPath),
    request_body = NewKey,
    responses((status = 201, description = "The key and its secret", body = CreatedKey), ApiErrors)
)]
pub async fn create(
    State(app): State<Arc<App>>,
    caller: Caller<Operator>,
    Path(path): Path<TenantPath>,
    JsonBody(new): JsonBody<NewKey>,
) -> Created {
    let owner = KeyOwner::Tenant(&path.id);
    created(keys::create(&app, &caller, owner, new.into()).await)
}

/// Revokes a key of a tenant. It stops working within 5 seconds.
#[utoipa::path(
    delete,
    path = "/admin/clients/{id}/keys/{key_id}",
    operation_id = "revoke_tenant_key",
    tag = "admin",
    params(TenantKeyPath),
    responses((status = 204, description = "Revoked"), ApiErrors)
)]
pub async fn revoke(
    State(app): State<Arc<App>>,
    caller: Caller<Operator>,
    Path(path): Path<TenantKeyPath>,
) -> Revoked {
    keys::revoke(&app, &caller, KeyOwner::Tenant(&path.id), &path.key_id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Replaces a key of a tenant. Both keys work during the overlap.
#[utoipa::path(
    post,
    path = "/admin/clients/{id}/keys/{key_id}/rotate",
    operation_id = "rotate_tenant_key",
    tag = "admin",
    params(TenantKeyPath),
    request_body = Rotation,
    responses((status = 201, description = "The key and its secret", body = CreatedKey), ApiErrors)
)]
pub async fn rotate(
    State(app): State<Arc<App>>,
    caller: Caller<Operator>,
    Path(path): Path<TenantKeyPath>,
    JsonBody(rotation): JsonBody<Rotation>,
) -> Created {
    let owner = KeyOwner::Tenant(&path.id);
    created(keys::rotate(&app, &caller, owner, &path.key_id, rotation).await)
}

/// Lists the operator keys, without the secrets.
#[utoipa::path(
    get,
    path = "/admin/keys",
    operation_id = "list_operator_keys",
    tag = "admin",
    responses((status = 200, description = "All keys", body = Page<ApiKey>), ApiErrors)
)]
pub async fn list_operator(State(app): State<Arc<App>>, caller: Caller<Operator>) -> Keys {
    Ok(Json(keys::list(&app, &caller, KeyOwner::Operator).await?))
}

/// Creates an operator key: `admin` for all tenants, `billing` for usage and invoices only.
///
/// The secret is shown only here.
#[utoipa::path(
    post,
    path = "/admin/keys",
    operation_id = "create_operator_key",
    tag = "admin",
    request_body = NewOperatorKey,
    responses((status = 201, description = "The key and its secret", body = CreatedKey), ApiErrors)
)]
pub async fn create_operator(
    State(app): State<Arc<App>>,
    caller: Caller<Operator>,
    JsonBody(new): JsonBody<NewOperatorKey>,
) -> Created {
    created(keys::create(&app, &caller, KeyOwner::Operator, new.into()).await)
}

/// Revokes an operator key. It stops working within 5 seconds.
#[utoipa::path(
    delete,
    path = "/admin/keys/{key_id}",
    operation_id = "revoke_operator_key",
    tag = "admin",
    params(KeyPath),
    responses((status = 204, description = "Revoked"), ApiErrors)
)]
pub async fn revoke_operator(
    State(app): State<Arc<App>>,
    caller: Caller<Operator>,
    Path(path): Path<KeyPath>,
) -> Revoked {
    keys::revoke(&app, &caller, KeyOwner::Operator, &path.key_id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Replaces an operator key. Both keys work during the overlap.
#[utoipa::path(
    post,
    path = "/admin/keys/{key_id}/rotate",
    operation_id = "rotate_operator_key",
    tag = "admin",
    params(KeyPath),
    request_body = Rotation,
    responses((status = 201, description = "The key and its secret", body = CreatedKey), ApiErrors)
)]
pub async fn rotate_operator(
    State(app): State<Arc<App>>,
    caller: Caller<Operator>,
    Path(path): Path<KeyPath>,
    JsonBody(rotation): JsonBody<Rotation>,
) -> Created {
    let owner = KeyOwner::Operator;
    created(keys::rotate(&app, &caller, owner, &path.key_id, rotation).await)
}
