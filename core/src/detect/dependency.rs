//! What callers say about those they call, taken together.

use std::collections::{BTreeMap, BTreeSet};

use super::complaint::{Complaint, Trouble};
use super::controlplane::dns_service;
use super::finding::{Evidence, Finding, Strength};
use super::handshake;
use super::service::{holds, offers};
use super::text::has;
use super::{FaultId, View};
use crate::graph::{Component, Idx, Relation, derive};
use crate::model::object::pod::PodSpec;
use crate::model::{Kind, Severity};

/// Complaints of all callers, target by target.
pub(super) fn called(
    view: &View<'_>,
    complaints: &[Complaint],
    found: &[Finding],
    out: &mut Vec<Finding>,
) {
    dns(view, complaints, found, out);
    let mut by_target: BTreeMap<Idx, Vec<&Complaint>> = BTreeMap::new();
    for complaint in complaints {
        if let Some(target) = complaint.target {
            by_target.entry(target).or_default().push(complaint);
        }
    }
    for (target, all) in by_target {
        if suffers_from_port(view, target, &all, found, out) {
            continue;
        }
        if handshake::judge(view, target, &all, out) {
            continue;
        }
        // A name that is not resolved says nothing of whom it means.
        let reached: Vec<&Complaint> = all
            .iter()
            .copied()
            .filter(|c| c.trouble != Trouble::Unresolved || !view.is_living(target))
            .collect();
        if !wrong_address(view, target, &all, out) && !reached.is_empty() {
            down(view, target, &reached, found, out);
        }
    }
    unknown_hosts(view, complaints, out);
    unresolved_by_one(view, complaints, out);
}

/// Names that exist and that one workload alone cannot resolve: it asks another server, or asks in
/// another way.
fn unresolved_by_one(view: &View<'_>, complaints: &[Complaint], out: &mut Vec<Finding>) {
    let lives = |c: &&Complaint| {
        c.trouble == Trouble::Unresolved && c.target.is_some_and(|t| view.graph.get(t).is_live())
    };
    let all: Vec<&Complaint> = complaints.iter().filter(lives).collect();
    let callers: BTreeSet<Component> = all.iter().map(|c| view.component(c.caller)).collect();
    if callers.len() != 1 || out.iter().any(|f| f.fault == FaultId::ControlplaneDnsDown) {
        return;
    }
    let owner = view.top_owner(all[0].caller);
    let policy = view
        .pod_spec(all[0].caller)
        .and_then(|spec| asks_elsewhere(spec));
    let strength = if policy.is_some() {
        Strength::Proof
    } else {
        Strength::Fair
    };
    let how = policy.map_or_else(|| ", which others do".to_owned(), |p| format!(": {p}"));
    let says = format!(
        "{} cannot resolve `{}`{how}",
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
        .says(says)
        .with(evidence(view, &all))
        .build(),
    );
}

/// How a pod's settings keep it from asking the cluster's DNS.
fn asks_elsewhere(spec: &PodSpec) -> Option<&'static str> {
    match (spec.dns_policy.as_deref(), spec.host_network) {
        (Some("Default"), _) => Some("its dnsPolicy `Default` asks the node's servers"),
        (Some("None"), _) => Some("its dnsPolicy `None` asks only the servers of its dnsConfig"),
        (Some("ClusterFirst"), Some(true)) => {
            Some("with hostNetwork its dnsPolicy `ClusterFirst` asks the node's servers")
        }
        _ => None,
    }
}

fn evidence(view: &View<'_>, all: &[&Complaint]) -> Vec<Evidence> {
    all.iter()
        .take(6)
        .map(|c| view.log_evidence(c.caller, view.episodes.logs[c.log].1))
        .collect()
}

