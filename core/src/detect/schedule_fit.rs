//! Whether nodes accept a pod, by the filters of kube-scheduler's default plugins.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::View;
use crate::graph::{Idx, Relation};
use crate::model::object::node::Taint;
use crate::model::object::placement::{NodeSelector, NodeSelectorTerm, Toleration};
use crate::model::object::pod::PodSpec;
use crate::model::object::{Labels, Node, Pod};

/// The first filter that keeps a pod off a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Misfit {
    Cordoned,
    Taint(String),
    Selector,
    Affinity,
    /// A shortage of a resource, and whether even an empty node would not have enough.
    Resource(String, bool),
    /// The kubelet runs as many pods as it may.
    PodSlots,
}

/// For each node the first filter that the pod fails; `None` if it fits by the known state.
pub(super) fn misfits(
    view: &View<'_>,
    spec: &PodSpec,
    affinity_of: &PodSpec,
) -> Vec<(Idx, Option<Misfit>)> {
    view.nodes()
        .into_iter()
        .take_while(|_| !view.is_late())
        .filter_map(|idx| {
            Some((
                idx,
                misfit(view, idx, view.object(idx)?.node()?, spec, affinity_of),
            ))
        })
        .collect()
}

fn misfit(
    view: &View<'_>,
    idx: Idx,
    node: &Node,
    spec: &PodSpec,
    affinity_of: &PodSpec,
) -> Option<Misfit> {
    if node.spec.unschedulable == Some(true) {
        return Some(Misfit::Cordoned);
    }
    let resource = ["cpu", "memory"]
        .into_iter()
        .find_map(|r| resource_misfit(view, idx, node, spec, r));
    let labels = view.graph.get(idx).labels();
    if !labels.contains_all(&spec.node_selector) {
        return Some(Misfit::Selector);
    }
    if !affinity_matches(affinity_of, labels, view.graph.get(idx).name()) {
        return Some(Misfit::Affinity);
    }
    // After selector and affinity, so that only nodes that the pod may use name their taint.
    if let Some(taint) = untolerated(node, spec) {
        return Some(Misfit::Taint(taint));
    }
    let is_full = || has_free_slot(view, idx, node) == Some(false);
    resource.or_else(|| is_full().then_some(Misfit::PodSlots))
}

/// Whether a kubelet may run one more pod; `None` if its limit is not known.
pub(super) fn has_free_slot(view: &View<'_>, idx: Idx, node: &Node) -> Option<bool> {
    let limit = node.status.allocatable.get("pods")?.0;
    Some(view.episodes.used.on(view, idx).pods * 1000 < limit)
}

/// What the pods of a node take.
#[derive(Clone, Copy, Debug, Default)]
struct Used {
    pods: i128,
    cpu: i128,
    memory: i128,
}

impl Used {
    fn of(self, resource: &str) -> i128 {
        if resource == "cpu" {
            self.cpu
        } else {
            self.memory
        }
    }
}

/// What the pods of each node take, added up once in an evaluation of a cluster.
#[derive(Debug, Default)]
pub struct UsedOnNodes(RefCell<BTreeMap<Idx, Used>>);

impl UsedOnNodes {
    fn on(&self, view: &View<'_>, node: Idx) -> Used {
        *self.0.borrow_mut().entry(node).or_insert_with(|| {
            let mut used = Used::default();
            for pod in pods_on(view, node) {
                used.pods += 1;
                if let Some(spec) = &pod.spec {
                    used.cpu += spec.requested("cpu");
                    used.memory += spec.requested("memory");
                }
            }
            used
        })
    }
}

/// The pods of a node that have not ended.
fn pods_on<'a>(view: &View<'a>, node: Idx) -> impl Iterator<Item = &'a Pod> {
    let view = *view;
    let placed = view
        .graph
        .incoming(node)
        .filter(|(r, _)| *r == Relation::RunsOn);
    placed
        .filter_map(move |(_, pod)| view.pod(pod))
        .filter(|p| !matches!(p.status.phase.as_deref(), Some("Succeeded" | "Failed")))
}

/// The first taint that keeps new pods away and that the pod does not tolerate.
fn untolerated(node: &Node, spec: &PodSpec) -> Option<String> {
    let keeps_off = |t: &&Taint| matches!(t.effect.as_deref(), Some("NoSchedule" | "NoExecute"));
    node.spec
        .taints
        .iter()
        .filter(keeps_off)
        .find(|taint| !spec.tolerations.iter().any(|t| tolerates(t, taint)))
        .map(Taint::to_text)
}

fn tolerates(t: &Toleration, taint: &Taint) -> bool {
    let (effect, key) = (t.effect.as_deref(), t.key.as_deref());
    // An empty effect or key tolerates any.
    let effect = effect.unwrap_or("").is_empty() || effect == taint.effect.as_deref();
    let key = key.unwrap_or("").is_empty() || key == Some(&*taint.key);
    let value = t.operator.as_deref() == Some("Exists")
        || t.value.as_deref().unwrap_or("") == taint.value.as_deref().unwrap_or("");
    effect && key && value
}

pub(super) fn affinity_matches(spec: &PodSpec, labels: &Labels, name: &str) -> bool {
    let required = spec
        .affinity
        .as_ref()
        .and_then(|a| a.node_affinity.as_ref())
        .and_then(|n| n.required.as_ref());
    required
        .map(|r| selector_matches(r, labels, name))
        .unwrap_or(true)
}

pub(super) fn selector_matches(selector: &NodeSelector, labels: &Labels, name: &str) -> bool {
    let term = |t: &NodeSelectorTerm| {
        let field = [("metadata.name", name)].into_iter().collect::<Labels>();
        t.match_expressions.iter().all(|r| r.matches(labels))
            && t.match_fields.iter().all(|r| r.matches(&field))
    };
    selector.node_selector_terms.iter().any(term)
}

fn resource_misfit(
    view: &View<'_>,
    idx: Idx,
    node: &Node,
    spec: &PodSpec,
    resource: &str,
) -> Option<Misfit> {
    let allocatable = node.status.allocatable.get(resource)?.0;
    let requested = spec.requested(resource);
    if requested > allocatable {
        return Some(Misfit::Resource(resource.to_owned(), true));
    }
    let used = view.episodes.used.on(view, idx).of(resource);
    (requested > 0 && used + requested > allocatable)
        .then(|| Misfit::Resource(resource.to_owned(), false))
}
