//! The operator's side: keys of tenants, and its own.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use kgrca_core::api::{CreatedKey, ErrorBody, NewKey, NewOperatorKey, Page, Rotation};
use kgrca_core::model::time::SECOND;
use kgrca_core::tenancy::{ApiKey, Scope, TenantId, TenantState};

use super::admin::living;
use super::auth::Operator;
use super::body::JsonBody;
use super::error::ApiError;
use crate::api_key;
use crate::clock::now;
use crate::usecases::{Actor, App, audit};

pub(super) type Made = Result<(StatusCode, Json<CreatedKey>), ApiError>;

/// Whose keys: a tenant's, or the operator's.
pub(super) struct Owner<'a> {
    /// Where they are kept.
    pub app: &'a App,
    /// Who acts.
    pub actor: &'a Actor,
    /// The tenant.
    pub tenant: Option<&'a TenantId>,
}

impl Owner<'_> {
    fn id(&self) -> Option<&str> {
        self.tenant.map(TenantId::as_str)
    }

    fn missing(&self, key: &str) -> ApiError {
        let whose = self
            .tenant
            .map_or("the operator".to_owned(), |t| format!("tenant `{t}`"));
        ApiError::not_found(format!("{whose} has no live key `{key}`"))
    }

    async fn audit(&self, action: &str, target: &str) -> Result<(), ApiError> {
        Ok(audit::record(self.app, self.actor, self.id(), action, target).await?)
    }

    pub(super) async fn list(&self) -> Result<Json<Page<ApiKey>>, ApiError> {
        Ok(Json(Page {
            items: self.app.stores.meta.keys(self.id()).await?,
            next: None,
        }))
    }

    pub(super) async fn create(&self, (name, scopes): (String, Vec<Scope>)) -> Made {
        let scopes: BTreeSet<Scope> = scopes.into_iter().collect();
        if scopes.is_empty() {
            return Err(ApiError::invalid("a key needs a role or a scope")
                .hint("GET /docs lists what a key may do"));
        }
        let secret = api_key::new_key(self.tenant, &name, scopes.into_iter().collect());
        self.app
            .stores
            .meta
            .put_key(&secret.key, &secret.hash)
            .await?;
        self.audit("key.create", &secret.key.key_id).await?;
        Ok((
            StatusCode::CREATED,
            Json(CreatedKey {
                api_key: secret.secret,
                key: secret.key,
            }),
        ))
    }

    pub(super) async fn revoke(&self, key: &str) -> Result<StatusCode, ApiError> {
        if self.tenant.is_none() && self.actor.is_key(key) {
            return Err(ApiError::conflict("a key cannot revoke itself")
                .hint("use another key of the operator"));
        }
        if !self
            .app
            .stores
            .meta
            .revoke_key(self.id(), key, now())
            .await?
        {
            return Err(self.missing(key));
        }
        self.app.keys.clear();
        self.audit("key.revoke", key).await?;
        Ok(StatusCode::NO_CONTENT)
    }

    async fn rotate(&self, key: &str, rotation: Rotation) -> Made {
        let overlap = rotation.overlap_seconds.unwrap_or(OVERLAP);
        if overlap > LONGEST_OVERLAP {
            return Err(ApiError::invalid(format!(
                "`overlap_seconds` is at most {LONGEST_OVERLAP}"
            )));
        }
        let meta = &self.app.stores.meta;
        let known = meta
            .keys(self.id())
            .await?
            .into_iter()
            .find(|k| k.key_id == key && k.holds(now()));
        let old = known.ok_or_else(|| self.missing(key))?;
        let secret = api_key::new_key(self.tenant, &old.name, old.scopes);
        meta.put_key(&secret.key, &secret.hash).await?;
        meta.expire_key(self.id(), key, now().plus(i64::from(overlap) * SECOND))
            .await?;
        self.app.keys.clear();
        self.audit("key.rotate", &format!("{key} by {}", secret.key.key_id))
            .await?;
        Ok((
            StatusCode::CREATED,
            Json(CreatedKey {
                api_key: secret.secret,
                key: secret.key,
            }),
        ))
    }
}

/// For how long both keys work when nothing else is said, in seconds.
const OVERLAP: u32 = 86_400;
/// The longest.
const LONGEST_OVERLAP: u32 = 2_592_000;

/// Keys of a tenant; never the secrets.
#[utoipa::path(get, path = "/admin/clients/{id}/keys", tag = "admin", params(("id" = String, Path)), responses((status = 200, body = Page<ApiKey>), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub async fn list(
    State(app): State<Arc<App>>,
    operator: Operator,
    Path(id): Path<String>,
) -> Result<Json<Page<ApiKey>>, ApiError> {
    let (tenant, _) = living(&app, &id).await?;
    Owner {
        app: &app,
        actor: &operator.actor,
        tenant: Some(&tenant),
    }
    .list()
    .await
}

