//! The operator's side: keys of tenants.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use kgrca_core::api::{CreatedKey, ErrorBody, NewKey, Page, Rotation};
use kgrca_core::model::time::SECOND;
use kgrca_core::storage::{ApiKey, Role, Scope};

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
    let mut scopes: BTreeSet<Scope> = wish.scopes.into_iter().collect();
    scopes.extend(wish.role.into_iter().flat_map(Role::scopes));
    if scopes.is_empty() {
        let all = Scope::ALL.iter().map(|s| s.as_str()).collect::<Vec<_>>().join(", ");
        return Err(ApiError::invalid("a key needs a role or a scope").hint(all));
    }
    let secret = auth::new_key(Some(&tenant), &wish.name, scopes.into_iter().collect());
    app.stores.meta.put_key(&secret.key, &secret.hash).await?;
    audit(&app, &operator.key_id, &id, "key.create", &secret.key.key_id).await?;
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
    audit(&app, &operator.key_id, &id, "key.revoke", &key).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// For how long both keys work when nothing else is said, in seconds.
const OVERLAP: u32 = 86_400;
/// The longest.
const LONGEST_OVERLAP: u32 = 2_592_000;

/// Makes a key in the place of another, which works on for a while.
#[utoipa::path(post, path = "/admin/clients/{id}/keys/{key}/rotate", tag = "admin", params(("id" = String, Path), ("key" = String, Path)), request_body = Rotation, responses((status = 201, body = CreatedKey), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub async fn rotate(
    State(app): State<Arc<App>>,
    operator: Operator,
    Path((id, key)): Path<(String, String)>,
    Given(rotation): Given<Rotation>,
) -> Result<(StatusCode, Json<CreatedKey>), ApiError> {
    let (tenant, _) = living(&app, &id).await?;
    let overlap = rotation.overlap_seconds.unwrap_or(OVERLAP);
    if overlap > LONGEST_OVERLAP {
        return Err(ApiError::invalid(format!("`overlap_seconds` is at most {LONGEST_OVERLAP}")));
    }
    let known = app.stores.meta.keys(Some(&id)).await?.into_iter().find(|k| k.key_id == key && k.holds(now()));
    let old = known.ok_or_else(|| ApiError::not_found(format!("tenant `{id}` has no live key `{key}`")))?;
    let secret = auth::new_key(Some(&tenant), &old.name, old.scopes);
    app.stores.meta.put_key(&secret.key, &secret.hash).await?;
    app.stores.meta.expire_key(Some(&id), &key, now().plus(i64::from(overlap) * SECOND)).await?;
    app.keys.clear();
    audit(&app, &operator.key_id, &id, "key.rotate", &format!("{key} by {}", secret.key.key_id)).await?;
    Ok((StatusCode::CREATED, Json(CreatedKey { api_key: secret.secret, key: secret.key })))
}
