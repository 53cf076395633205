//! The operator's side: tenants.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use kgrca_core::api::{
    CreatedTenant, ErrorBody, MoveGraph, NewTenant, Page, Served, Stats, TenantChange, TenantStatus,
};
use kgrca_core::billing::{self, Overrides, Plan};
use kgrca_core::model::Topic;
use kgrca_core::tenancy::{Saga, Tenant, TenantId, TenantState, new_tenant_id};
use serde::Deserialize;
use utoipa::IntoParams;

use super::auth::{Accountant, Operator};
use super::body::JsonBody;
use super::error::ApiError;
use crate::clock::now;
use crate::random::random_id;
use crate::tenancy::{self, Secrets};
use crate::usecases::{Actor, App, audit};

/// Longest retention in days that can be agreed: a century.
const LONGEST_RETENTION: u32 = 36_500;
/// Days in which a tenant can be brought back when nothing else is said.
const USUAL_GRACE: u32 = 30;

pub(super) async fn audit(
    app: &App,
    actor: &Actor,
    client_id: &str,
    action: &str,
    target: &str,
) -> Result<(), ApiError> {
    Ok(audit::record(app, actor, Some(client_id), action, target).await?)
}

/// The tenant of an id, checked.
pub(super) async fn find(app: &App, id: &str) -> Result<(TenantId, Tenant), ApiError> {
    let missing = || {
        ApiError::not_found(format!("there is no tenant `{id}`"))
            .hint("GET /api/v1/admin/clients lists them")
    };
    let tenant = TenantId::parse(id).ok_or_else(missing)?;
    let client = app.stores.meta.tenant(id).await?.ok_or_else(missing)?;
    Ok((tenant, client))
}

/// A tenant that was not deleted. Of one that was, only what it owes is still told.
pub(super) async fn living(app: &App, id: &str) -> Result<(TenantId, Tenant), ApiError> {
    let (tenant, client) = find(app, id).await?;
    if client.state == TenantState::Deleted {
        return Err(ApiError::not_found(format!("tenant `{id}` was deleted"))
            .hint("GET /api/v1/admin/clients lists those that are there"));
    }
    Ok((tenant, client))
}

fn known_plan(name: &str) -> Result<&'static Plan, ApiError> {
    let plans = || {
        billing::plans()
            .iter()
            .map(|p| p.name.as_str())
            .collect::<Vec<_>>()
            .join(", ")
    };
    billing::find(name)
        .ok_or_else(|| ApiError::invalid(format!("`{name}` is no plan")).hint(plans()))
}

/// The tenant that a caller wants, checked, and the key of the request.
pub(super) fn wanted(
    app: &App,
    wish: NewTenant,
    headers: &HeaderMap,
) -> Result<(Tenant, Option<String>), ApiError> {
    let name = wish.name.trim();
    if name.is_empty() || name.chars().count() > 200 {
        return Err(ApiError::invalid("`name` must have 1 to 200 characters"));
    }
    let client_id = new_tenant_id(name, &random_id(6));
    let plan = known_plan(&wish.plan)?;
    TenantId::parse(&client_id).ok_or_else(|| ApiError::invalid("`name` gives no id"))?;
    let usual = if app.stores.provisioner.log.has_users() {
        plan.partitions
    } else {
        1
    };
    let client = Tenant {
        client_id,
        name: name.to_owned(),
        plan: wish.plan,
        state: TenantState::Joining,
        contact_email: wish.contact_email,
        created_at: now(),
        deleted_at: None,
        partitions: app.settings.partitions.unwrap_or(usual),
        limits: Overrides::default(),
    };
    let request = headers
        .get("idempotency-key")
        .and_then(|v| v.to_str().ok())
        .map(str::to_owned);
    Ok((client, request))
}

/// Creates a tenant with its first key, which is shown only here.
#[utoipa::path(post, path = "/admin/clients", tag = "admin", params(("Idempotency-Key" = Option<String>, Header, description = "the same key again goes on with what it began")), request_body = NewTenant, responses((status = 201, body = CreatedTenant), (status = 409, body = ErrorBody), (status = 500, body = ErrorBody), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn create(
    State(app): State<Arc<App>>,
    operator: Operator,
    headers: HeaderMap,
    JsonBody(wish): JsonBody<NewTenant>,
) -> Result<(StatusCode, Json<CreatedTenant>), ApiError> {
    let (client, request) = wanted(&app, wish, &headers)?;
    let (saga, secrets) = tenancy::create(&app.tenancy, client, request).await?;
    audit(
        &app,
        &operator.actor,
        &saga.client_id,
        "client.create",
        &saga.saga_id,
    )
    .await?;
    Ok((StatusCode::CREATED, Json(created(&app, &saga, secrets))))
}

