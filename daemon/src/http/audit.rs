//! What was done, by whom: a tenant sees its own chain, the operator all of them.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State, rejection::QueryRejection};
use kgrca_core::api::{ErrorBody, Page};
use kgrca_core::tenancy::AuditEntry;
use serde::Deserialize;
use utoipa::IntoParams;

use super::auth::{Admin, Caller, Operator};
use super::error::ApiError;
use crate::usecases::{App, page_size};

/// Where to go on.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Span {
    /// Behind this place of the chain.
    #[param(minimum = 0)]
    after: Option<i64>,
    /// Most items, 1 to 1000.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

/// Whose chain, and where to go on.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Chain {
    /// The tenant's; the operator's own when absent.
    client_id: Option<String>,
    /// Behind this place of the chain.
    #[param(minimum = 0)]
    after: Option<i64>,
    /// Most items, 1 to 1000.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

async fn page(
    app: &App,
    client_id: Option<&str>,
    span: Span,
) -> Result<Json<Page<AuditEntry>>, ApiError> {
    let limit = page_size("limit", span.limit, 100, 1000)?;
    let after = span.after.unwrap_or(0);
    if after < 0 {
        return Err(ApiError::invalid("`after` is a place of the chain, from 0"));
    }
    let items = app.stores.meta.audit_log(client_id, after, limit).await?;
    let next = items
        .last()
        .filter(|_| items.len() == limit)
        .map(|e| e.seq.to_string());
    Ok(Json(Page { items, next }))
}

/// Administrative acts on the tenant, oldest first, each with the hash of the one before.
#[utoipa::path(get, path = "/audit", tag = "self", params(Span), responses((status = 200, body = Page<AuditEntry>), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 429, body = ErrorBody)))]
pub async fn own(
    State(app): State<Arc<App>>,
    caller: Caller<Admin>,
    span: Result<Query<Span>, QueryRejection>,
) -> Result<Json<Page<AuditEntry>>, ApiError> {
    let Query(span) = span?;
    page(&app, Some(caller.tenant.as_str()), span).await
}

/// Administrative acts of a chain, oldest first, each with the hash of the one before.
#[utoipa::path(get, path = "/admin/audit", tag = "admin", params(Chain), responses((status = 200, body = Page<AuditEntry>), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody)))]
pub async fn of_chain(
    State(app): State<Arc<App>>,
    _: Operator,
    chain: Result<Query<Chain>, QueryRejection>,
) -> Result<Json<Page<AuditEntry>>, ApiError> {
    let Query(chain) = chain?;
    page(
        &app,
        chain.client_id.as_deref(),
        Span {
            after: chain.after,
            limit: chain.limit,
        },
    )
    .await
}
