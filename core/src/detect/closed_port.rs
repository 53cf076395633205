//! Network policies that close a port by which the replicas of a workload form a cluster.

use super::finding::{Finding, Strength};
use super::policy_peers::covers;
use super::text::has;
use super::{FaultId, View};
use crate::graph::Idx;
use crate::model::Kind;
use crate::model::object::container::ContainerPort;
use crate::model::object::{NetworkPolicy, Object};
use crate::model::time::MINUTE;

/// How long after a policy its effect may show: members keep their connections for a while.
const AFTER: i64 = 30 * MINUTE;

/// Ports for people and monitoring, which no replica needs.
const OF_OTHERS: [&str; 5] = ["metrics", "prom", "exporter", "debug", "admin"];

/// Reports a policy that came shortly before the replicas of a `StatefulSet` stopped being ready,
/// and that admits no calls to a port that they declare.
pub(super) fn port(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let object = view.object(idx).filter(|_| view.exists(idx));
    let Some(policy) = object.and_then(Object::network_policy) else {
        return;
    };
    let Some(created) = view.graph.get(idx).created else {
        return;
    };
    let namespace = view.graph.get(idx).namespace();
    let is_hurt = |pod: &Idx| {
        let since = view.unhealthy_since(*pod);
        // A pod that is as new as the policy may not be ready for another reason.
        let began = view.graph.get(*pod).created;
        began.map(|t| t.plus(MINUTE) <= created).unwrap_or(true)
            && covers(view, namespace, policy, *pod)
            && view.is_pod_unhealthy(*pod)
            && since.is_some_and(|t| (0..AFTER).contains(&(t.0 - created.0)))
    };
    let mut pods = view.graph.pods(namespace).filter(is_hurt);
    let Some(pod) = pods.next() else { return };
    let owner = view.top_owner(pod);
    let has_peers = view.pods_of(owner).len() > 1;
    if *view.graph.get(owner).kind() != Kind::StatefulSet || !has_peers {
        return;
    }
    let Some(port) = closed_port(view, pod, namespace) else {
        return;
    };
    let name = port.name.as_deref().unwrap_or("without a name");
    let message = format!(
        "{} closes port {} ({name}) of {}, whose replicas have not been ready since",
        view.title(idx),
        port.container_port,
        view.title(owner)
    );
    let fix = view.command("kubectl -n <namespace> edit <kind>/<name>", idx);
    let warnings = view.warnings(pod).map(|e| view.event_evidence(pod, e));
    out.push(
        view.finding(
            FaultId::ServiceNetworkPolicyBlocks,
            owner,
            pod,
            Strength::Proof,
        )
        .active(true)
        .message(message)
        .with([view.state_evidence(idx, format!("selects pods of {}", view.title(owner)))])
        .with(warnings.take(4).collect::<Vec<_>>())
        .fix(fix)
        .build(),
    );
}

/// A port that a pod declares and that no rule of its policies names or includes.
fn closed_port<'a>(view: &View<'a>, pod: Idx, namespace: &str) -> Option<&'a ContainerPort> {
    let labels = view.graph.get(pod).labels();
    let policies: Vec<&NetworkPolicy> = view
        .graph
        .policies(namespace)
        .filter_map(|p| view.object(p).and_then(Object::network_policy))
        .filter(|p| p.policy_types.is_empty() || p.policy_types.iter().any(|t| &**t == "Ingress"))
        .filter(|p| p.pod_selector.matches(labels))
        .collect();
    let is_open = |port: &&ContainerPort| {
        let protocol = port.protocol.as_deref().unwrap_or("TCP");
        let rules = policies.iter().flat_map(|p| p.ingress.iter());
        rules.into_iter().any(|rule| {
            rule.ports.is_empty()
                || rule
                    .ports
                    .iter()
                    .any(|p| p.admits(port.container_port, protocol))
        })
    };
    let is_needed = |port: &&ContainerPort| !has(port.name.as_deref().unwrap_or(""), &OF_OTHERS);
    let containers = view.pod_spec(pod)?.containers.iter();
    let mut ports = containers.flat_map(|c| c.ports.iter()).filter(is_needed);
    ports
        .find(|port| !is_open(port))
        .filter(|_| !policies.is_empty())
}
