//! Open endpoints: health, and the API document. They hold no tenant data.

use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse};
use axum::routing::get;
use serde::Deserialize;

use crate::usecases::{App, system};

/// The open routes.
pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/livez", get(async || "ok"))
        .route("/healthz", get(ready))
        .route("/readyz", get(ready))
        .route("/openapi.json", get(document))
        .route("/docs", get(docs))
}

/// Made once: it needs no key, and takes longer than most answers.
static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| super::openapi().into());

async fn document() -> impl IntoResponse {
    let headers = [(header::CONTENT_TYPE, "application/json")];
    (headers, DOCUMENT.clone())
}

/// The page about the API: its script and styles are within it.
async fn docs() -> impl IntoResponse {
    let policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
                  connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
    let headers = [(header::CONTENT_SECURITY_POLICY, policy)];
    (headers, Html(include_str!("docs.html")))
}

#[derive(Deserialize)]
struct ReadyParams {
    /// With any value: a line for each store, as Kubernetes' own servers answer.
    verbose: Option<String>,
}

async fn ready(
    State(app): State<Arc<App>>,
    Query(params): Query<ReadyParams>,
) -> impl IntoResponse {
    let (status, text) = if system::is_ready(&app).await {
        (StatusCode::OK, "ok")
    } else {
        let text = "the metadata store does not answer";
        (StatusCode::SERVICE_UNAVAILABLE, text)
    };
    match params.verbose {
        Some(_) => (status, system::store_report(&app).await),
        None => (status, text.to_owned()),
    }
}
