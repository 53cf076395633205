//! The operator's side: tenants.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use kgrca_core::api::{ClientChange, ClientStatus, CreatedClient, ErrorBody, NewClient, Page, Served};
use kgrca_core::billing;
use kgrca_core::model::Topic;
use kgrca_core::storage::{Audit, Client, ClientState, Scope, Tenant, new_client_id};

use super::error::ApiError;
use super::given::Given;
use super::guard::Operator;
use crate::app::{App, now};
use crate::auth;

/// What a tenant's first key may do: all that a tenant can.
const FIRST_KEY: [Scope; 5] = [Scope::Ingest, Scope::Read, Scope::Query, Scope::Billing, Scope::Admin];

pub(super) async fn audit(app: &App, operator: &Operator, action: &str, target: &str) -> Result<(), ApiError> {
    let audit = Audit { at: now(), actor: operator.key_id.clone(), action: action.to_owned(), target: target.to_owned() };
    Ok(app.stores.meta.audit(&audit).await?)
}

/// The tenant of an id, checked.
pub(super) async fn find(app: &App, id: &str) -> Result<(Tenant, Client), ApiError> {
    let missing = || ApiError::not_found(format!("there is no tenant `{id}`")).hint("GET /api/v1/admin/clients lists them");
    let tenant = Tenant::parse(id).ok_or_else(missing)?;
    let client = app.stores.meta.client(id).await?.ok_or_else(missing)?;
    Ok((tenant, client))
}

/// A tenant that was not deleted. Of one that was, only what it owes is still told.
pub(super) async fn living(app: &App, id: &str) -> Result<(Tenant, Client), ApiError> {
    let (tenant, client) = find(app, id).await?;
    if client.state == ClientState::Deleted {
        return Err(ApiError::not_found(format!("tenant `{id}` was deleted"))
            .hint("GET /api/v1/admin/clients lists those that are there"));
    }
    Ok((tenant, client))
}

fn known_plan(name: &str) -> Result<(), ApiError> {
    let plans = || billing::plans().iter().map(|p| p.name.as_str()).collect::<Vec<_>>().join(", ");
    billing::find(name).map(|_| ()).ok_or_else(|| ApiError::invalid(format!("`{name}` is no plan")).hint(plans()))
}

/// Creates a tenant with its first key, which is shown only here.
#[utoipa::path(post, path = "/admin/clients", tag = "admin", request_body = NewClient, responses((status = 201, body = CreatedClient), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn create(
    State(app): State<Arc<App>>,
    operator: Operator,
    Given(wish): Given<NewClient>,
) -> Result<(StatusCode, Json<CreatedClient>), ApiError> {
    let name = wish.name.trim();
    if name.is_empty() || name.chars().count() > 200 {
        return Err(ApiError::invalid("`name` must have 1 to 200 characters"));
    }
    known_plan(&wish.plan)?;
    let client_id = new_client_id(name, &auth::random(b"abcdefghijklmnopqrstuvwxyz0123456789", 6));
    let tenant = Tenant::parse(&client_id).ok_or_else(|| ApiError::invalid("`name` gives no id"))?;
    let client = Client {
        client_id: client_id.clone(),
        name: name.to_owned(),
        plan: wish.plan,
        state: ClientState::Active,
        contact_email: wish.contact_email,
        created_at: now(),
        deleted_at: None,
    };
    app.stores.meta.put_client(&client).await?;
    let secret = auth::new_key(Some(&tenant), "first", FIRST_KEY.to_vec());
    app.stores.meta.put_key(&secret.key, &secret.hash).await?;
    audit(&app, &operator, "client.create", &client_id).await?;
    let topics = Topic::ALL.iter().map(|t| format!("{client_id}.{}", t.as_str())).collect();
    let created =
        CreatedClient { graph_database: format!("{client_id}-kg"), client_id, api_key: secret.secret, kafka_topics: topics };
    Ok((StatusCode::CREATED, Json(created)))
}

