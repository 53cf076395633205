//! What was not seen of a cluster: records that would raise the confidence, or show that it is
//! healthy.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::detect::View;
use crate::episode::LogTemplate;
use crate::graph::Resource;
use crate::incident::QUIET;
use crate::model::{Episode, Kind, Severity, Time};

/// Records that were not seen, and how to get them.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(from = "Wire")]
pub struct MissingEvidence {
    /// What was not seen.
    pub what: String,
    /// What it would show.
    pub why: String,
    /// A command that prints it; empty when there is none.
    pub command: String,
}

/// Answers of earlier versions have one text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Wire {
    Text(String),
    Parts {
        what: String,
        why: String,
        command: String,
    },
}

impl From<Wire> for MissingEvidence {
    fn from(wire: Wire) -> Self {
        match wire {
            Wire::Text(what) => Self::new(&what, "", ""),
            Wire::Parts { what, why, command } => Self { what, why, command },
        }
    }
}

impl MissingEvidence {
    /// What was not seen, what it would show, and a command that prints it.
    pub fn new(what: &str, why: &str, command: &str) -> Self {
        Self {
            what: what.to_owned(),
            why: why.to_owned(),
            command: command.to_owned(),
        }
    }
}

/// The kinds of state that are compared, with what each shows and how to get it.
const STATES: [(&str, &str, &str); 3] = [
    (
        "Node",
        "whether nodes are ready and have room",
        "kubectl get nodes -o json",
    ),
    (
        "Pod",
        "whether containers run, and why they ended",
        "kubectl get pods -A -o json",
    ),
    (
        "Service",
        "whether the names and ports that are called exist",
        "kubectl get services -A -o json",
    ),
];

/// What the cluster has not sent.
pub fn missing_evidence(view: &View<'_>) -> Vec<MissingEvidence> {
    let kinds: BTreeSet<&str> = view.graph.known_kinds().map(Kind::as_str).collect();
    // Of what was listed there is none.
    let is_listed = |kind: &str| view.graph.has_listing(&Kind::parse(kind));
    let is_unseen = |kind: &str| !kinds.contains(kind) && !is_listed(kind);
    let unseen = STATES.iter().filter(|(kind, _, _)| is_unseen(kind));
    let mut missing: Vec<MissingEvidence> = unseen
        .map(|(kind, why, command)| {
            MissingEvidence::new(&format!("state of {kind}s"), why, command)
        })
        .collect();
    let has_workloads = view.graph.known_kinds().any(Kind::is_workload);
    if !has_workloads && !view.graph.has_listing(&Kind::Deployment) {
        missing.push(MissingEvidence::new(
            "state of workloads",
            "how many pods are wanted, and by which spec",
            "kubectl get deployments,statefulsets,daemonsets,jobs -A -o json",
        ));
    }
    if view.episodes.events.is_empty() && !is_listed("Event") {
        missing.push(MissingEvidence::new(
            "Kubernetes events",
            "why pods cannot be created, scheduled or started",
            "kubectl get events -A -o json",
        ));
    }
    for kind in unseen_owners(view) {
        let plural = kind.as_str().to_lowercase();
        missing.push(MissingEvidence::new(
            &format!("state of {kind}s"),
            "how many pods are wanted, and by which spec",
            &format!("kubectl get {plural}s -A -o json"),
        ));
    }
    if view.episodes.logs_since.is_none() {
        missing.push(MissingEvidence::new(
            "logs",
            "why programs fail, and which servers they cannot use",
            "kubectl logs -n <namespace> <pod> --all-containers --previous",
        ));
    }
    missing
}

/// Whether nodes, workloads, pods, Services, events and logs were seen: only then the absence of
/// symptoms shows that a cluster is healthy.
pub fn shows_health(view: &View<'_>) -> bool {
    let has = |is_meant: &dyn Fn(&Kind) -> bool| view.graph.known_kinds().any(is_meant);
    has(&Kind::is_workload)
        && [Kind::Node, Kind::Pod, Kind::Service]
            .iter()
            .all(|kind| has(&|known| known == kind))
        && unseen_owners(view).next().is_none()
        && !view.episodes.events.is_empty()
        && view.episodes.logs_since.is_some()
}

/// Kinds of workloads that something refers to, and of which nothing was seen.
fn unseen_owners(view: &View<'_>) -> impl Iterator<Item = Kind> {
    let known: BTreeSet<&Kind> = view.graph.known_kinds().collect();
    let is_unseen =
        |kind: &Kind| kind.is_workload() && !known.contains(kind) && !view.graph.has_listing(kind);
    let open = view
        .graph
        .iter()
        .map(|(_, r)| r)
        .filter(|r| r.closed.is_none());
    let unseen: BTreeSet<Kind> = open
        .map(Resource::kind)
        .filter(|k| is_unseen(k))
        .cloned()
        .collect();
    unseen.into_iter()
}

/// What warned a short while ago, although no symptom is left of it: only time shows that it is
/// over.
pub fn unsettled(view: &View<'_>) -> Option<MissingEvidence> {
    let is_recent = |at: Time| view.now.0 - at.0 <= QUIET;
    let events = view.episodes.events.iter().map(|(_, event)| event);
    // A node that comes and goes is reported by events of type `Normal`.
    let warns = |event: &&&Episode| {
        is_recent(event.last)
            && (event.severity >= Severity::Warning || &*event.reason == "NodeNotReady")
    };
    let warnings = events.filter(warns).count();
    let logs = view.episodes.logs.iter().map(|(_, log)| log);
    let errs = |log: &&&LogTemplate| is_recent(log.last) && log.severity >= Severity::Error;
    let errors = logs.filter(errs).count();
    let alerts = view.episodes.alerts.len();
    (warnings + errors + alerts > 0).then(|| {
        MissingEvidence::new(
            &format!(
                "recovery from the last 15 minutes' problems ({warnings} warnings, {errors} errors, \
                 {alerts} alerts)"
            ),
            "whether the problems persist",
            "kubectl get events -A --field-selector type=Warning",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_earlier_versions_stay_readable() {
        let old: Vec<MissingEvidence> = serde_json::from_str(r#"["Kubernetes events"]"#).unwrap();
        assert_eq!(old, [MissingEvidence::new("Kubernetes events", "", "")]);
        let new = MissingEvidence::new("a", "b", "c");
        let json = serde_json::to_string(&new).unwrap();
        assert_eq!(serde_json::from_str::<MissingEvidence>(&json).unwrap(), new);
    }
}