/// Creates a key, which is shown only here.
#[utoipa::path(post, path = "/admin/clients/{id}/keys", tag = "admin", params(("id" = String, Path)), request_body = NewKey, responses((status = 201, body = CreatedKey), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody)))]
pub async fn create(
    State(app): State<Arc<App>>,
    operator: Operator,
    Path(id): Path<String>,
    JsonBody(wish): JsonBody<NewKey>,
) -> Made {
    let (tenant, client) = living(&app, &id).await?;
    if client.deleted_at.is_some() || client.state == TenantState::Joining {
        let what = if client.deleted_at.is_some() {
            "was deleted"
        } else {
            "is still being set up"
        };
        return Err(ApiError::conflict(format!("tenant `{id}` {what}")));
    }
    Owner {
        app: &app,
        actor: &operator.actor,
        tenant: Some(&tenant),
    }
    .create(wish.wanted())
    .await
}

/// Revokes a key; it stops working within 5 seconds everywhere.
#[utoipa::path(delete, path = "/admin/clients/{id}/keys/{key}", tag = "admin", params(("id" = String, Path), ("key" = String, Path)), responses((status = 204), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub async fn revoke(
    State(app): State<Arc<App>>,
    operator: Operator,
    Path((id, key)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    let (tenant, _) = living(&app, &id).await?;
    Owner {
        app: &app,
        actor: &operator.actor,
        tenant: Some(&tenant),
    }
    .revoke(&key)
    .await
}

/// Makes a key in the place of another, which works on for a while.
#[utoipa::path(post, path = "/admin/clients/{id}/keys/{key}/rotate", tag = "admin", params(("id" = String, Path), ("key" = String, Path)), request_body = Rotation, responses((status = 201, body = CreatedKey), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub async fn rotate(
    State(app): State<Arc<App>>,
    operator: Operator,
    Path((id, key)): Path<(String, String)>,
    JsonBody(rotation): JsonBody<Rotation>,
) -> Made {
    let (tenant, _) = living(&app, &id).await?;
    Owner {
        app: &app,
        actor: &operator.actor,
        tenant: Some(&tenant),
    }
    .rotate(&key, rotation)
    .await
}

/// Keys of the operator; never the secrets.
#[utoipa::path(get, path = "/admin/keys", tag = "admin", responses((status = 200, body = Page<ApiKey>), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody)))]
pub async fn list_own(
    State(app): State<Arc<App>>,
    operator: Operator,
) -> Result<Json<Page<ApiKey>>, ApiError> {
    Owner {
        app: &app,
        actor: &operator.actor,
        tenant: None,
    }
    .list()
    .await
}

/// Creates a key of the operator, which is shown only here: `admin` for all tenants, `billing` for
/// usage and invoices alone.
#[utoipa::path(post, path = "/admin/keys", tag = "admin", request_body = NewOperatorKey, responses((status = 201, body = CreatedKey), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody)))]
pub async fn create_own(
    State(app): State<Arc<App>>,
    operator: Operator,
    JsonBody(wish): JsonBody<NewOperatorKey>,
) -> Made {
    Owner {
        app: &app,
        actor: &operator.actor,
        tenant: None,
    }
    .create(wish.wanted())
    .await
}

/// Revokes a key of the operator; it stops working within 5 seconds everywhere.
#[utoipa::path(delete, path = "/admin/keys/{key}", tag = "admin", params(("key" = String, Path)), responses((status = 204), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody)))]
pub async fn revoke_own(
    State(app): State<Arc<App>>,
    operator: Operator,
    Path(key): Path<String>,
) -> Result<StatusCode, ApiError> {
    Owner {
        app: &app,
        actor: &operator.actor,
        tenant: None,
    }
    .revoke(&key)
    .await
}

/// Makes a key of the operator in the place of another, which works on for a while.
#[utoipa::path(post, path = "/admin/keys/{key}/rotate", tag = "admin", params(("key" = String, Path)), request_body = Rotation, responses((status = 201, body = CreatedKey), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub async fn rotate_own(
    State(app): State<Arc<App>>,
    operator: Operator,
    Path(key): Path<String>,
    JsonBody(rotation): JsonBody<Rotation>,
) -> Made {
    Owner {
        app: &app,
        actor: &operator.actor,
        tenant: None,
    }
    .rotate(&key, rotation)
    .await
}
