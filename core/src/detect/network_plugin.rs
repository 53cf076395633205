//! Nodes without a network because the pod of the network plug-in on them fails: its reason is that
//! of the nodes.

use super::finding::{Finding, Strength};
use super::{FaultId, View};
use crate::graph::{Idx, Relation};
use crate::model::Kind;

/// How the `DaemonSet`s of network plug-ins are called in their own manifests.
const NAMES: [&str; 17] = [
    "antrea-agent",
    "aws-node",
    "azure-cns",
    "calico-node",
    "canal",
    "cilium",
    "flannel",
    "kindnet",
    "kube-flannel",
    "kube-multus",
    "kube-ovn",
    "kube-router",
    "multus",
    "ovnkube-node",
    "rke2-canal",
    "weave-net",
    "whereabouts",
];

/// What a plug-in shows whatever the reason: it can also be the node's.
const SYMPTOMS: [FaultId; 5] = [
    FaultId::RuntimeCrashOnStart,
    FaultId::RuntimeCrashLater,
    FaultId::RuntimeProbeCommandFails,
    FaultId::RuntimeReadinessFailing,
    FaultId::RuntimeRolloutStuck,
];

/// The `DaemonSet` of a network plug-in whose pod on a node is not healthy.
fn broken_on(view: &View<'_>, node: Idx) -> Option<Idx> {
    let guests = view.graph.incoming(node);
    let mut pods = guests
        .filter(|(relation, pod)| {
            *relation == Relation::RunsOn && *view.graph.get(*pod).kind() == Kind::Pod
        })
        .map(|(_, pod)| pod);
    pods.find_map(|pod| {
        let owner = view.top_owner(pod);
        let object = view.graph.get(owner);
        let is_plugin = *object.kind() == Kind::DaemonSet
            && NAMES.iter().any(|name| object.name().starts_with(name));
        (is_plugin && view.is_pod_unhealthy(pod)).then_some(owner)
    })
}

/// Reports why a plug-in fails as the reason for which its nodes have no network.
pub(super) fn reasons(view: &View<'_>, found: &[Finding], out: &mut Vec<Finding>) {
    let without = |f: &&Finding| f.active && f.fault == FaultId::NodeNetworkUnavailable;
    let nodes: Vec<&Finding> = found.iter().chain(out.iter()).filter(without).collect();
    let mut reasons = Vec::new();
    for node in nodes {
        let Some(plugin) = broken_on(view, node.blamed) else {
            continue;
        };
        let own = view.component_id(plugin);
        let of_plugin = found.iter().chain(out.iter()).filter(|f| {
            f.active && f.strength >= Strength::Fair && view.component_id(f.blamed) == own
        });
        let mut named = of_plugin.filter(|f| !SYMPTOMS.contains(&f.fault));
        let Some(reason) = named.next() else { continue };
        reasons.push(Finding {
            on: node.on,
            strength: Strength::Proof,
            evidence: reason
                .evidence
                .iter()
                .chain(&node.evidence)
                .cloned()
                .collect(),
            ..reason.clone()
        });
    }
    out.extend(reasons);
}
