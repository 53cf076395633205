//! Ingresses that no controller serves or that route to a missing Service or port.

use super::finding::{Finding, Strength};
use super::{FaultId, View};
use crate::graph::Idx;
use crate::model::Kind;
use crate::model::object::{Ingress, PortRef, Service};

/// Reports an `IngressClass` that does not exist, and backends that do not.
pub(super) fn ingress(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let Some(ingress) = view.object(idx).and_then(|o| o.ingress()) else {
        return;
    };
    backends(view, idx, ingress, out);
    let Some(class) = ingress.class.as_deref() else {
        return;
    };
    let exists = view
        .graph
        .find_live(Kind::IngressClass, "", class)
        .is_some()
        || !view.knows(&Kind::IngressClass, "");
    if exists || ingress.has_address || !view.lasts(view.graph.get(idx).created) {
        return;
    }
    out.push(
        view.finding(
            FaultId::ServiceIngressClassMissing,
            idx,
            idx,
            Strength::Strong,
        )
        .active(true)
        .message(format!(
            "Ingress `{}` uses IngressClass `{class}`, which does not exist",
            view.graph.get(idx).name()
        ))
        .with([view.state_evidence(idx, "status has no load balancer address".into())])
        .build(),
    );
}

/// Rules that name a Service or a port that does not exist.
fn backends(view: &View<'_>, idx: Idx, ingress: &Ingress, out: &mut Vec<Finding>) {
    let namespace = view.graph.get(idx).namespace();
    if !view.exists(idx) || !view.knows(&Kind::Service, namespace) {
        return;
    }
    for backend in &ingress.backends {
        let service = view
            .graph
            .find_live(Kind::Service, namespace, &backend.service);
        let offered = service.and_then(|s| view.object(s)?.service());
        let target = match (offered, &backend.port) {
            (None, _) => format!("Service `{}`, which does not exist", backend.service),
            (Some(s), Some(port)) if !has_port(s, port) => format!(
                "port `{port}` of Service `{}`, which only has {}",
                backend.service,
                port_list(s)
            ),
            _ => continue,
        };
        let name = view.graph.get(idx).name();
        out.push(
            view.finding(FaultId::ServiceRouteWrong, idx, idx, Strength::Proof)
                .active(true)
                .message(format!("Ingress `{name}` routes to {target}"))
                .with([view.state_evidence(idx, format!("backend is {target}"))])
                .fix(format!("kubectl -n {namespace} edit ingress {name}"))
                .build(),
        );
    }
}

fn has_port(service: &Service, port: &PortRef) -> bool {
    service.ports.iter().any(|p| match port {
        PortRef::Number(n) => p.port == *n,
        PortRef::Name(name) => p.name.as_deref() == Some(name),
    })
}

fn port_list(service: &Service) -> String {
    let ports: Vec<String> = service.ports.iter().map(|p| p.port.to_string()).collect();
    ports.join(", ")
}
