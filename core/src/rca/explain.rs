//! What stands beside a cause: references, the path, the evidence.

use super::answer::{EvidenceLine, PathStep, ResourceRef};
use super::confidence::round;
use crate::detect::{Evidence, View};
use crate::graph::{Graph, Idx};
use crate::incident::Symptom;
use crate::model::Kind;

/// Longest path that is shown, in edges.
const PATH: usize = 6;
/// Most lines of evidence.
const LINES: usize = 12;

/// A resource as answers name it.
pub fn reference(graph: &Graph, idx: Idx) -> ResourceRef {
    let node = graph.get(idx);
    ResourceRef {
        kind: node.kind().to_string(),
        namespace: node.namespace().to_owned(),
        name: node.name().to_owned(),
        uid: node.uid.as_deref().map(str::to_owned),
    }
}

/// The way from the first symptom that the cause can reach; hubs are not walked through.
pub(super) fn path(view: &View<'_>, from: &[&Symptom], to: Idx) -> Vec<PathStep> {
    let through =
        |i: Idx| !matches!(view.graph.get(i).kind(), Kind::Node | Kind::Namespace | Kind::ServiceAccount | Kind::StorageClass);
    let own = view.component(to);
    // Another component's symptom shows how the harm travelled; the cause's own only that it is there.
    let others = from.iter().filter(|s| s.component != own);
    for symptom in others.chain(from.iter().filter(|s| s.component == own)).take(8) {
        if let Some(steps) = view.graph.path(symptom.resource, to, PATH, through) {
            return steps
                .iter()
                .map(|s| PathStep {
                    from: reference(view.graph, s.from),
                    relation: s.relation.to_string(),
                    to: reference(view.graph, s.to),
                })
                .collect();
        }
    }
    Vec::new()
}

pub(super) fn evidence(view: &View<'_>, all: &[&Evidence], weight: f64) -> Vec<EvidenceLine> {
    let mut lines: Vec<&Evidence> = all.to_vec();
    lines.sort_by(|a, b| (a.at, &a.id, &a.what).cmp(&(b.at, &b.id, &b.what)));
    lines.dedup();
    let share = round(weight / lines.len().max(1) as f64);
    lines
        .iter()
        .take(LINES)
        .map(|e| EvidenceLine {
            id: e.id.clone(),
            at: e.at,
            resource: reference(view.graph, e.resource),
            what: e.what.clone(),
            weight: share,
        })
        .collect()
}
