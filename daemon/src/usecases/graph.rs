//! The graph of a tenant's resources: what exists and what existed.

use std::collections::BTreeMap;

use kgrca_core::api::{EdgeView, ResourceView, Topology};
use kgrca_core::engine::{EdgeRow, ResourceRow};
use kgrca_core::rca::ResourceRef;
use kgrca_core::storage::Subgraph;

use super::actor::TenantScope;
use super::app::App;
use super::error::Result;
use crate::clock::now;

/// How many resources a drawing has at most: beyond that nobody can read it.
pub const MAX_RESOURCES: usize = 500;

/// The surroundings of a resource as they are now; empty when the graph does not have it.
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
    Ok(found.map(topology_view).unwrap_or_default())
}

/// A resource of the graph store as callers see it.
pub fn resource_view(row: ResourceRow) -> ResourceView {
    let pair = |pair: &str| {
        let (key, value) = pair.split_once('=')?;
        Some((key.to_owned(), value.to_owned()))
    };
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

/// A subgraph as callers see it.
pub fn topology_view(graph: Subgraph) -> Topology {
    let by_id: BTreeMap<String, ResourceRef> = graph
        .resources
        .iter()
        .map(|r| (r.id.clone(), r.resource.clone()))
        .collect();
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
        resources: graph.resources.into_iter().map(resource_view).collect(),
    }
}
