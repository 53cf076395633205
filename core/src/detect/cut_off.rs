//! Nodes that are cut off: their pods are ready according to their own kubelet, but no pod on
//! another node reaches them.

use std::collections::{BTreeMap, BTreeSet};

use super::finding::{Evidence, Finding, Strength};
use super::{CallError, FaultId, View};
use crate::graph::Idx;
use crate::model::time::MINUTE;
use crate::model::{Kind, Severity};
use crate::trouble::Class;

/// What others report about the pods and the address of a node.
#[derive(Default)]
struct Reports {
    /// Workloads on it that cannot be reached.
    targets: BTreeSet<Idx>,
    /// Whether a router said that there is no way: a policy drops packets without a word.
    is_unrouted: bool,
    /// Nodes whose agents say that they do not reach it.
    peers: BTreeSet<Idx>,
    evidence: Vec<Evidence>,
}

/// Reports the only node whose pods or address cannot be reached from other nodes.
pub(super) fn nodes(view: &View<'_>, errors: &[CallError], out: &mut Vec<Finding>) {
    let mut reports: BTreeMap<Idx, Reports> = BTreeMap::new();
    for error in errors {
        add_call(view, error, &mut reports);
    }
    add_agents(view, &mut reports);
    let suspects: Vec<(&Idx, &Reports)> = reports
        .iter()
        .filter(|(_, r)| r.targets.len() + r.peers.len() >= 2)
        .collect();
    let [(node, report)] = suspects[..] else {
        return;
    };
    // A node that is not ready has a better finding.
    let enough = if report.is_unrouted { 2 } else { 3 };
    if report.targets.len().max(report.peers.len()) < enough
        || view.is_healthy(*node) == Some(false)
    {
        return;
    }
    let strength = if report.is_unrouted || !report.peers.is_empty() {
        Strength::Proof
    } else {
        Strength::Strong
    };
    let who = match report.targets.len() {
        0 => " their agents do not reach it,".to_owned(),
        1 => " 1 workload on it cannot be reached,".to_owned(),
        n => format!(" {n} workloads on it cannot be reached,"),
    };
    let name = view.graph.get(*node).name();
    let message = format!(
        "Node `{name}` is cut off from the others:{who} although its kubelet reports Ready"
    );
    out.push(
        view.finding(FaultId::NodeNetworkUnavailable, *node, *node, strength)
            .active(true)
            .message(message)
            .with(report.evidence.iter().take(8).cloned())
            .fix(view.command("kubectl drain <name> --ignore-daemonsets", *node))
            .build(),
    );
}

/// Adds a call from another node that no pod on this one answered.
fn add_call(view: &View<'_>, error: &CallError, reports: &mut BTreeMap<Idx, Reports>) {
    let log = view.episodes.logs[error.log].1;
    let trouble = log.trouble();
    let is_unrouted = trouble.has(Class::NoRoute);
    let Some(pod) = error.target.filter(|t| {
        *view.graph.get(*t).kind() == Kind::Pod
            && (is_unrouted || trouble.has(Class::ConnectTimedOut))
            && view.is_pod_healthy(*t)
    }) else {
        return;
    };
    let (Some(node), Some(from)) = (view.node_of(pod), view.node_of(error.caller)) else {
        return;
    };
    if node == from {
        return;
    }
    let report = reports.entry(node).or_default();
    report.targets.insert(view.top_owner(pod));
    report.is_unrouted |= is_unrouted;
    report.evidence.push(view.log_evidence(error.caller, log));
}

/// Adds what the agents of other nodes say about the address of one: a probe, or an error, of a
/// `DaemonSet`'s pod that names the address of one other node only.
fn add_agents(view: &View<'_>, reports: &mut BTreeMap<Idx, Reports>) {
    let nodes: Vec<(&str, Idx)> = view
        .nodes()
        .into_iter()
        .flat_map(|n| {
            let status = view.object(n).and_then(|o| o.node()).map(|o| &o.status);
            let addresses = status.into_iter().flat_map(|s| s.addresses.iter());
            addresses
                .filter(|a| &*a.kind == "InternalIP")
                .map(move |a| (&*a.address, n))
        })
        .collect();
    let sets = view.graph.of_kind(&Kind::DaemonSet);
    for pod in sets.flat_map(|set| view.pods_of(set)) {
        let Some(own) = view.node_of(pod) else {
            continue;
        };
        for event in view.warnings(pod).filter(|e| view.still_holds(pod, e)) {
            let named: BTreeSet<Idx> = nodes
                .iter()
                .filter(|(address, n)| *n != own && names(&event.message, address))
                .map(|(_, n)| *n)
                .collect();
            let is_recent = view.now.0 - event.last.0 <= 15 * MINUTE;
            let mut named = named.into_iter().filter(|_| is_recent);
            let (Some(node), None) = (named.next(), named.next()) else {
                continue;
            };
            if event.severity >= Severity::Warning {
                let report = reports.entry(node).or_default();
                report.peers.insert(own);
                report.evidence.push(view.event_evidence(pod, event));
            }
        }
    }
}

/// Whether a text has an address, and not one that only begins or ends with it.
fn names(text: &str, address: &str) -> bool {
    let is_part = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
    text.match_indices(address).any(|(at, _)| {
        let after = &text[at + address.len()..];
        !is_part(text[..at].chars().next_back()) && !is_part(after.chars().next())
    })
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn an_address_is_not_a_part_of_another_one() {
        let probe = "BIRD is not ready: BGP not established with 10.0.0.13,10.0.0.4";
        assert!(names(probe, "10.0.0.13") && names(probe, "10.0.0.4"));
        assert!(!names(probe, "10.0.0.1") && !names(probe, "0.0.0.4"));
        assert!(names("not established with 10.0.0.13,10.0.0.1", "10.0.0.1"));
    }
}
