//! `/metrics`: for whoever is on the same machine, and for operator keys with the scope `metrics`.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::request::Parts;
use axum::routing::get;
use metrics_exporter_prometheus::PrometheusHandle;

use super::auth;
use super::error::ApiError;
use super::headers;
use crate::admission::is_local;
use crate::usecases::{App, system};

/// What the listener of metrics needs.
#[derive(Clone)]
struct Exporter {
    app: Arc<App>,
    handle: PrometheusHandle,
}

/// The listener of metrics. Its `/livez` is for the probes of pods without the API.
pub fn metrics_router(app: &Arc<App>, handle: PrometheusHandle) -> Router {
    let app = Arc::clone(app);
    Router::new()
        .route("/metrics", get(metrics))
        .route("/livez", get(async || "ok"))
        .layer(axum::middleware::from_fn(headers::guard))
        .layer(axum::middleware::from_fn(auth::identify))
        .with_state(Exporter { app, handle })
}

async fn metrics(State(exporter): State<Exporter>, request: Parts) -> Result<String, ApiError> {
    let app = &exporter.app;
    let actor = if is_local(&request) {
        None
    } else {
        Some(auth::actor_of(app, &request).await?)
    };
    let text = exporter.handle.render();
    Ok(system::metrics(app, actor.as_ref(), text)?)
}
