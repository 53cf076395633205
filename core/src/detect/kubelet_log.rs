//! What a node's kubelet says in its own log, where the node's conditions are not known: as with the
//! journal of a node that is cut off.

use super::finding::{Finding, Strength};
use super::node::reason_not_ready;
use super::{FaultId, View};
use crate::graph::Idx;
use crate::model::object;
use crate::model::time::MINUTE;

/// How long a line counts.
const RECENT: i64 = 15 * MINUTE;
/// How kubelet says that its node cannot be ready.
const WORDS: [&str; 4] = [
    "runtime network not ready",
    "container runtime is down",
    "pleg is not healthy",
    "container runtime not ready",
];

pub(super) fn not_ready(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let node = view.object(idx).and_then(|o| o.node());
    let ready = node.and_then(|n| object::condition(&n.status.conditions, "Ready"));
    // The condition says more, and is newer than a line from the start of kubelet.
    if ready.is_some() {
        return;
    }
    let lines = view
        .logs(idx)
        .filter(|log| view.now.0 - log.last.0 <= RECENT && super::text::has(&log.sample, &WORDS));
    let Some(line) = lines.max_by_key(|log| log.last) else {
        return;
    };
    let (fault, why) = reason_not_ready(view, idx, &line.sample);
    if fault == FaultId::NodeKubeletDown {
        return;
    }
    let name = view.graph.get(idx).name();
    out.push(
        view.finding(fault, idx, idx, Strength::Strong)
            .active(true)
            .message(format!("Node `{name}` cannot be ready: {why}"))
            .with([view.log_evidence(idx, line)])
            .build(),
    );
}
