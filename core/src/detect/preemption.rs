//! Pods that scheduling gates hold back, and pods that were preempted.

use std::collections::BTreeMap;

use super::finding::{Finding, Strength};
use super::text::{short, word_after};
use super::{FaultId, View};
use crate::graph::Idx;
use crate::model::Episode;
use crate::model::object;
use crate::model::time::MINUTE;

/// Scheduling gates are removed within seconds by the controller that set them; one that stays was
/// forgotten.
pub(super) fn gated(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let Some(pod) = view.pod(idx) else { return };
    let gates: Vec<&str> = pod
        .spec
        .iter()
        .flat_map(|s| s.scheduling_gates.iter())
        .filter_map(|g| g.name.as_deref())
        .collect();
    let waits =
        object::condition(&pod.status.conditions, "PodScheduled").and_then(|c| c.reason.as_deref());
    let is_gated =
        waits == Some("SchedulingGated") || (!gates.is_empty() && pod.node_name.is_none());
    if !is_gated || !view.exists(idx) || !view.lasts(view.graph.get(idx).created) {
        return;
    }
    let owner = view.top_owner(idx);
    let names = gates
        .iter()
        .map(|g| format!("`{g}`"))
        .collect::<Vec<_>>()
        .join(", ");
    out.push(
        view.finding(
            FaultId::SchedulingSchedulingGated,
            owner,
            idx,
            Strength::Proof,
        )
        .active(true)
        .message(format!(
            "Pods of {} are held by scheduling gate {names}",
            view.title(owner)
        ))
        .with([view.state_evidence(idx, format!("schedulingGates {names}"))])
        .build(),
    );
}

/// Workloads whose pods were preempted in the last 30 minutes and that have not recovered.
pub(super) fn preempted(view: &View<'_>, out: &mut Vec<Finding>) {
    let mut by_owner: BTreeMap<Idx, Vec<(Idx, &Episode)>> = BTreeMap::new();
    for (idx, event) in &view.episodes.events {
        if &*event.reason == "Preempted" && view.now.0 - event.last.0 <= 30 * MINUTE {
            by_owner
                .entry(view.top_owner(*idx))
                .or_default()
                .push((*idx, event));
        }
    }
    for (owner, events) in by_owner {
        if view.is_healthy(owner) == Some(true) || !view.exists(owner) {
            continue;
        }
        let (_, last) = events[events.len() - 1];
        let by = word_after(&last.message, "Preempted by ")
            .map(|_| format!(": {}", short(&last.message, 160)))
            .unwrap_or_default();
        out.push(
            view.finding(FaultId::SchedulingPreempted, owner, owner, Strength::Proof)
                .active(true)
                .message(format!(
                    "{} was preempted by higher-priority pods{by}",
                    view.title(owner)
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

/// Whether pods of a workload were preempted in the last 30 minutes.
pub(super) fn was_preempted(view: &View<'_>, owner: Idx) -> bool {
    let recent = |e: &Episode| &*e.reason == "Preempted" && view.now.0 - e.last.0 <= 30 * MINUTE;
    view.episodes
        .events
        .iter()
        .any(|(idx, e)| recent(e) && view.top_owner(*idx) == owner)
}
