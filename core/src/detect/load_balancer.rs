//! Services of type `LoadBalancer` that get no address.

use super::finding::{Evidence, Finding, Strength};
use super::standing::is_old;
use super::text::short;
use super::{FaultId, View};
use crate::graph::Idx;
use crate::model::Kind;
use crate::model::time::MINUTE;

/// Reasons of events with which a controller says that it cannot create the load balancer.
const FAILS: [&str; 4] = [
    "SyncLoadBalancerFailed",
    "CreatingLoadBalancerFailed",
    "UnAvailableLoadBalancer",
    "AllocationFailed",
];

/// Reports a load balancer that stays without an address: its controller says so, or serves other
/// Services of the cluster.
pub(super) fn service(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let Some(service) = view.object(idx).and_then(|o| o.service()) else {
        return;
    };
    let is_balanced = service.service_type.as_deref() == Some("LoadBalancer");
    if !is_balanced || service.has_address != Some(false) || !view.exists(idx) {
        return;
    }
    let failed: Vec<Evidence> = view
        .warnings(idx)
        .filter(|e| FAILS.contains(&&*e.reason) && view.now.0 - e.last.0 <= 15 * MINUTE)
        .map(|e| view.event_evidence(idx, e))
        .collect();
    let is_old = is_old(view, idx);
    let serves_others = view.graph.of_kind(&Kind::Service).any(|other| {
        let service = view.object(other).and_then(|o| o.service());
        service.is_some_and(|s| s.has_address == Some(true))
    });
    // A cluster may have no controller for it, and its Services be called by the ports of nodes: a
    // whole cluster shows whether it has one.
    let is_whole = view.graph.of_kind(&Kind::Node).next().is_some();
    let is_lacking = is_old && (serves_others || !is_whole);
    if failed.is_empty() && !is_lacking {
        return;
    }
    let (why, strength) = match failed.last() {
        Some(event) => (short(&event.what, 200), Strength::Strong),
        None if serves_others => ("other Services have one".to_owned(), Strength::Strong),
        None => (
            "no controller may be there to give it one".to_owned(),
            Strength::Hint,
        ),
    };
    out.push(
        view.finding(FaultId::NetworkLoadBalancerPending, idx, idx, strength)
            .active(true)
            .message(format!(
                "Service `{}` has no load balancer address: {why}",
                view.graph.get(idx).name()
            ))
            .with(failed)
            .with([view.state_evidence(idx, "status has no load balancer address".into())])
            .build(),
    );
}
