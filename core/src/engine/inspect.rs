//! Which resources have to be inspected again, and what their inspection found.

use std::collections::BTreeSet;

use crate::detect::{self, CallError, DetectorPanic, Finding, Findings, Resolved, View};
use crate::graph::{Graph, Idx, Relation};
use crate::model::Kind;
use crate::model::object::{Object, Quota};

/// The longest chain of owners is a pod's: ReplicaSet, Deployment, and objects of operators.
const MAX_OWNERS: usize = 8;

type Map<K, V> = hashbrown::HashMap<K, V, foldhash::fast::FixedState>;

/// What is known of the resources that were inspected: only those that changed are inspected again.
#[derive(Clone, Debug, Default)]
pub(super) struct Inspected {
    found: Map<Idx, Vec<Finding>>,
    /// Living resources that are known not to be healthy.
    pub(super) unhealthy: BTreeSet<Idx>,
    /// Services that select pods and have none.
    idle: BTreeSet<Idx>,
    /// Resources for which the last inspection had no time.
    pending: BTreeSet<Idx>,
    /// Resources whose inspection took the rest of the time.
    slow: BTreeSet<Idx>,
}

/// A resource that became healthy or unhealthy.
#[derive(Clone, Copy, Debug)]
pub(super) struct HealthChange {
    pub(super) resource: Idx,
    pub(super) healthy: bool,
}

/// The outcome of inspecting some resources.
#[derive(Debug, Default)]
pub(super) struct Inspection {
    pub(super) health_changes: Vec<HealthChange>,
    pub(super) panics: Vec<DetectorPanic>,
    /// Whether something was not inspected for lack of time.
    pub(super) is_partial: bool,
}

impl Inspected {
    /// The state after a restart: findings are found again, since every resource counts as changed.
    pub(super) fn with_unhealthy(unhealthy: BTreeSet<Idx>) -> Self {
        Self {
            unhealthy,
            ..Self::default()
        }
    }

    /// The resources to inspect: those that changed and those that depend on them, those with
    /// episodes or findings, and the unhealthy ones.
    pub(super) fn todo(&self, graph: &mut Graph, resolved: &Resolved<'_>) -> BTreeSet<Idx> {
        let mut todo = resolved.loud().clone();
        for idx in graph.take_dirty() {
            todo.insert(idx);
            add_dependents(graph, idx, &mut todo);
        }
        todo.extend(&self.unhealthy);
        todo.extend(&self.idle);
        todo.extend(&self.pending);
        todo.extend(&self.slow);
        todo.extend(self.found.keys());
        // A policy may block a pod that has just started.
        todo.extend(graph.of_kind(&Kind::NetworkPolicy));
        todo.extend(graph.of_kind(&Kind::parse("CiliumNetworkPolicy")));
        // No record says that a Job was not created when it was due.
        todo.extend(graph.of_kind(&Kind::CronJob));
        todo
    }

    /// Inspects resources and remembers the outcome. What waited for lack of time goes first.
    pub(super) fn update(&mut self, view: &View<'_>, todo: &BTreeSet<Idx>) -> Inspection {
        let mut inspection = Inspection::default();
        let late = std::mem::take(&mut self.pending);
        self.slow.clear();
        let others = todo.difference(&late);
        for &idx in late.iter().chain(others) {
            if view.watch.ends() {
                self.pending.insert(idx);
                continue;
            }
            let mut findings = Findings::new(view.watch);
            if view.graph.get(idx).is_leaving() {
                detect::inspect_leaving(view, idx, &mut findings);
            } else {
                detect::inspect(view, idx, &mut findings);
            }
            inspection.panics.append(&mut findings.panics);
            if findings.are_partial {
                // What was found before stays.
                self.slow.insert(idx);
                continue;
            }
            if findings.found.is_empty() {
                self.found.remove(&idx);
            } else {
                self.found.insert(idx, findings.found);
            }
            let health = view.is_healthy(idx).filter(|_| view.exists(idx));
            let has_turned = mark(&mut self.unhealthy, idx, health == Some(false));
            if let Some(healthy) = health.filter(|_| has_turned) {
                inspection.health_changes.push(HealthChange {
                    resource: idx,
                    healthy,
                });
            }
            mark(&mut self.idle, idx, is_idle(view.graph, idx));
        }
        inspection.is_partial = !(self.pending.is_empty() && self.slow.is_empty());
        inspection
    }