/// A Service whose target port no container declares, and whose callers find nobody there.
fn suffers_from_port(
    view: &View<'_>,
    target: Idx,
    all: &[&Complaint],
    found: &[Finding],
    out: &mut Vec<Finding>,
) -> bool {
    let Some(latent) = found
        .iter()
        .find(|f| f.fault == FaultId::ServicePortMismatch && f.blamed == target)
    else {
        return false;
    };
    let mut finding = Finding {
        strength: Strength::Proof,
        active: true,
        ..latent.clone()
    };
    finding.evidence.extend(evidence(view, all));
    out.push(finding);
    true
}

/// A caller that holds a port the Service does not have.
fn wrong_address(view: &View<'_>, target: Idx, all: &[&Complaint], out: &mut Vec<Finding>) -> bool {
    let Some(service) = view.object(target).and_then(|o| o.service()) else {
        return false;
    };
    // Who repeats what another was told does not hold the address itself.
    let known = all.iter().any(|c| held_by(view, c).is_some());
    let mut any = false;
    for complaint in all {
        let owner = view.top_owner(complaint.caller);
        let name = view.graph.get(target).name();
        let held = held_by(view, complaint);
        if known && held.is_none() {
            continue;
        }
        let Some(port) = complaint.port.or(held.and_then(|(_, p)| p)) else {
            continue;
        };
        if offers(service, port) {
            continue;
        }
        let has = service
            .ports
            .iter()
            .map(|p| p.port.to_string())
            .collect::<Vec<_>>()
            .join(", ");
        let place = held.map_or(String::new(), |(place, _)| format!(" (env `{place}`)"));
        let says = format!(
            "{} calls `{name}` on port {port}{place}; Service `{name}` has port {has}",
            view.title(owner)
        );
        let fault = if is_database_port(service.ports.first().map_or(0, |p| p.port)) {
            FaultId::DependencyPortWrong
        } else {
            FaultId::ServiceAddressWrong
        };
        out.push(
            view.finding(fault, owner, complaint.caller, Strength::Proof)
                .active(true)
                .says(says)
                .with(evidence(view, &[complaint]))
                .build(),
        );
        any = true;
    }
    any
}

/// Ports by which databases, caches and queues are known.
pub(super) fn is_database_port(port: i64) -> bool {
    matches!(
        port,
        3306 | 5432 | 6379 | 27017 | 9092 | 5672 | 1433 | 1521 | 9042 | 11211 | 2379
    )
}

/// Several callers suffer from one that shows no fault of its own.
fn down(
    view: &View<'_>,
    target: Idx,
    all: &[&Complaint],
    found: &[Finding],
    out: &mut Vec<Finding>,
) {
    let component = view.component(target);
    // Whatever else is known of it says more than that it is called in vain.
    let explained = found
        .iter()
        .any(|f| f.active && view.component(f.blamed) == component);
    // What does not exist is not down.
    let is_missing = |c: &&Complaint| {
        !view.graph.get(target).is_live() && held_by(view, c).is_some() && is_unknown(view, c)
    };
    if all.iter().any(is_missing) {
        return;
    }
    // Who announces another try has not failed yet.
    let retries = all.iter().all(|c| {
        let log = view.episodes.logs[c.log].1;
        log.severity < Severity::Error && has(&log.sample, &["retry", "retrying", "attempt "])
    });
    let callers: BTreeSet<Component> = all.iter().map(|c| view.component(c.caller)).collect();
    if explained || retries || callers.contains(&component) {
        return;
    }
    let lines: u64 = all.iter().map(|c| c.count).sum();
    let slow = all.iter().all(|c| c.trouble == Trouble::TimedOut);
    let fault = if slow {
        FaultId::DependencySlow
    } else {
        FaultId::DependencyDown
    };
    let strength = if callers.len() >= 2 {
        Strength::Fair
    } else {
        Strength::Hint
    };
    let says = format!(
        "{} {} about `{}` ({lines} lines), which shows no fault of its own",
        callers.len(),
        if callers.len() == 1 {
            "workload complains"
        } else {
            "workloads complain"
        },
        view.graph.get(target).name()
    );
    out.push(
        view.finding(fault, target, all[0].caller, strength)
            .active(true)
            .says(says)
            .with(evidence(view, all))
            .build(),
    );
}

