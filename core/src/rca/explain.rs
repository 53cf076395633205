//! The explanation of a cause: its path, its evidence, and why it outranks the next one.

use std::collections::BTreeSet;

use super::answer::{Cause, EvidenceLine, PathStep, ResourceRef};
use super::confidence::round;
use super::weights;
use crate::detect::{Evidence, View};
use crate::graph::{Graph, Hop, Idx, Step};
use crate::incident::Symptom;
use crate::model::Kind;

/// Maximum length of a path, in edges.
const MAX_PATH: usize = 6;
/// Maximum number of symptoms from which a path is searched.
const MAX_STARTS: usize = 8;
/// Maximum number of pieces of evidence per cause.
const MAX_EVIDENCE: usize = 12;

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

/// The path from a symptom to the blamed resource: along edges by which harm travels, from the
/// first symptom of another component that has one, else from one of the cause's own component.
/// Empty when there is none.
pub(super) fn path(view: &View<'_>, symptoms: &[&Symptom], blamed: Idx) -> Vec<PathStep> {
    let own = view.component(blamed);
    // The symptom of another component shows how harm travelled, one of the cause's own component
    // only that it is there.
    let (of_own, of_others): (Vec<&Symptom>, Vec<&Symptom>) =
        symptoms.iter().partition(|s| s.component == own);
    of_others
        .into_iter()
        .chain(of_own)
        .take(MAX_STARTS)
        .find_map(|symptom| causal_path(view, symptom.resource, blamed))
        .unwrap_or_default()
        .iter()
        .map(|step| PathStep {
            from: reference(view.graph, step.from),
            relation: step.relation.to_string(),
            to: reference(view.graph, step.to),
        })
        .collect()
}

/// The shortest path against the direction of harm, else along it: a Deployment shows what its pods
/// suffer from. A path that mixes both between components would go through a bystander, such as a
/// Service that both ends call. Within one component the direction does not matter.
fn causal_path(view: &View<'_>, from: Idx, to: Idx) -> Option<Vec<Step>> {
    let (start, end) = (view.component_id(from), view.component_id(to));
    let may_take = |hop: Hop, is_upstream: bool| {
        if hop.from != from && is_hub(view, hop.from) {
            return false;
        }
        let (left, entered) = (view.component_id(hop.from), view.component_id(hop.to));
        if left == entered {
            return true;
        }
        // A path neither returns to where it began nor leaves where it ends.
        hop.is_upstream == is_upstream && entered != start && left != end
    };
    [true, false].into_iter().find_map(|is_upstream| {
        view.graph
            .path(from, to, MAX_PATH, |hop| may_take(hop, is_upstream))
    })
}

/// Whether a resource is shared by so many others that it does not relate them.
fn is_hub(view: &View<'_>, idx: Idx) -> bool {
    matches!(
        view.graph.get(idx).kind(),
        Kind::Node
            | Kind::Namespace
            | Kind::ServiceAccount
            | Kind::StorageClass
            | Kind::ConfigMap
            | Kind::Secret
    )
}

/// Explains the rank of each cause: of the first compared with the second, of the others compared
/// with the first.
pub(super) fn compare(causes: &mut [Cause]) {
    let [first, others @ ..] = causes else { return };
    first.compared = others
        .first()
        .map(|second| comparison(first, second))
        .unwrap_or_default();
    for other in others {
        other.compared = comparison(other, first);
    }
}

/// A part of the score in which two causes differ.
struct Difference<'a> {
    part: &'a str,
    points: f64,
}

fn comparison(this: &Cause, other: &Cause) -> String {
    let lead = round(this.scores.total - other.scores.total);
    let name = format!("{} {}", other.component, other.fault_type);
    let differences = differences(this, other);
    if differences.is_empty() {
        return format!("tied with {name}");
    }
    let (reasons, objections): (Vec<_>, Vec<_>) = differences
        .into_iter()
        .partition(|d| d.points * lead >= 0.0);
    let list = |differences: Vec<Difference<'_>>| {
        differences
            .iter()
            .map(|d| {
                format!(
                    "{} ({:+.1})",
                    weights::reason(d.part, d.points > 0.0),
                    d.points
                )
            })
            .collect::<Vec<_>>()
            .join(", ")
    };
    let order = if lead > 0.0 { "above" } else { "below" };
    let mut text = format!("ranked {:.1} points {order} {name}", lead.abs());
    if !reasons.is_empty() {
        text += &format!(" because {}", list(reasons));
    }
    if !objections.is_empty() {
        text += &format!(", although {}", list(objections));
    }
    text
}

