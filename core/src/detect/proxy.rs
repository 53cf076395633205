//! What pods need from their node besides running: Service routing and a correct clock.

use super::CallError;
use super::caller_errors::CallFailure;
use super::finding::{Evidence, Finding, Strength};
use super::text::{find, has};
use super::{FaultId, View};
use crate::episode::LogTemplate;
use crate::graph::{Idx, Relation};
use crate::model::time::MINUTE;
use crate::model::{Kind, Severity};

/// A kube-proxy that is unhealthy for longer than a restart: Service routing on its node is stale.
pub(super) fn pod(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let is_proxy = view.graph.get(idx).labels().get("k8s-app") == Some("kube-proxy");
    if !is_proxy {
        return;
    }
    let is_down = view.is_pod_unhealthy(idx) && view.lasts(view.unhealthy_since(idx));
    if !is_down && !view.logs(idx).any(|log| is_refused(view, log)) {
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
    // If the node itself is down, kube-proxy is only one of its pods.
    if view.is_healthy(node) == Some(false) {
        return;
    }
    let events = view.warnings(idx).map(|e| view.event_evidence(idx, e));
    let logs = view.logs(idx).take(3).map(|l| view.log_evidence(idx, l));
    let (does, state) = if is_down {
        ("is down", "kube-proxy is not ready")
    } else {
        ("cannot write its rules", "kube-proxy is ready")
    };
    out.push(
        view.finding(FaultId::NodeProxyDown, node, idx, Strength::Proof)
            .active(true)
            .message(format!(
                "kube-proxy on node `{}` {does}: Service routing on it is stale",
                view.graph.get(node).name()
            ))
            .with(
                [view.state_evidence(idx, state.into())]
                    .into_iter()
                    .chain(events)
                    .chain(logs)
                    .collect::<Vec<_>>(),
            )
            .build(),
    );
}

/// Whether a line says that the kernel takes none of the rules: again and again, since the lock of
/// the tables may be held once.
fn is_refused(view: &View<'_>, log: &LogTemplate) -> bool {
    const RULES: [&str; 5] = [
        "tables-restore",
        "nftables sync failed",
        "failed to sync ipvs",
        "failed to execute nft",
        "ipset",
    ];
    log.severity >= Severity::Error
        && log.count >= 2
        && view.now.0 - log.last.0 <= 15 * MINUTE
        && has(&log.sample, &RULES)
        && has(&log.sample, &["failed", "error"])
}

/// A node whose clock is wrong: an alert of the node, supported by its pods' errors about
/// certificates and tokens and by its lease.
pub(super) fn clock(view: &View<'_>, errors: &[CallError], out: &mut Vec<Finding>) {
    for (idx, alert) in &view.episodes.alerts {
        let named = ["clock", "ntp", "chrony", "timesync", "time_sync"]
            .iter()
            .any(|w| find(&alert.name, w).is_some());
        if *view.graph.get(*idx).kind() != Kind::Node || !named {
            continue;
        }
        let evidence = view.alert_evidence(*idx, alert);
        let from_future = not_yet_valid(view, errors, *idx);
        let stale =
            view.is_healthy(*idx) == Some(true) && super::node::stale_lease(view, *idx).is_some();
        let strength = if from_future.is_empty() && !stale {
            Strength::Strong
        } else {
            Strength::Proof
        };
        out.push(
            view.finding(FaultId::NodeClockSkew, *idx, *idx, strength)
                .active(true)
                .message(format!(
                    "The clock of node `{}` is wrong (alert {})",
                    view.graph.get(*idx).name(),
                    alert.name
                ))
                .with(
                    from_future
                        .into_iter()
                        .chain([evidence])
                        .collect::<Vec<_>>(),
                )
                .build(),
        );
    }
}

/// Errors of a node's pods about certificates and tokens that are not valid yet.
fn not_yet_valid(view: &View<'_>, errors: &[CallError], node: Idx) -> Vec<Evidence> {
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
