//! Pods whose sandbox gets no network: the node, or the cluster when several nodes have no address
//! left.

use std::collections::BTreeMap;

use super::finding::{Evidence, Finding, Strength};
use super::text::short;
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

/// Reports nodes that cannot connect their pods.
pub(super) fn networks(view: &View<'_>, out: &mut Vec<Finding>) {
    let mut by_node: BTreeMap<Idx, Reports> = BTreeMap::new();
    for (pod, event) in &view.episodes.events {
        let is_meant = event.severity >= Severity::Warning
            && matches!(
                &*event.reason,
                "FailedCreatePodSandBox" | "FailedCreatePodContainer" | "NetworkNotReady"
            )
            && view.still_holds(*pod, event);
        let classes = [Class::PodAddressesExhausted, Class::NetworkPluginFailed];
        if !is_meant || !trouble::read(&event.message).has_any(&classes) {
            continue;
        }
        let node = view.graph.out(*pod).find(|(r, _)| *r == Relation::RunsOn);
        let blamed = node.map(|(_, node)| node).or(view.episodes.cluster);
        let reports = by_node
            .entry(blamed.unwrap_or_else(|| view.top_owner(*pod)))
            .or_default();
        reports.on.get_or_insert(*pod);
        reports.message = event.message.to_string();
        reports.evidence.push(view.event_evidence(*pod, event));
    }
    for (blamed, reports) in by_node {
        let what = short(&reports.message, 200);
        out.push(
            view.finding(
                FaultId::NodeNetworkUnavailable,
                blamed,
                reports.on.unwrap_or(blamed),
                Strength::Strong,
            )
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
