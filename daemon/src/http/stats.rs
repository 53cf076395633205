//! The endpoint of a tenant's counts.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use kgrca_core::api::Stats;

use super::auth::{Caller, Read};
use super::error::{ApiError, ApiErrors};
use crate::usecases::{App, stats};

/// Counts the tenant's live graph and the results of its records.
#[utoipa::path(
    get,
    path = "/stats",
    operation_id = "get_stats",
    tag = "self",
    responses((status = 200, description = "The counts", body = Stats), ApiErrors)
)]
pub async fn show(
    State(app): State<Arc<App>>,
    caller: Caller<Read>,
) -> Result<Json<Stats>, ApiError> {
    Ok(Json(stats::show(&app, &caller).await?))
}
