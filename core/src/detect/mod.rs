//! Findings: evidence of a fault in state, events, logs and alerts, and the component at fault.
//!
//! A detector inspects a resource and its neighbours through a read-only [`View`] and adds
//! [`Finding`]s. Each rule follows from how Kubernetes works, not from examples.

mod absence;
mod account;
mod account_lock;
mod addresses;
mod admission;
mod aggregated_api;
mod alert;
mod alert_subject;
mod apiserver;
mod asked;
mod autoscaler;
mod behind;
mod build;
mod caller_errors;
mod catalogue;
mod changed_party;
mod client_error;
mod clock;
mod closed_port;
mod condition;
mod config;
mod consumers;
mod control_plane_pods;
mod controller_log;
mod controlplane;
mod crash;
mod crash_unseen;
mod cut_off;
mod dangling_route;
mod denied_flow;
mod dependency;
mod devices;
mod dns;
mod etcd;
mod exit_reason;
pub mod fault_id;
mod fault_ids;
mod finding;
mod fixes;
mod guard;
mod handshake;
mod health;
mod idle_workers;
mod image;
mod image_push;
mod ingress;
mod init_wait;
mod injector;
mod issuer;
mod job;
mod kubelet_log;
mod load_balancer;
mod lone_client;
mod makers;
mod mentions;
mod mesh_tls;
mod mismatch;
mod nameless;
mod names;
mod network;
mod network_plugin;
mod new_client;
mod node;
mod node_condition;
mod node_coverage;
mod node_mounts;
mod node_network;
mod odd_secret;
mod own_words;
mod pace;
mod paused_scaler;
mod performance;
mod piled_up;
mod pod_slots;
mod polarity;
mod policy_calls;
mod policy_peers;
mod preemption;
mod probe;
mod probe_checks;
mod probe_port;
mod protocol;
mod provisioner;
mod proxy;
mod public_names;
mod refusal_log;
mod registry;
mod replica;
mod required_setting;
mod resolved;
mod rollout;
mod routes;
mod runtime;
mod sandbox;
mod scale_up;
mod schedule;
mod schedule_fit;
mod scheduling;
mod scheduling_verdict;
mod scheme;
mod self_reported;
mod server_error;
mod server_named;
mod service;
mod service_ports;
mod service_selector;
mod signalled;
mod signals;
mod slowest;
mod stale_protocol;
mod standing;
mod start_error;
mod stateful_set;
mod storage;
mod storage_verdict;
mod termination;
mod text;
mod timed_out;
mod unknown;
mod verdict;
mod view;
mod volume_server;
mod waited_for;
mod webhook;

pub use admission::webhooks;
pub use caller_errors::{CallError, CallFailure, call_errors};
pub use catalogue::{Catalogue, Fault};
pub use config::{needs_unknown_secrets, references_of};
pub use fault_id::FaultId;
pub use finding::{Evidence, Finding, Strength};
pub use guard::{DetectorPanic, Findings};
pub use names::ComponentId;
pub use pace::{Pace, Phase, Watch};
pub use resolved::Resolved;
pub use server_error::{UnseenServer, unseen_servers};
pub use unknown::unknown;
pub use view::View;

use crate::graph::Idx;
use crate::model::Kind;

/// Runs the detectors that a resource's kind calls for.
pub fn inspect(view: &View<'_>, idx: Idx, findings: &mut Findings<'_>) {
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
            findings.inspect(scale_up::pod, view, idx);
            findings.inspect(refusal_log::refused, view, idx);
            findings.inspect(init_wait::pod, view, idx);
            findings.inspect(own_words::source, view, idx);
            findings.inspect(own_words::setting, view, idx);
            findings.inspect(own_words::inotify, view, idx);
            findings.inspect(own_words::file_mode, view, idx);
            findings.inspect(own_words::disk, view, idx);
        }
        Kind::Namespace => {
            findings.inspect(condition::namespace, view, idx);
            findings.inspect(admission::namespace, view, idx);
        }
        Kind::Node => {
            findings.inspect(node::node, view, idx);
            findings.inspect(own_words::inotify, view, idx);
            findings.inspect(kubelet_log::not_ready, view, idx);
        }
        Kind::Lease => findings.inspect(controlplane::lease, view, idx),
        Kind::Service => {
            findings.inspect(service::service, view, idx);
            findings.inspect(load_balancer::service, view, idx);
            findings.inspect(condition::object, view, idx);
        }
        Kind::Ingress => findings.inspect(ingress::ingress, view, idx),
        Kind::PersistentVolumeClaim => {
            findings.inspect(storage::claim, view, idx);
            findings.inspect(standing::claim, view, idx);
            findings.inspect(condition::object, view, idx);
        }
        Kind::ResourceQuota => findings.inspect(standing::quota, view, idx),
        Kind::Endpoints | Kind::EndpointSlice => findings.inspect(standing::endpoints, view, idx),
        Kind::HorizontalPodAutoscaler => findings.inspect(autoscaler::autoscaler, view, idx),
        kind if is_policy(kind) => {
            findings.inspect(network::policy, view, idx);
            findings.inspect(policy_peers::peers, view, idx);
            findings.inspect(policy_peers::outside, view, idx);
            findings.inspect(policy_peers::names, view, idx);
            findings.inspect(closed_port::port, view, idx);
            findings.inspect(policy_calls::egress, view, idx);
        }
        kind if kind.is_workload() => {
            findings.inspect(admission::workload, view, idx);
            findings.inspect(rollout::workload, view, idx);
            findings.inspect(addresses::workload, view, idx);
            findings.inspect(job::job, view, idx);
            findings.inspect(job::cron_job, view, idx);
        }
        _ => findings.inspect(condition::object, view, idx),
    }
    findings.inspect(dangling_route::route, view, idx);
    findings.inspect(condition::warned, view, idx);
    findings.inspect(self_reported::findings, view, idx);
    findings.inspect(performance::alerts, view, idx);
    findings.inspect(alert::alone, view, idx);
}

