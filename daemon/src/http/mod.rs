//! The HTTP API. A handler extracts the arguments, calls a use case, and maps the result; the right
//! it requires is in its signature.

mod agents;
mod answer;
mod archive;
mod arrival;
mod audit;
mod auth;
mod billing;
mod body;
mod changes;
mod checks;
mod client_address;
mod decompress;
mod detach;
mod dlq;
mod encryption;
mod error;
mod graph;
mod guarded;
mod headers;
mod held;
mod incident_feed;
mod incidents;
mod ingest;
mod jobs;
mod json_check;
mod keys;
mod metrics;
mod notify;
mod query;
mod rca;
mod sagas;
mod stats;
mod system;
mod tenants;
mod usage;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use utoipa::OpenApi;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::usecases::{App, Error, Result};

pub use client_address::PeerCertificate;
pub use metrics::metrics_router;

#[derive(OpenApi)]
#[openapi(
    info(title = "kgrca", description = "Root causes of Kubernetes incidents"),
    // `Scorer` and `EpisodeKind` are named by parameters only, which utoipa does not collect.
    components(schemas(kgrca_core::api::ErrorBody, kgrca_core::rca::Scorer, graph::EpisodeKind)),
    security(("key" = []))
)]
struct Api;

fn v1() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(rca::show_worst))
        .routes(routes!(rca::show))
        .routes(routes!(rca::analyze))
        .routes(routes!(rca::bulk))
        .routes(routes!(incidents::list))
        .routes(routes!(incident_feed::stream))
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
        .routes(routes!(graph::timeline))
        .routes(routes!(changes::list))
        .routes(routes!(query::cypher))
        .routes(routes!(stats::show))
        .routes(routes!(usage::show))
        .routes(routes!(usage::limits))
        .routes(routes!(notify::show, notify::apply))
        .routes(routes!(notify::test))
        .routes(routes!(notify::receivers))
        .routes(routes!(notify::deliveries))
        .routes(routes!(notify::retry))
        .routes(routes!(notify::silences, notify::add_silence))
        .routes(routes!(notify::end_silence))
        .routes(routes!(dlq::list))
        .routes(routes!(dlq::retry))
        .routes(routes!(keys::list_own, keys::create_own))
        .routes(routes!(keys::revoke_own))
        .routes(routes!(keys::rotate_own))
        .routes(routes!(ingest::ingest))
        .routes(routes!(agents::heartbeat, agents::list))
        .routes(routes!(agents::forget))
        .routes(routes!(tenants::create, tenants::list))
        .routes(routes!(tenants::show, tenants::update, tenants::delete))
        .routes(routes!(tenants::move_graph))
        .routes(routes!(archive::export))
        .routes(routes!(archive::begin))
        .routes(routes!(archive::complete))
        .routes(routes!(archive::load, archive::check))
        .routes(routes!(keys::list, keys::create))
        .routes(routes!(keys::revoke))
        .routes(routes!(keys::rotate))
        .routes(routes!(keys::list_operator, keys::create_operator))
        .routes(routes!(keys::revoke_operator))
        .routes(routes!(keys::rotate_operator))
        .routes(routes!(sagas::list))
        .routes(routes!(sagas::show, sagas::act))
        .routes(routes!(audit::list_own))
        .routes(routes!(audit::list))
        .routes(routes!(audit::anchor))
        .routes(routes!(checks::list))
        .routes(routes!(encryption::show, encryption::change))
        .routes(routes!(jobs::list))
        .routes(routes!(jobs::show, jobs::change))
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

/// The value of a header; `None` when it was not sent. What it may contain the use case checks.
///
/// # Errors
/// `invalid_request` when it was sent twice or is not ASCII: ignoring it would do something else
/// than the caller asked for.
fn header_text(headers: &HeaderMap, name: &str) -> Result<Option<String>> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    match value.to_str() {
        Ok(text) if values.next().is_none() => Ok(Some(text.to_owned())),
        _ => Err(Error::invalid(format!(
            "`{name}` must be sent once, in printable ASCII characters"
        ))),
    }
}

