//! The server of network volumes that does not answer: one fault, however many pods wait for their
//! mounts or hang in them.

use std::collections::{BTreeMap, BTreeSet};

use super::finding::{Evidence, Finding, Strength};
use super::text::has;
use super::{FaultId, View, behind};
use crate::graph::{Idx, Relation};
use crate::model::Kind;
use crate::model::time::MINUTE;

/// Words of failures of a server, or of the way to it.
const SILENT: [&str; 6] = [
    "timed out",
    "timeout",
    "refused",
    "no route",
    "unreachable",
    "host is down",
];

/// The pods that cannot mount from a server.
#[derive(Default)]
struct Waiting<'a> {
    failed: Vec<&'a Finding>,
    nodes: BTreeSet<Idx>,
    says: bool,
}

/// Reports what is wrong behind a server in the cluster, or a server that pods on several nodes, or an alert about it, call
/// silent. On one node alone it may be that node's network, and a server that refuses one export has
/// answered.
pub(super) fn silent(view: &View<'_>, found: &[Finding], out: &mut Vec<Finding>) {
    let mut all: BTreeMap<Idx, Waiting<'_>> = BTreeMap::new();
    let failed = |f: &&Finding| f.active && f.fault == FaultId::StorageMountFailed;
    for finding in found.iter().filter(failed) {
        for server in servers(view, finding.on) {
            let waiting = all.entry(server).or_default();
            waiting.failed.push(finding);
            waiting.says |= finding.evidence.iter().any(|e| has(&e.what, &SILENT));
            let runs_on = view
                .graph
                .out(finding.on)
                .filter(|(r, _)| *r == Relation::RunsOn);
            waiting.nodes.extend(runs_on.map(|(_, node)| node));
        }
    }
    for (server, waiting) in all {
        let name = view.graph.get(server).name();
        let said = driver_lines(view, name);
        let alerts = view.alerts(server).map(|a| view.alert_evidence(server, a));
        let alerts: Vec<Evidence> = alerts.collect();
        let is_said = waiting.says || !said.is_empty();
        let is_shared = waiting.nodes.len() > 1 || !alerts.is_empty();
        if let Some((reason, first)) = behind::reason(view, found, server)
            .filter(|_| is_said)
            .zip(waiting.failed.first())
        {
            out.push(behind::as_cause(reason, first));
            continue;
        }
        if !is_said || !is_shared || has_served(view, server, &waiting) {
            continue;
        }
        let Some(first) = waiting.failed.first() else {
            continue;
        };
        let pods: BTreeSet<Idx> = waiting.failed.iter().map(|f| f.on).collect();
        let message = format!(
            "`{name}`, the server of volumes, does not answer: {} pods on {} nodes cannot mount",
            pods.len(),
            waiting.nodes.len()
        );
        let evidence = waiting
            .failed
            .iter()
            .flat_map(|f| f.evidence.iter().cloned());
        let finding = view.finding(FaultId::DependencyDown, server, first.on, Strength::Proof);
        let finding = finding.active(true).message(message).with(evidence);
        out.push(finding.with(said).with(alerts).build());
    }
}

/// The servers of the volumes that a pod mounts.
fn servers(view: &View<'_>, pod: Idx) -> BTreeSet<Idx> {
    let along = |from: Idx, wanted: Relation| {
        let edges = view.graph.out(from).filter(move |(r, _)| *r == wanted);
        edges.map(|(_, to)| to)
    };
    let claims = along(pod, Relation::Mounts);
    let volumes = claims.flat_map(|claim| along(claim, Relation::Bound));
    let servers = volumes.flat_map(|volume| along(volume, Relation::Calls));
    let is_server = |idx: &Idx| {
        let kind = view.graph.get(*idx).kind();
        matches!(kind, Kind::External | Kind::Service)
    };
    servers.filter(is_server).collect()
}

/// What the drivers of volumes on the nodes say about a server.
fn driver_lines(view: &View<'_>, server: &str) -> Vec<Evidence> {
    let lines = view.episodes.logs.iter().filter(|(_, log)| {
        view.now.0 - log.last.0 <= 15 * MINUTE
            && has(&log.sample, &["mount"])
            && has(&log.sample, &SILENT)
            && log.sample.contains(server)
    });
    let lines = lines.take(4);
    lines
        .map(|(writer, log)| view.log_evidence(*writer, log))
        .collect()
}

/// Whether a pod has started with a volume of a server since others could not.
fn has_served(view: &View<'_>, server: Idx, waiting: &Waiting<'_>) -> bool {
    let since = waiting.failed.iter().map(|f| f.since).min();
    let mut pods = view.graph.of_kind(&Kind::Pod);
    pods.any(|pod| {
        let started = view.started(pod);
        started
            .zip(since)
            .is_some_and(|(started, since)| started > since)
            && view.is_pod_healthy(pod)
            && servers(view, pod).contains(&server)
    })
}
