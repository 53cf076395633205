//! Nodes on which no volume can be mounted: one fault of the node, not one of each workload.

use std::collections::{BTreeMap, BTreeSet};

use super::finding::{Finding, Strength};
use super::node_coverage::is_left_out;
use super::text::{has, short};
use super::{FaultId, View};
use crate::graph::{Idx, Relation};
use crate::model::Kind;

/// Words of failures of the server of a volume, or of the way to it.
const OF_SERVER: [&str; 5] = [
    "timed out",
    "timeout",
    "refused",
    "no route",
    "access denied",
];

/// Reports a node when all pods that cannot mount are on it, and they are of several workloads.
pub(super) fn unmountable(view: &View<'_>, found: &[Finding], out: &mut Vec<Finding>) {
    let mut by_node: BTreeMap<Idx, Vec<&Finding>> = BTreeMap::new();
    let failed = |f: &&Finding| f.active && f.fault == FaultId::StorageMountFailed;
    for finding in found.iter().filter(failed) {
        let node = view
            .graph
            .out(finding.on)
            .find(|(relation, _)| *relation == Relation::RunsOn);
        let Some((_, node)) = node else {
            return;
        };
        by_node.entry(node).or_default().push(finding);
    }
    let mut nodes = by_node.into_iter();
    let (Some((node, findings)), None) = (nodes.next(), nodes.next()) else {
        // On several nodes it is the server of the volumes, or the driver.
        return;
    };
    let is_other = |other: &Idx| *other != node && view.is_healthy(*other) == Some(true);
    let has_others = view
        .graph
        .of_kind(&Kind::Node)
        .any(|other| is_other(&other));
    let is_server = findings.iter().any(|f| has(&f.message, &OF_SERVER));
    let is_left_out = || findings.iter().any(|f| is_left_out(view, node, f.on));
    if !has_others || is_server || is_left_out() {
        return;
    }
    let workloads: BTreeSet<_> = findings
        .iter()
        .map(|f| view.component_id(f.blamed))
        .collect();
    if workloads.len() < 2 {
        return;
    }
    let first = findings[0];
    let why = first.message.rsplit("mounted: ").next().unwrap_or_default();
    let message = format!(
        "{} workloads cannot mount their volumes on node `{}`, and none elsewhere: {}",
        workloads.len(),
        view.graph.get(node).name(),
        short(why, 160)
    );
    let evidence = findings.iter().flat_map(|f| f.evidence.iter().cloned());
    out.push(
        view.finding(FaultId::StorageMountFailed, node, first.on, Strength::Proof)
            .active(true)
            .message(message)
            .with(evidence)
            .build(),
    );
}
