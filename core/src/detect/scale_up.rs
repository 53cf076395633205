//! Pending pods for which the cluster autoscaler adds no node.

use super::finding::{Evidence, Finding, Strength};
use super::text::{has, short};
use super::{FaultId, View};
use crate::graph::Idx;
use crate::model::time::MINUTE;
use crate::model::{Episode, Kind};

/// Reasons of the autoscaler and of Karpenter for which a group cannot grow.
const AT_MAXIMUM: [&str; 5] = [
    "max node group size reached",
    "max total nodes in cluster reached",
    "max cluster",
    "exceed limits for nodepool",
    "would exceed limits for provisioner",
];

/// What an autoscaler says about a pod for which no node may be added. The event is of type
/// `Normal`.
pub(super) fn refusal<'a>(view: &View<'a>, idx: Idx) -> Option<&'a Episode> {
    if *view.graph.get(idx).kind() != Kind::Pod || !view.exists(idx) || view.is_pod_healthy(idx) {
        return None;
    }
    let is_placed = view.pod(idx).is_some_and(|p| p.node_name.is_some());
    let last_of = |reason: &str| {
        let mut events: Vec<_> = view.events(idx).filter(|e| &*e.reason == reason).collect();
        events.sort_by_key(|e| e.last);
        events.pop()
    };
    let refused = last_of("NotTriggerScaleUp").or_else(|| last_of("FailedScheduling"));
    let event = refused.filter(|e| has(&e.message, &AT_MAXIMUM))?;
    let grew = last_of("TriggeredScaleUp").is_some_and(|e| e.last > event.last);
    let is_over = is_placed || grew || view.now.0 - event.last.0 > 15 * MINUTE;
    (!is_over).then_some(event)
}

/// Whether a node is on its way for a pod: an autoscaler has said so, and not long ago.
pub(super) fn is_growing(view: &View<'_>, idx: Idx) -> bool {
    const BOOT: i64 = 10 * MINUTE;
    let last_of = |reasons: &[&str]| {
        let events = view.events(idx).filter(|e| reasons.contains(&&*e.reason));
        events.map(|e| e.last).max()
    };
    let grew = last_of(&["TriggeredScaleUp", "Nominated"]);
    let refused = last_of(&["NotTriggerScaleUp"]);
    grew.is_some_and(|at| view.now.0 - at.0 <= BOOT && refused.map(|r| r < at).unwrap_or(true))
}

/// Reports a node group at its maximum size: a setting of the cluster, whoever waits.
pub(super) fn pod(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let Some(event) = refusal(view, idx) else {
        return;
    };
    let owner = view.top_owner(idx);
    let evidence: [Evidence; 1] = [view.event_evidence(idx, event)];
    let blamed = view.episodes.cluster.unwrap_or(owner);
    out.push(
        view.finding(
            FaultId::AutoscalingNodeGroupAtMax,
            blamed,
            idx,
            Strength::Strong,
        )
        .active(true)
        .message(format!(
            "{} waits for a node, and the node group that fits it is at its maximum size: {}",
            view.title(owner),
            short(&event.message, 200)
        ))
        .with(evidence)
        .build(),
    );
}
