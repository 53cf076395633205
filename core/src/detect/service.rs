//! Services, the pods behind them, and who calls them.

use super::finding::Finding;
use super::{View, handshake, service_ports, service_selector};
use crate::graph::{Component, Idx, Relation, derive};
use crate::model::object::Service;

pub(super) fn service(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let Some(service) = view.object(idx).and_then(|o| o.service()) else {
        return;
    };
    if service.selector.is_empty()
        || service.service_type.as_deref() == Some("ExternalName")
        || !view.exists(idx)
    {
        return;
    }
    let pods = pods_behind(view, idx);
    if pods.is_empty() {
        service_selector::selector(view, idx, service, out);
    } else {
        service_ports::ports(view, idx, service, &pods, out);
        handshake::transport(view, idx, service, &pods, out);
    }
}

/// The living pods that a Service selects.
pub(super) fn pods_behind(view: &View<'_>, service: Idx) -> Vec<Idx> {
    view.graph
        .out(service)
        .filter(|(r, p)| *r == Relation::Selects && view.exists(*p))
        .map(|(_, p)| p)
        .collect()
}

/// The components other than its own that have a Service's address in their settings or are known
/// to call it.
pub(super) fn callers(view: &View<'_>, service: Idx, own: &Component) -> Vec<Component> {
    let mut all: Vec<Component> = view
        .graph
        .incoming(service)
        .filter(|(r, from)| is_call(view, *r, *from))
        .map(|(_, c)| view.component(c))
        .filter(|c| c != own)
        .collect();
    all.sort();
    all.dedup();
    all
}

/// Whether an edge to a Service means that it is called: the API server calls webhooks.
fn is_call(view: &View<'_>, relation: Relation, from: Idx) -> bool {
    let is_webhook = || {
        let kind = view.graph.get(from).kind();
        kind.as_str().ends_with("WebhookConfiguration")
    };
    match relation {
        Relation::Calls | Relation::Routes => true,
        Relation::Uses => is_webhook(),
        _ => false,
    }
}

/// Whether a Service is there to be called: a workload has its address, or one that runs has its
/// name.
pub(super) fn is_used(view: &View<'_>, service: Idx, own: &Component) -> bool {
    let (namespace, name) = (
        view.graph.get(service).namespace(),
        view.graph.get(service).name(),
    );
    let runs = |w: Idx| {
        view.graph.get(w).name() == name
            && view.pods_of(w).into_iter().any(|p| view.is_pod_healthy(p))
    };
    !callers(view, service, own).is_empty() || view.graph.workloads(namespace).any(runs)
}

/// Whether a Service offers a port.
pub(super) fn offers(service: &Service, port: u16) -> bool {
    service.ports.is_empty() || service.ports.iter().any(|p| p.port == i64::from(port))
}

/// The environment variable in which a workload has a host, with the port after it.
pub(super) fn setting_with_host<'a>(
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