async fn status(app: &App, client: Client) -> Result<ClientStatus, ApiError> {
    let Some(tenant) = Tenant::parse(&client.client_id) else { return Err(ApiError::not_found("no such tenant")) };
    let lag = app.engine.loaded(&tenant).iter().map(|l| *l.lag.borrow()).sum();
    let last_record = app.stores.meta.clusters(&tenant).await?.iter().map(|c| c.last_record).max();
    let events_today = super::own::events_today(app, &tenant).await?;
    let storage_bytes = app.stores.log.bytes(&tenant).await?;
    Ok(ClientStatus { client, lag, last_record, events_today, storage_bytes })
}

/// All tenants that were not deleted, with what an operator watches.
#[utoipa::path(get, path = "/admin/clients", tag = "admin", responses((status = 200, body = Page<ClientStatus>), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody)))]
pub async fn list(State(app): State<Arc<App>>, _: Operator) -> Result<Json<Page<ClientStatus>>, ApiError> {
    let mut items = Vec::new();
    let all = app.stores.meta.list_clients().await?;
    for client in all.into_iter().filter(|c| c.state != ClientState::Deleted) {
        items.push(status(&app, client).await?);
    }
    Ok(Json(Page { items, next: None }))
}

/// One tenant.
#[utoipa::path(get, path = "/admin/clients/{id}", tag = "admin", params(("id" = String, Path)), responses((status = 200, body = ClientStatus), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub async fn show(State(app): State<Arc<App>>, _: Operator, Path(id): Path<String>) -> Result<Json<ClientStatus>, ApiError> {
    let (_, client) = living(&app, &id).await?;
    Ok(Json(status(&app, client).await?))
}

/// Suspends, resumes, or changes the plan.
#[utoipa::path(patch, path = "/admin/clients/{id}", tag = "admin", params(("id" = String, Path)), request_body = ClientChange, responses((status = 200, body = ClientStatus), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub async fn change(
    State(app): State<Arc<App>>,
    operator: Operator,
    Path(id): Path<String>,
    Given(change): Given<ClientChange>,
) -> Result<Json<ClientStatus>, ApiError> {
    let (_, mut client) = living(&app, &id).await?;
    if let Some(plan) = change.plan {
        known_plan(&plan)?;
        client.plan = plan;
    }
    client.state = match change.state {
        Some(Served::Active) => ClientState::Active,
        Some(Served::Suspended) => ClientState::Suspended,
        None => client.state,
    };
    app.stores.meta.put_client(&client).await?;
    app.keys.clear();
    audit(&app, &operator, &format!("client.{}", client.state.as_str()), &id).await?;
    Ok(Json(status(&app, client).await?))
}

/// Deletes a tenant: its keys stop working at once, its records are removed.
#[utoipa::path(delete, path = "/admin/clients/{id}", tag = "admin", params(("id" = String, Path)), responses((status = 204), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub async fn delete(State(app): State<Arc<App>>, operator: Operator, Path(id): Path<String>) -> Result<StatusCode, ApiError> {
    let (tenant, mut client) = find(&app, &id).await?;
    client.state = ClientState::Deleted;
    client.deleted_at = Some(client.deleted_at.unwrap_or_else(now));
    app.stores.meta.put_client(&client).await?;
    for key in app.stores.meta.keys(Some(&id)).await? {
        app.stores.meta.revoke_key(Some(&id), &key.key_id, now()).await?;
    }
    app.keys.clear();
    app.engine.unload(&tenant).await;
    app.engine.forget(&tenant).map_err(|e| ApiError::internal(format!("snapshots: {e}")))?;
    app.stores.log.remove(&tenant).await?;
    app.stores.graph.remove(&tenant).await?;
    audit(&app, &operator, "client.delete", &id).await?;
    Ok(StatusCode::NO_CONTENT)
}
