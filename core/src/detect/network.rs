//! Network policies that block a caller.

use super::finding::{Finding, Strength};
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
    let covered: Vec<Idx> = view
        .graph
        .pods(namespace)
        .filter(|p| policy.pod_selector.matches(view.graph.get(*p).labels()))
        .collect();
    for service in view.graph.services(namespace) {
        let selected: Vec<Idx> = view
            .graph
            .out(service)
            .filter(|(r, p)| *r == Relation::Selects && covered.contains(p))
            .map(|(_, p)| p)
            .collect();
        let Some(target) = selected
            .first()
            .copied()
            .filter(|p| view.is_pod_healthy(*p))
        else {
            continue;
        };
        let own = view.component(target);
        let callers = view
            .graph
            .incoming(service)
            .filter(|(r, _)| *r == Relation::Calls)
            .map(|(_, c)| c);
        let mut blocked: Vec<Idx> = callers
            .filter(|c| view.component(*c) != own)
            .flat_map(|c| pods_of(view, c))
            .filter(|c| !admits_any(view, namespace, target, *c))
            .filter(|c| times_out(view, *c, service))
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
        let fix = format!(
            "kubectl -n {namespace} edit {} {}",
            view.kind_word(idx),
            view.graph.get(idx).name()
        );
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

fn pods_of(view: &View<'_>, idx: Idx) -> Vec<Idx> {
    if view.pod(idx).is_some() {
        vec![idx]
    } else {
        view.pods_of(idx)
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
