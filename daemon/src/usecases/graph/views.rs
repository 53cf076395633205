//! Rows of the graph store as callers see them.

use std::collections::BTreeMap;

use kgrca_core::api::{EdgeView, EpisodeView, EventView, ResourceView, Topology};
use kgrca_core::change::ClusterChange;
use kgrca_core::engine::{EdgeRow, EpisodeRow, ResourceRow};
use kgrca_core::rca::ResourceRef;
use kgrca_core::storage::Subgraph;

pub fn resource(row: ResourceRow) -> ResourceView {
    let label = |pair: &str| {
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
        labels: row.labels.split(',').filter_map(label).collect(),
    }
}

pub fn topology(graph: Subgraph) -> Topology {
    let by_id: BTreeMap<String, ResourceRef> = graph
        .resources
        .iter()
        .map(|r| (r.id.clone(), r.resource.clone()))
        .collect();
    let edge = |e: EdgeRow| {
        Some(EdgeView {
            from: by_id.get(&*e.from)?.clone(),
            relation: e.relation.to_string(),
            to: by_id.get(&*e.to)?.clone(),
            valid_from: e.valid_from,
            valid_to: e.valid_to,
        })
    };
    Topology {
        edges: graph.edges.into_iter().filter_map(edge).collect(),
        resources: graph.resources.into_iter().map(resource).collect(),
    }
}

pub fn event(row: EpisodeRow) -> EventView {
    EventView {
        at: row.last,
        count: row.count,
        reason: row.reason,
        message: row.message,
    }
}

/// The change of a row, which the store has as JSON.
pub fn change(row: &EpisodeRow) -> Option<ClusterChange> {
    let change = serde_json::from_str(&row.message).ok()?;
    (row.kind == "change").then(|| ClusterChange {
        cluster: row.cluster.clone(),
        change,
    })
}

pub fn episode(mut row: EpisodeRow) -> EpisodeView {
    if let Some(found) = change(&row) {
        row.message = found.change.lines().join("\n");
    }
    EpisodeView {
        id: row.id,
        at: row.last,
        first: row.first,
        kind: row.kind,
        cluster: row.cluster,
        resource: row.about,
        severity: row.severity,
        reason: row.reason,
        message: row.message,
        count: row.count,
    }
}
