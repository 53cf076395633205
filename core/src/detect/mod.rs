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
pub use names::ComponentId;
pub use view::{Resolved, View};

use crate::graph::Idx;
use crate::model::Kind;

/// Runs the detectors that a resource's kind calls for.
pub fn inspect(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    match view.graph.get(idx).kind() {
        Kind::Pod => {
            scheduling::pod(view, idx, out);
            storage::pod(view, idx, out);
            image::pod(view, idx, out);
            config::pod(view, idx, out);
            runtime::pod(view, idx, out);
            probe::pod(view, idx, out);
            proxy::pod(view, idx, out);
            preemption::gated(view, idx, out);
        }
        Kind::Node => node::node(view, idx, out),
        Kind::Lease => controlplane::lease(view, idx, out),
        Kind::Service => service::service(view, idx, out),
        Kind::Ingress => service::ingress(view, idx, out),
        Kind::PersistentVolumeClaim => storage::claim(view, idx, out),
        Kind::HorizontalPodAutoscaler => performance::autoscaler(view, idx, out),
        Kind::NetworkPolicy => network::policy(view, idx, out),
        kind if kind.is_workload() => {
            admission::workload(view, idx, out);
            rollout::workload(view, idx, out);
            rollout::cron_job(view, idx, out);
        }
        _ => {}
    }
    own_log::findings(view, idx, out);
    performance::alerts(view, idx, out);
    alert::alone(view, idx, out);
}

/// Runs the detectors that compare many resources at once, after each was inspected alone.
pub fn compare(view: &View<'_>, complaints: &[Complaint], found: &[Finding]) -> Vec<Finding> {
    let mut out = Vec::new();
    controlplane::scheduler(view, &mut out);
    apiserver::parts(view, &mut out);
    preemption::preempted(view, &mut out);
    runtime::evictions(view, &mut out);
    proxy::clock(view, complaints, &mut out);
    node::shared(view, complaints, &mut out);
    performance::slowest(view, &mut out);
    dependency::called(view, complaints, found, &mut out);
    out
}

pub use admission::webhooks;
pub use complaint::complaints;
