//! What an operator looks at when something is wrong: every store, every daemon.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use kgrca_core::api::{Check, ErrorBody, Page};
use kgrca_core::storage::DaemonRow;

use super::auth::Operator;
use super::error::ApiError;
use crate::checks;
use crate::clock::now;
use crate::usecases::App;

/// Checks every store and what is open.
#[utoipa::path(get, path = "/admin/checks", tag = "admin", responses((status = 200, body = Page<Check>), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody)))]
pub async fn all(State(app): State<Arc<App>>, _: Operator) -> Json<Page<Check>> {
    let mut items = checks::of_stores(&app.stores).await;
    items.extend(checks::of_tenants(&app).await);
    Json(Page { items, next: None })
}

/// Daemons that live.
#[utoipa::path(get, path = "/admin/daemons", tag = "admin", responses((status = 200, body = Page<DaemonRow>), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody)))]
pub async fn daemons(
    State(app): State<Arc<App>>,
    _: Operator,
) -> Result<Json<Page<DaemonRow>>, ApiError> {
    let at = app.stores.meta.now().await?.unwrap_or_else(now);
    let since = at.plus(-10 * kgrca_core::model::time::SECOND);
    Ok(Json(Page {
        items: app.stores.meta.daemons(since).await?,
        next: None,
    }))
}
