//! The graph: what lives and what was, from the graph store. Every daemon answers alike.

use std::sync::Arc;

use axum::Json;
use axum::extract::{self, Path, Query, State};
use kgrca_core::api::{ErrorBody, Page, ResourceView, Stats, Topology};
use kgrca_core::engine::{ClusterState, EpisodeRow, ResourceRow};
use kgrca_core::model::Time;
use kgrca_core::storage::{GraphCounts, ResourceFilter, Subgraph, TimelineFilter};
use kgrca_core::tenancy::TenantId;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::auth::{Caller, Read};
use super::error::{ApiError, timestamp};
use crate::clock::now;
use crate::usecases::graph::{MAX_RESOURCES, resource_view, topology_view};
use crate::usecases::{App, page_size};

/// Which resources are wanted.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Kind.
    kind: Option<String>,
    /// Namespace.
    namespace: Option<String>,
    /// Name.
    name: Option<String>,
    /// `key=value`.
    #[param(pattern = "^[^=]+=")]
    label: Option<String>,
    /// Only well or only unwell ones.
    healthy: Option<bool>,
    /// Most items, 1 to 1000.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// Live resources.
#[utoipa::path(get, path = "/resources", tag = "graph", params(Filter), responses((status = 200, body = Page<ResourceView>), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 429, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn resources(
    State(app): State<Arc<App>>,
    caller: Caller<Read>,
    filter: Result<Query<Filter>, extract::rejection::QueryRejection>,
) -> Result<Json<Page<ResourceView>>, ApiError> {
    let Query(filter) = filter?;
    let label = match filter.label.as_deref().map(|l| l.split_once('=').ok_or(l)) {
        None => None,
        Some(Ok(pair)) => Some(pair),
        Some(Err(l)) => {
            return Err(ApiError::invalid(format!(
                "`label`: `{l}` is not key=value"
            )));
        }
    };
    let limit = page_size("limit", filter.limit, 200, 1000)?;
    let wanted = ResourceFilter {
        kind: filter.kind,
        namespace: filter.namespace,
        name: filter.name,
        label: label.map(|(k, v)| (k.to_owned(), v.to_owned())),
        healthy: filter.healthy,
        after: filter.cursor,
        limit,
    };
    let found = app.stores.graph.find(&caller.tenant, &wanted).await?;
    let next = found
        .last()
        .filter(|_| found.len() == limit)
        .map(|r| r.id.clone());
    let mut items: Vec<ResourceView> = found.into_iter().map(resource_view).collect();
    items.sort_by(|a, b| (&a.cluster, &a.resource).cmp(&(&b.cluster, &b.resource)));
    Ok(Json(Page { items, next }))
}

/// The resource of a uid that lives, else the one that ended last.
async fn known(app: &App, tenant: &TenantId, uid: &str) -> Result<ResourceRow, ApiError> {
    app.stores
        .graph
        .resources(tenant, uid)
        .await?
        .into_iter()
        .next()
        .ok_or_else(|| no_resource(uid))
}

fn no_resource(uid: &str) -> ApiError {
    ApiError::not_found(format!("there is no resource `{uid}`"))
        .hint("GET /api/v1/resources lists them")
}

/// One resource.
#[utoipa::path(get, path = "/resources/{uid}", tag = "graph", params(("uid" = String, Path)), responses((status = 200, body = ResourceView), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 429, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn resource(
    State(app): State<Arc<App>>,
    caller: Caller<Read>,
    Path(uid): Path<String>,
) -> Result<Json<ResourceView>, ApiError> {
    Ok(Json(resource_view(
        known(&app, &caller.tenant, &uid).await?,
    )))
}

/// Whether a resource is well.
#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    /// Whether it is well; absent when its state does not tell.
    healthy: Option<bool>,
    /// What hurts its component, of the live incidents.
    symptoms: Vec<String>,
}