/// The `OpenAPI` document of all handlers as JSON.
pub fn openapi() -> String {
    // Built from types of this program: it always serializes.
    parts().1.to_pretty_json().unwrap_or_default()
}

/// Longest time for a request but a stream.
const TIMEOUT: Duration = Duration::from_mins(1);

/// Answers requests that take too long. All but analyses are completed: see [`detach`].
async fn within_time(State(longest): State<Duration>, request: Request, next: Next) -> Response {
    match tokio::time::timeout(longest, next.run(request)).await {
        Ok(response) => response,
        Err(_) => error::ApiError::from(Error::timed_out(longest)).into_response(),
    }
}

/// The whole API around the daemon's shared parts.
pub fn router(app: Arc<App>) -> Router {
    let (api, _) = parts();
    api.layer(from_fn(detach::complete))
        .layer(from_fn_with_state(TIMEOUT, within_time))
        .layer(from_fn_with_state(Arc::clone(&app), auth::authenticate))
        .merge(system::routes())
        .fallback(error::unknown_route)
        .method_not_allowed_fallback(error::unknown_method)
        .layer(from_fn_with_state(Arc::clone(&app), client_address::count))
        .layer(from_fn(headers::guard))
        .layer(from_fn(auth::identify))
        .with_state(app)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    fn document() -> Value {
        serde_json::from_str(&openapi()).unwrap()
    }

    fn operations(document: &Value) -> impl Iterator<Item = (String, &Value)> {
        let paths = document["paths"].as_object().unwrap();
        paths.iter().flat_map(|(path, item)| {
            let methods = item.as_object().unwrap().iter();
            methods.map(move |(method, operation)| (format!("{method} {path}"), operation))
        })
    }

    #[tokio::test]
    async fn a_request_that_takes_too_long_is_answered_in_json() {
        let limit = Duration::from_millis(10);
        let mut router: Router = Router::new()
            .route("/", axum::routing::get(std::future::pending::<()>))
            .layer(from_fn_with_state(limit, within_time));
        let request = Request::new(axum::body::Body::empty());
        let response = tower_service::Service::call(&mut router, request).await;
        let response = response.unwrap();
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()["retry-after"], "5");
        let body = axum::body::to_bytes(response.into_body(), 1 << 10).await;
        let body: Value = serde_json::from_slice(&body.unwrap()).unwrap();
        assert_eq!(body["error"]["code"], "unavailable", "{body}");
        assert!(!body["error"]["hint"].is_null(), "{body}");
    }

    #[test]
    fn every_operation_has_an_id_of_its_own() {
        let document = document();
        let mut ids = BTreeSet::new();
        for (name, operation) in operations(&document) {
            let id = operation["operationId"].as_str().unwrap();
            assert!(ids.insert(id), "{name}: {id} is taken");
        }
        assert!(ids.len() >= 60, "{}", ids.len());
    }

    #[test]
    fn every_operation_and_response_is_described() {
        let document = document();
        for (name, operation) in operations(&document) {
            let summary = operation["summary"].as_str().unwrap_or_default();
            assert!(
                summary.ends_with('.'),
                "{name}: `{summary}` is not a sentence"
            );
            for (status, response) in operation["responses"].as_object().unwrap() {
                let text = response["description"].as_str().unwrap_or_default();
                assert!(!text.is_empty(), "{name}: {status} has no description");
            }
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let text = parameter["description"].as_str().unwrap_or_default();
                assert!(!text.is_empty(), "{name}: {parameter} has no description");
            }
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        fn check(value: &Value, document: &Value) {
            match value {
                Value::Object(fields) => {
                    if let Some(Value::String(reference)) = fields.get("$ref") {
                        let target = reference.strip_prefix('#').unwrap();
                        assert!(document.pointer(target).is_some(), "{reference}");
                    }
                    fields.values().for_each(|v| check(v, document));
                }
                Value::Array(items) => items.iter().for_each(|v| check(v, document)),
                _ => {}
            }
        }
        let document = document();
        check(&document, &document);
    }
}