/// What a saga that is done tells once.
pub(super) fn created(app: &App, saga: &Saga, secrets: Secrets) -> CreatedTenant {
    let id = &saga.client_id;
    CreatedTenant {
        client_id: id.clone(),
        api_key: secrets.api_key.unwrap_or_default(),
        kafka_username: app.stores.provisioner.log.has_users().then(|| id.clone()),
        kafka_password: secrets.kafka_password,
        graph_database: format!("{id}-kg"),
        kafka_topics: Topic::inputs()
            .iter()
            .map(|t| format!("{id}.{}", t.as_str()))
            .collect(),
        saga_id: saga.saga_id.clone(),
    }
}

async fn status(app: &App, client: Tenant) -> Result<TenantStatus, ApiError> {
    let Some(tenant) = TenantId::parse(&client.client_id) else {
        return Err(ApiError::not_found("no such tenant"));
    };
    let stats = if client.state.is_worked() {
        super::own::tenant_stats(app, &tenant).await?
    } else {
        Stats::default()
    };
    let last_record = stats.clusters.iter().map(|c| c.last_record).max();
    let (events_today, storage_bytes) = super::own::today(app, &tenant).await?;
    let limit = billing::find(&client.plan).and_then(|p| p.with(&client.limits).events_day);
    let quota_percent = limit.map(|limit| events_today * 100 / limit.max(1));
    let (lag, rejected) = (stats.lag, stats.records.rejected);
    let graph_server = app.stores.meta.graph_server(&tenant).await?;
    Ok(TenantStatus {
        client,
        graph_server,
        lag,
        last_record,
        events_today,
        quota_percent,
        rejected,
        storage_bytes,
    })
}

/// All tenants that were not deleted, with what an operator watches. A key for billing sees them,
/// too.
#[utoipa::path(get, path = "/admin/clients", tag = "admin", responses((status = 200, body = Page<TenantStatus>), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody)))]
pub async fn list(
    State(app): State<Arc<App>>,
    _: Accountant,
) -> Result<Json<Page<TenantStatus>>, ApiError> {
    let mut items = Vec::new();
    let all = app.stores.meta.list_tenants().await?;
    for client in all.into_iter().filter(|c| c.state != TenantState::Deleted) {
        items.push(status(&app, client).await?);
    }
    Ok(Json(Page { items, next: None }))
}

/// One tenant.
#[utoipa::path(get, path = "/admin/clients/{id}", tag = "admin", params(("id" = String, Path)), responses((status = 200, body = TenantStatus), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub async fn show(
    State(app): State<Arc<App>>,
    _: Operator,
    Path(id): Path<String>,
) -> Result<Json<TenantStatus>, ApiError> {
    let (_, client) = living(&app, &id).await?;
    Ok(Json(status(&app, client).await?))
}

