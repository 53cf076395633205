//! Network policies that block a caller.

use super::finding::{Finding, Strength};
use super::policy_peers::covers;
use super::timed_out::{Admission, Unanswered};
use super::{FaultId, View};
use crate::graph::{Idx, Relation};
use crate::model::Severity;
use crate::model::object::network::PolicyPeer;
use crate::model::object::{NetworkPolicy, Object};
use crate::model::time::MINUTE;

/// A policy that does not admit a known caller whose calls time out.
pub(super) fn policy(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let Some(policy) = view.object(idx).and_then(|o| o.network_policy()) else {
        return;
    };
    let restricts_ingress =
        policy.policy_types.is_empty() || policy.policy_types.iter().any(|t| &**t == "Ingress");
    if !restricts_ingress || !view.exists(idx) {
        return;
    }
    let namespace = view.graph.get(idx).namespace();
    let timed_out = &view.episodes.timed_out;
    let services = timed_out.unanswered(view, |caller, service| times_out(view, caller, service));
    for Unanswered { service, callers } in services.get(namespace).into_iter().flatten() {
        if view.is_late() {
            return;
        }
        let mut selected = view.graph.out(*service);
        let target = selected
            .find(|(r, p)| *r == Relation::Selects && covers(view, namespace, policy, *p))
            .map(|(_, p)| p)
            .filter(|p| view.is_pod_healthy(*p));
        let Some(target) = target else {
            continue;
        };
        let own = view.component(target);
        let is_blocked = |pod: Idx| {
            let admission = Admission {
                pod: target,
                caller: pod,
                port: None,
            };
            !timed_out.admitted(admission, || admits_any(view, namespace, target, pod))
        };
        let mut blocked: Vec<Idx> = callers
            .iter()
            .filter(|c| view.component(c.edge) != own)
            .map(|c| c.pod)
            .filter(|c| is_blocked(*c))
            .collect();
        blocked.sort_unstable();
        blocked.dedup();
        let Some(caller) = blocked.first() else {
            continue;
        };
        let owner = view.top_owner(target);
        let message = format!(
            "{} blocks traffic from {} to {}, and the calls time out",
            view.title(idx),
            view.title(view.top_owner(*caller)),
            view.title(owner)
        );
        let evidence = [view.state_evidence(idx, format!("selects pods of {}", view.title(owner)))]
            .into_iter()
            .chain(blocked.iter().flat_map(|c| {
                view.logs(*c)
                    .filter(|l| is_timeout(&l.sample))
                    .take(2)
                    .map(|l| view.log_evidence(*c, l))
            }));
        let fix = view.command("kubectl -n <namespace> edit <kind>/<name>", idx);
        out.push(
            view.finding(
                FaultId::ServiceNetworkPolicyBlocks,
                owner,
                idx,
                Strength::Proof,
            )
            .active(true)
            .message(message)
            .with(evidence)
            .fix(fix)
            .build(),
        );
        return;
    }
}

/// Policies are additive: a caller is admitted if any policy that covers the target admits it.
fn admits_any(view: &View<'_>, namespace: &str, target: Idx, caller: Idx) -> bool {
    let labels = view.graph.get(target).labels();
    view.graph
        .policies(namespace)
        .filter_map(|p| view.object(p).and_then(Object::network_policy))
        .filter(|p| p.pod_selector.matches(labels))
        .any(|p| admits(view, p, namespace, caller))
}

fn admits(view: &View<'_>, policy: &NetworkPolicy, namespace: &str, caller: Idx) -> bool {
    policy.ingress.iter().any(|rule| {
        rule.from.is_empty()
            || rule
                .from
                .iter()
                .any(|peer| fits(view, peer, namespace, caller))
    })
}

pub(super) fn fits(view: &View<'_>, peer: &PolicyPeer, namespace: &str, caller: Idx) -> bool {
    let node = view.graph.get(caller);
    let pod_matches = peer
        .pod_selector
        .as_ref()
        .map(|s| s.matches(node.labels()))
        .unwrap_or(true);
    let namespace_matches = match &peer.namespace_selector {
        None => node.namespace() == namespace,
        // A namespace whose state is not known may have any label.
        Some(selector) => {
            match view
                .graph
                .find_live(crate::model::Kind::Namespace, "", node.namespace())
            {
                Some(ns) => {
                    selector.matches(view.graph.get(ns).labels())
                        || selector.match_labels.get("kubernetes.io/metadata.name")
                            == Some(node.namespace())
                }
                None => true,
            }
        }
    };
    // Without the cluster's network layout, IP blocks count as admitting the caller.
    peer.ip_block.is_some() || (pod_matches && namespace_matches)
}

fn is_timeout(text: &str) -> bool {
    super::text::has(
        text,
        &[
            "timeout",
            "timed out",
            "deadline exceeded",
            "etimedout",
            "i/o timeout",
        ],
    )
}

fn times_out(view: &View<'_>, caller: Idx, service: Idx) -> bool {
    let node = view.graph.get(service);
    let address = view
        .object(service)
        .and_then(Object::service)
        .and_then(|s| s.cluster_ip.clone());
    let recent = view.logs(caller).filter(|l| {
        l.severity >= Severity::Warning
            && view.now.0 - l.last.0 <= 15 * MINUTE
            && is_timeout(&l.sample)
    });
    recent.into_iter().any(|l| {
        l.sample.contains(node.name()) || address.as_deref().is_some_and(|a| l.sample.contains(a))
    })
}
