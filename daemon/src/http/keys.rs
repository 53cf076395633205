//! The operator's side: keys of tenants.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use kgrca_core::api::{CreatedKey, ErrorBody, NewKey, Page};
use kgrca_core::storage::{ApiKey, Scope};

use super::admin::{audit, living};
use super::error::ApiError;
use super::given::Given;
use super::guard::Operator;
use crate::app::{App, now};
use crate::auth;

/// Keys of a tenant; never the secrets.
#[utoipa::path(get, path = "/admin/clients/{id}/keys", tag = "admin", params(("id" = String, Path)), responses((status = 200, body = Page<ApiKey>), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub async fn list(State(app): State<Arc<App>>, _: Operator, Path(id): Path<String>) -> Result<Json<Page<ApiKey>>, ApiError> {
    let (_, client) = living(&app, &id).await?;
    Ok(Json(Page { items: app.stores.meta.keys(Some(&client.client_id)).await?, next: None }))
}

/// Creates a key, which is shown only here.
#[utoipa::path(post, path = "/admin/clients/{id}/keys", tag = "admin", params(("id" = String, Path)), request_body = NewKey, responses((status = 201, body = CreatedKey), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody)))]
pub async fn create(
    State(app): State<Arc<App>>,
    operator: Operator,
    Path(id): Path<String>,
    Given(wish): Given<NewKey>,
) -> Result<(StatusCode, Json<CreatedKey>), ApiError> {
    let (tenant, client) = living(&app, &id).await?;
    if client.deleted_at.is_some() {
        return Err(ApiError::conflict(format!("tenant `{id}` was deleted")));
    }
    if wish.scopes.is_empty() {
        let all = Scope::ALL.iter().map(|s| s.as_str()).collect::<Vec<_>>().join(", ");
        return Err(ApiError::invalid("a key needs at least one scope").hint(all));
    }
    let secret = auth::new_key(Some(&tenant), &wish.name, wish.scopes);
    app.stores.meta.put_key(&secret.key, &secret.hash).await?;
    audit(&app, &operator, "key.create", &secret.key.key_id).await?;
    Ok((StatusCode::CREATED, Json(CreatedKey { api_key: secret.secret, key: secret.key })))
}

/// Revokes a key; it stops working within 5 seconds everywhere.
#[utoipa::path(delete, path = "/admin/clients/{id}/keys/{key}", tag = "admin", params(("id" = String, Path), ("key" = String, Path)), responses((status = 204), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub async fn revoke(
    State(app): State<Arc<App>>,
    operator: Operator,
    Path((id, key)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    let (_, client) = living(&app, &id).await?;
    if !app.stores.meta.revoke_key(Some(&client.client_id), &key, now()).await? {
        return Err(ApiError::not_found(format!("tenant `{id}` has no live key `{key}`")));
    }
    app.keys.clear();
    audit(&app, &operator, "key.revoke", &key).await?;
    Ok(StatusCode::NO_CONTENT)
}
