//! What is wrong behind a server, as its own state or words show. Those that need it only report
//! that it does not serve them, each in other words.

use super::finding::{Finding, Strength};
use super::service::pods_behind;
use super::{FaultId, View};
use crate::graph::{Component, ComponentKind, Idx, Relation};
use crate::model::Kind;

/// The reason for which a server does not serve: a fault of its own, one of the node on which it runs
/// alone, or at least how it fails. The caller knows that someone misses it.
pub(super) fn reason<'a>(
    view: &View<'_>,
    found: &'a [Finding],
    server: Idx,
) -> Option<&'a Finding> {
    let own = view.component(server);
    let best = |is_meant: &dyn Fn(&Finding) -> bool| {
        let of_own = found.iter().filter(|f| view.component(f.blamed) == own);
        of_own
            .filter(|f| is_meant(f))
            .max_by_key(|f| (f.strength, f.active, std::cmp::Reverse(f.since)))
    };
    let shows = |f: &Finding| is_state(f) && view.component(f.on) == own;
    best(&is_reason)
        .or_else(|| of_node(view, found, &own, server))
        .or_else(|| best(&shows))
}

/// Whether a finding says why its component does not serve. What is at 0 replicas may be meant, but
/// not where someone misses it.
fn is_reason(finding: &Finding) -> bool {
    const AS_WELL: [FaultId; 2] = [FaultId::ImageReferenceWrong, FaultId::StorageClaimMissing];
    let fault = finding.fault;
    let is_why = !fault.is_failure_mode() || AS_WELL.contains(&fault);
    let is_shown = is_state(finding) && finding.strength >= Strength::Strong;
    fault == FaultId::RuntimeScaledToZero || is_shown && is_why
}

/// Whether a finding shows in what state its component is.
fn is_state(finding: &Finding) -> bool {
    finding.active && finding.strength >= Strength::Fair && finding.fault.says_more()
}

/// The fault of the node, where no pod of the server runs well on another one.
fn of_node<'a>(
    view: &View<'_>,
    found: &'a [Finding],
    own: &Component,
    server: Idx,
) -> Option<&'a Finding> {
    let pods = match view.graph.get(server).kind() {
        Kind::Service => pods_behind(view, server),
        _ => view.pods_of(server),
    };
    if pods.is_empty() || pods.iter().any(|pod| view.is_pod_healthy(*pod)) {
        return None;
    }
    let nodes = pods.iter().flat_map(|pod| view.graph.out(*pod));
    let nodes: Vec<Idx> = nodes
        .filter(|(relation, _)| *relation == Relation::RunsOn)
        .map(|(_, node)| node)
        .collect();
    let is_of_node = |f: &&Finding| {
        let blamed = view.component(f.blamed);
        f.active
            && f.strength >= Strength::Strong
            && blamed.kind == ComponentKind::Node
            && blamed != *own
            && nodes.iter().any(|node| view.component(*node) == blamed)
    };
    found.iter().filter(is_of_node).max_by_key(|f| f.strength)
}

/// The reason behind a server as the cause of what those that need it lack: proven by both.
pub(super) fn as_cause(reason: &Finding, lacking: &Finding) -> Finding {
    Finding {
        on: lacking.on,
        strength: Strength::Proof,
        active: true,
        evidence: reason
            .evidence
            .iter()
            .chain(&lacking.evidence)
            .cloned()
            .collect(),
        ..reason.clone()
    }
}