    /// All findings: those of the inspected resources in their order, then those of the detectors
    /// that compare resources.
    pub(super) fn findings(
        &self,
        view: &View<'_>,
        call_errors: &[CallError],
        inspection: &mut Inspection,
    ) -> Vec<Finding> {
        let mut order: Vec<&Idx> = self.found.keys().collect();
        order.sort_unstable();
        let mut findings: Vec<Finding> = order
            .into_iter()
            .flat_map(|idx| self.found[idx].iter().cloned())
            .collect();
        let mut compared = detect::compare(view, call_errors, &findings);
        findings.append(&mut compared.found);
        inspection.panics.append(&mut compared.panics);
        inspection.is_partial |= compared.are_partial;
        findings
    }
}

/// Adds a resource to a set or removes it. Returns whether that changed the set.
fn mark(set: &mut BTreeSet<Idx>, idx: Idx, belongs: bool) -> bool {
    if belongs {
        set.insert(idx)
    } else {
        set.remove(&idx)
    }
}

/// Whether time or another object can change what is found about a resource: a Service that selects
/// pods and has none, and a pod or namespace that is being deleted.
fn is_idle(graph: &Graph, idx: Idx) -> bool {
    let node = graph.get(idx);
    let service = node.object.as_deref().and_then(Object::service);
    let lacks_pods = node.is_live()
        && service.is_some_and(|s| !s.selector.is_empty())
        && !graph.out(idx).any(|(r, _)| r == Relation::Selects);
    let is_ending = node.is_leaving()
        && node.closed.is_none()
        && matches!(node.kind(), Kind::Pod | Kind::Namespace);
    lacks_pods || is_ending
}

/// Adds what depends on a resource: its neighbours, its owners, and what meets it through labels or
/// an exhausted quota.
fn add_dependents(graph: &Graph, idx: Idx, todo: &mut BTreeSet<Idx>) {
    let node = graph.get(idx);
    if matches!(
        node.kind(),
        Kind::Node | Kind::Namespace | Kind::ServiceAccount | Kind::Lease
    ) {
        return;
    }
    let targets = graph.out(idx).map(|(_, i)| i);
    todo.extend(targets.filter(|i| *graph.get(*i).kind() != Kind::Node));
    todo.extend(graph.incoming(idx).map(|(_, i)| i));
    let owner_of = |idx| graph.incoming(idx).find(|(r, _)| *r == Relation::Controls);
    let mut at = idx;
    // Owners that own each other have no end.
    for _ in 0..MAX_OWNERS {
        let Some((_, owner)) = owner_of(at) else {
            break;
        };
        todo.insert(owner);
        at = owner;
    }
    let Some(object) = node.object.as_deref() else {
        return;
    };
    if let Some(service) = object.service() {
        todo.extend(graph.selected_templates(node.namespace(), &service.selector));
    }
    if let Some(labels) = graph.template_labels(idx) {
        todo.extend(graph.selecting(node.namespace(), labels));
        todo.extend(controlled(graph, idx).flat_map(|child| controlled(graph, child)));
    }
    if object.quota().is_some_and(allows_no_service) {
        todo.extend(graph.workloads(node.namespace()));
    }
}

fn controlled(graph: &Graph, idx: Idx) -> impl Iterator<Item = Idx> + '_ {
    graph
        .out(idx)
        .filter(|(r, _)| *r == Relation::Controls)
        .map(|(_, i)| i)
}

/// Whether a quota's Services are used up: a workload may then lack its Service, and no event says
/// so.
fn allows_no_service(quota: &Quota) -> bool {
    quota
        .hard
        .get("services")
        .is_some_and(|hard| quota.used.get("services").is_some_and(|used| used >= hard))
}
