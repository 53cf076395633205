//! Addresses in a workload's settings that no Service offers, whether anyone complains or not.

use super::dependency::is_database_port;
use super::finding::Strength;
use super::service::offers;
use super::{FaultId, Finding, View};
use crate::graph::{Idx, derive};
use crate::model::Kind;
use crate::model::object::Service;

/// Reports addresses whose Service exists and has no such port. Alone they are latent: a feature
/// may be off.
pub(super) fn workload(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let Some(spec) = view.pod_spec(idx).filter(|_| view.exists(idx)) else {
        return;
    };
    if view.top_owner(idx) != idx {
        return;
    }
    let namespace = view.graph.get(idx).namespace();
    for (variable, address) in derive::addresses(spec) {
        let Some(port) = address.port else { continue };
        let alias = derive::called(address.host, namespace);
        if alias.kind != Kind::Service {
            continue;
        }
        let target = view.graph.find(alias.kind, &alias.namespace, &alias.name);
        let Some(target) = target.filter(|t| view.exists(*t)) else {
            continue;
        };
        let Some(service) = view.object(target).and_then(|o| o.service()) else {
            continue;
        };
        if offers(service, port) || !has_own_ports(service) {
            continue;
        }
        let ports: Vec<String> = service.ports.iter().map(|p| p.port.to_string()).collect();
        let fault = if service.ports.iter().any(|p| is_database_port(p.port)) {
            FaultId::DependencyPortWrong
        } else {
            FaultId::ServiceAddressWrong
        };
        out.push(
            view.finding(fault, idx, idx, Strength::Strong)
                .message(format!(
                    "{} has port {port} for Service `{}` (`{variable}`), but that has port {}",
                    view.title(idx),
                    view.graph.get(target).name(),
                    ports.join(", ")
                ))
                .with([
                    view.state_evidence(idx, format!("`{variable}` has `{address}`")),
                    view.state_evidence(target, format!("port {}", ports.join(", "))),
                ])
                .build(),
        );
    }
}

/// Whether a Service forwards ports itself: a headless one leads to the pods, on any port.
pub(super) fn has_own_ports(service: &Service) -> bool {
    service.cluster_ip.as_deref() != Some("None") && service.external_name.is_none()
}
