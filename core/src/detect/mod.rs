//! Findings: what in state, events, logs and alerts speaks for a fault, and whom it blames.
//!
//! A detector looks at one resource and its surroundings through a read-only [`View`] and adds
//! [`Finding`]s. A file per family of the catalogue; each rule is argued from how Kubernetes works.

mod admission;
mod alert;
mod apiserver;
mod build;
pub mod catalogue;
mod complaint;
mod config;
mod controlplane;
mod crash;
mod dependency;
pub mod fault_id;
mod fault_ids;
mod finding;
mod guard;
mod handshake;
mod image;
mod names;
mod network;
mod node;
mod own_log;
mod performance;
mod preemption;
mod probe;
mod proxy;
mod reading;
mod rollout;
mod runtime;
mod schedule;
mod schedule_fit;
mod scheduling;
mod service;
mod storage;
mod text;
mod view;

pub use complaint::{Complaint, Trouble};
pub use fault_id::FaultId;
pub use finding::{Evidence, Finding, Strength};
pub use guard::{DetectorPanic, Findings};
pub use names::ComponentId;
pub use view::{Resolved, View};

use crate::graph::Idx;
use crate::model::Kind;

/// Runs the detectors that a resource's kind calls for.
pub fn inspect(view: &View<'_>, idx: Idx, findings: &mut Findings) {
    match view.graph.get(idx).kind() {
        Kind::Pod => {
            findings.inspect(scheduling::pod, view, idx);
            findings.inspect(storage::pod, view, idx);
            findings.inspect(image::pod, view, idx);
            findings.inspect(config::pod, view, idx);
            findings.inspect(runtime::pod, view, idx);
            findings.inspect(probe::pod, view, idx);
            findings.inspect(proxy::pod, view, idx);
            findings.inspect(preemption::gated, view, idx);
        }
        Kind::Node => findings.inspect(node::node, view, idx),
        Kind::Lease => findings.inspect(controlplane::lease, view, idx),
        Kind::Service => findings.inspect(service::service, view, idx),
        Kind::Ingress => findings.inspect(service::ingress, view, idx),
        Kind::PersistentVolumeClaim => findings.inspect(storage::claim, view, idx),
        Kind::HorizontalPodAutoscaler => findings.inspect(performance::autoscaler, view, idx),
        Kind::NetworkPolicy => findings.inspect(network::policy, view, idx),
        kind if kind.is_workload() => {
            findings.inspect(admission::workload, view, idx);
            findings.inspect(rollout::workload, view, idx);
            findings.inspect(rollout::cron_job, view, idx);
        }
        _ => {}
    }
    findings.inspect(own_log::findings, view, idx);
    findings.inspect(performance::alerts, view, idx);
    findings.inspect(alert::alone, view, idx);
}

/// Runs the detectors that compare many resources at once, after each was inspected alone.
pub fn compare(view: &View<'_>, complaints: &[Complaint], found: &[Finding]) -> Findings {
    let mut all = Findings::default();
    all.compare("controlplane::scheduler", |out| {
        controlplane::scheduler(view, out);
    });
    all.compare("apiserver::parts", |out| apiserver::parts(view, out));
    all.compare("preemption::preempted", |out| {
        preemption::preempted(view, out);
    });
    all.compare("runtime::evictions", |out| runtime::evictions(view, out));
    all.compare("proxy::clock", |out| proxy::clock(view, complaints, out));
    all.compare("node::shared", |out| node::shared(view, complaints, out));
    all.compare("performance::slowest", |out| {
        performance::slowest(view, out);
    });
    all.compare("dependency::called", |out| {
        dependency::called(view, complaints, found, out);
    });
    all
}

pub use admission::webhooks;
pub use complaint::complaints;
