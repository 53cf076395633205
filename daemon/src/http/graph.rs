//! The graph: what lives, from memory; what was, from the graph store.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::Json;
use axum::extract::{self, Path, Query, State};
use kgrca_core::api::{EdgeView, ErrorBody, Page, ResourceView, Stats, Topology};
use kgrca_core::detect::{Resolved, View};
use kgrca_core::engine::{ClusterState, EdgeRow, ResourceRow};
use kgrca_core::graph::Idx;
use kgrca_core::model::Time;
use kgrca_core::rca::{ResourceRef, reference};
use kgrca_core::storage::{GraphCounts, Subgraph, Tenant};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::error::{ApiError, instant, within};
use super::guard::{Caller, Read};
use crate::app::{App, now};

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
}

fn view(state: &ClusterState, idx: Idx, health: &View<'_>) -> ResourceView {
    let node = state.graph.get(idx);
    ResourceView {
        resource: reference(&state.graph, idx),
        cluster: state.name.to_string(),
        component: state.graph.component(idx).to_string(),
        healthy: health.well(idx),
        created: node.created,
        deleted: node.closed,
        labels: node.labels().iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect::<BTreeMap<_, _>>(),
    }
}

/// Live resources.
#[utoipa::path(get, path = "/resources", tag = "graph", params(Filter), responses((status = 200, body = Page<ResourceView>), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 429, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn resources(
    State(app): State<Arc<App>>,
    caller: Caller<Read>,
    filter: Result<Query<Filter>, extract::rejection::QueryRejection>,
) -> Result<Json<Page<ResourceView>>, ApiError> {
    let Query(filter) = filter.map_err(|e| ApiError::query(&e))?;
    let label = match filter.label.as_deref().map(|l| l.split_once('=').ok_or(l)) {
        None => None,
        Some(Ok(pair)) => Some(pair),
        Some(Err(l)) => return Err(ApiError::invalid(format!("`label`: `{l}` is not key=value"))),
    };
    let limit = within("limit", filter.limit, 200, 1000)?;
    let mut items = Vec::new();
    for loaded in app.engine.ready(&caller.tenant).await? {
        let live = loaded.live.read().await;
        for state in live.clusters.values() {
            let resolved = Resolved::default();
            let health = View::new(&state.graph, &resolved, state.watermark);
            let wanted = |idx: Idx| {
                let node = state.graph.get(idx);
                node.is_live()
                    && filter.kind.as_deref().is_none_or(|k| node.kind().as_str().eq_ignore_ascii_case(k))
                    && filter.namespace.as_deref().is_none_or(|n| n == node.namespace())
                    && filter.name.as_deref().is_none_or(|n| n == node.name())
                    && label.is_none_or(|(k, v)| node.labels().get(k) == Some(v))
                    && filter.healthy.is_none_or(|h| health.well(idx) == Some(h))
            };
            let found = state.graph.iter().map(|(i, _)| i).filter(|i| wanted(*i)).take(limit - items.len());
            items.extend(found.map(|i| view(state, i, &health)));
        }
    }
    items.sort_by(|a: &ResourceView, b| (&a.cluster, &a.resource).cmp(&(&b.cluster, &b.resource)));
    Ok(Json(Page { items, next: None }))
}

/// A cluster's resource by uid.
async fn with_resource<T>(
    app: &App,
    tenant: &Tenant,
    uid: &str,
    act: impl Fn(&ClusterState, Idx) -> T,
) -> Result<Option<T>, ApiError> {
    for loaded in app.engine.ready(tenant).await? {
        let live = loaded.live.read().await;
        for state in live.clusters.values() {
            if let Some(idx) = state.graph.find_uid(uid) {
                return Ok(Some(act(state, idx)));
            }
        }
    }
    Ok(None)
}

fn no_resource(uid: &str) -> ApiError {
    ApiError::not_found(format!("there is no resource `{uid}`")).hint("GET /api/v1/resources lists them")
}

/// One resource.
#[utoipa::path(get, path = "/resources/{uid}", tag = "graph", params(("uid" = String, Path)), responses((status = 200, body = ResourceView), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 429, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn resource(
    State(app): State<Arc<App>>,
    caller: Caller<Read>,
    Path(uid): Path<String>,
) -> Result<Json<ResourceView>, ApiError> {
    let found = with_resource(&app, &caller.tenant, &uid, |state, idx| {
        let resolved = Resolved::default();
        view(state, idx, &View::new(&state.graph, &resolved, state.watermark))
    });
    if let Some(found) = found.await? {
        return Ok(Json(found));
    }
    let ended = app.stores.graph.resources(&caller.tenant, &uid).await?.into_iter().next();
    ended.map(|r| Json(stored_view(r))).ok_or_else(|| no_resource(&uid))
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
    let found = with_resource(&app, &caller.tenant, &uid, |state, idx| {
        let resolved = Resolved::default();
        let component = state.graph.component(idx);
        let name = format!("{}/{component}", component.namespace);
        let members = state.incidents.iter().filter(|i| i.is_live()).flat_map(|i| i.members.values());
        let symptoms = members.filter(|m| m.over.is_none() && m.component == name).map(|m| m.what.clone()).collect();
        Health { healthy: View::new(&state.graph, &resolved, state.watermark).well(idx), symptoms }
    });
    found.await?.map(Json).ok_or_else(|| no_resource(&uid))
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
    let Query(depth) = depth.map_err(|e| ApiError::query(&e))?;
    let at = instant("at", depth.at.as_deref())?;
    let depth = within("depth", depth.depth, 1, 4)?;
    if at.is_none()
        && let Some(live) = with_resource(&app, &caller.tenant, &uid, |state, idx| surroundings(state, idx, depth)).await?
    {
        return Ok(Json(live));
    }
    let found = app.stores.graph.around(&caller.tenant, &uid, depth, at.unwrap_or_else(now), MOST).await?;
    let known = |g: Subgraph| {
        // Whether it was well then, nobody wrote down: the timeline tells when that changed.
        let then = at.is_some_and(|at| at < now().plus(-kgrca_core::model::time::MINUTE));
        let resources = g.resources.into_iter().map(|r| ResourceRow { healthy: r.healthy.filter(|_| !then), ..r }).collect();
        Json(stored_topology(Subgraph { resources, ..g }))
    };
    found.map(known).ok_or_else(|| no_resource(&uid))
}

