//! Pods that the scheduler cannot place on any node.

use super::finding::{Finding, Strength};
use super::scheduling_verdict::{Verdict, from_message, from_state, too_few_for_each};
use super::text::{has, short};
use super::{FaultId, View, devices, scale_up};
use crate::graph::{Idx, Relation};
use crate::model::object::pod::PodSpec;
use crate::model::{Command, Episode, Kind, object};

pub(super) fn pod(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let Some(events) = unscheduled(view, idx) else {
        return;
    };
    let condition = unschedulable(view, idx);
    let event = events.last().map(|e| &*e.message);
    let message = event.or(condition).unwrap_or_default();
    // `storage` reports unbound claims.
    if has(message, &["persistentvolumeclaim"])
        && !has(
            message,
            &["insufficient", "affinity/selector", "untolerated"],
        )
    {
        return;
    }
    let own = view.pod_spec(idx);
    let owner = view.top_owner(idx);
    // Some recorders omit the affinity of pods; the owner's template has it.
    let template = view.pod_spec(owner).or(own);
    let state = own
        .zip(template)
        .and_then(|(spec, template)| from_state(view, spec, template));
    let verdict = if message.is_empty() {
        state.clone()
    } else {
        let siblings = placed_siblings(view, owner);
        // An autoscaler gives its own reason for the same pod, in other words.
        let earlier = events.iter().rev().skip(1).map(|e| &*e.message);
        let mut said = [message].into_iter().chain(earlier);
        said.find_map(|message| {
            too_few_for_each(message, siblings, own, template)
                .or_else(|| from_message(message, own, template, state.as_ref()))
        })
    };
    let Some(mut verdict) = verdict else { return };
    // A preempted workload lacks room because of the pods that preempted it.
    if verdict.fault.is_resource_shortage() && super::preemption::was_preempted(view, owner) {
        return;
    }
    let is_room = verdict.fault.is_resource_shortage()
        || verdict.fault == FaultId::SchedulingExtendedResourceInsufficient;
    if is_room && scale_up::is_growing(view, idx) {
        return;
    }
    // Cordoned nodes that the pod's volumes are tied to: the volume cannot follow the pod
    // elsewhere.
    let bound: Vec<Idx> = volume_nodes(view, idx)
        .into_iter()
        .filter(|n| is_cordoned(view, *n))
        .collect();
    if verdict.fault == FaultId::StorageZoneConflict
        && let Some(node) = bound.first()
    {
        verdict = Verdict {
            fault: FaultId::SchedulingNodeCordoned,
            reason: format!(
                "its volume is on node `{}`, which is cordoned",
                view.graph.get(*node).name()
            ),
        };
    }
    let evidence = events
        .iter()
        .map(|e| view.event_evidence(idx, e))
        .chain([view.state_evidence(
            idx,
            match condition.filter(|_| event.is_none()) {
                Some(said) => format!("pod is Pending and has no node: {}", short(said, 200)),
                None => "pod is Pending and has no node".to_owned(),
            },
        )]);
    let strength = match (&state, message.is_empty()) {
        // Both the volume and the node say so.
        _ if verdict.fault == FaultId::SchedulingNodeCordoned && !bound.is_empty() => {
            Strength::Proof
        }
        // An autoscaler that may add no node says why there is no room: the pod would fit another one.
        _ if verdict.fault.is_resource_shortage() && scale_up::refusal(view, idx).is_some() => {
            Strength::Fair
        }
        (Some(s), false) if s.fault == verdict.fault => Strength::Proof,
        (_, false) => Strength::Strong,
        (_, true) if view.lasts(view.graph.get(idx).created) => Strength::Strong,
        (_, true) => Strength::Fair,
    };
    let (blamed, strength) = blame(view, verdict.fault, owner, own, &bound, strength);
    let message = format!(
        "{} cannot be scheduled: {}",
        view.title(owner),
        verdict.reason
    );
    out.push(
        view.finding(verdict.fault, blamed, idx, strength)
            .active(true)
            .message(message)
            .with(evidence)
            .fix(fix(view, verdict.fault, owner))
            .build(),
    );
}

/// How many pods of a workload have a node.
fn placed_siblings(view: &View<'_>, owner: Idx) -> u64 {
    let pods = view.pods_of(owner).into_iter();
    let placed = pods.filter(|p| view.pod(*p).is_some_and(|pod| pod.node_name.is_some()));
    placed.count() as u64
}

/// What the scheduler says about a pod without a node in the pod's own condition.
pub(super) fn unschedulable<'a>(view: &View<'a>, idx: Idx) -> Option<&'a str> {
    let pod = view.pod(idx).filter(|pod| pod.node_name.is_none())?;
    object::condition(&pod.status.conditions, "PodScheduled")
        .filter(|c| c.is("False") && c.reason.as_deref() == Some("Unschedulable"))?
        .message
        .as_deref()
}

