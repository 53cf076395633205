//! Callers and servers that reach each other but disagree on certificate or version.

use std::collections::{BTreeMap, BTreeSet};

use super::caller_errors::{CallError, CallFailure};
use super::finding::{Evidence, Finding, Strength};
use super::service::pods_behind;
use super::text::short;
use super::{FaultId, View, protocol};
use crate::graph::{Component, Idx, Relation};
use crate::model::object::network::ServicePort;
use crate::model::object::{PortRef, Service};
use crate::model::time::MINUTE;
use crate::model::{Kind, Time};
use crate::trouble::Class;

/// Judges what the callers of one target report about certificate, protocol and version. Returns
/// whether that explains their errors.
pub(super) fn judge(
    view: &View<'_>,
    target: Idx,
    all: &[&CallError],
    out: &mut Vec<Finding>,
) -> bool {
    let of = |trouble: CallFailure| -> Vec<&CallError> {
        all.iter()
            .copied()
            .filter(|c| c.failure == trouble)
            .collect()
    };
    let (rejected, other_protocol, other_version) = (
        of(CallFailure::CertificateRejected),
        of(CallFailure::ProtocolMismatch),
        of(CallFailure::VersionMismatch),
    );
    let before = out.len();
    if !rejected.is_empty() {
        certificate(view, target, &rejected, out);
    }
    if !other_protocol.is_empty() {
        protocol::of_server(view, target, &other_protocol, out);
    }
    if !other_version.is_empty() {
        version(view, target, &other_version, out);
    }
    out.len() > before
}

pub(super) fn evidence(view: &View<'_>, all: &[&CallError]) -> Vec<Evidence> {
    all.iter()
        .take(6)
        .map(|c| view.log_evidence(c.caller, view.episodes.logs[c.log].1))
        .collect()
}

/// The log line of an error.
pub(super) fn line<'a>(view: &View<'a>, error: &CallError) -> &'a str {
    &view.episodes.logs[error.log].1.sample
}

/// An expired certificate or one for another name is the server's fault; an unknown authority may
/// be missing from the caller's trust store.
fn certificate(view: &View<'_>, target: Idx, all: &[&CallError], out: &mut Vec<Finding>) {
    let first = line(view, all[0]);
    let callers: BTreeSet<Component> = all.iter().map(|c| view.component(c.caller)).collect();
    let trouble = view.episodes.logs[all[0].log].1.trouble();
    let is_servers_fault = trouble.has_any(&[Class::CertificateExpired, Class::CertificateName]);
    let strength = if is_servers_fault || callers.len() >= 2 {
        Strength::Strong
    } else {
        Strength::Fair
    };
    out.push(
        view.finding(
            FaultId::ServiceCertificateInvalid,
            target,
            all[0].caller,
            strength,
        )
        .active(true)
        .message(format!(
            "Callers of `{}` reject its certificate: {}",
            view.graph.get(target).name(),
            short(first, 160)
        ))
        .with(evidence(view, all))
        .build(),
    );
}

/// A caller that does not accept the certificates of servers that are no part of the cluster's
/// state: what it trusts, or the names it uses, are its settings.
pub(super) fn unknown_servers(view: &View<'_>, errors: &[CallError], out: &mut Vec<Finding>) {
    let mut by_caller: BTreeMap<Idx, Vec<&CallError>> = BTreeMap::new();
    for error in errors {
        if error.failure == CallFailure::CertificateRejected && error.target.is_none() {
            let owner = view.top_owner(error.caller);
            by_caller.entry(owner).or_default().push(error);
        }
    }
    for (owner, all) in by_caller {
        let servers: BTreeSet<&str> = all.iter().map(|e| &*e.name).collect();
        let strength = if servers.len() >= 2 {
            Strength::Strong
        } else {
            Strength::Fair
        };
        let message = format!(
            "{} does not accept the certificate of `{}`: {}",
            view.title(owner),
            servers.into_iter().collect::<Vec<_>>().join("`, `"),
            short(line(view, all[0]), 160)
        );
        out.push(
            view.finding(
                FaultId::ServiceCertificateInvalid,
                owner,
                all[0].caller,
                strength,
            )
            .active(true)
            .message(message)
            .with(evidence(view, &all))
            .build(),
        );
    }
}

/// The workload that a Service has its name from: its pods may be those of a proxy in front of it.
fn behind_proxy(view: &View<'_>, service: Idx) -> Option<Idx> {
    let node = view.graph.get(service);
    let mut workloads = view.graph.workloads(node.namespace());
    workloads.find(|w| {
        let named = view.graph.get(*w);
        *named.kind() == Kind::StatefulSet && named.name() == node.name() && view.exists(*w)
    })
}

