//! Endpoints of encryption at rest, for the operator.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use kgrca_core::api::{EncryptionChange, EncryptionChanged, EncryptionStatus};

use super::auth::{Caller, Operator};
use super::body::JsonBody;
use super::error::{ApiError, ApiErrors};
use crate::usecases::{App, encryption};

/// Shows which master keys encrypt the data keys of tenants, and what is not encrypted.
#[utoipa::path(
    get,
    path = "/admin/encryption",
    operation_id = "get_encryption",
    tag = "admin",
    responses((status = 200, description = "The state", body = EncryptionStatus), ApiErrors)
)]
pub async fn show(
    State(app): State<Arc<App>>,
    caller: Caller<Operator>,
) -> Result<Json<EncryptionStatus>, ApiError> {
    Ok(Json(encryption::status(&app, &caller).await?))
}

/// Encrypts all data keys under the current master key, or creates new data keys.
///
/// Stored data is neither read nor written. Both can be interrupted and repeated. One request takes
/// up to 20 seconds; when the answer has `next`, repeat the request with `after` set to it.
#[utoipa::path(
    post,
    path = "/admin/encryption",
    operation_id = "change_encryption",
    tag = "admin",
    request_body = EncryptionChange,
    responses((status = 200, description = "What was changed", body = EncryptionChanged), ApiErrors)
)]
pub async fn change(
    State(app): State<Arc<App>>,
    caller: Caller<Operator>,
    JsonBody(change): JsonBody<EncryptionChange>,
) -> Result<Json<EncryptionChanged>, ApiError> {
    Ok(Json(encryption::act(&app, &caller, change).await?))
}
