//! Endpoints that show the state of the installation, for the operator.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use kgrca_core::api::{Check, Page};
use kgrca_core::storage::DaemonRow;

use super::auth::{Caller, Operator};
use super::error::{ApiError, ApiErrors};
use crate::usecases::{App, system};

/// Checks every store and everything that is in progress.
#[utoipa::path(
    get,
    path = "/admin/checks",
    operation_id = "list_checks",
    tag = "admin",
    responses((status = 200, description = "What every check found", body = Page<Check>), ApiErrors)
)]
pub async fn list(
    State(app): State<Arc<App>>,
    caller: Caller<Operator>,
) -> Result<Json<Page<Check>>, ApiError> {
    Ok(Json(system::checks(&app, &caller).await?))
}

/// Lists the daemons that are running.
#[utoipa::path(
    get,
    path = "/admin/daemons",
    operation_id = "list_daemons",
    tag = "admin",
    responses((status = 200, description = "All daemons", body = Page<DaemonRow>), ApiErrors)
)]
pub async fn daemons(
    State(app): State<Arc<App>>,
    caller: Caller<Operator>,
) -> Result<Json<Page<DaemonRow>>, ApiError> {
    Ok(Json(system::daemons(&app, &caller).await?))
}
