//! Open routes: whether the daemon lives, and what its API is. They hold no tenant data.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse};
use axum::routing::get;
use kgrca_core::api::Check;
use serde::Deserialize;

use crate::app::App;
use crate::checks;

/// The open routes.
pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/livez", get(async || "ok"))
        .route("/healthz", get(ready))
        .route("/readyz", get(ready))
        .route("/openapi.json", get(async || ([(header::CONTENT_TYPE, "application/json")], super::openapi())))
        .route("/docs", get(async || Html(include_str!("docs.html"))))
}

/// How much a caller wants to know.
#[derive(Deserialize)]
struct Wish {
    /// Given at all: a line for each store, as Kubernetes' own servers do.
    verbose: Option<String>,
}

/// Ready is who can look keys up: when another store is away, all daemons miss it, and the rest is still served. Why a store
/// does not answer stands in the daemon's log only.
async fn ready(State(app): State<Arc<App>>, Query(wish): Query<Wish>) -> impl IntoResponse {
    let metadata = app.stores.meta.check().await;
    let (status, mut text) = match &metadata {
        Ok(_) => (StatusCode::OK, "ok".to_owned()),
        Err(e) => {
            tracing::warn!(error = %e, "not ready");
            (StatusCode::SERVICE_UNAVAILABLE, "metadata store does not answer".to_owned())
        }
    };
    if wish.verbose.is_some() {
        let line = |check: &Check| format!("{} {}\n", check.what, if check.ok { "ok" } else { "failed" });
        text = checks::of_stores(&app.stores).await.iter().map(line).collect();
    }
    (status, text)
}
