//! Network trouble that follows the node: workloads on it are affected, workloads elsewhere are
//! not.

use std::collections::{BTreeMap, BTreeSet};

use super::caller_errors::{CallError, CallFailure};
use super::finding::{Evidence, Finding, Strength};
use super::signals::{Signal, measured, signals};
use super::{ComponentId, FaultId, View};
use crate::graph::{Component, Idx, Relation};
use crate::model::{Alert, Kind};

/// How many workloads of a node must be affected together before the node is suspected without an
/// alert of its own.
const CROWD: usize = 3;

/// What a node's own alerts measure.
#[derive(Default)]
struct NodeAlerts {
    /// The largest number that they quote.
    measured: f64,
    packet_loss: bool,
    evidence: Vec<Evidence>,
}

/// The evidence for and against network trouble of nodes.
#[derive(Default)]
struct Signals {
    /// Workloads that are slow or fail, with the alerts that say so.
    affected: BTreeMap<ComponentId, Vec<Evidence>>,
    /// The pods of each that reported calls without an answer in time.
    waiting: BTreeMap<ComponentId, BTreeSet<Idx>>,
    /// The resources by which they are known.
    affected_resources: BTreeSet<Idx>,
    /// Workloads at the limit of their own CPU, memory or disk.
    saturated: BTreeSet<ComponentId>,
    nodes: BTreeMap<Idx, NodeAlerts>,
}

impl Signals {
    fn collect(view: &View<'_>, errors: &[CallError]) -> Self {
        let mut all = Self::default();
        for (idx, alert) in &view.episodes.alerts {
            if *view.graph.get(*idx).kind() == Kind::Node {
                all.add_node_alert(view, *idx, alert);
            } else {
                all.add_workload_alert(view, *idx, alert);
            }
        }
        for error in errors.iter().filter(|e| e.failure == CallFailure::TimedOut) {
            // Who waits for what is at its own limit says nothing about the network.
            let target = error.target.map(|target| view.component_id(target));
            if target.is_some_and(|target| all.saturated.contains(&target)) {
                continue;
            }
            let caller = view.component_id(error.caller);
            all.affected.entry(caller).or_default();
            all.waiting.entry(caller).or_default().insert(error.caller);
            all.affected_resources.insert(error.caller);
        }
        all
    }

    fn add_node_alert(&mut self, view: &View<'_>, node: Idx, alert: &Alert) {
        let signals = signals(alert);
        let packet_loss = signals.contains(&Signal::Loss);
        if packet_loss || signals.contains(&Signal::Latency) {
            let own = self.nodes.entry(node).or_default();
            own.measured = own.measured.max(measured(alert));
            own.packet_loss |= packet_loss;
            own.evidence.push(view.alert_evidence(node, alert));
        }
    }

    fn add_workload_alert(&mut self, view: &View<'_>, idx: Idx, alert: &Alert) {
        let component = view.component_id(idx);
        let mut is_affected = false;
        for signal in signals(alert) {
            match signal {
                Signal::Cpu | Signal::Memory | Signal::Disk | Signal::Throttling => {
                    self.saturated.insert(component);
                }
                Signal::Latency | Signal::Loss | Signal::Throughput | Signal::Errors => {
                    is_affected = true;
                }
                Signal::Pool => {}
            }
        }
        if is_affected {
            let evidence = view.alert_evidence(idx, alert);
            self.affected.entry(component).or_default().push(evidence);
            self.affected_resources.insert(idx);
        }
    }

    /// Whether pods of a workload on other nodes wait as well: then what they call is at fault.
    fn waits_elsewhere(&self, view: &View<'_>, id: ComponentId, node: Idx) -> bool {
        let mut pods = self.waiting.get(&id).into_iter().flatten();
        pods.any(|pod| view.node_of(*pod).is_some_and(|other| other != node))
    }

    /// The largest number that any node's alerts quote.
    fn worst(&self) -> f64 {
        self.nodes.values().map(|n| n.measured).fold(0.0, f64::max)
    }
}

/// Suspects nodes by their own alerts and by what the workloads on them have in common.
pub(super) fn nodes(view: &View<'_>, errors: &[CallError], out: &mut Vec<Finding>) {
    let signals = Signals::collect(view, errors);
    let mut crowded: Vec<Finding> = Vec::new();
    for node in suspects(view, &signals) {
        match judge_node(view, &signals, node) {
            Some(finding) if finding.strength == Strength::Proof => out.push(finding),
            finding => crowded.extend(finding),
        }
    }
    // What affects the workloads of two nodes alike does not follow a node.
    if let [_] = crowded[..] {
        out.append(&mut crowded);
    }
}

