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
    // A node is called in the name of what it publishes.
    let target = published(view, target, all[0].port).unwrap_or(target);
    let caller = view.top_owner(all[0].caller);
    if callers.len() == 1
        && !is_servers_fault
        && let Some(bundle) = own_trust(view, all[0].caller)
    {
        out.push(untrusting(view, caller, bundle, all));
        return;
    }
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

/// The Service that a node's address on a port leads to: the only one of type `LoadBalancer` with
/// that port. The kubelet's own ports are the node's.
fn published(view: &View<'_>, target: Idx, port: Option<u16>) -> Option<Idx> {
    let port = i64::from(port.unwrap_or(443));
    let is_node = *view.graph.get(target).kind() == Kind::Node;
    let mut services = view.graph.of_kind(&Kind::Service).filter(|service| {
        let spec = view.object(*service).and_then(|o| o.service());
        spec.is_some_and(|s| {
            s.service_type.as_deref() == Some("LoadBalancer")
                && s.ports.iter().any(|p| p.port == port)
        })
    });
    let first = services.next().filter(|_| is_node)?;
    services.next().is_none().then_some(first)
}

/// The Secret or `ConfigMap` from which a pod reads the authorities that it trusts, by its name.
fn own_trust<'a>(view: &View<'a>, pod: Idx) -> Option<&'a str> {
    const WORDS: [&str; 6] = ["ca", "cacert", "cacerts", "trust", "truststore", "trusted"];
    let volumes = view.pod_spec(pod)?.volumes.iter();
    let mut sources = volumes.filter_map(|v| {
        let secret = v.secret.as_ref().and_then(|s| s.secret_name.as_deref());
        secret.or_else(|| v.config_map.as_ref().and_then(|m| m.name.as_deref()))
    });
    sources.find(|name| name.split(['-', '.']).any(|word| WORDS.contains(&word)))
}

/// The only caller that does not accept a certificate, with a trust store of its own.
fn untrusting(view: &View<'_>, caller: Idx, bundle: &str, all: &[&CallError]) -> Finding {
    let message = format!(
        "{} does not trust the certificate of `{}`, and trusts only what `{bundle}` holds: {}",
        view.title(caller),
        all[0].name,
        short(line(view, all[0]), 160)
    );
    view.finding(
        FaultId::ServiceCertificateInvalid,
        caller,
        all[0].caller,
        Strength::Strong,
    )
    .active(true)
    .message(message)
    .with([view.state_evidence(caller, format!("mounts `{bundle}`"))])
    .with(evidence(view, all))
    .build()
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
    let fix = view.command("kubectl -n <namespace> rollout undo <kind>/<name>", blamed);
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
pub(super) fn changed_at(view: &View<'_>, owner: Idx) -> Option<Time> {
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
