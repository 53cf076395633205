//! Open routes: whether the daemon lives, and what its API is. They hold no tenant data.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse};
use axum::routing::get;

use crate::app::App;

/// The open routes.
pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/livez", get(async || "ok"))
        .route("/healthz", get(ready))
        .route("/readyz", get(ready))
        .route("/openapi.json", get(async || ([(header::CONTENT_TYPE, "application/json")], super::openapi())))
        .route("/docs", get(async || Html(include_str!("docs.html"))))
}

async fn ready(State(app): State<Arc<App>>) -> impl IntoResponse {
    match app.stores.meta.check().await {
        Ok(_) => (StatusCode::OK, "ok"),
        Err(e) => {
            tracing::warn!(error = %e, "not ready");
            (StatusCode::SERVICE_UNAVAILABLE, "metadata store does not answer")
        }
    }
}