/// The finding about one suspected node, unless the trouble has another explanation.
fn judge_node(view: &View<'_>, signals: &Signals, node: Idx) -> Option<Finding> {
    let workloads = workloads_on(view, node);
    let affected: Vec<ComponentId> = workloads
        .iter()
        .filter(|c| signals.affected.contains_key(*c))
        .copied()
        .collect();
    let own = signals.nodes.get(&node);
    // With alerts of their own, the node that measures most is at fault: the others see the far end
    // of the same connections.
    let is_worst = own.is_some_and(|n| n.measured >= signals.worst());
    let is_tied = |id: &&ComponentId| !signals.waits_elsewhere(view, **id, node);
    let tied: Vec<ComponentId> = affected.iter().filter(is_tied).copied().collect();
    if !(is_worst || is_crowd(signals, &tied, workloads.len())) {
        return None;
    }
    // By name, not by number: numbers follow the order in which resources became known.
    let mut affected: Vec<(Component, ComponentId)> = affected
        .into_iter()
        .map(|c| (view.component_of(c), c))
        .collect();
    affected.sort();
    if has_unready_pod(view, affected.iter().map(|(c, _)| c)) {
        return None;
    }
    let (fault, trouble) = if own.is_some_and(|n| n.packet_loss) {
        (FaultId::NodeNetworkLoss, "is losing packets")
    } else {
        (FaultId::NodeNetworkDelay, "has high network latency")
    };
    let strength = if is_worst {
        Strength::Proof
    } else {
        Strength::Strong
    };
    let names: Vec<String> = affected
        .iter()
        .map(|(c, _)| format!("`{}`", c.name))
        .collect();
    let who = if names.is_empty() {
        String::new()
    } else {
        format!(
            ": {} of its {} workloads are affected ({})",
            affected.len(),
            workloads.len(),
            names.join(", ")
        )
    };
    let message = format!("Node `{}` {trouble}{who}", view.graph.get(node).name());
    let own = own.map(|n| n.evidence.clone()).unwrap_or_default();
    let of_workloads = affected
        .iter()
        .flat_map(|(_, c)| signals.affected[c].iter().take(2).cloned());
    Some(
        view.finding(fault, node, node, strength)
            .active(true)
            .message(message)
            .with(own.into_iter().chain(of_workloads))
            .build(),
    )
}

/// Whether the workloads of a node are affected together without an alert of the node: at least
/// three of them, the majority there, and no fewer than elsewhere. Callers of a workload at the
/// limit of its own CPU, memory or disk are slow with it wherever it runs.
fn is_crowd(signals: &Signals, affected: &[ComponentId], workloads: usize) -> bool {
    let elsewhere = signals.affected.len() - affected.len();
    !affected.iter().any(|c| signals.saturated.contains(c))
        && affected.len() >= CROWD
        && affected.len() * 2 > workloads
        && affected.len() >= elsewhere
}

/// Nodes with an alert of their own, and those that may host enough affected workloads.
fn suspects(view: &View<'_>, signals: &Signals) -> BTreeSet<Idx> {
    let mut hosts: BTreeMap<Idx, BTreeSet<ComponentId>> = BTreeMap::new();
    for resource in &signals.affected_resources {
        for pod in pods_of_resource(view, *resource) {
            for (_, node) in view.graph.out(pod).filter(|(r, _)| *r == Relation::RunsOn) {
                hosts
                    .entry(node)
                    .or_default()
                    .insert(view.component_id(pod));
            }
        }
    }
    let crowded = hosts
        .into_iter()
        .filter(|(_, guests)| guests.len() >= CROWD)
        .map(|(node, _)| node);
    crowded
        .chain(signals.nodes.keys().copied())
        .filter(|n| view.graph.get(*n).is_live())
        .collect()
}

/// The pods of a workload, given the workload, one of its pods or its Service.
fn pods_of_resource(view: &View<'_>, idx: Idx) -> BTreeSet<Idx> {
    let selected = view
        .graph
        .out(idx)
        .filter(|(r, _)| *r == Relation::Selects)
        .map(|(_, pod)| pod);
    let own = (*view.graph.get(idx).kind() == Kind::Pod).then_some(idx);
    selected
        .chain(own)
        .chain(view.pods_of(view.top_owner(idx)))
        .collect()
}

fn workloads_on(view: &View<'_>, node: Idx) -> Vec<ComponentId> {
    let pods = view
        .graph
        .incoming(node)
        .filter(|(r, _)| *r == Relation::RunsOn)
        .map(|(_, p)| p)
        .filter(|p| view.graph.get(*p).is_live());
    let mut all: Vec<ComponentId> = pods
        .filter(|p| !is_everywhere(view, *p))
        .map(|p| view.component_id(p))
        .collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// Whether a pod runs on every node: such pods say nothing about one of them.
fn is_everywhere(view: &View<'_>, pod: Idx) -> bool {
    *view.graph.get(view.top_owner(pod)).kind() == Kind::DaemonSet
}

/// Whether a pod in the namespaces of these components has been unready for a while: that explains
/// their trouble without the node.
fn has_unready_pod<'a>(view: &View<'_>, affected: impl Iterator<Item = &'a Component>) -> bool {
    let namespaces: BTreeSet<&str> = affected.map(|c| &*c.namespace).collect();
    view.unhealthy_pods().any(|p| {
        namespaces.contains(view.graph.get(p).namespace()) && view.lasts(view.unhealthy_since(p))
    })
}