/// Who could not resolve which names lately.
struct Unresolved<'a> {
    complaints: Vec<&'a Complaint>,
    /// How many components complain.
    callers: usize,
    /// How many names they asked for.
    names: usize,
}

fn unresolved<'a>(view: &View<'_>, complaints: &'a [Complaint]) -> Unresolved<'a> {
    let recent = |c: &&Complaint| {
        c.trouble == Trouble::Unresolved && view.now.0 - c.last.0 <= super::view::GRACE * 5
    };
    let complaints: Vec<&Complaint> = complaints.iter().filter(recent).collect();
    let callers: BTreeSet<Component> = complaints
        .iter()
        .map(|c| view.component(c.caller))
        .collect();
    let names: BTreeSet<&str> = complaints.iter().map(|c| &*c.name).collect();
    Unresolved {
        callers: callers.len(),
        names: names.len(),
        complaints,
    }
}

/// Names that nobody resolves: DNS itself when it is unwell or names of living Services fail for
/// different callers.
fn dns(view: &View<'_>, complaints: &[Complaint], found: &[Finding], out: &mut Vec<Finding>) {
    let Some(service) = dns_service(view) else {
        return unseen_dns(view, complaints, out);
    };
    let component = view.component(service);
    // A Service that leads nowhere is the reason itself, and whoever looks names up calls it.
    let broken = found.iter().find(|f| {
        f.blamed == service && f.strength >= Strength::Strong && f.fault.family() == "service"
    });
    if let Some(broken) = broken {
        let unresolved: Vec<&Complaint> = complaints
            .iter()
            .filter(|c| c.trouble == Trouble::Unresolved)
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
        complaints: unresolved,
        callers,
        names,
    } = unresolved(view, complaints);
    let living = unresolved
        .iter()
        .any(|c| c.target.is_some_and(|t| view.graph.get(t).is_live()));
    let pods: Vec<Idx> = view
        .graph
        .out(service)
        .filter(|(r, _)| *r == Relation::Selects)
        .map(|(_, p)| p)
        .filter(|p| view.is_living(*p))
        .collect();
    let gone = pods.is_empty() && view.knows(&Kind::Pod, view.graph.get(service).namespace());
    let unwell = gone || (!pods.is_empty() && pods.iter().all(|p| view.is_pod_unwell(*p)));
    let everywhere = callers >= 2 && names >= 2 && living;
    if !(unwell
        && (!unresolved.is_empty() || pods.iter().all(|p| view.lasts(view.unwell_since(*p))))
        || everywhere)
    {
        return;
    }
    let strength = if unwell {
        Strength::Proof
    } else {
        Strength::Strong
    };
    let why = if gone {
        "no DNS pod exists"
    } else if unwell {
        "no DNS pod is ready"
    } else {
        "names of living Services do not resolve"
    };
    let says = format!(
        "Cluster DNS (`{}`) does not answer: {why}; {} {} names",
        component.name,
        callers,
        if callers == 1 {
            "workload cannot resolve"
        } else {
            "workloads cannot resolve"
        }
    );
    let mut rests = evidence(view, &unresolved);
    rests.extend(pods.iter().flat_map(|p| {
        view.warnings(*p)
            .filter(|e| view.still_holds(*p, e))
            .map(|e| view.event_evidence(*p, e))
    }));
    rests.extend(
        found
            .iter()
            .filter(|f| f.active && view.component(f.blamed) == component)
            .flat_map(|f| f.evidence.iter().take(3).cloned()),
    );
    if gone {
        rests.push(view.state_evidence(service, "Service has no endpoints".into()));
    }
    let blamed = pods.first().map_or(service, |p| view.top_owner(*p));
    out.push(
        view.finding(FaultId::ControlplaneDnsDown, blamed, service, strength)
            .active(true)
            .says(says)
            .with(rests)
            .build(),
    );
}

