//! Endpoints of the resource graph.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use kgrca_core::api::{EpisodeView, EventView, GraphStats, Health, Page, ResourceView, Topology};
use kgrca_core::storage::{ResourceFilter, TimelineFilter};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::answer::LargeAnswer;
use super::auth::{Caller, Read};
use super::error::{ApiError, ApiErrors, timestamp};
use crate::usecases::{App, Error, Result, graph};

/// Filter of resources.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ResourceParams {
    /// Kind.
    kind: Option<String>,
    /// Namespace.
    namespace: Option<String>,
    /// Name.
    name: Option<String>,
    /// `key=value`.
    #[param(pattern = "^[^=]+=")]
    label: Option<String>,
    /// Only healthy or only unhealthy resources.
    healthy: Option<bool>,
    /// Maximum number of items; default 200.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// `next` of the previous page.
    cursor: Option<String>,
}

impl ResourceParams {
    fn filter(self) -> Result<ResourceFilter> {
        let label = match &self.label {
            Some(text) => Some(text.split_once('=').ok_or_else(|| {
                Error::invalid(format!(
                    "`label`: invalid selector `{text}`, expected key=value"
                ))
            })?),
            None => None,
        };
        Ok(ResourceFilter {
            label: label.map(|(key, value)| (key.to_owned(), value.to_owned())),
            kind: self.kind,
            namespace: self.namespace,
            name: self.name,
            healthy: self.healthy,
            after: self.cursor,
            limit: 0,
        })
    }
}

/// The resource in the path.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct ResourcePath {
    /// The resource's uid.
    uid: String,
}

/// Lists the resources that exist.
#[utoipa::path(
    get,
    path = "/resources",
    operation_id = "list_resources",
    tag = "graph",
    params(ResourceParams),
    responses((status = 200, description = "A page", body = Page<ResourceView>), ApiErrors)
)]
pub async fn resources(
    State(app): State<Arc<App>>,
    caller: Caller<Read>,
    answer: LargeAnswer,
    params: Result<Query<ResourceParams>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(params) = params?;
    let limit = params.limit;
    answer
        .make(graph::resources(&app, &caller, params.filter()?, limit))
        .await
}

/// Shows a resource.
#[utoipa::path(
    get,
    path = "/resources/{uid}",
    operation_id = "get_resource",
    tag = "graph",
    params(ResourcePath),
    responses((status = 200, description = "The resource", body = ResourceView), ApiErrors)
)]
pub async fn resource(
    State(app): State<Arc<App>>,
    caller: Caller<Read>,
    answer: LargeAnswer,
    Path(path): Path<ResourcePath>,
) -> Result<Response, ApiError> {
    answer.make(graph::resource(&app, &caller, &path.uid)).await
}

/// Shows whether a resource is healthy, and the symptoms of its component in open incidents.
#[utoipa::path(
    get,
    path = "/resources/{uid}/health",
    operation_id = "get_resource_health",
    tag = "graph",
    params(ResourcePath),
    responses((status = 200, description = "Health and symptoms", body = Health), ApiErrors)
)]
pub async fn health(
    State(app): State<Arc<App>>,
    caller: Caller<Read>,
    answer: LargeAnswer,
    Path(path): Path<ResourcePath>,
) -> Result<Response, ApiError> {
    answer.make(graph::health(&app, &caller, &path.uid)).await
}

/// Extent of a topology.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct TopologyParams {
    /// How many edges away resources may be; default 1.
    #[param(minimum = 1, maximum = 4)]
    depth: Option<usize>,
    /// The graph as of this time.
    #[param(format = DateTime)]
    at: Option<String>,
}

/// Shows the resources around one, now or as of a time.
#[utoipa::path(
    get,
    path = "/graph/topology/{uid}",
    operation_id = "get_topology",
    tag = "graph",
    params(ResourcePath, TopologyParams),
    responses((status = 200, description = "Resources and edges", body = Topology), ApiErrors)
)]
pub async fn topology(
    State(app): State<Arc<App>>,
    caller: Caller<Read>,
    answer: LargeAnswer,
    Path(path): Path<ResourcePath>,
    params: Result<Query<TopologyParams>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(params) = params?;
    let at = timestamp("at", params.at.as_deref())?;
    answer
        .make(graph::topology(&app, &caller, &path.uid, params.depth, at))
        .await
}

/// Lists the Kubernetes events about a resource, newest last.
#[utoipa::path(
    get,
    path = "/graph/events/{uid}",
    operation_id = "list_resource_events",
    tag = "graph",
    params(ResourcePath),
    responses((status = 200, description = "The events", body = Page<EventView>), ApiErrors)
)]
pub async fn events(
    State(app): State<Arc<App>>,
    caller: Caller<Read>,
    answer: LargeAnswer,
    Path(path): Path<ResourcePath>,
) -> Result<Response, ApiError> {
    answer.make(graph::events(&app, &caller, &path.uid)).await
}

/// Counts what exists now, by cluster, and everything stored.
#[utoipa::path(
    get,
    path = "/graph/stats",
    operation_id = "get_graph_stats",
    tag = "graph",
    responses((status = 200, description = "The counts", body = GraphStats), ApiErrors)
)]
pub async fn stats(
    State(app): State<Arc<App>>,
    caller: Caller<Read>,
) -> Result<Json<GraphStats>, ApiError> {
    Ok(Json(graph::counts(&app, &caller).await?))
}

/// Kinds of episodes.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum EpisodeKind {
    /// A Kubernetes warning.
    Event,
    /// A log pattern, counted per minute.
    Log,
    /// An alert.
    Alert,
    /// A resource became healthy or unhealthy.
    State,
    /// A change of an object.
    Change,
    /// A symptom of an incident.
    Symptom,
    /// A cause of an incident.
    Cause,
}

impl EpisodeKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Log => "log",
            Self::Alert => "alert",
            Self::State => "state",
            Self::Change => "change",
            Self::Symptom => "symptom",
            Self::Cause => "cause",
        }
    }
}

/// Filter of episodes.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct TimelineParams {
    /// At or after this time.
    #[param(format = DateTime)]
    from: Option<String>,
    /// Before this time.
    #[param(format = DateTime)]
    to: Option<String>,
    /// Uid of the resource.
    resource: Option<String>,
    /// Cluster.
    cluster: Option<String>,
    /// Kind of episode.
    #[param(inline)]
    kind: Option<EpisodeKind>,
    /// Maximum number of items; default 200.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// `next` of the previous page.
    #[param(pattern = "^-?[0-9]{1,18}-([0-9a-f]{2})*$")]
    cursor: Option<String>,
}

/// Lists everything that happened, in the order of time.
///
/// That is warnings, log patterns per minute, alerts, changes of health and of objects, symptoms and
/// causes.
#[utoipa::path(
    get,
    path = "/graph/timeline",
    operation_id = "get_timeline",
    tag = "graph",
    params(TimelineParams),
    responses((status = 200, description = "A page", body = Page<EpisodeView>), ApiErrors)
)]
pub async fn timeline(
    State(app): State<Arc<App>>,
    caller: Caller<Read>,
    answer: LargeAnswer,
    params: Result<Query<TimelineParams>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(params) = params?;
    let filter = TimelineFilter {
        from: timestamp("from", params.from.as_deref())?,
        to: timestamp("to", params.to.as_deref())?,
        resource: params.resource,
        cluster: params.cluster,
        kind: params.kind.map(|k| k.as_str().to_owned()),
        ..TimelineFilter::default()
    };
    let cursor = params.cursor.as_deref();
    answer
        .make(graph::timeline(&app, &caller, filter, cursor, params.limit))
        .await
}