/// Of caller and server, the one that changed last is at fault.
fn version(view: &View<'_>, target: Idx, all: &[&CallError], out: &mut Vec<Finding>) {
    let caller = view.top_owner(all[0].caller);
    let behind = pods_behind(view, target);
    let behind = behind.first().map(|pod| view.top_owner(*pod));
    let server = behind_proxy(view, target).or(behind).unwrap_or(target);
    let changed = |idx: Idx| changed_at(view, idx);
    let (blamed, strength) = match (changed(caller), changed(server)) {
        (Some(c), Some(s)) if s.0 - c.0 > 10 * MINUTE => (server, Strength::Strong),
        (Some(c), Some(s)) if c.0 - s.0 > 10 * MINUTE => (caller, Strength::Strong),
        _ => (caller, Strength::Fair),
    };
    let message = format!(
        "{} and `{}` disagree on the protocol or schema: {}",
        view.title(caller),
        view.graph.get(target).name(),
        short(line(view, all[0]), 160)
    );
    let mut all_evidence = evidence(view, all);
    if let Some(at) = changed(blamed) {
        all_evidence.push(Evidence {
            at,
            ..view.state_evidence(blamed, "changed more recently than the other side".into())
        });
    }
    let fix = format!(
        "kubectl -n {} rollout undo {}/{}",
        view.graph.get(blamed).namespace(),
        view.kind_word(blamed),
        view.graph.get(blamed).name()
    );
    out.push(
        view.finding(
            FaultId::DependencyVersionMismatch,
            blamed,
            all[0].caller,
            strength,
        )
        .active(true)
        .message(message)
        .with(all_evidence)
        .fix(fix)
        .build(),
    );
}

/// When a workload's newest ReplicaSet or pod was created: every rollout creates new ones.
fn changed_at(view: &View<'_>, owner: Idx) -> Option<Time> {
    let sets = view
        .graph
        .out(owner)
        .filter(|(r, _)| *r == Relation::Controls)
        .map(|(_, i)| i);
    let made = sets
        .filter(|i| view.exists(*i))
        .filter_map(|i| view.graph.get(i).created)
        .max();
    made.or_else(|| {
        view.pods_of(owner)
            .into_iter()
            .filter_map(|p| view.graph.get(p).created)
            .max()
    })
}

/// A Service port whose transport protocol differs from that of the container port.
pub(super) fn transport(
    view: &View<'_>,
    idx: Idx,
    service: &Service,
    pods: &[Idx],
    out: &mut Vec<Finding>,
) {
    let Some(spec) = pods.iter().find_map(|p| view.pod_spec(*p)) else {
        return;
    };
    let word = |p: Option<&str>| p.unwrap_or("TCP").to_owned();
    // A server of both protocols, such as DNS: its pods may declare only one of them.
    let is_twin = |port: &&ServicePort| {
        service.ports.iter().any(|p| {
            p.port == port.port && word(p.protocol.as_deref()) != word(port.protocol.as_deref())
        })
    };
    for port in service.ports.iter().filter(|port| !is_twin(port)) {
        let declared: Vec<_> = spec
            .containers
            .iter()
            .flat_map(|c| c.ports.iter())
            .filter(|d| match port.target_port.as_ref() {
                Some(PortRef::Name(name)) => d.name.as_deref() == Some(name),
                Some(PortRef::Number(n)) => d.container_port == *n,
                None => d.container_port == port.port,
            })
            .collect();
        let sent = word(port.protocol.as_deref());
        let Some(other) = declared
            .first()
            .filter(|_| declared.iter().all(|d| word(d.protocol.as_deref()) != sent))
        else {
            continue;
        };
        let has_callers = !super::service::callers(view, idx, &view.component(idx)).is_empty();
        let speaks = word(other.protocol.as_deref());
        out.push(
            view.finding(FaultId::ServiceProtocolMismatch, idx, idx, Strength::Strong)
                .active(has_callers)
                .message(format!(
                    "Service `{}` sends {sent} to container port {}, which its pods declare as \
                     {speaks}",
                    view.graph.get(idx).name(),
                    other.container_port
                ))
                .with([
                    view.state_evidence(idx, format!("protocol {sent}")),
                    view.state_evidence(
                        pods[0],
                        format!("container port {} is {speaks}", other.container_port),
                    ),
                ])
                .build(),
        );
    }
}