/// Suspends, resumes, or changes plan, limits or partitions. It takes effect at once.
#[utoipa::path(patch, path = "/admin/clients/{id}", tag = "admin", params(("id" = String, Path)), request_body = TenantChange, responses((status = 200, body = TenantStatus), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn change(
    State(app): State<Arc<App>>,
    operator: Operator,
    Path(id): Path<String>,
    JsonBody(change): JsonBody<TenantChange>,
) -> Result<Json<TenantStatus>, ApiError> {
    let (tenant, mut client) = living(&app, &id).await?;
    let told = serde_json::to_string(&change).unwrap_or_default();
    if client.state == TenantState::Joining {
        return Err(
            ApiError::conflict(format!("tenant `{id}` is still being set up"))
                .hint("kgrca saga list shows how far it is"),
        );
    }
    if client.state == TenantState::Leaving && change.state != Some(Served::Active) {
        return Err(
            ApiError::conflict(format!("tenant `{id}` is being offboarded"))
                .hint(format!("kgrca tenant resume {id} keeps it")),
        );
    }
    let before = client.state;
    if let Some(plan) = &change.plan {
        known_plan(plan)?;
    }
    if change.partitions.is_some_and(|p| !(1..=64).contains(&p)) {
        return Err(ApiError::invalid("`partitions` is from 1 to 64"));
    }
    if change
        .limits
        .as_ref()
        .and_then(|l| l.retention_days)
        .is_some_and(|days| days > LONGEST_RETENTION)
    {
        return Err(ApiError::invalid(format!(
            "`limits.retention_days` is at most {LONGEST_RETENTION}"
        )));
    }
    match change.state {
        Some(Served::Active) if client.state == TenantState::Leaving => {
            tenancy::stay(&app.tenancy, &mut client).await?;
        }
        Some(Served::Active) => client.state = TenantState::Active,
        Some(Served::Suspended) => client.state = TenantState::Suspended,
        None => {}
    }
    client.contact_email = change.contact_email.unwrap_or(client.contact_email);
    client.limits = change.limits.unwrap_or(client.limits);
    let (_, now_known) = living(&app, &id).await?;
    if now_known.state != before {
        return Err(
            ApiError::conflict(format!("tenant `{id}` was changed meanwhile"))
                .hint("look at it and try again"),
        );
    }
    if let Some(partitions) = change.partitions {
        tenancy::can_grow(&app.tenancy, &tenant, &client, partitions).await?;
    }
    if let Some(plan) = change.plan.filter(|p| *p != client.plan) {
        client.plan = plan;
        app.stores
            .meta
            .subscribe(&tenant, &client.plan, now())
            .await?;
    }
    app.stores.meta.put_tenant(&client).await?;
    app.keys.clear();
    audit(&app, &operator.actor, &id, "client.update", &told).await?;
    if let Some(partitions) = change.partitions {
        tenancy::grow(&app.tenancy, &tenant, &mut client, partitions).await?;
    }
    tenancy::apply_plan(&app.tenancy, &tenant, &client).await?;
    Ok(Json(status(&app, client).await?))
}

/// How long a tenant can be brought back.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Grace {
    /// Days until its data is removed; 30 when absent, 0 at once.
    #[param(maximum = 365)]
    grace_days: Option<u32>,
}

/// Takes a tenant down: it is not served any more at once, and its data is removed after a time of
/// grace.
#[utoipa::path(delete, path = "/admin/clients/{id}", tag = "admin", params(("id" = String, Path), Grace), responses((status = 202, body = Saga), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn delete(
    State(app): State<Arc<App>>,
    operator: Operator,
    Path(id): Path<String>,
    grace: Result<Query<Grace>, QueryRejection>,
) -> Result<(StatusCode, Json<Saga>), ApiError> {
    let Query(grace) = grace?;
    let days = grace.grace_days.unwrap_or(USUAL_GRACE);
    if days > 365 {
        return Err(ApiError::invalid("`grace_days` is at most 365"));
    }
    let (_, client) = find(&app, &id).await?;
    if client.state == TenantState::Deleted {
        let done = app.stores.meta.sagas(Some(&id)).await?.into_iter().next();
        return done
            .map(|saga| (StatusCode::ACCEPTED, Json(saga)))
            .ok_or_else(|| ApiError::not_found("it was deleted"));
    }
    audit(
        &app,
        &operator.actor,
        &id,
        "client.delete",
        &format!("{days} days of grace"),
    )
    .await?;
    Ok((
        StatusCode::ACCEPTED,
        Json(tenancy::delete(&app.tenancy, client, days).await?),
    ))
}

/// Moves a tenant's graph to another server while the tenant is served. The saga tells how far it
/// is.
#[utoipa::path(post, path = "/admin/clients/{id}/move", tag = "admin", params(("id" = String, Path)), request_body = MoveGraph, responses((status = 202, body = Saga), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn move_graph(
    State(app): State<Arc<App>>,
    operator: Operator,
    Path(id): Path<String>,
    JsonBody(wish): JsonBody<MoveGraph>,
) -> Result<(StatusCode, Json<Saga>), ApiError> {
    let (tenant, client) = living(&app, &id).await?;
    if !client.state.is_worked() {
        return Err(ApiError::conflict(format!("tenant `{id}` is not served")));
    }
    let saga = tenancy::move_graph(&app.tenancy, &tenant, client, &wish.graph_server).await?;
    audit(
        &app,
        &operator.actor,
        &id,
        "client.move",
        &wish.graph_server,
    )
    .await?;
    Ok((StatusCode::ACCEPTED, Json(saga)))
}
