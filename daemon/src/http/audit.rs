//! Endpoints of the audit log.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use kgrca_core::tenancy::{AuditAnchor, AuditPage};
use serde::Deserialize;
use utoipa::IntoParams;

use super::auth::{Admin, Caller, Operator};
use super::error::{ApiError, ApiErrors};
use crate::usecases::App;
use crate::usecases::audit::{self, Chain};
use crate::usecases::audit_anchor;

/// A page of the tenant's log.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct OwnParams {
    /// Entries after this one; `next` of the previous page.
    #[param(minimum = 0)]
    after: Option<i64>,
    /// Maximum number of items; default 100.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

/// A page of a log.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ChainParams {
    /// The tenant's log; default: the operator's own.
    client_id: Option<String>,
    /// Entries after this one; `next` of the previous page.
    #[param(minimum = 0)]
    after: Option<i64>,
    /// Maximum number of items; default 100.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

/// Lists what was done to the tenant, oldest first.
///
/// Every entry carries the hash of the one before it.
#[utoipa::path(
    get,
    path = "/audit",
    operation_id = "list_own_audit",
    tag = "self",
    params(OwnParams),
    responses((status = 200, description = "A page", body = AuditPage), ApiErrors)
)]
pub async fn list_own(
    State(app): State<Arc<App>>,
    caller: Caller<Admin>,
    params: Result<Query<OwnParams>, QueryRejection>,
) -> Result<Json<AuditPage>, ApiError> {
    let Query(params) = params?;
    let chain = Chain::OwnTenant;
    Ok(Json(
        audit::list(&app, &caller, chain, params.after, params.limit).await?,
    ))
}

/// Lists what was done to a tenant, or to the installation, oldest first.
///
/// Every entry carries the hash of the one before it.
#[utoipa::path(
    get,
    path = "/admin/audit",
    operation_id = "list_audit",
    tag = "admin",
    params(ChainParams),
    responses((status = 200, description = "A page", body = AuditPage), ApiErrors)
)]
pub async fn list(
    State(app): State<Arc<App>>,
    caller: Caller<Operator>,
    params: Result<Query<ChainParams>, QueryRejection>,
) -> Result<Json<AuditPage>, ApiError> {
    let Query(params) = params?;
    let chain = match &params.client_id {
        Some(id) => Chain::Tenant(id),
        None => Chain::Operator,
    };
    Ok(Json(
        audit::list(&app, &caller, chain, params.after, params.limit).await?,
    ))
}

/// Exports the signed ends of all chains.
///
/// Kept outside the installation, they show later whether the log was rewritten or cut:
/// `kgrca audit verify --anchor FILE`.
#[utoipa::path(
    get,
    path = "/admin/audit/anchor",
    operation_id = "get_audit_anchor",
    tag = "admin",
    responses((status = 200, description = "The ends of the chains", body = AuditAnchor), ApiErrors)
)]
pub async fn anchor(
    State(app): State<Arc<App>>,
    caller: Caller<Operator>,
) -> Result<Json<AuditAnchor>, ApiError> {
    Ok(Json(audit_anchor::export(&app, &caller).await?))
}