/// The parts in which two causes differ noticeably, the largest difference first.
fn differences<'a>(this: &'a Cause, other: &'a Cause) -> Vec<Difference<'a>> {
    let parts: BTreeSet<&String> = this
        .scores
        .parts
        .keys()
        .chain(other.scores.parts.keys())
        .collect();
    let points =
        |cause: &Cause, part: &str| cause.scores.parts.get(part).copied().unwrap_or_default();
    let mut differences: Vec<Difference<'_>> = parts
        .into_iter()
        .map(|part| Difference {
            part,
            points: points(this, part) - points(other, part),
        })
        .filter(|d| d.points.abs() >= 0.05)
        .collect();
    differences.sort_by(|a, b| {
        let by_size = b.points.abs().total_cmp(&a.points.abs());
        by_size.then_with(|| a.part.cmp(b.part))
    });
    differences
}

pub(super) fn evidence(view: &View<'_>, all: &[&Evidence], weight: f64) -> Vec<EvidenceLine> {
    let mut lines: Vec<&Evidence> = all.to_vec();
    lines.sort_by(|a, b| (a.at, &a.id, &a.what).cmp(&(b.at, &b.id, &b.what)));
    lines.dedup();
    let share = round(weight / lines.len().max(1) as f64);
    lines
        .iter()
        .take(MAX_EVIDENCE)
        .map(|e| EvidenceLine {
            id: e.id.clone(),
            at: e.at,
            resource: reference(view.graph, e.resource),
            what: e.what.clone(),
            weight: share,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::Resolved;
    use crate::graph::{Component, Relation};
    use crate::incident::SymptomKind;
    use crate::model::{Severity, Subject, Time};

    fn add(graph: &mut Graph, kind: Kind, name: &str) -> Idx {
        let subject = Subject {
            kind,
            uid: None,
            namespace: "shop".into(),
            name: name.into(),
        };
        graph.intern(&subject, Time(1))
    }

    /// The path from a symptom on `from`, as `A -REL-> B` per step.
    fn shown(graph: &Graph, from: Idx, blamed: Idx) -> Vec<String> {
        let resolved = Resolved::default();
        let view = View::new(graph, &resolved, Time(2));
        let symptom = Symptom {
            key: "Log/x".into(),
            kind: SymptomKind::Log,
            resource: from,
            component: view.component(from),
            onset: Time(1),
            last: Time(2),
            severity: Severity::Error,
            what: "x".into(),
        };
        path(&view, &[&symptom], blamed)
            .iter()
            .map(|s| format!("{} -{}-> {}", s.from.name, s.relation, s.to.name))
            .collect()
    }

    #[test]
    fn a_path_follows_calls_to_what_is_called() {
        let mut graph = Graph::default();
        let web = add(&mut graph, Kind::Pod, "web-1");
        let service = add(&mut graph, Kind::Service, "cart");
        let cart = add(&mut graph, Kind::Pod, "cart-1");
        graph.link(web, Relation::Calls, service, Time(1), true);
        graph.link(service, Relation::Selects, cart, Time(1), true);
        assert_eq!(
            shown(&graph, web, cart),
            ["web-1 -CALLS-> cart", "cart -SELECTS-> cart-1"]
        );
    }

    #[test]
    fn a_path_does_not_go_through_a_service_that_both_ends_call() {
        let mut graph = Graph::default();
        let web = add(&mut graph, Kind::Pod, "web-1");
        let service = add(&mut graph, Kind::Service, "cart");
        let other = add(&mut graph, Kind::Pod, "api-1");
        let same = add(&mut graph, Kind::Deployment, "web");
        for caller in [web, other, same] {
            graph.link(caller, Relation::Calls, service, Time(1), true);
        }
        assert!(shown(&graph, web, other).is_empty());
        assert!(shown(&graph, web, same).is_empty());
        assert_eq!(graph.component(same), Component::app("shop", "web"));
    }

    #[test]
    fn a_path_within_a_component_takes_edges_in_either_direction() {
        let mut graph = Graph::default();
        let deployment = add(&mut graph, Kind::Deployment, "web");
        let pod = add(&mut graph, Kind::Pod, "web-1");
        graph.link(deployment, Relation::Controls, pod, Time(1), true);
        assert_eq!(shown(&graph, pod, deployment), ["web -CONTROLS-> web-1"]);
        assert_eq!(shown(&graph, deployment, pod), ["web -CONTROLS-> web-1"]);
    }
}
