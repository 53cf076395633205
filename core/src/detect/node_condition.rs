//! Conditions of nodes that other programs than the kubelet set, and nodes that come and go.

use super::finding::{Evidence, Finding, Strength};
use super::polarity::{self, Shows};
use super::text::{has, short};
use super::{FaultId, View};
use crate::graph::{Idx, Relation};
use crate::model::Episode;
use crate::model::object::{self, Condition};
use crate::model::time::MINUTE;
use crate::trouble::{self, Class};

/// Conditions that the kubelet and the network plug-ins set; `node` reads them.
const OWN: [&str; 5] = [
    "Ready",
    "MemoryPressure",
    "DiskPressure",
    "PIDPressure",
    "NetworkUnavailable",
];

/// Reports the conditions of a node that node-problem-detector and other programs set.
pub(super) fn reported(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let Some(node) = view.object(idx).and_then(|o| o.node()) else {
        return;
    };
    let is_broken = |c: &&Condition| {
        !OWN.contains(&&*c.kind)
            && polarity::shows(c) == Shows::Broken
            && view.lasts(c.last_transition_time.0)
    };
    for condition in node.status.conditions.iter().filter(is_broken) {
        let (fault, predicate) = meaning(&condition.kind);
        let said = condition.message.as_deref().or(condition.reason.as_deref());
        let said = short(said.unwrap_or(""), 200);
        let status = condition.status.as_deref().unwrap_or("");
        let seen = view.state_evidence(idx, format!("{} is {status}: {said}", condition.kind));
        let evidence = Evidence {
            at: condition.last_transition_time.0.unwrap_or(seen.at),
            ..seen
        };
        let name = view.graph.get(idx).name();
        out.push(
            view.finding(fault, idx, idx, Strength::Strong)
                .active(true)
                .message(format!("Node `{name}` {predicate}: {said}"))
                .with([evidence])
                .build(),
        );
    }
}

/// What a condition of node-problem-detector means.
fn meaning(condition: &str) -> (FaultId, &'static str) {
    match condition {
        "ReadonlyFilesystem" | "FilesystemReadOnly" => (
            FaultId::NodeFilesystemReadOnly,
            "has a file system that became read-only",
        ),
        "KernelDeadlock" | "XfsShutdown" => {
            (FaultId::NodeKernelFault, "reports a fault of its kernel")
        }
        "FrequentContainerdRestart" | "FrequentDockerRestart" | "ContainerRuntimeUnhealthy" => (
            FaultId::NodeRuntimeDown,
            "has a container runtime that keeps restarting",
        ),
        "FrequentKubeletRestart" | "KubeletUnhealthy" => (
            FaultId::NodeKubeletDown,
            "has a kubelet that keeps restarting",
        ),
        "NTPProblem" => (FaultId::NodeClockSkew, "does not synchronize its clock"),
        "NetworkingReady" => (FaultId::NodeNetworkUnavailable, "has no network"),
        _ => (FaultId::OperatorConditionFailed, "reports a problem"),
    }
}

/// Reports a node on whose disk no image can be unpacked, whichever workload wants it.
pub(super) fn full_disk(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let pods = view.graph.incoming(idx);
    let pods = pods.filter(|(relation, _)| *relation == Relation::RunsOn);
    let is_meant = |pod: Idx, e: &Episode| {
        has(&e.message, &["failed to pull"])
            && view.still_holds(pod, e)
            && trouble::read(&e.message).has(Class::NoSpace)
    };
    let failed = pods
        .flat_map(|(_, pod)| view.warnings(pod).map(move |e| (pod, e)))
        .find(|(pod, e)| is_meant(*pod, e));
    let Some((pod, event)) = failed else { return };
    let message = format!(
        "Node `{}` has no disk space for images: {}",
        view.graph.get(idx).name(),
        short(&event.message, 200)
    );
    out.push(
        view.finding(FaultId::NodeDiskPressure, idx, pod, Strength::Proof)
            .active(true)
            .message(message)
            .with([view.event_evidence(pod, event)])
            .build(),
    );
}

/// How many times a node must have become unready to flap.
const FLAPS: u32 = 3;

/// Reports a node that is ready now and was not several times within minutes.
pub(super) fn flapping(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let is_ready = view
        .object(idx)
        .and_then(|o| o.node())
        .and_then(|n| object::condition(&n.status.conditions, "Ready"))
        .is_some_and(|c| c.is("True"));
    let lost: Vec<_> = view
        .events(idx)
        .filter(|e| &*e.reason == "NodeNotReady" && view.now.0 - e.last.0 <= 5 * MINUTE)
        .collect();
    let times = lost.iter().fold(0_u32, |n, e| n.saturating_add(e.count));
    if !is_ready || times < FLAPS {
        return;
    }
    out.push(
        view.finding(FaultId::NodeKubeletDown, idx, idx, Strength::Strong)
            .active(true)
            .message(format!(
                "Node `{}` became not ready {times} times and is ready again: its kubelet \
                 reports intermittently",
                view.graph.get(idx).name()
            ))
            .with(lost.iter().map(|e| view.event_evidence(idx, e)))
            .build(),
    );
}
