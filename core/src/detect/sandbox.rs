//! Pods whose sandbox gets no network, or whose runtime is missing or silent: the node, or the
//! cluster when several nodes have no address left.

use std::collections::{BTreeMap, BTreeSet};

use super::finding::{Evidence, Finding, Strength};
use super::node_coverage::is_left_out;
use super::text::{has, short};
use super::{FaultId, View};
use crate::graph::{Idx, Relation};
use crate::model::Severity;
use crate::trouble::{self, Class};

/// The reports about the pods of one node, or of one workload whose node is not known.
#[derive(Default)]
struct Reports {
    on: Option<Idx>,
    message: String,
    evidence: Vec<Evidence>,
}

/// Reports nodes whose container runtime lacks the handler of a `RuntimeClass`.
pub(super) fn handlers(view: &View<'_>, out: &mut Vec<Finding>) {
    let mut by_node: BTreeMap<Idx, Reports> = BTreeMap::new();
    for (pod, event) in &view.episodes.events {
        let is_meant = &*event.reason == "FailedCreatePodSandBox" && view.still_holds(*pod, event);
        if !is_meant || !trouble::read(&event.message).has(Class::RuntimeHandlerMissing) {
            continue;
        }
        let node = view.graph.out(*pod).find(|(r, _)| *r == Relation::RunsOn);
        let blamed = node.map(|(_, node)| node);
        let blamed = blamed.unwrap_or_else(|| view.top_owner(*pod));
        let reports = by_node.entry(blamed).or_default();
        reports.on.get_or_insert(*pod);
        reports.message = event.message.to_string();
        reports.evidence.push(view.event_evidence(*pod, event));
    }
    for (blamed, reports) in by_node {
        let on = reports.on.unwrap_or(blamed);
        out.push(
            view.finding(
                FaultId::NodeRuntimeHandlerMissing,
                blamed,
                on,
                Strength::Strong,
            )
            .active(true)
            .message(format!(
                "{} lacks the handler of a RuntimeClass: {}",
                view.title(blamed),
                short(&reports.message, 200)
            ))
            .with(reports.evidence)
            .build(),
        );
    }
}

/// How the kubelet reports that the container runtime did not answer in time: the next attempt finds
/// the name of the first one taken.
const UNANSWERED: [&str; 3] = [
    "desc = context deadline exceeded",
    "error: context deadline exceeded",
    "failed to reserve ",
];

/// How many attempts show that it is not the load of a moment.
const ATTEMPTS: u32 = 3;

/// Reports nodes whose container runtime answers no request to create a pod or a container.
pub(super) fn runtimes(view: &View<'_>, out: &mut Vec<Finding>) {
    let mut by_node: BTreeMap<Idx, Reports> = BTreeMap::new();
    for (pod, event) in &view.episodes.events {
        let is_meant = event.severity >= Severity::Warning
            && matches!(&*event.reason, "FailedCreatePodSandBox" | "Failed")
            && event.count >= ATTEMPTS
            && has(&event.message, &UNANSWERED)
            && !has(&event.message, &["pull", "network", "mount"])
            && view.still_holds(*pod, event);
        if let Some(node) = view.node_of(*pod).filter(|_| is_meant) {
            let reports = by_node.entry(node).or_default();
            reports.on.get_or_insert(*pod);
            reports.message = event.message.to_string();
            reports.evidence.push(view.event_evidence(*pod, event));
        }
    }
    for (node, reports) in by_node {
        let message = format!(
            "The container runtime of {} does not answer in time: {}",
            view.title(node),
            short(&reports.message, 160)
        );
        let on = reports.on.unwrap_or(node);
        out.push(
            view.finding(FaultId::NodeRuntimeDown, node, on, Strength::Fair)
                .active(true)
                .message(message)
                .with(reports.evidence)
                .build(),
        );
    }
}

/// How network plug-ins call what all nodes take addresses from: Calico, Azure, Cilium, AWS.
const SHARED: [&str; 6] = [
    "affine blocks",
    "free blocks",
    "addressesinsubnet",
    "in subnet",
    "ippool",
    "in pool",
];

/// Reports nodes that cannot connect their pods.
pub(super) fn networks(view: &View<'_>, out: &mut Vec<Finding>) {
    let mut by_node: BTreeMap<Idx, Reports> = BTreeMap::new();
    let mut exhausted: BTreeSet<Idx> = BTreeSet::new();
    let mut is_shared = false;
    for (pod, event) in &view.episodes.events {
        let is_meant = event.severity >= Severity::Warning
            && matches!(
                &*event.reason,
                "FailedCreatePodSandBox" | "FailedCreatePodContainer" | "NetworkNotReady"
            )
            && view.still_holds(*pod, event);
        let classes = [Class::PodAddressesExhausted, Class::NetworkPluginFailed];
        let trouble = trouble::read(&event.message);
        if !is_meant || !trouble.has_any(&classes) {
            continue;
        }
        let node = view.graph.out(*pod).find(|(r, _)| *r == Relation::RunsOn);
        let blamed = node.map(|(_, node)| node).or(view.episodes.cluster);
        let blamed = blamed.unwrap_or_else(|| view.top_owner(*pod));
        // Each node has a range of its own with host-local; other plug-ins share their pools.
        if trouble.has(Class::PodAddressesExhausted) && !has(&event.message, &["range set"]) {
            exhausted.insert(blamed);
            is_shared |= has(&event.message, &SHARED);
        }
        let reports = by_node.entry(blamed).or_default();
        reports.on.get_or_insert(*pod);
        reports.message = event.message.to_string();
        reports.evidence.push(view.event_evidence(*pod, event));
    }
    if is_shared || exhausted.len() > 1 {
        share_pool(view, &exhausted, &mut by_node);
    }
    for (blamed, reports) in by_node {
        let what = short(&reports.message, 200);
        let on = reports.on.unwrap_or(blamed);
        let strength = if is_left_out(view, blamed, on) {
            Strength::Hint
        } else {
            Strength::Strong
        };
        out.push(
            view.finding(FaultId::NodeNetworkUnavailable, blamed, on, strength)
                .active(true)
                .message(format!(
                    "{} cannot connect new pods to the network: {what}",
                    view.title(blamed)
                ))
                .with(reports.evidence)
                .build(),
        );
    }
}

/// Puts the reports of nodes that have no address left down to the cluster, whose pool is
/// empty.
fn share_pool(view: &View<'_>, exhausted: &BTreeSet<Idx>, by_node: &mut BTreeMap<Idx, Reports>) {
    let Some(cluster) = view.episodes.cluster else {
        return;
    };
    let mut shared = by_node.remove(&cluster).unwrap_or_default();
    for node in exhausted {
        if let Some(reports) = by_node.remove(node) {
            shared.on = shared.on.or(reports.on);
            shared.message = reports.message;
            shared.evidence.extend(reports.evidence);
        }
    }
    by_node.insert(cluster, shared);
}
