//! Open routes: whether the daemon lives, and what its API is. They hold no tenant data.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse};
use axum::routing::get;
use serde::Deserialize;

use crate::checks;
use crate::usecases::App;

/// The open routes.
pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/livez", get(async || "ok"))
        .route("/healthz", get(ready))
        .route("/readyz", get(ready))
        .route(
            "/openapi.json",
            get(async || {
                (
                    [(header::CONTENT_TYPE, "application/json")],
                    super::openapi(),
                )
            }),
        )
        .route("/docs", get(async || Html(include_str!("docs.html"))))
}

/// What was found out about the stores a moment ago: everybody may ask.
type Recent = tokio::sync::Mutex<Option<(Instant, String)>>;

async fn verbose(app: &App) -> String {
    static RECENT: Recent = Recent::const_new(None);
    let mut recent = RECENT.lock().await;
    if let Some((_, text)) = recent.as_ref().filter(|(at, _)| at.elapsed() < BELIEVED) {
        return text.clone();
    }
    let mut text = String::new();
    for check in checks::of_stores(&app.stores).await {
        text += &format!(
            "{} {}\n",
            check.what,
            if check.ok { "ok" } else { "failed" }
        );
        if !check.ok {
            tracing::warn!(
                what = check.what,
                found = check.found,
                "a store does not answer"
            );
        }
    }
    *recent = Some((Instant::now(), text.clone()));
    text
}

/// How long what was found out is told again.
const BELIEVED: Duration = Duration::from_secs(2);

/// How much a caller wants to know.
#[derive(Deserialize)]
struct Wish {
    /// Given at all: a line for each store, as Kubernetes' own servers do.
    verbose: Option<String>,
}

/// Ready is who can look keys up: when another store is away, all daemons miss it, and the rest is
/// still served. Why a store does not answer stands in the daemon's log only.
async fn ready(State(app): State<Arc<App>>, Query(wish): Query<Wish>) -> impl IntoResponse {
    let metadata = app.stores.meta.check().await;
    let (status, mut text) = match &metadata {
        Ok(_) => (StatusCode::OK, "ok".to_owned()),
        Err(e) => {
            tracing::warn!(error = %e, "not ready");
            (
                StatusCode::SERVICE_UNAVAILABLE,
                "metadata store does not answer".to_owned(),
            )
        }
    };
    if wish.verbose.is_some() {
        text = verbose(&app).await;
    }
    (status, text)
}
