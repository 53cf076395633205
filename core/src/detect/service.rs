//! Services that lead nowhere.

use super::finding::{Finding, Strength};
use super::{FaultId, View};
use crate::graph::{Component, Idx, Relation, derive};
use crate::model::Kind;
use crate::model::object::{Ingress, Labels, PortRef, Service};

pub(super) fn service(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let Some(service) = view.object(idx).and_then(|o| o.service()) else {
        return;
    };
    if service.selector.is_empty()
        || service.service_type.as_deref() == Some("ExternalName")
        || !view.is_living(idx)
    {
        return;
    }
    let pods: Vec<Idx> = view
        .graph
        .out(idx)
        .filter(|(r, _)| *r == Relation::Selects)
        .map(|(_, p)| p)
        .filter(|p| view.is_living(*p))
        .collect();
    if pods.is_empty() {
        selector(view, idx, service, out);
    } else {
        ports(view, idx, service, &pods, out);
        super::handshake::transport(view, idx, service, &pods, out);
    }
}

/// The components that hold a Service's address or are known to call it.
pub(super) fn callers(view: &View<'_>, service: Idx, own: &Component) -> Vec<Component> {
    let mut all: Vec<Component> = view
        .graph
        .incoming(service)
        .filter(|(r, _)| matches!(r, Relation::Calls | Relation::Routes))
        .map(|(_, c)| view.component(c))
        .filter(|c| c != own)
        .collect();
    all.sort();
    all.dedup();
    all
}

/// A Service that selects no pod although pods that look like its own run.
fn selector(view: &View<'_>, idx: Idx, service: &Service, out: &mut Vec<Finding>) {
    let namespace = view.graph.get(idx).namespace();
    // An old ReplicaSet that wants no pods any more does not stand for pods to come.
    let retired = |w: Idx| {
        let wanted = view
            .object(w)
            .and_then(|o| o.workload())
            .and_then(|w| w.spec.replicas);
        wanted == Some(0) && view.top_owner(w) != w
    };
    let has_template = view
        .graph
        .selected_templates(namespace, &service.selector)
        .any(|w| !retired(w));
    if has_template || !view.knows(&Kind::Pod, namespace) {
        return;
    }
    let component = view.component(idx);
    let mut candidates: Vec<Idx> = view
        .graph
        .pods(namespace)
        .filter(|p| view.is_pod_well(*p) && view.component(*p) == component)
        .collect();
    if candidates.is_empty() {
        let nearest = view
            .graph
            .pods(namespace)
            .filter(|p| view.is_pod_well(*p))
            .map(|p| (likeness(&service.selector, view.graph.get(p).labels()), p))
            .filter(|(n, _)| *n > 0)
            .collect::<Vec<_>>();
        let Some(best) = nearest.iter().map(|(n, _)| *n).max() else {
            return;
        };
        candidates = nearest
            .into_iter()
            .filter(|(n, _)| *n == best)
            .map(|(_, p)| p)
            .collect();
    }
    let Some(labels) = candidates.first().map(|p| view.graph.get(*p).labels()) else {
        return;
    };
    let have = nearest_labels(&service.selector, labels);
    let says = format!(
        "Service `{}` selects `{}`; no pod has {}, {} {} `{have}`",
        view.graph.get(idx).name(),
        service.selector.to_text(),
        if service.selector.0.len() == 1 {
            "that label"
        } else {
            "all of these labels"
        },
        candidates.len(),
        if candidates.len() == 1 {
            "pod has"
        } else {
            "pods have"
        },
    );
    let fix = format!(
        "kubectl -n {namespace} patch service {} -p '{{\"spec\":{{\"selector\":{{{}}}}}}}'",
        view.graph.get(idx).name(),
        json_labels(labels)
    );
    let wanted = !callers(view, idx, &component).is_empty();
    let strength = if wanted {
        Strength::Proof
    } else {
        Strength::Strong
    };
    let evidence = [
        view.state_evidence(
            idx,
            format!("selector `{}` matches no pod", service.selector.to_text()),
        ),
        view.state_evidence(candidates[0], format!("labels `{}`", labels.to_text())),
    ];
    out.push(
        view.finding(FaultId::ServiceSelectorMismatch, idx, idx, strength)
            .active(wanted)
            .says(says)
            .with(evidence)
            .fix(fix)
            .build(),
    );
}

/// How much a selector and a pod's labels have in common: pairs count most, then values, then keys.
fn likeness(selector: &Labels, labels: &Labels) -> usize {
    selector
        .iter()
        .map(|(k, v)| {
            if labels.get(k) == Some(v) {
                4
            } else if labels
                .iter()
                .any(|(_, w)| w == v || w.starts_with(v) || v.starts_with(w))
            {
                2
            } else {
                0
            }
        })
        .sum()
}

/// The labels of a pod that answer a selector's keys or values; all but controllers' own when none
/// does.
fn nearest_labels(selector: &Labels, labels: &Labels) -> String {
    let near: Vec<String> = labels
        .iter()
        .filter(|(k, v)| selector.get(k).is_some() || selector.iter().any(|(_, w)| w == *v))
        .map(|(k, v)| format!("{k}={v}"))
        .collect();
    if near.is_empty() {
        labels
            .iter()
            .filter(|(k, _)| *k != "pod-template-hash")
            .map(|(k, v)| format!("{k}={v}"))
            .collect::<Vec<_>>()
            .join(",")
    } else {
        near.join(",")
    }
}

fn json_labels(labels: &Labels) -> String {
    labels
        .iter()
        .filter(|(k, _)| !matches!(*k, "pod-template-hash" | "controller-revision-hash"))
        .map(|(k, v)| format!("\"{k}\":\"{v}\""))
        .collect::<Vec<_>>()
        .join(",")
}

