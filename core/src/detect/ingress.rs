//! Ingresses that no controller serves or that route to a missing Service or port.

use super::finding::{Finding, Strength};
use super::standing::is_old;
use super::{FaultId, View};
use crate::graph::Idx;
use crate::model::Kind;
use crate::model::object::{Ingress, PortRef, Service};
use crate::model::time::MINUTE;

/// Reports an `IngressClass` that does not exist, and backends that do not.
pub(super) fn ingress(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let Some(ingress) = view.object(idx).and_then(|o| o.ingress()) else {
        return;
    };
    backends(view, idx, ingress, out);
    certificates(view, idx, ingress, out);
    let Some(class) = ingress.class.as_deref() else {
        return without_class(view, idx, ingress, out);
    };
    if ingress.has_address || !view.lasts(view.graph.get(idx).created) {
        return;
    }
    let is_seen = view
        .graph
        .find_live(Kind::IngressClass, "", class)
        .is_some();
    let why = if is_seen {
        return;
    } else if view.knows(&Kind::IngressClass, "") {
        "which does not exist"
    } else if is_ignored(view, idx, class) {
        "and no controller serves it"
    } else {
        return;
    };
    out.push(
        view.finding(
            FaultId::ServiceIngressClassMissing,
            idx,
            idx,
            Strength::Strong,
        )
        .active(true)
        .message(format!(
            "Ingress `{}` uses IngressClass `{class}`, {why}",
            view.graph.get(idx).name()
        ))
        .with([view.state_evidence(idx, "status has no load balancer address".into())])
        .build(),
    );
}

/// Reports an Ingress that names no class, and that no controller has served for many minutes.
fn without_class(view: &View<'_>, idx: Idx, ingress: &Ingress, out: &mut Vec<Finding>) {
    let is_default = |class: Idx| {
        let annotations = "ingressclass.kubernetes.io/is-default-class";
        view.graph.get(class).labels().get(annotations).is_some()
    };
    let has_default = view.graph.of_kind(&Kind::IngressClass).any(is_default);
    let is_quiet = view.events(idx).next().is_none();
    if ingress.has_address || !view.exists(idx) || !is_old(view, idx) || !is_quiet || has_default {
        return;
    }
    let mut others = view.graph.of_kind(&Kind::Ingress);
    let serves_others = others.any(|other| {
        let other = view.object(other).and_then(|o| o.ingress());
        other.is_some_and(|i| i.has_address && i.class.is_some())
    });
    let (strength, why) = if serves_others {
        (Strength::Strong, "others, which name one, have")
    } else {
        (Strength::Hint, "no controller may take it as its own")
    };
    let message = format!(
        "Ingress `{}` names no IngressClass and has no address; {why}",
        view.graph.get(idx).name()
    );
    let state = view.state_evidence(idx, "has neither a class nor an address".into());
    let finding = view.finding(FaultId::ServiceIngressClassMissing, idx, idx, strength);
    out.push(finding.active(true).message(message).with([state]).build());
}

/// Whether no controller cares for an Ingress, where the classes are not known: after many minutes
/// it has no address and no event, and no other Ingress of its class has an address.
fn is_ignored(view: &View<'_>, idx: Idx, class: &str) -> bool {
    let is_old = view
        .graph
        .get(idx)
        .created
        .is_some_and(|created| view.now.0 - created.0 >= 15 * MINUTE);
    let is_served = view.graph.of_kind(&Kind::Ingress).any(|other| {
        let ingress = view.object(other).and_then(|o| o.ingress());
        ingress.is_some_and(|i| i.has_address && i.class.as_deref() == Some(class))
    });
    is_old && !is_served && view.events(idx).next().is_none()
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
            (None, _) if view.is_absent(&Kind::Service, namespace, &backend.service) => {
                format!("Service `{}`, which does not exist", backend.service)
            }
            (Some(s), Some(port)) if !has_port(s, port) => format!(
                "port `{port}` of Service `{}`, which only has {}",
                backend.service,
                port_list(s)
            ),
            _ => continue,
        };
        let name = view.graph.get(idx).name();
        // Names of ports may not be recorded.
        let may_fit = offered.is_some_and(|s| matches!(&s.ports[..], [p] if p.name.is_none()))
            && matches!(backend.port, Some(PortRef::Name(_)));
        let strength = if may_fit {
            Strength::Fair
        } else {
            Strength::Proof
        };
        out.push(
            view.finding(FaultId::ServiceRouteWrong, idx, idx, strength)
                .active(true)
                .message(format!("Ingress `{name}` routes to {target}"))
                .with([view.state_evidence(idx, format!("backend is {target}"))])
                .fix(view.command("kubectl -n <namespace> edit ingress <name>", idx))
                .build(),
        );
    }
}

/// Secrets with certificates that do not exist: the controller serves its default certificate.
fn certificates(view: &View<'_>, idx: Idx, ingress: &Ingress, out: &mut Vec<Finding>) {
    let namespace = view.graph.get(idx).namespace();
    // A certificate that was ordered takes a while.
    let created = view.graph.get(idx).created;
    let is_new = created.is_some_and(|at| view.now.0 - at.0 < 10 * MINUTE);
    if is_new || !view.exists(idx) || !view.knows(&Kind::Secret, namespace) {
        return;
    }
    let is_missing = |name: &&crate::model::Str| {
        !name.is_empty()
            && view
                .graph
                .find_live(Kind::Secret, namespace, name)
                .is_none()
    };
    if let Some(secret) = ingress.tls_secrets.iter().find(is_missing) {
        let name = view.graph.get(idx).name();
        let what = format!("tls uses Secret `{secret}`, which does not exist");
        out.push(
            view.finding(
                FaultId::ServiceCertificateInvalid,
                idx,
                idx,
                Strength::Strong,
            )
            .active(true)
            .message(format!("Ingress `{name}`: {what}"))
            .with([view.state_evidence(idx, what)])
            .build(),
        );
    }
}

pub(super) fn has_port(service: &Service, port: &PortRef) -> bool {
    service.ports.iter().any(|p| match port {
        PortRef::Number(n) => p.port == *n,
        PortRef::Name(name) => p.name.as_deref() == Some(name),
    })
}

pub(super) fn port_list(service: &Service) -> String {
    let ports: Vec<String> = service.ports.iter().map(|p| p.port.to_string()).collect();
    ports.join(", ")
}
