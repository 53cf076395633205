//! Clusters without a free pod slot: the next pod waits, whatever it requests.

use super::finding::{Finding, Strength};
use super::schedule_fit::has_free_slot;
use super::{FaultId, View};
use crate::graph::Idx;
use crate::model::object::Node;

/// Reports that each node that takes new pods runs as many as its kubelet may.
pub(super) fn taken(view: &View<'_>, out: &mut Vec<Finding>) {
    let all: Vec<(Idx, &Node)> = view
        .nodes()
        .into_iter()
        .filter_map(|idx| Some((idx, view.object(idx)?.node()?)))
        .filter(|(_, node)| node.spec.unschedulable != Some(true) && node.spec.taints.is_empty())
        .collect();
    let Some((first, _)) = all.first() else {
        return;
    };
    if all
        .iter()
        .any(|(idx, node)| has_free_slot(view, *idx, node) != Some(false))
    {
        return;
    }
    let blamed = view
        .episodes
        .cluster
        .filter(|_| all.len() > 1)
        .unwrap_or(*first);
    let limit = |node: &Node| {
        node.status
            .allocatable
            .text("pods")
            .unwrap_or("?")
            .to_owned()
    };
    let evidence = all.iter().take(5).map(|(idx, node)| {
        view.state_evidence(
            *idx,
            format!("all of its {} pod slots are taken", limit(node)),
        )
    });
    let message = match &all[..] {
        [(idx, node)] => format!(
            "{} runs {} pods, as many as its kubelet allows: the next pod cannot be scheduled",
            view.title(*idx),
            limit(node)
        ),
        _ => format!(
            "None of the {} nodes has a free pod slot: the next pod cannot be scheduled",
            all.len()
        ),
    };
    out.push(
        view.finding(
            FaultId::SchedulingPodSlotsExhausted,
            blamed,
            *first,
            Strength::Fair,
        )
        .active(true)
        .message(message)
        .with(evidence)
        .build(),
    );
}
