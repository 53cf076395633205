//! What stands beside a cause: references, the path, the evidence.

use std::collections::BTreeSet;

use super::answer::{Cause, EvidenceLine, PathStep, ResourceRef};
use super::confidence::round;
use super::weights;
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
    // What many share tells of none of them.
    let through = |i: Idx| {
        let kind = view.graph.get(i).kind();
        !matches!(
            kind,
            Kind::Node
                | Kind::Namespace
                | Kind::ServiceAccount
                | Kind::StorageClass
                | Kind::ConfigMap
                | Kind::Secret
        )
    };
    let own = view.component(to);
    // Another component's symptom shows how the harm travelled; the cause's own only that it is
    // there.
    let others = from.iter().filter(|s| s.component != own);
    for symptom in others
        .chain(from.iter().filter(|s| s.component == own))
        .take(8)
    {
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

/// Says of each cause why it stands where it does: the first against the second, the others against
/// the first.
pub(super) fn compare(causes: &mut [Cause]) {
    let [first, others @ ..] = causes else { return };
    first.compared = others
        .first()
        .map(|second| versus(first, second))
        .unwrap_or_default();
    for other in others {
        other.compared = versus(other, first);
    }
}

fn versus(this: &Cause, other: &Cause) -> String {
    let by = round(this.scores.total - other.scores.total);
    let name = format!("{} {}", other.component, other.fault_type);
    let order = if by > 0.0 { "ahead of" } else { "behind" };
    let parts: BTreeSet<&String> = this
        .scores
        .parts
        .keys()
        .chain(other.scores.parts.keys())
        .collect();
    let points =
        |cause: &Cause, part: &str| cause.scores.parts.get(part).copied().unwrap_or_default();
    let mut reasons: Vec<(f64, &str)> = parts
        .into_iter()
        .map(|p| (points(this, p) - points(other, p), p.as_str()))
        .collect();
    reasons.retain(|(d, _)| d.abs() >= 0.05);
    reasons.sort_by(|a, b| b.0.abs().total_cmp(&a.0.abs()).then_with(|| a.1.cmp(b.1)));
    if reasons.is_empty() {
        return format!("level with {name}");
    }
    let told = |speaks: bool| {
        let chosen = reasons.iter().filter(|(d, _)| (d * by >= 0.0) == speaks);
        chosen
            .map(|(d, part)| format!("{} ({d:+.1})", weights::reason(part, *d > 0.0)))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let (reasons, against) = (told(true), told(false));
    let despite = if against.is_empty() {
        String::new()
    } else {
        format!(", despite {against}")
    };
    format!("{:.1} points {order} {name}: {reasons}{despite}", by.abs())
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
