//! Pods that are evicted, and lifecycle hooks that fail.

use super::finding::{Finding, Strength};
use super::text::{has, short};
use super::{ComponentId, FaultId, View};
use std::collections::BTreeMap;

use crate::graph::{Idx, Relation};
use crate::model::object::Pod;
use crate::model::time::MINUTE;
use crate::model::{Episode, Time};

pub(super) fn pod(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    if !view.exists(idx) {
        return;
    }
    super::crash::pod(view, idx, out);
    evicted(view, idx, out);
    rejected(view, idx, out);
    hooks(view, idx, out);
}

/// A pod that the kubelet of its node refuses to run: the scheduler counted on room that is not
/// there.
fn rejected(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let Some(pod) = view.pod(idx).filter(|_| view.is_pod_unhealthy(idx)) else {
        return;
    };
    let reason = pod.status.reason.as_deref().unwrap_or("");
    let message = pod.status.message.as_deref().unwrap_or("");
    let fault = match reason {
        "OutOfcpu" => FaultId::SchedulingCpuInsufficient,
        "OutOfmemory" => FaultId::SchedulingMemoryInsufficient,
        "OutOfpods" => FaultId::SchedulingPodSlotsExhausted,
        // The labels of the node changed after the scheduler had chosen it.
        "NodeAffinity" => FaultId::SchedulingNodeAffinityMismatch,
        "Preempting" => FaultId::SchedulingPreempted,
        "UnexpectedAdmissionError" if has(message, &["allocate failed", "devices unavailable"]) => {
            FaultId::SchedulingExtendedResourceInsufficient
        }
        _ => return,
    };
    let owner = view.top_owner(idx);
    let said = short(message, 200);
    // The node has the devices that the scheduler counted on, and none of them works.
    let is_broken = has(message, &["no healthy devices", "unhealthy devices"]);
    let placed = view.graph.out(idx).find(|(r, _)| *r == Relation::RunsOn);
    let node = placed.map(|(_, node)| node).filter(|_| is_broken);
    out.push(
        view.finding(fault, node.unwrap_or(owner), idx, Strength::Strong)
            .active(true)
            .message(format!(
                "Node rejects a pod of {} ({reason}): {said}",
                view.title(owner)
            ))
            .with([view.state_evidence(idx, format!("{reason}: {said}"))])
            .with(
                view.warnings(idx)
                    .filter(|e| &*e.reason == reason)
                    .map(|e| view.event_evidence(idx, e)),
            )
            .build(),
    );
}

fn evicted(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let Some(pod) = view.pod(idx) else { return };
    if pod.status.reason.as_deref() != Some("Evicted") || !view.is_pod_unhealthy(idx) {
        return;
    }
    let message = pod.status.message.as_deref().unwrap_or("");
    let node = view
        .graph
        .out(idx)
        .find(|(r, _)| *r == Relation::RunsOn)
        .map(|(_, n)| n);
    // Node pressure is the node's fault; a pod above its own ephemeral-storage or emptyDir limit is
    // the workload's.
    let by_node = has(
        message,
        &["the node was low on resource", "the node had condition"],
    );
    let blamed = node
        .filter(|_| by_node)
        .unwrap_or_else(|| view.top_owner(idx));
    let recent = ended(pod)
        .map(|t| view.now.0 - t.0 < 60 * MINUTE)
        .unwrap_or(true);
    if recent {
        let evidence = [view.state_evidence(idx, format!("Evicted: {}", short(message, 200)))];
        let strength = if by_node {
            Strength::Fair
        } else {
            Strength::Strong
        };
        out.push(
            view.finding(FaultId::RuntimeEvicted, blamed, idx, strength)
                .active(true)
                .message(format!(
                    "Pod `{}` was evicted: {}",
                    view.graph.get(idx).name(),
                    short(message, 160)
                ))
                .with(evidence)
                .build(),
        );
    }
}

/// When a pod that failed ended, as far as its status shows it: not before its last change.
fn ended(pod: &Pod) -> Option<Time> {
    let stopped = pod
        .status
        .all_containers()
        .filter_map(|c| c.state.terminated.as_ref()?.finished_at.0);
    let conditions = pod.status.conditions.iter();
    let changed = conditions.filter_map(|c| c.last_transition_time.0);
    stopped.chain(changed).chain(pod.status.start_time.0).max()
}

/// Workloads whose pods are repeatedly evicted for their own usage: each new pod is healthy for a
/// while.
pub(super) fn evictions(view: &View<'_>, out: &mut Vec<Finding>) {
    let mut by_owner: BTreeMap<ComponentId, Vec<(Idx, &Episode)>> = BTreeMap::new();
    for (idx, event) in &view.episodes.events {
        if &*event.reason == "Evicted"
            && view.now.0 - event.last.0 <= 30 * MINUTE
            && for_own_use(&event.message)
        {
            by_owner
                .entry(view.component_id(*idx))
                .or_default()
                .push((*idx, event));
        }
    }
    for events in by_owner.into_values() {
        let (pod, last) = events[events.len() - 1];
        let owner = view.top_owner(pod);
        if events.len() < 2 || view.now.0 - last.last.0 > 15 * MINUTE || !view.exists(owner) {
            continue;
        }
        out.push(
            view.finding(FaultId::RuntimeEvicted, owner, owner, Strength::Strong)
                .active(true)
                .message(format!(
                    "Pods of {} are repeatedly evicted: {}",
                    view.title(owner),
                    short(&last.message, 160)
                ))
                .with(
                    events
                        .iter()
                        .take(5)
                        .map(|(idx, e)| view.event_evidence(*idx, e)),
                )
                .build(),
        );
    }
}

/// Whether a pod was evicted for its own usage, and not because of pressure on its node.
fn for_own_use(message: &str) -> bool {
    has(
        message,
        &[
            "exceeds the limit",
            "exceeds the total limit",
            "exceeds its",
            "exceeded its",
            "exceed its",
        ],
    )
}

fn hooks(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let failed: Vec<_> = view
        .warnings(idx)
        .filter(|e| {
            matches!(&*e.reason, "FailedPostStartHook" | "FailedPreStopHook")
                && view.still_holds(idx, e)
        })
        .collect();
    if let Some(last) = failed.last() {
        let owner = view.top_owner(idx);
        let message = format!(
            "A lifecycle hook of {} fails: {}",
            view.title(owner),
            short(&last.message, 160)
        );
        out.push(
            view.finding(FaultId::RuntimeHookFailed, owner, idx, Strength::Strong)
                .active(true)
                .message(message)
                .with(failed.iter().map(|e| view.event_evidence(idx, e)))
                .build(),
        );
    }
}
