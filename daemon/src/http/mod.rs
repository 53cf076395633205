//! The HTTP API. A handler extracts the arguments, calls a use case, and maps the result; the right
//! it requires is in its signature.

mod admin;
mod agents;
mod archive;
mod audit;
mod auth;
mod billing;
mod body;
mod checks;
mod error;
mod graph;
mod incidents;
mod ingest;
mod jobs;
mod keys;
mod own;
mod own_keys;
mod query;
mod rca;
mod sagas;
mod stream;
mod system;
mod timeline;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use tower_http::decompression::RequestDecompressionLayer;
use tower_http::timeout::TimeoutLayer;
use utoipa::OpenApi;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::usecases::App;

#[derive(OpenApi)]
#[openapi(
    info(title = "kgrca", description = "Root causes of Kubernetes incidents"),
    components(schemas(kgrca_core::api::ErrorBody)),
    security(("key" = []))
)]
struct Api;

fn v1() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(rca::latest))
        .routes(routes!(rca::of_incident))
        .routes(routes!(rca::analyze))
        .routes(routes!(rca::bulk))
        .routes(routes!(incidents::list))
        .routes(routes!(stream::stream))
        .routes(routes!(incidents::show, incidents::update))
        .routes(routes!(incidents::timeline))
        .routes(routes!(incidents::graph))
        .routes(routes!(incidents::feedback))
        .routes(routes!(graph::resources))
        .routes(routes!(graph::resource))
        .routes(routes!(graph::health))
        .routes(routes!(graph::topology))
        .routes(routes!(graph::events))
        .routes(routes!(graph::stats))
        .routes(routes!(timeline::timeline))
        .routes(routes!(query::cypher))
        .routes(routes!(own::stats))
        .routes(routes!(own::usage))
        .routes(routes!(own::limits))
        .routes(routes!(own::dlq))
        .routes(routes!(own_keys::list, own_keys::create))
        .routes(routes!(own_keys::revoke))
        .routes(routes!(ingest::ingest))
        .routes(routes!(agents::beat, agents::list))
        .routes(routes!(agents::forget))
        .routes(routes!(admin::create, admin::list))
        .routes(routes!(admin::show, admin::change, admin::delete))
        .routes(routes!(admin::move_graph))
        .routes(routes!(archive::export))
        .routes(routes!(archive::begin))
        .routes(routes!(archive::end))
        .routes(routes!(archive::load, archive::check))
        .routes(routes!(keys::list, keys::create))
        .routes(routes!(keys::revoke))
        .routes(routes!(keys::rotate))
        .routes(routes!(keys::list_own, keys::create_own))
        .routes(routes!(keys::revoke_own))
        .routes(routes!(keys::rotate_own))
        .routes(routes!(sagas::list))
        .routes(routes!(sagas::show, sagas::change))
        .routes(routes!(jobs::list))
        .routes(routes!(jobs::show, jobs::change))
        .routes(routes!(audit::own))
        .routes(routes!(audit::of_chain))
        .routes(routes!(checks::all))
        .routes(routes!(checks::daemons))
        .routes(routes!(billing::plans))
        .routes(routes!(billing::preview))
        .routes(routes!(billing::report))
        .routes(routes!(billing::verify))
        .routes(routes!(billing::verification))
}

fn parts() -> (Router<Arc<App>>, utoipa::openapi::OpenApi) {
    let (router, mut api) = OpenApiRouter::with_openapi(Api::openapi())
        .nest("/api/v1", v1())
        .split_for_parts();
    let scheme = SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new("X-API-Key")));
    api.components
        .get_or_insert_default()
        .add_security_scheme("key", scheme);
    (router, api)
}

/// The `OpenAPI` document of all handlers as JSON.
pub fn openapi() -> String {
    // Built from types of this program: it always serializes.
    parts().1.to_pretty_json().unwrap_or_default()
}

/// Longest time for a request but a stream.
const TIMEOUT: Duration = Duration::from_mins(1);

/// The whole API around the daemon's shared parts.
pub fn router(app: Arc<App>) -> Router {
    let limit = (app.settings.max_body_mib as usize) << 20;
    let timeout =
        TimeoutLayer::with_status_code(axum::http::StatusCode::SERVICE_UNAVAILABLE, TIMEOUT);
    let (api, _) = parts();
    api.layer(DefaultBodyLimit::max(limit))
        .layer(RequestDecompressionLayer::new())
        .layer(timeout)
        .layer(axum::middleware::from_fn_with_state(
            Arc::clone(&app),
            auth::authenticate,
        ))
        .merge(system::routes())
        .fallback(error::unknown_route)
        .method_not_allowed_fallback(error::unknown_method)
        .layer(axum::middleware::from_fn(auth::identify))
        .with_state(app)
}
