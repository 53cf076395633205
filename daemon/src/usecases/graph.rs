//! The graph of a tenant's resources: what exists, what existed, and what happened. Everything is
//! read from the graph store, so that all daemons answer alike.

mod changes;
mod timeline;
mod views;

use kgrca_core::api::{EventView, GraphStats, Health, Page, ResourceView, Topology};
use kgrca_core::engine::{ClusterState, ResourceRow};
use kgrca_core::model::Time;
use kgrca_core::model::time::MINUTE;
use kgrca_core::storage::{ClusterRow, PAGE_BYTES, ResourceFilter, Subgraph, TimelineFilter};
use kgrca_core::tenancy::Scope;

use super::actor::{Actor, TenantScope};
use super::app::App;
use super::error::{Error, Result};
use super::{stats, within};
use crate::clock::now;
use crate::environment::blocking;

pub use changes::{ChangeFilter, changes};
pub use timeline::timeline;

/// How many resources a drawing has at most: beyond that nobody can read it.
const MAX_RESOURCES: usize = 500;
/// How many events of one resource are shown at most.
const MAX_EVENTS: usize = 500;
/// How far a topology reaches at most, in edges.
const MAX_DEPTH: usize = 4;

/// A page of the resources that exist. `filter.limit` is ignored in favour of `limit`.
///
/// # Errors
/// `invalid_request` for a limit out of range.
pub async fn resources(
    app: &App,
    actor: &Actor,
    filter: ResourceFilter,
    limit: Option<usize>,
) -> Result<Page<ResourceView>> {
    let tenant = actor.tenant(Scope::Read)?;
    let limit = within("limit", limit, 200, 1000)?;
    let filter = ResourceFilter { limit, ..filter };
    let rows = app.stores.graph.find(tenant.id, &filter).await?;
    let bytes: usize = rows.iter().map(ResourceRow::bytes).sum();
    let next = rows
        .last()
        .filter(|_| rows.len() == limit || bytes >= PAGE_BYTES)
        .map(|row| row.id.clone());
    let mut items: Vec<ResourceView> = rows.into_iter().map(views::resource).collect();
    items.sort_by(|a, b| (&a.cluster, &a.resource).cmp(&(&b.cluster, &b.resource)));
    Ok(Page { items, next })
}

/// The resource with a uid; one that was deleted when none exists.
///
/// # Errors
/// `not_found` when the graph does not have it.
pub async fn resource(app: &App, actor: &Actor, uid: &str) -> Result<ResourceView> {
    let tenant = actor.tenant(Scope::Read)?;
    Ok(views::resource(find(app, tenant, uid).await?))
}

async fn find(app: &App, tenant: TenantScope<'_>, uid: &str) -> Result<ResourceRow> {
    let rows = app.stores.graph.resources(tenant.id, uid).await?;
    rows.into_iter().next().ok_or_else(|| missing(uid))
}

fn missing(uid: &str) -> Error {
    Error::not_found(format!("resource `{uid}` not found"))
        .hint("GET /api/v1/resources lists resources")
}

/// Whether a resource is healthy, and the symptoms of its component in open incidents.
///
/// # Errors
/// `not_found` when the graph does not have it.
pub async fn health(app: &App, actor: &Actor, uid: &str) -> Result<Health> {
    let tenant = actor.tenant(Scope::Read)?;
    let row = find(app, tenant, uid).await?;
    let healthy = row.healthy;
    let component = row.component_key();
    let fleet = &app.fleet;
    let live = fleet.active_symptoms(tenant.id, &row.cluster, &component);
    if let Some(symptoms) = live {
        return Ok(Health { healthy, symptoms });
    }
    let clusters = app.stores.meta.clusters(tenant.id).await?;
    let stored = blocking(move || stored_symptoms(&row, &clusters)).await;
    let symptoms = stored.map_err(Error::internal)??;
    Ok(Health { healthy, symptoms })
}

/// The active symptoms of a resource's component by what is stored, without a worker here.
fn stored_symptoms(row: &ResourceRow, clusters: &[ClusterRow]) -> Result<Vec<String>> {
    let component = row.component_key();
    let mut symptoms = Vec::new();
    for cluster in clusters.iter().filter(|c| c.cluster == row.cluster) {
        let mut state = ClusterState::new(cluster.cluster.as_str());
        state
            .restore(&cluster.state)
            .map_err(|e| Error::internal(format!("state of cluster `{}`: {e}", cluster.cluster)))?;
        let active = state.incidents.active_symptoms(&component);
        symptoms.extend(active.map(|member| member.what.clone()));
    }
    Ok(symptoms)
}

/// The resources around one, now or as of a time. As of a time nobody knows which were healthy:
/// the timeline shows when that changed.
///
/// # Errors
/// `not_found` when the graph did not have it then; `invalid_request` for a depth out of range.
pub async fn topology(
    app: &App,
    actor: &Actor,
    uid: &str,
    depth: Option<usize>,
    at: Option<Time>,
) -> Result<Topology> {
    let tenant = actor.tenant(Scope::Read)?;
    let depth = within("depth", depth, 1, MAX_DEPTH)?;
    let found = app
        .stores
        .graph
        .around(tenant.id, uid, depth, at.unwrap_or_else(now), MAX_RESOURCES)
        .await?;
    let mut graph: Subgraph = found.ok_or_else(|| missing(uid))?;
    if at.is_some_and(|at| at < now().plus(-MINUTE)) {
        for resource in &mut graph.resources {
            resource.healthy = None;
        }
    }
    Ok(views::topology(graph))
}

/// The resources around one as they are now; empty when the graph does not have it.
pub(super) async fn around_now(
    app: &App,
    tenant: TenantScope<'_>,
    uid: &str,
    depth: usize,
) -> Result<Topology> {
    let found = app
        .stores
        .graph
        .around(tenant.id, uid, depth, now(), MAX_RESOURCES)
        .await?;
    Ok(found.map(views::topology).unwrap_or_default())
}

/// The Kubernetes events about a resource, newest last.
///
/// # Errors
/// `not_found` when the graph does not have it.
pub async fn events(app: &App, actor: &Actor, uid: &str) -> Result<Page<EventView>> {
    let tenant = actor.tenant(Scope::Read)?;
    find(app, tenant, uid).await?;
    let filter = TimelineFilter {
        resource: Some(uid.to_owned()),
        kind: Some("event".into()),
        limit: MAX_EVENTS,
        ..TimelineFilter::default()
    };
    let (rows, _) = app.stores.graph.timeline(tenant.id, &filter).await?;
    Ok(Page {
        items: rows.into_iter().map(views::event).collect(),
        next: None,
    })
}

/// Counts of what exists now, by cluster, and of everything stored.
///
/// # Errors
/// When a store does not answer.
pub async fn counts(app: &App, actor: &Actor) -> Result<GraphStats> {
    let tenant = actor.tenant(Scope::Read)?;
    Ok(GraphStats {
        live: stats::of_tenant(app, tenant.id).await?,
        stored: app.stores.graph.counts(tenant.id).await?,
    })
}