/// Whether state alone explains why a pod has no node: then missing events do not show that the
/// scheduler is down.
pub(super) fn is_explained(view: &View<'_>, idx: Idx) -> bool {
    let own = view.pod_spec(idx);
    let template = view.pod_spec(view.top_owner(idx)).or(own);
    let misfit = own
        .zip(template)
        .is_some_and(|(spec, template)| from_state(view, spec, template).is_some());
    let claims = view
        .graph
        .out(idx)
        .filter(|(r, _)| *r == Relation::Mounts)
        .map(|(_, c)| c);
    let unbound = |c: Idx| match view.object(c).map(|o| o.claim()) {
        Some(Some(claim)) => claim.phase.as_deref().is_some_and(|p| p != "Bound"),
        Some(None) => false,
        None => *view.graph.get(c).kind() == Kind::PersistentVolumeClaim && !view.exists(c),
    };
    misfit || claims.into_iter().any(unbound)
}

/// The scheduler's warnings about a pod without a node, perhaps none; `None` if the pod is not
/// waiting for a node.
fn unscheduled<'a>(view: &View<'a>, idx: Idx) -> Option<Vec<&'a Episode>> {
    if !view.exists(idx) {
        return None;
    }
    let events: Vec<_> = view
        .warnings(idx)
        .filter(|e| &*e.reason == "FailedScheduling" && view.still_holds(idx, e))
        .collect();
    match view.pod(idx) {
        Some(pod) => {
            let placed = pod.node_name.is_some();
            let waiting = pod.status.phase.as_deref().unwrap_or("Pending") == "Pending";
            (waiting && !placed).then_some(events)
        }
        None => (!events.is_empty()).then_some(events),
    }
}

pub(super) fn is_control_plane(view: &View<'_>, node: Idx) -> bool {
    let labels = view.graph.get(node).labels();
    let marked = labels.iter().any(|(k, _)| {
        matches!(
            k,
            "node-role.kubernetes.io/control-plane" | "node-role.kubernetes.io/master"
        )
    });
    // Installers set this label before node roles had labels of their own.
    marked
        || matches!(
            labels.get("kubernetes.io/role"),
            Some("master" | "control-plane")
        )
}

fn is_cordoned(view: &View<'_>, node: Idx) -> bool {
    view.object(node)
        .and_then(|o| o.node())
        .is_some_and(|n| n.spec.unschedulable == Some(true))
}

/// The nodes that satisfy the node affinity of all of a pod's volumes; none if no volume has any.
fn volume_nodes(view: &View<'_>, pod: Idx) -> Vec<Idx> {
    let claims = view
        .graph
        .out(pod)
        .filter(|(r, _)| *r == Relation::Mounts)
        .map(|(_, c)| c);
    let volumes = claims
        .flat_map(|c| view.graph.out(c).filter(|(r, _)| *r == Relation::Bound))
        .map(|(_, v)| v);
    let terms: Vec<_> = volumes
        .filter_map(|v| view.object(v)?.volume())
        .filter_map(|v| v.spec.node_affinity.as_ref()?.required.as_ref())
        .collect();
    let fits = |n: &Idx| {
        terms.iter().all(|t| {
            super::schedule_fit::selector_matches(
                t,
                view.graph.get(*n).labels(),
                view.graph.get(*n).name(),
            )
        })
    };
    if terms.is_empty() {
        Vec::new()
    } else {
        view.nodes().into_iter().filter(fits).collect()
    }
}

/// The resource at fault, and how certain that is.
fn blame(
    view: &View<'_>,
    fault: FaultId,
    owner: Idx,
    spec: Option<&PodSpec>,
    bound: &[Idx],
    strength: Strength,
) -> (Idx, Strength) {
    if fault == FaultId::SchedulingNodeCordoned {
        // If only that node is possible, the node has to change, otherwise the workload.
        let meant: Vec<Idx> = view
            .nodes()
            .into_iter()
            .filter(|i| {
                spec.is_some_and(|s| {
                    !s.node_selector.is_empty()
                        && view.graph.get(*i).labels().contains_all(&s.node_selector)
                })
            })
            .collect();
        if let [only] = meant[..] {
            return (only, strength);
        }
        if let Some(node) = bound.first() {
            return (*node, strength);
        }
    }
    let shortage = fault == FaultId::SchedulingExtendedResourceInsufficient;
    if let Some(node) = spec
        .filter(|_| shortage)
        .and_then(|s| devices::lost(view, s))
    {
        return (node, strength);
    }
    // If no node accepts any pod, no single workload is at fault.
    let cluster = view
        .episodes
        .cluster
        .filter(|_| fault == FaultId::SchedulingNoNodeAvailable);
    (cluster.unwrap_or(owner), strength)
}

fn fix(view: &View<'_>, fault: FaultId, owner: Idx) -> Option<Command> {
    // The workload is at fault, not the nodes that keep it away.
    let edits =
        fault == FaultId::SchedulingTaintNotTolerated && view.graph.get(owner).kind() != &Kind::Pod;
    edits.then(|| view.command("kubectl -n <namespace> edit <kind>/<name>", owner))
}
