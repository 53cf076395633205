//! What pods need from their node besides running: Service routing.

use super::finding::{Finding, Strength};
use super::text::has;
use super::{FaultId, View};
use crate::episode::LogTemplate;
use crate::graph::{Idx, Relation};
use crate::model::Severity;
use crate::model::time::MINUTE;

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
