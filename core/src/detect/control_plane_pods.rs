//! Control-plane processes that crash: their duty is not done, whatever ends them.

use super::finding::{Finding, Strength};
use super::{FaultId, View};
use crate::graph::Idx;

/// Static pods of kubeadm by the start of their names, with the fault that their absence is.
const PROCESSES: [(&str, FaultId); 3] = [
    ("kube-scheduler-", FaultId::ControlplaneSchedulerDown),
    (
        "kube-controller-manager-",
        FaultId::ControlplaneControllerManagerDown,
    ),
    ("etcd-", FaultId::ControlplaneEtcdUnhealthy),
];

/// Reports the processes among the pods for which a crash was found.
pub(super) fn crashing(view: &View<'_>, found: &[Finding], out: &mut Vec<Finding>) {
    let crashes = found
        .iter()
        .filter(|f| f.active && f.fault.family() == "runtime" && !view.is_pod_healthy(f.on));
    for crash in crashes {
        let Some(fault) = duty(view, crash.on) else {
            continue;
        };
        out.push(Finding {
            fault,
            strength: Strength::Proof,
            ..crash.clone()
        });
    }
}

/// The fault that the absence of a static pod of the control plane is.
fn duty(view: &View<'_>, pod: Idx) -> Option<FaultId> {
    let node = view.graph.get(pod);
    let named = |(start, _): &&(&str, FaultId)| node.name().starts_with(start);
    let process = PROCESSES.iter().find(named)?;
    let (start, fault) = process;
    let host = node.name().strip_prefix(start)?;
    // A static pod is named after its node.
    let is_static = view.pod(pod)?.node_name.as_deref() == Some(host);
    (is_static && node.namespace() == "kube-system").then_some(*fault)
}
