//! What a node does for its pods besides running them: forwarding of Services, and the time.

use super::CallError;
use super::caller_errors::CallFailure;
use super::finding::{Evidence, Finding, Strength};
use super::text::{find, has};
use super::{FaultId, View};
use crate::graph::{Idx, Relation};
use crate::model::Kind;

/// A Service proxy that is not well for longer than a restart: its node's Services go stale.
pub(super) fn pod(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let is_proxy = view.graph.get(idx).labels().get("k8s-app") == Some("kube-proxy");
    if !is_proxy || !view.is_pod_unwell(idx) || !view.lasts(view.unwell_since(idx)) {
        return;
    }
    let Some(node) = view
        .graph
        .out(idx)
        .find(|(r, _)| *r == Relation::RunsOn)
        .map(|(_, n)| n)
    else {
        return;
    };
    // Where the node itself is gone its proxy is only one of those that went with it.
    if view.well(node) == Some(false) {
        return;
    }
    let told = view.warnings(idx).map(|e| view.event_evidence(idx, e));
    let logs = view.logs(idx).take(3).map(|l| view.log_evidence(idx, l));
    out.push(
        view.finding(FaultId::NodeProxyDown, node, idx, Strength::Proof)
            .active(true)
            .message(format!(
                "The Service proxy of node `{}` is down: Services are not kept up there",
                view.graph.get(node).name()
            ))
            .with(
                [view.state_evidence(idx, "kube-proxy is not ready".into())]
                    .into_iter()
                    .chain(told)
                    .chain(logs)
                    .collect::<Vec<_>>(),
            )
            .build(),
    );
}

/// A node whose clock is off, by an alert of its own or by what its pods say of certificates and
/// tokens.
pub(super) fn clock(view: &View<'_>, errors: &[CallError], out: &mut Vec<Finding>) {
    for (idx, alert) in &view.episodes.alerts {
        let named = ["clock", "ntp", "chrony", "timesync", "time_sync"]
            .iter()
            .any(|w| find(&alert.name, w).is_some());
        if *view.graph.get(*idx).kind() != Kind::Node || !named {
            continue;
        }
        let evidence = view.alert_evidence(*idx, alert);
        let future = early(view, errors, *idx);
        let stale = view.well(*idx) == Some(true) && super::node::stale_lease(view, *idx).is_some();
        let strength = if future.is_empty() && !stale {
            Strength::Strong
        } else {
            Strength::Proof
        };
        out.push(
            view.finding(FaultId::NodeClockSkew, *idx, *idx, strength)
                .active(true)
                .message(format!(
                    "The clock of node `{}` is off (alert {})",
                    view.graph.get(*idx).name(),
                    alert.name
                ))
                .with(future.into_iter().chain([evidence]).collect::<Vec<_>>())
                .build(),
        );
    }
}

/// What pods of a node say about times that lie in their future.
fn early(view: &View<'_>, errors: &[CallError], node: Idx) -> Vec<Evidence> {
    let here = |pod: Idx| {
        view.graph
            .out(pod)
            .any(|(r, n)| r == Relation::RunsOn && n == node)
    };
    errors
        .iter()
        .filter(|c| c.failure == CallFailure::CertificateRejected && here(c.caller))
        .map(|c| (c.caller, view.episodes.logs[c.log].1))
        .filter(|(_, l)| has(&l.sample, &["not yet valid", "used before issued"]))
        .map(|(caller, l)| view.log_evidence(caller, l))
        .take(6)
        .collect()
}
