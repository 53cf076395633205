//! Addresses in a workload's settings that no Service offers, whether anyone complains or not.

use super::dependency::is_database_port;
use super::finding::Strength;
use super::service::offers;
use super::{FaultId, Finding, View};
use crate::graph::{Idx, derive};
use crate::model::object::Service;
use crate::model::{Alias, Kind};

/// Shorter names are the beginning of others by chance.
const MIN_NAME: usize = 4;

/// Reports addresses whose Service exists and has no such port. Alone they are latent, as a feature
/// may be off, unless another workload has the same setting right.
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
        let target = view
            .graph
            .find(alias.kind.clone(), &alias.namespace, &alias.name);
        if !target.is_some_and(|t| view.exists(t)) {
            out.extend(misspelt(view, idx, variable, &alias));
        }
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
                .active(is_right_elsewhere(view, variable, target, service))
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

/// So many workloads with a variable are compared.
const MAX_SPECS: usize = 32;

/// Whether a workload of the namespace has an environment variable of this name with an address that
/// the Service offers.
fn is_right_elsewhere(view: &View<'_>, variable: &str, target: Idx, service: &Service) -> bool {
    let node = view.graph.get(target);
    let mut specs = view
        .graph
        .workloads(node.namespace())
        .filter_map(|other| view.pod_spec(other))
        .filter(|spec| {
            let mut variables = spec.containers.iter().flat_map(|c| c.env.iter());
            variables.any(|v| &*v.name == variable)
        })
        .take(MAX_SPECS);
    variable != "args"
        && specs.any(|spec| {
            derive::addresses(spec).into_iter().any(|(name, address)| {
                let meant = derive::called(address.host, node.namespace());
                let is_offered = address.port.is_some_and(|port| offers(service, port));
                name == variable && &*meant.name == node.name() && is_offered
            })
        })
}

/// A name that no Service has, and that begins with the name of one, or the other way round.
fn misspelt(view: &View<'_>, idx: Idx, variable: &str, meant: &Alias) -> Option<Finding> {
    if !view.is_absent(&Kind::Service, &meant.namespace, &meant.name) {
        return None;
    }
    let similar = view.graph.services(&meant.namespace).find(|service| {
        let name = view.graph.get(*service).name();
        is_extended(name, &meant.name) || is_extended(&meant.name, name)
    })?;
    let name = view.graph.get(similar).name();
    let message = format!(
        "{} has `{}` (`{variable}`), but namespace `{}` has no such Service; it has `{name}`",
        view.title(idx),
        meant.name,
        meant.namespace
    );
    let finding = view
        .finding(FaultId::ServiceAddressWrong, idx, idx, Strength::Strong)
        .message(message)
        .with([view.state_evidence(idx, format!("`{variable}` has `{}`", meant.name))]);
    Some(finding.build())
}

/// Whether a name is another one with a further part: `cart-old` of `cart`.
fn is_extended(name: &str, short: &str) -> bool {
    let rest = name.strip_prefix(short);
    rest.is_some_and(|rest| rest.starts_with('-')) && short.len() >= MIN_NAME
}

/// Whether a Service forwards ports itself: a headless one leads to the pods, on any port.
pub(super) fn has_own_ports(service: &Service) -> bool {
    service.cluster_ip.as_deref() != Some("None") && service.external_name.is_none()
}
