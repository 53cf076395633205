//! A tenant's own keys.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use kgrca_core::api::{CreatedKey, ErrorBody, NewOwnKey, Page};
use kgrca_core::tenancy::ApiKey;

use super::auth::{Admin, Caller};
use super::body::JsonBody;
use super::error::ApiError;
use super::keys::{Made, Owner};
use crate::usecases::App;

fn owner<'a>(app: &'a App, caller: &'a Caller<Admin>) -> Owner<'a> {
    Owner {
        app,
        actor: caller,
        tenant: Some(&caller.tenant),
    }
}

/// Keys of the tenant; never the secrets.
#[utoipa::path(get, path = "/keys", tag = "self", responses((status = 200, body = Page<ApiKey>), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 429, body = ErrorBody)))]
pub async fn list(
    State(app): State<Arc<App>>,
    caller: Caller<Admin>,
) -> Result<Json<Page<ApiKey>>, ApiError> {
    owner(&app, &caller).list().await
}

/// Creates a key of the tenant, which is shown only here.
#[utoipa::path(post, path = "/keys", tag = "self", request_body = NewOwnKey, responses((status = 201, body = CreatedKey), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 413, body = ErrorBody), (status = 429, body = ErrorBody)))]
pub async fn create(
    State(app): State<Arc<App>>,
    caller: Caller<Admin>,
    JsonBody(wish): JsonBody<NewOwnKey>,
) -> Made {
    owner(&app, &caller)
        .create((wish.name, wish.role.scopes()))
        .await
}

/// Revokes a key of the tenant; it stops working within 5 seconds everywhere.
#[utoipa::path(delete, path = "/keys/{key}", tag = "self", params(("key" = String, Path)), responses((status = 204), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 429, body = ErrorBody)))]
pub async fn revoke(
    State(app): State<Arc<App>>,
    caller: Caller<Admin>,
    Path(key): Path<String>,
) -> Result<StatusCode, ApiError> {
    owner(&app, &caller).revoke(&key).await
}
