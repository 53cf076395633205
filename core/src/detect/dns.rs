//! Cluster DNS: whether it is down, or only one workload does not use it.

use std::collections::BTreeSet;

use super::caller_errors::{CallError, CallFailure};
use super::controlplane::dns_service;
use super::dependency::evidence;
use super::finding::{Finding, Strength};
use super::{FaultId, View};
use crate::graph::{Component, Idx, Relation};
use crate::model::object::pod::PodSpec;
use crate::model::{Kind, Severity};

/// Existing names that a single workload cannot resolve: it uses another DNS server.
pub(super) fn single_workload(view: &View<'_>, errors: &[CallError], out: &mut Vec<Finding>) {
    let lives = |c: &&CallError| {
        c.failure == CallFailure::Unresolved
            && c.target.is_some_and(|t| view.graph.get(t).is_live())
    };
    let all: Vec<&CallError> = errors.iter().filter(lives).collect();
    let callers: BTreeSet<Component> = all.iter().map(|c| view.component(c.caller)).collect();
    if callers.len() != 1 || out.iter().any(|f| f.fault == FaultId::ControlplaneDnsDown) {
        return;
    }
    let owner = view.top_owner(all[0].caller);
    let policy = view
        .pod_spec(all[0].caller)
        .and_then(|spec| bypasses_cluster_dns(spec));
    let strength = if policy.is_some() {
        Strength::Proof
    } else {
        Strength::Fair
    };
    let reason = match policy {
        Some(policy) => format!(": {policy}"),
        None => ", although other workloads can".to_owned(),
    };
    let message = format!(
        "{} cannot resolve `{}`{reason}",
        view.title(owner),
        all[0].name
    );
    out.push(
        view.finding(
            FaultId::ServiceNameUnresolved,
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

/// How a pod's settings keep it from using cluster DNS.
fn bypasses_cluster_dns(spec: &PodSpec) -> Option<&'static str> {
    match (spec.dns_policy.as_deref(), spec.host_network) {
        (Some("Default"), _) => Some("its dnsPolicy `Default` uses the node's DNS servers"),
        (Some("None"), _) => Some("its dnsPolicy `None` only uses the servers in its dnsConfig"),
        (Some("ClusterFirst"), Some(true)) => {
            Some("with hostNetwork, its dnsPolicy `ClusterFirst` uses the node's DNS servers")
        }
        _ => None,
    }
}

/// The DNS errors of the last five minutes.
struct Unresolved<'a> {
    errors: Vec<&'a CallError>,
    /// Number of components that report them.
    callers: usize,
    /// Number of names that did not resolve.
    names: usize,
}

fn unresolved<'a>(view: &View<'_>, errors: &'a [CallError]) -> Unresolved<'a> {
    let recent = |c: &&CallError| {
        c.failure == CallFailure::Unresolved && view.now.0 - c.last.0 <= super::view::GRACE * 5
    };
    let errors: Vec<&CallError> = errors.iter().filter(recent).collect();
    let callers: BTreeSet<Component> = errors.iter().map(|c| view.component(c.caller)).collect();
    let names: BTreeSet<&str> = errors.iter().map(|c| &*c.name).collect();
    Unresolved {
        callers: callers.len(),
        names: names.len(),
        errors,
    }
}

/// Cluster DNS is down if none of its pods is ready, or if several workloads cannot resolve names
/// of existing Services.
pub(super) fn cluster_dns(
    view: &View<'_>,
    errors: &[CallError],
    found: &[Finding],
    out: &mut Vec<Finding>,
) {
    let Some(service) = dns_service(view) else {
        return dns_without_state(view, errors, out);
    };
    let component = view.component(service);
    // A broken DNS Service is the reason itself; every workload that resolves a name calls it.
    let broken = found.iter().find(|f| {
        f.blamed == service && f.strength >= Strength::Strong && f.fault.family() == "service"
    });
    if let Some(broken) = broken {
        let unresolved: Vec<&CallError> = errors
            .iter()
            .filter(|c| c.failure == CallFailure::Unresolved)
            .collect();
        if !broken.active && !unresolved.is_empty() {
            let mut finding = Finding {
                strength: Strength::Proof,
                active: true,
                ..broken.clone()
            };
            finding.evidence.extend(evidence(view, &unresolved));
            out.push(finding);
        }
        return;
    }
    let Unresolved {
        errors: unresolved,
        callers,
        names,
    } = unresolved(view, errors);
    let exists = unresolved
        .iter()
        .any(|c| c.target.is_some_and(|t| view.graph.get(t).is_live()));
    let pods: Vec<Idx> = view
        .graph
        .out(service)
        .filter(|(r, _)| *r == Relation::Selects)
        .map(|(_, p)| p)
        .filter(|p| view.exists(*p))
        .collect();
    let has_no_pods = pods.is_empty()
        && view.knows(&Kind::Pod, view.graph.get(service).namespace())
        && !view.has_unseen_pods(service);
    let is_down =
        has_no_pods || (!pods.is_empty() && pods.iter().all(|p| view.is_pod_unhealthy(*p)));
    let everywhere = callers >= 2 && names >= 2 && exists && !is_of_node(view, &unresolved, found);
    if !(is_down
        && (!unresolved.is_empty() || pods.iter().all(|p| view.lasts(view.unhealthy_since(*p))))
        || everywhere)
    {
        return;
    }
    let strength = if is_down {
        Strength::Proof
    } else {
        Strength::Strong
    };
    let why = if has_no_pods {
        "no DNS pod exists"
    } else if is_down {
        "no DNS pod is ready"
    } else {
        "names of existing Services do not resolve"
    };
    let workloads = if callers == 1 {
        "1 workload".to_owned()
    } else {
        format!("{callers} workloads")
    };
    let message = format!(
        "Cluster DNS (`{}`) does not answer: {why}; {workloads} cannot resolve names",
        component.name
    );
    let mut all_evidence = evidence(view, &unresolved);
    all_evidence.extend(pods.iter().flat_map(|p| {
        view.warnings(*p)
            .filter(|e| view.still_holds(*p, e))
            .map(|e| view.event_evidence(*p, e))
    }));
    all_evidence.extend(
        found
            .iter()
            .filter(|f| f.active && view.component(f.blamed) == component)
            .flat_map(|f| f.evidence.iter().take(3).cloned()),
    );
    if has_no_pods {
        all_evidence.push(view.state_evidence(service, "Service has no endpoints".into()));
    }
    let blamed = pods.first().map(|p| view.top_owner(*p)).unwrap_or(service);
    out.push(
        view.finding(FaultId::ControlplaneDnsDown, blamed, service, strength)
            .active(true)
            .message(message)
            .with(all_evidence)
            .build(),
    );
}

/// Whether the errors are those of one node whose own fault is known.
fn is_of_node(view: &View<'_>, errors: &[&CallError], found: &[Finding]) -> bool {
    let node_of = |caller: Idx| {
        let mut placed = view.graph.out(caller);
        placed.find(|(r, _)| *r == Relation::RunsOn).map(|(_, n)| n)
    };
    let nodes: BTreeSet<Option<Idx>> = errors.iter().map(|e| node_of(e.caller)).collect();
    let Some(Some(node)) = nodes.first().filter(|_| nodes.len() == 1) else {
        return false;
    };
    found
        .iter()
        .any(|f| f.active && f.blamed == *node && f.strength >= Strength::Strong)
}

/// For clusters without state of Services: several workloads cannot resolve several names, and the
/// DNS server, known by its usual name, has warnings.
fn dns_without_state(view: &View<'_>, errors: &[CallError], out: &mut Vec<Finding>) {
    let Unresolved {
        errors: unresolved,
        callers,
        names,
    } = unresolved(view, errors);
    let is_dns = |i: &Idx| {
        let component = view.component(*i);
        &*component.namespace == "kube-system" && matches!(&*component.name, "coredns" | "kube-dns")
    };
    let warned = view
        .episodes
        .events
        .iter()
        .filter(|(_, e)| e.severity >= Severity::Warning)
        .map(|(i, _)| *i)
        .find(is_dns);
    let Some(server) = warned.filter(|_| callers >= 2 && names >= 2) else {
        return;
    };
    let message = format!(
        "Cluster DNS (`{}`) does not answer: {} workloads cannot resolve names",
        view.component(server).name,
        callers
    );
    let warnings = view
        .warnings(server)
        .map(|e| view.event_evidence(server, e));
    let all_evidence = evidence(view, &unresolved).into_iter().chain(warnings);
    let owner = view.top_owner(server);
    out.push(
        view.finding(
            FaultId::ControlplaneDnsDown,
            owner,
            server,
            Strength::Strong,
        )
        .active(true)
        .message(message)
        .with(all_evidence)
        .build(),
    );
}