/// Whether a resource is well, and what hurts its component.
#[utoipa::path(get, path = "/resources/{uid}/health", tag = "graph", params(("uid" = String, Path)), responses((status = 200, body = Health), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 429, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn health(
    State(app): State<Arc<App>>,
    caller: Caller<Read>,
    Path(uid): Path<String>,
) -> Result<Json<Health>, ApiError> {
    let row = known(&app, &caller.tenant, &uid).await?;
    let component = row.component_key();
    let mut symptoms = Vec::new();
    for cluster in app
        .stores
        .meta
        .clusters(&caller.tenant)
        .await?
        .into_iter()
        .filter(|c| c.cluster == row.cluster)
    {
        let mut state = ClusterState::new(cluster.cluster.as_str());
        state
            .restore(&cluster.state)
            .map_err(|e| ApiError::internal(format!("cluster {}: {e}", cluster.cluster)))?;
        let active = state.incidents.active_symptoms(&component);
        symptoms.extend(active.map(|m| m.what.clone()));
    }
    Ok(Json(Health {
        healthy: row.healthy,
        symptoms,
    }))
}

/// How far to look and when.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Depth {
    /// Edges, 1 to 4.
    #[param(minimum = 1, maximum = 4)]
    depth: Option<usize>,
    /// The graph as of this time.
    #[param(format = DateTime)]
    at: Option<String>,
}

/// The surroundings of a resource, now or as of a time.
#[utoipa::path(get, path = "/graph/topology/{uid}", tag = "graph", params(("uid" = String, Path), Depth), responses((status = 200, body = Topology), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 429, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn topology(
    State(app): State<Arc<App>>,
    caller: Caller<Read>,
    Path(uid): Path<String>,
    depth: Result<Query<Depth>, extract::rejection::QueryRejection>,
) -> Result<Json<Topology>, ApiError> {
    let Query(depth) = depth?;
    let at = timestamp("at", depth.at.as_deref())?;
    let depth = page_size("depth", depth.depth, 1, 4)?;
    let found = app
        .stores
        .graph
        .around(
            &caller.tenant,
            &uid,
            depth,
            at.unwrap_or_else(now),
            MAX_RESOURCES,
        )
        .await?;
    let known = |g: Subgraph| {
        // Whether it was well then, nobody wrote down: the timeline tells when that changed.
        let then = at.is_some_and(|at| at < now().plus(-kgrca_core::model::time::MINUTE));
        let resources = g
            .resources
            .into_iter()
            .map(|r| ResourceRow {
                healthy: r.healthy.filter(|_| !then),
                ..r
            })
            .collect();
        Json(topology_view(Subgraph { resources, ..g }))
    };
    found.map(known).ok_or_else(|| no_resource(&uid))
}

/// A warning about a resource.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventView {
    /// When it was last seen.
    #[schema(value_type = String, format = DateTime)]
    at: Time,
    /// How often.
    count: u64,
    /// Reason.
    reason: String,
    /// Text.
    message: String,
}

/// Warnings about a resource, newest last.
#[utoipa::path(get, path = "/graph/events/{uid}", tag = "graph", params(("uid" = String, Path)), responses((status = 200, body = Page<EventView>), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 429, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn events(
    State(app): State<Arc<App>>,
    caller: Caller<Read>,
    Path(uid): Path<String>,
) -> Result<Json<Page<EventView>>, ApiError> {
    known(&app, &caller.tenant, &uid).await?;
    let wanted = TimelineFilter {
        resource: Some(uid),
        kind: Some("event".into()),
        limit: MAX_RESOURCES,
        ..TimelineFilter::default()
    };
    let (found, _) = app.stores.graph.timeline(&caller.tenant, &wanted).await?;
    let event = |e: EpisodeRow| EventView {
        at: e.last,
        count: e.count,
        reason: e.reason,
        message: e.message,
    };
    Ok(Json(Page {
        items: found.into_iter().map(event).collect(),
        next: None,
    }))
}

/// Counts of the live graph and of what is stored.
#[derive(Debug, Serialize, ToSchema)]
pub struct GraphStats {
    /// What lives now, by cluster.
    #[serde(flatten)]
    live: Stats,
    /// What is stored, with its history.
    stored: GraphCounts,
}

/// Counts of the live graph and of what is stored.
#[utoipa::path(get, path = "/graph/stats", tag = "graph", responses((status = 200, body = GraphStats), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 429, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn stats(
    State(app): State<Arc<App>>,
    caller: Caller<Read>,
) -> Result<Json<GraphStats>, ApiError> {
    let live = super::own::tenant_stats(&app, &caller.tenant).await?;
    let stored = app.stores.graph.counts(&caller.tenant).await?;
    Ok(Json(GraphStats { live, stored }))
}
