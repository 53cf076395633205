//! Nodes whose clock is wrong, by an alert or by what programs say about one another's clocks.

use std::collections::{BTreeMap, BTreeSet};

use super::caller_errors::CallFailure;
use super::finding::{Evidence, Finding, Strength};
use super::text::{find, has, short};
use super::{CallError, FaultId, View};
use crate::episode::LogTemplate;
use crate::graph::Idx;
use crate::model::time::MINUTE;
use crate::model::{Kind, Severity};
use crate::trouble::Class;

/// A node whose clock is wrong: an alert of the node, supported by its pods' errors about
/// certificates and tokens and by its lease.
pub(super) fn alerted(view: &View<'_>, errors: &[CallError], out: &mut Vec<Finding>) {
    for (idx, alert) in &view.episodes.alerts {
        let named = ["clock", "ntp", "chrony", "timesync", "time_sync"]
            .iter()
            .any(|w| find(&alert.name, w).is_some());
        if *view.graph.get(*idx).kind() != Kind::Node || !named {
            continue;
        }
        let evidence = view.alert_evidence(*idx, alert);
        let from_future = not_yet_valid(view, errors, *idx);
        let stale =
            view.is_healthy(*idx) == Some(true) && super::node::stale_lease(view, *idx).is_some();
        let strength = if from_future.is_empty() && !stale {
            Strength::Strong
        } else {
            Strength::Proof
        };
        out.push(
            view.finding(FaultId::NodeClockSkew, *idx, *idx, strength)
                .active(true)
                .message(format!(
                    "The clock of node `{}` is wrong (alert {})",
                    view.graph.get(*idx).name(),
                    alert.name
                ))
                .with(
                    from_future
                        .into_iter()
                        .chain([evidence])
                        .collect::<Vec<_>>(),
                )
                .build(),
        );
    }
}

/// Errors of a node's pods about certificates and tokens that are not valid yet.
fn not_yet_valid(view: &View<'_>, errors: &[CallError], node: Idx) -> Vec<Evidence> {
    let here = |pod: Idx| view.node_of(pod) == Some(node);
    errors
        .iter()
        .filter(|c| c.failure == CallFailure::CertificateRejected && here(c.caller))
        .map(|c| (c.caller, view.episodes.logs[c.log].1))
        .filter(|(_, l)| has(&l.sample, &["not yet valid", "used before issued"]))
        .map(|(caller, l)| view.log_evidence(caller, l))
        .take(6)
        .collect()
}

/// Reports the node that most programs mean which see a difference of clocks: the one whose address
/// they name, or their own. Every member sees all clocks that differ from its own, so that the node
/// with the wrong one is part of each report.
pub(super) fn differs(view: &View<'_>, out: &mut Vec<Finding>) {
    let mut meant: BTreeMap<Idx, Vec<(Idx, &LogTemplate)>> = BTreeMap::new();
    for (writer, log) in &view.episodes.logs {
        let is_recent = view.now.0 - log.last.0 <= 15 * MINUTE;
        if log.severity < Severity::Warning || !is_recent || !log.trouble().has(Class::ClockSkew) {
            continue;
        }
        if let Some(node) = named_node(view, &log.sample).or_else(|| host(view, *writer)) {
            meant.entry(node).or_default().push((*writer, log));
        }
    }
    let programs = |lines: &[(Idx, &LogTemplate)]| {
        let writers: BTreeSet<Idx> = lines.iter().map(|(writer, _)| *writer).collect();
        writers.len()
    };
    let most = meant.values().map(|lines| programs(lines)).max();
    let mut worst = meant.iter().filter(|(_, l)| Some(programs(l)) == most);
    let (Some((node, lines)), None) = (worst.next(), worst.next()) else {
        return;
    };
    // One program alone compares its clock with that of a server elsewhere.
    let strength = if programs(lines) >= 2 {
        Strength::Proof
    } else {
        Strength::Fair
    };
    let message = format!(
        "The clock of node `{}` differs from those of others: {}",
        view.graph.get(*node).name(),
        short(&lines[0].1.sample, 160)
    );
    let evidence = lines.iter().take(6);
    out.push(
        view.finding(FaultId::NodeClockSkew, *node, lines[0].0, strength)
            .active(true)
            .message(message)
            .with(evidence.map(|(writer, log)| view.log_evidence(*writer, log)))
            .build(),
    );
}

/// The node that a writer is, or runs on.
fn host(view: &View<'_>, writer: Idx) -> Option<Idx> {
    let is_node = *view.graph.get(writer).kind() == Kind::Node;
    is_node.then_some(writer).or_else(|| view.node_of(writer))
}

/// The node whose address, or whose pod's address, a text has.
fn named_node(view: &View<'_>, text: &str) -> Option<Idx> {
    let words = text.split(|c: char| !(c.is_ascii_digit() || c == '.'));
    let mut addresses = words.filter(|word| word.matches('.').count() == 3);
    let known = addresses.find_map(|address| view.graph.by_address(address))?;
    host(view, known)
}