fn is_policy(kind: &Kind) -> bool {
    match kind {
        Kind::Other(name) => &**name == "CiliumNetworkPolicy",
        kind => *kind == Kind::NetworkPolicy,
    }
}

/// Runs the detectors for a resource that is being deleted.
pub fn inspect_leaving(view: &View<'_>, idx: Idx, findings: &mut Findings<'_>) {
    findings.inspect(termination::leaving, view, idx);
}

/// Runs the detectors that compare many resources, after each was inspected on its own.
pub fn compare<'a>(view: &View<'a>, errors: &[CallError], found: &[Finding]) -> Findings<'a> {
    let view = &View {
        watch: view.watch.during(Phase::Comparison),
        ..*view
    };
    let mut all = Findings::new(view.watch);
    all.compare("controlplane::scheduler", |out| {
        controlplane::scheduler(view, out);
    });
    all.compare("apiserver::api_server_and_etcd", |out| {
        apiserver::api_server_and_etcd(view, out);
    });
    all.compare("control_plane_pods::crashing", |out| {
        control_plane_pods::crashing(view, found, out);
    });
    all.compare("preemption::preempted", |out| {
        preemption::preempted(view, out);
    });
    all.compare("pod_slots::taken", |out| pod_slots::taken(view, out));
    all.compare("runtime::evictions", |out| runtime::evictions(view, out));
    all.compare("clock::alerted", |out| clock::alerted(view, errors, out));
    all.compare("clock::differs", |out| clock::differs(view, out));
    all.compare("cut_off::nodes", |out| cut_off::nodes(view, errors, out));
    all.compare("node_network::nodes", |out| {
        node_network::nodes(view, errors, out);
    });
    all.compare("slowest::slowest", |out| {
        slowest::slowest(view, out);
    });
    all.compare("dependency::called", |out| {
        dependency::called(view, errors, found, out);
    });
    all.compare("lone_client::refused", |out| {
        lone_client::refused(view, errors, out);
    });
    all.compare("registry::unreachable", |out| {
        registry::unreachable(view, found, out);
    });
    all.compare("node_mounts::unmountable", |out| {
        node_mounts::unmountable(view, found, out);
    });
    all.compare("volume_server::silent", |out| {
        volume_server::silent(view, found, out);
    });
    all.compare("scheme::contradictions", |out| {
        scheme::contradictions(view, errors, out);
    });
    all.compare("issuer::expired", |out| issuer::expired(view, out));
    all.compare("node_coverage::missed", |out| {
        node_coverage::missed(view, out);
    });
    all.compare("consumers::missing", |out| {
        consumers::missing(view, found, out);
    });
    all.compare("routes::lost", |out| routes::lost(view, out));
    all.compare("mesh_tls::contradictions", |out| {
        mesh_tls::contradictions(view, errors, out);
    });
    compare_controllers(view, errors, found, &mut all);
    all
}

/// The detectors that compare what controllers, plug-ins and changes did with what it met.
fn compare_controllers<'a>(
    view: &View<'a>,
    errors: &[CallError],
    found: &[Finding],
    all: &mut Findings<'a>,
) {
    all.compare("termination::budgets", |out| {
        termination::budgets(view, out);
    });
    all.compare("aggregated_api::users", |out| {
        aggregated_api::users(view, found, out);
    });
    all.compare("controller_log::named", |out| {
        controller_log::named(view, found, out);
    });
    all.compare("aggregated_api::servers", |out| {
        aggregated_api::servers(view, found, out);
    });
    all.compare("sandbox::networks", |out| sandbox::networks(view, out));
    all.compare("sandbox::runtimes", |out| sandbox::runtimes(view, out));
    all.compare("sandbox::handlers", |out| sandbox::handlers(view, out));
    all.compare("network_plugin::reasons", |out| {
        network_plugin::reasons(view, found, out);
    });
    all.compare("account_lock::locked", |out| {
        account_lock::locked(view, out);
    });
    all.compare("provisioner::failing", |out| {
        provisioner::failing(view, out);
    });
    all.compare("stateful_set::governing_services", |out| {
        stateful_set::governing_services(view, out);
    });
    all.compare("paused_scaler::scalers", |out| {
        paused_scaler::scalers(view, out);
    });
    all.compare("webhook::configurations", |out| {
        webhook::configurations(view, found, out);
    });
    all.compare("injector::absent", |out| injector::absent(view, out));
    all.compare("stale_protocol::annotations", |out| {
        stale_protocol::annotations(view, out);
    });
    all.compare("required_setting::wrong", |out| {
        required_setting::wrong(view, out);
    });
    all.compare("changed_party::changed", |out| {
        changed_party::changed(view, errors, out);
    });
    all.compare("mismatch::settings", |out| mismatch::settings(view, out));
    all.compare("denied_flow::reported", |out| {
        denied_flow::reported(view, out);
    });
    all.compare("image_push::refused", |out| {
        image_push::refused(view, found, out);
    });
    all.compare("public_names::left_out", |out| {
        public_names::left_out(view, errors, out);
    });
    all.compare("makers::failing", |out| makers::failing(view, found, out));
    all.compare("nameless::errors", |out| {
        nameless::errors(view, errors, found, out);
    });
}