/// Of a cluster whose Services nobody sent: several look several names up in vain, and the DNS
/// server is known by what happened to it. Kubernetes itself names it.
fn unseen_dns(view: &View<'_>, complaints: &[Complaint], out: &mut Vec<Finding>) {
    let Unresolved {
        complaints: unresolved,
        callers,
        names,
    } = unresolved(view, complaints);
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
    let says = format!(
        "Cluster DNS (`{}`) does not answer: {} workloads cannot resolve names",
        view.component(server).name,
        callers
    );
    let warnings = view
        .warnings(server)
        .map(|e| view.event_evidence(server, e));
    let rests = evidence(view, &unresolved).into_iter().chain(warnings);
    let owner = view.top_owner(server);
    out.push(
        view.finding(
            FaultId::ControlplaneDnsDown,
            owner,
            server,
            Strength::Strong,
        )
        .active(true)
        .says(says)
        .with(rests)
        .build(),
    );
}

/// Hosts that no Service answers for: a wrong name in the caller's settings, or something outside
/// that is down.
fn unknown_hosts(view: &View<'_>, complaints: &[Complaint], out: &mut Vec<Finding>) {
    let dns_is_down = out.iter().any(|f| f.fault == FaultId::ControlplaneDnsDown);
    for complaint in complaints {
        let named = complaint.target.map(|t| (t, view.graph.get(t)));
        let is_known = named
            .as_ref()
            .is_some_and(|(_, n)| n.is_live() || *n.kind() == Kind::External);
        let owner = view.top_owner(complaint.caller);
        if is_known || dns_is_down {
            continue;
        }
        let namespace = view.graph.get(complaint.caller).namespace();
        let held = held_by(view, complaint);
        let unresolved = complaint.trouble == Trouble::Unresolved;
        // Some clients wait for a name that nobody resolves and tell only that they waited.
        let waited = complaint.trouble == Trouble::TimedOut && held.is_some();
        if (unresolved || waited) && is_unknown(view, complaint) {
            let place = held.map_or(String::new(), |(place, _)| format!(" (env `{place}`)"));
            let strength = match (unresolved, held.is_some()) {
                (true, true) => Strength::Proof,
                (false, true) => Strength::Strong,
                _ => Strength::Fair,
            };
            let says = format!(
                "{} calls `{}`{place}; no Service has that name in namespace `{namespace}`",
                view.title(owner),
                complaint.name
            );
            out.push(
                view.finding(
                    FaultId::ServiceAddressWrong,
                    owner,
                    complaint.caller,
                    strength,
                )
                .active(true)
                .says(says)
                .with(evidence(view, &[complaint]))
                .build(),
            );
        }
    }
}

/// The setting that holds the address a caller complains about, with its port.
fn held_by<'a>(view: &View<'a>, c: &Complaint) -> Option<(&'a str, Option<u16>)> {
    holds(view, c.caller, &c.name).or_else(|| holds(view, view.top_owner(c.caller), &c.name))
}

/// Whether a name would be a Service's, where Services are known, and nothing there is called like
/// it.
fn is_unknown(view: &View<'_>, c: &Complaint) -> bool {
    let meant = derive::called(&c.name, view.graph.get(c.caller).namespace());
    let is_cluster_name = !c.name.contains('.') || c.name.contains(".svc");
    is_cluster_name
        && view.knows(&Kind::Service, &meant.namespace)
        && !similar_workload(view, &meant.namespace, &c.name)
}

/// A workload of that very name means a Service that is missing, not a wrong name.
fn similar_workload(view: &View<'_>, namespace: &str, name: &str) -> bool {
    let short = name.split('.').next().unwrap_or(name);
    view.graph
        .workloads(namespace)
        .any(|w| view.graph.get(w).name() == short)
}