/// A resource as the graph store keeps it.
fn stored_view(row: ResourceRow) -> ResourceView {
    let pair = |pair: &str| pair.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned()));
    ResourceView {
        resource: row.resource,
        cluster: row.cluster,
        component: row.component,
        healthy: row.healthy,
        created: row.created,
        deleted: row.deleted,
        labels: row.labels.split(',').filter_map(pair).collect(),
    }
}

fn stored_topology(graph: Subgraph) -> Topology {
    let by_id: BTreeMap<String, ResourceRef> = graph.resources.iter().map(|r| (r.id.clone(), r.resource.clone())).collect();
    let edge = |e: EdgeRow| {
        Some(EdgeView {
            from: by_id.get(&e.from)?.clone(),
            relation: e.relation.to_string(),
            to: by_id.get(&e.to)?.clone(),
            valid_from: e.valid_from,
            valid_to: e.valid_to,
        })
    };
    Topology {
        edges: graph.edges.into_iter().filter_map(edge).collect(),
        resources: graph.resources.into_iter().map(stored_view).collect(),
    }
}

/// The surroundings of a resource that an answer names.
pub(super) async fn around(
    app: &App,
    tenant: &Tenant,
    resource: &ResourceRef,
    depth: usize,
) -> Result<Option<Topology>, ApiError> {
    let Some(uid) = &resource.uid else { return Ok(None) };
    with_resource(app, tenant, uid, |state, idx| surroundings(state, idx, depth)).await
}

/// Most resources of a drawing: beyond it nobody sees anything.
const MOST: usize = 500;

fn surroundings(state: &ClusterState, from: Idx, depth: usize) -> Topology {
    let resolved = Resolved::default();
    let health = View::new(&state.graph, &resolved, state.watermark);
    let valid = |l: &kgrca_core::graph::Link| l.to.is_none();
    let mut order = vec![(from, 0)];
    let mut seen = BTreeSet::from([from]);
    let mut edges = Vec::new();
    let mut next = 0;
    while next < order.len() && order.len() < MOST {
        let (here, distance) = order[next];
        next += 1;
        if distance == depth {
            continue;
        }
        let node = state.graph.get(here);
        let out = node.links_out().iter().filter(|l| valid(l)).map(|l| (here, l, l.other, l.other));
        let inc = node.links_in().iter().filter(|l| valid(l)).map(|l| (l.other, l, here, l.other));
        for (start, link, end, other) in out.chain(inc) {
            let edge = EdgeView {
                from: reference(&state.graph, start),
                relation: link.relation.to_string(),
                to: reference(&state.graph, end),
                valid_from: link.from,
                valid_to: link.to,
            };
            edges.push(edge);
            if seen.insert(other) {
                order.push((other, distance + 1));
            }
        }
    }
    edges.sort_by(|a, b| (&a.from, &a.relation, &a.to).cmp(&(&b.from, &b.relation, &b.to)));
    edges.dedup_by(|a, b| (&a.from, &a.relation, &a.to) == (&b.from, &b.relation, &b.to));
    Topology { resources: order.iter().map(|(i, _)| view(state, *i, &health)).collect(), edges }
}

/// An event of the window about a resource.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventView {
    /// When it was last seen.
    #[schema(value_type = String, format = DateTime)]
    at: Time,
    /// How often.
    count: u32,
    /// Reason.
    reason: String,
    /// Text.
    message: String,
}

/// Events of the window about a resource.
#[utoipa::path(get, path = "/graph/events/{uid}", tag = "graph", params(("uid" = String, Path)), responses((status = 200, body = Page<EventView>), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 429, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn events(
    State(app): State<Arc<App>>,
    caller: Caller<Read>,
    Path(uid): Path<String>,
) -> Result<Json<Page<EventView>>, ApiError> {
    let found = with_resource(&app, &caller.tenant, &uid, |state, idx| {
        let about = state.episodes.events().into_iter().filter(|e| state.graph.resolve(&e.subject, e.last) == Some(idx));
        about
            .map(|e| EventView { at: e.last, count: e.count, reason: e.reason.to_string(), message: e.message.to_string() })
            .collect()
    });
    let items = found.await?.ok_or_else(|| no_resource(&uid))?;
    Ok(Json(Page { items, next: None }))
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
pub async fn stats(State(app): State<Arc<App>>, caller: Caller<Read>) -> Result<Json<GraphStats>, ApiError> {
    let live = super::own::tenant_stats(&app, &caller.tenant).await?;
    let stored = app.stores.graph.counts(&caller.tenant).await?;
    Ok(Json(GraphStats { live, stored }))
}
