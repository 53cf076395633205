//! What a state alone shows to be missing. It may be meant, and in a whole cluster usually is, so
//! these hints count only where nothing else is known to be wrong.

use super::admission::fault_of_resource;
use super::finding::{Finding, Strength};
use super::{FaultId, View};
use crate::graph::{Idx, Relation};
use crate::model::time::MINUTE;
use crate::model::{Command, Kind};

/// How long a controller may take, in microseconds.
const PATIENCE: i64 = 10 * MINUTE;

/// Whether an object is older than its controllers need; one of unknown age is.
pub(super) fn is_old(view: &View<'_>, idx: Idx) -> bool {
    let created = view.graph.get(idx).created;
    let is_young = created.is_some_and(|at| view.now.0 - at.0 < PATIENCE);
    !is_young
}

/// Reports a claim that waits for a volume, of which neither a class nor an event is known.
pub(super) fn claim(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let Some(claim) = view.object(idx).and_then(|o| o.claim()) else {
        return;
    };
    let class = claim.spec.storage_class_name.as_deref().unwrap_or_default();
    let knows_class = view
        .graph
        .find_live(Kind::StorageClass, "", class)
        .is_some();
    let is_pending = claim.phase.as_deref() == Some("Pending");
    if !is_pending || knows_class || view.events(idx).next().is_some() || !is_old(view, idx) {
        return;
    }
    let mut users = view.graph.incoming(idx);
    let user = users.find(|(relation, _)| *relation == Relation::Mounts);
    let blamed = user.map(|(_, pod)| view.top_owner(pod)).unwrap_or(idx);
    let message = format!(
        "PVC `{}` has no volume; why is in its events, and in StorageClass `{class}`",
        view.graph.get(idx).name()
    );
    let state = view.state_evidence(idx, "phase is Pending".to_owned());
    let finding = view.finding(
        FaultId::StorageProvisioningFailed,
        blamed,
        idx,
        Strength::Hint,
    );
    out.push(finding.active(true).message(message).with([state]).build());
}

/// Reports a quota that is used up, in a namespace of which no workload is known.
pub(super) fn quota(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let Some(quota) = view.object(idx).and_then(|o| o.quota()) else {
        return;
    };
    let namespace = view.graph.get(idx).namespace();
    let shows_work = view.graph.pods(namespace).next().is_some()
        || view.graph.workloads(namespace).next().is_some();
    if shows_work || !view.exists(idx) {
        return;
    }
    let mut limits = quota.hard.iter();
    let full = limits.find_map(|limit| {
        let used = quota.used.get(&limit.name)?;
        let is_full = limit.quantity.0 > 0 && used.0 >= limit.quantity.0;
        is_full.then_some((&*limit.name, &*limit.text))
    });
    let Some((resource, most)) = full else { return };
    let used = quota.used.text(resource).unwrap_or("?");
    let message = format!(
        "ResourceQuota `{}` has no room: {resource} {used} of {most}; what needs more is refused",
        view.graph.get(idx).name()
    );
    let state = view.state_evidence(idx, format!("{resource}: {used} of {most} used"));
    let finding = view.finding(fault_of_resource(resource), idx, idx, Strength::Hint);
    out.push(finding.active(true).message(message).with([state]).build());
}

/// Reports a Service without endpoints although pods that are called like it are ready, where its
/// selector or their labels are not known: else `service` compares these. Where no pod is known, it
/// may lack them.
pub(super) fn endpoints(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let Some(endpoints) = view.object(idx).and_then(|o| o.endpoints()) else {
        return;
    };
    let namespace = view.graph.get(idx).namespace();
    let service = view
        .graph
        .find_live(Kind::Service, namespace, &endpoints.service);
    let object = service.and_then(|service| view.object(service)?.service());
    // Those of a Service without a selector are filled by hand.
    let may_select = match object {
        Some(service) => service.may_select(),
        None => !view.knows(&Kind::Service, namespace),
    };
    if !endpoints.endpoints.is_empty() || !view.exists(idx) || !may_select {
        return;
    }
    let blamed = service.unwrap_or(idx);
    let own = view.component_id(blamed);
    let has_selector = object.is_some_and(|service| !service.selector.is_empty());
    let mut pods = view.graph.pods(namespace);
    let ready = pods.find(|p| {
        let is_unknown = !has_selector || view.graph.get(*p).labels().is_empty();
        let is_meant =
            || view.component_id(*p) == own || *view.component(*p).name == *endpoints.service;
        is_unknown && view.is_pod_healthy(*p) && is_meant()
    });
    // Controllers of the cluster once kept empty Endpoints to elect a leader.
    let is_unseen = !view.knows(&Kind::Pod, namespace)
        && view.graph.workloads(namespace).next().is_none()
        && namespace != "kube-system";
    let (strength, why) = match ready {
        Some(pod) => {
            let pod = view.graph.get(pod).name();
            let why = format!("although `{pod}` is ready: selector or target port do not fit it");
            (Strength::Strong, why)
        }
        None if is_unseen => (Strength::Hint, "and its pods are not known".to_owned()),
        None => return,
    };
    let message = format!("Service `{}` has no endpoints {why}", endpoints.service);
    let pod = ready.map(|pod| view.state_evidence(pod, "is ready".to_owned()));
    let state = view.state_evidence(idx, "has no addresses".to_owned());
    let fault = FaultId::ServiceSelectorMismatch;
    let finding = view.finding(fault, blamed, blamed, strength).active(true);
    let finding = finding.message(message).with([state]).with(pod);
    let name = &endpoints.service;
    let template = "kubectl -n <namespace> describe service <name>";
    let fix = Command::of(template).fill([("namespace", namespace), ("name", name)]);
    out.push(finding.fix(fix).build());
}

impl FaultId {
    /// Whether a hint of this fault is worth a word where nothing else is known to be wrong.
    pub fn counts_alone(self) -> bool {
        matches!(
            self,
            Self::NetworkLoadBalancerPending
                | Self::ServiceIngressClassMissing
                | Self::ServiceSelectorMismatch
                | Self::StorageProvisioningFailed
                | Self::AdmissionQuotaCpu
                | Self::AdmissionQuotaMemory
                | Self::AdmissionQuotaPods
                | Self::AdmissionQuotaServices
                | Self::AdmissionQuotaStorage
                | Self::AdmissionQuotaObjects
        )
    }
}