/// Target ports against the ports of the selected pods' containers.
fn ports(view: &View<'_>, idx: Idx, service: &Service, pods: &[Idx], out: &mut Vec<Finding>) {
    let Some(spec) = pods
        .iter()
        .filter(|p| view.is_pod_well(**p))
        .find_map(|p| view.pod_spec(*p))
    else {
        return;
    };
    let declared: Vec<_> = spec
        .containers
        .iter()
        .flat_map(|c| c.ports.iter())
        .collect();
    if declared.is_empty() {
        return;
    }
    for port in &service.ports {
        let target = port
            .target_port
            .clone()
            .unwrap_or(PortRef::Number(port.port));
        let (fault, known) = match &target {
            PortRef::Number(n) => (
                FaultId::ServicePortMismatch,
                declared.iter().any(|p| p.container_port == *n),
            ),
            // Pods that name their ports lack this name; where they name none, the Service means a
            // port by what it is not.
            PortRef::Name(name) if declared.iter().any(|p| p.name.is_some()) => (
                FaultId::ServiceNamedPortMissing,
                declared.iter().any(|p| p.name.as_deref() == Some(name)),
            ),
            PortRef::Name(_) => (
                FaultId::ServicePortMismatch,
                !names_are_recorded(view, view.graph.get(idx).namespace()),
            ),
        };
        if known {
            continue;
        }
        let have = declared
            .iter()
            .map(|p| {
                p.name.as_ref().map_or(p.container_port.to_string(), |n| {
                    format!("{} ({n})", p.container_port)
                })
            })
            .collect::<Vec<_>>()
            .join(", ");
        let name = view.graph.get(idx).name();
        let says = format!(
            "Service `{name}` sends port {} to target port `{target}`; its pods have {have}",
            port.port
        );
        // Containers may listen on ports they do not declare; a name that nobody has, has no other
        // reading.
        let named = matches!(target, PortRef::Name(_));
        let strength = if named {
            Strength::Strong
        } else {
            Strength::Fair
        };
        // A number is a fault only where callers suffer: `compare` sees that.
        let wanted = named && !callers(view, idx, &view.component(idx)).is_empty();
        let fix = format!(
            "kubectl -n {} patch service {name} --type=json -p '[{{\"op\":\"replace\",\"path\":\"/spec/ports/0/targetPort\",\"value\":{}}}]'",
            view.graph.get(idx).namespace(),
            declared[0].container_port
        );
        out.push(
            view.finding(fault, idx, idx, strength)
                .active(wanted)
                .says(says)
                .with([
                    view.state_evidence(idx, format!("targetPort `{target}`")),
                    view.state_evidence(pods[0], format!("container ports {have}")),
                ])
                .fix(fix)
                .build(),
        );
    }
}

/// Whether names of ports are recorded at all: some pod of the namespace has one.
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

/// An Ingress whose class nobody serves.
pub(super) fn ingress(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let Some(ingress) = view.object(idx).and_then(|o| o.ingress()) else {
        return;
    };
    routes(view, idx, ingress, out);
    let Some(class) = ingress.class.as_deref() else {
        return;
    };
    let known = view
        .graph
        .find_live(Kind::IngressClass, "", class)
        .is_some()
        || !view.knows(&Kind::IngressClass, "");
    if known || ingress.has_address || !view.lasts(view.graph.get(idx).created) {
        return;
    }
    let says = format!(
        "Ingress `{}` wants class `{class}`, which no controller owns",
        view.graph.get(idx).name()
    );
    out.push(
        view.finding(
            FaultId::ServiceIngressClassMissing,
            idx,
            idx,
            Strength::Strong,
        )
        .active(true)
        .says(says)
        .with([view.state_evidence(idx, "no address was published".into())])
        .build(),
    );
}

/// Rules that name a Service or a port which does not exist.
fn routes(view: &View<'_>, idx: Idx, ingress: &Ingress, out: &mut Vec<Finding>) {
    let namespace = view.graph.get(idx).namespace();
    if !view.is_living(idx) || !view.knows(&Kind::Service, namespace) {
        return;
    }
    for backend in &ingress.backends {
        let service = view
            .graph
            .find_live(Kind::Service, namespace, &backend.service);
        let offered = service.and_then(|s| view.object(s)?.service());
        let why = match (offered, &backend.port) {
            (None, _) => format!("Service `{}`, which does not exist", backend.service),
            (Some(s), Some(port)) if !has_port(s, port) => {
                let have = s
                    .ports
                    .iter()
                    .map(|p| p.port.to_string())
                    .collect::<Vec<_>>()
                    .join(", ");
                format!(
                    "port `{port}` of Service `{}`, which has {have}",
                    backend.service
                )
            }
            _ => continue,
        };
        let fix = format!(
            "kubectl -n {namespace} edit ingress {}",
            view.graph.get(idx).name()
        );
        out.push(
            view.finding(FaultId::ServiceRouteWrong, idx, idx, Strength::Proof)
                .active(true)
                .says(format!(
                    "Ingress `{}` routes to {why}",
                    view.graph.get(idx).name()
                ))
                .with([view.state_evidence(idx, format!("backend {why}"))])
                .fix(fix)
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

/// Whether a Service offers a port.
pub(super) fn offers(service: &Service, port: u16) -> bool {
    service.ports.is_empty() || service.ports.iter().any(|p| p.port == i64::from(port))
}

/// Where a workload holds an address of a host: the variable and the port.
pub(super) fn holds<'a>(
    view: &View<'a>,
    workload: Idx,
    host: &str,
) -> Option<(&'a str, Option<u16>)> {
    let spec = view.pod_spec(workload)?;
    derive::addresses(spec)
        .into_iter()
        .find(|(_, a)| a.host == host)
        .map(|(name, a)| (name, a.port))
}
