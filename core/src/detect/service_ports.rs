//! Target ports of Services against the ports that their pods declare.

use super::addresses::has_own_ports;
use super::finding::{Finding, Strength};
use super::{FaultId, View};
use crate::graph::Idx;
use crate::model::Command;
use crate::model::object::container::ContainerPort;
use crate::model::object::network::ServicePort;
use crate::model::object::{PortRef, Service};

/// A Service port whose target no container declares.
struct Mismatch<'a> {
    /// Position in `spec.ports`.
    index: usize,
    port: &'a ServicePort,
    target: PortRef,
    fault: FaultId,
}

/// Reports every Service port that leads to no declared container port.
pub(super) fn ports(
    view: &View<'_>,
    idx: Idx,
    service: &Service,
    pods: &[Idx],
    out: &mut Vec<Finding>,
) {
    // The names of a headless Service lead to the pods themselves: its target ports are not used.
    if !has_own_ports(service) {
        return;
    }
    let Some(spec) = pods
        .iter()
        .filter(|p| view.is_pod_healthy(**p))
        .find_map(|p| view.pod_spec(*p))
    else {
        return;
    };
    let declared: Vec<&ContainerPort> = spec
        .containers
        .iter()
        .flat_map(|c| c.ports.iter())
        .collect();
    if declared.is_empty() {
        return;
    }
    let has_callers = !super::service::callers(view, idx, &view.component(idx)).is_empty();
    let name = view.graph.get(idx).name();
    let found = mismatches(view, idx, service, &declared);
    // A port more than the pods have, for metrics say, may be missed by nobody.
    let is_dead = found.len() == service.ports.len();
    let is_used =
        has_callers || is_dead && super::service_selector::is_meant(view, idx, service, pods[0]);
    for mismatch in found {
        let (target, container_ports) = (&mismatch.target, port_list(&declared));
        // Containers may listen on ports they do not declare; a name that no port has can mean
        // nothing else.
        let named = matches!(target, PortRef::Name(_));
        let strength = if named {
            Strength::Strong
        } else {
            Strength::Fair
        };
        out.push(
            view.finding(mismatch.fault, idx, idx, strength)
                // A number is a fault only if callers report errors: `dependency` checks that.
                .active(named && is_used)
                .message(format!(
                    "Service `{name}` sends port {} to targetPort `{target}`, but its pods \
                     declare {container_ports}",
                    mismatch.port.port
                ))
                .with([
                    view.state_evidence(idx, format!("targetPort `{target}`")),
                    view.state_evidence(pods[0], format!("container ports {container_ports}")),
                ])
                .port(mismatch.port.port)
                .fix(patch(view, idx, service, &mismatch, &declared))
                .build(),
        );
    }
}

fn mismatches<'a>(
    view: &View<'_>,
    idx: Idx,
    service: &'a Service,
    declared: &[&ContainerPort],
) -> Vec<Mismatch<'a>> {
    let mut all = Vec::new();
    for (index, port) in service.ports.iter().enumerate() {
        let target = target(port);
        let fault = match &target {
            // Where pods name no port at all, names may not be recorded.
            PortRef::Name(_) if declared.iter().all(|p| p.name.is_none()) => {
                if !names_are_recorded(view, view.graph.get(idx).namespace()) {
                    continue;
                }
                FaultId::ServicePortMismatch
            }
            target if declared.iter().any(|p| leads_to(target, p)) => continue,
            PortRef::Name(_) => FaultId::ServiceNamedPortMissing,
            PortRef::Number(_) => FaultId::ServicePortMismatch,
        };
        all.push(Mismatch {
            index,
            port,
            target,
            fault,
        });
    }
    all
}

fn target(port: &ServicePort) -> PortRef {
    port.target_port
        .clone()
        .unwrap_or(PortRef::Number(port.port))
}

fn leads_to(target: &PortRef, port: &ContainerPort) -> bool {
    match target {
        PortRef::Number(n) => port.container_port == *n,
        PortRef::Name(name) => port.name.as_ref() == Some(name),
    }
}

/// `8080 (http), 9090`
fn port_list(declared: &[&ContainerPort]) -> String {
    let text = |p: &&ContainerPort| match &p.name {
        Some(name) => format!("{} ({name})", p.container_port),
        None => p.container_port.to_string(),
    };
    declared.iter().map(text).collect::<Vec<_>>().join(", ")
}

/// The command that corrects the port at fault; the value stays open if several container ports
/// could be meant.
fn patch(
    view: &View<'_>,
    idx: Idx,
    service: &Service,
    mismatch: &Mismatch<'_>,
    declared: &[&ContainerPort],
) -> Command {
    let template = r#"kubectl -n <namespace> patch service <name> --type=json -p '[{"op":"replace","path":"/spec/ports/<index>/targetPort","value":<port>}]'"#;
    let index = mismatch.index.to_string();
    let port = intended(service, mismatch.port, declared).map(|p| p.container_port.to_string());
    view.command(template, idx)
        .fill([("index", &*index)])
        .fill(port.as_deref().map(|port| ("port", port)))
}

/// The container port that a Service port probably means: the one of its name, else the one of its
/// number, else the only one that no other Service port leads to.
fn intended<'a>(
    service: &Service,
    port: &ServicePort,
    declared: &[&'a ContainerPort],
) -> Option<&'a ContainerPort> {
    let by_name = declared
        .iter()
        .find(|p| p.name.is_some() && p.name == port.name);
    let by_number = || declared.iter().find(|p| p.container_port == port.port);
    if let Some(found) = by_name.or_else(by_number) {
        return Some(found);
    }
    let is_free = |p: &&&ContainerPort| !service.ports.iter().any(|s| leads_to(&target(s), p));
    let free: Vec<_> = declared.iter().filter(is_free).collect();
    match free[..] {
        [only] => Some(only),
        _ => None,
    }
}

/// Whether the recorder keeps port names: at least one pod or template of the namespace has one.
fn names_are_recorded(view: &View<'_>, namespace: &str) -> bool {
    let specs = view
        .graph
        .pods(namespace)
        .chain(view.graph.workloads(namespace))
        .filter_map(|p| view.pod_spec(p));
    specs
        .flat_map(|s| s.containers.iter())
        .any(|c| c.ports.iter().any(|p| p.name.is_some()))
}
