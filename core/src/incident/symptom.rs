//! What hurts: warnings that last, error logs, firing alerts, and what is wanted but missing now.

use std::collections::BTreeMap;

use crate::detect::{Complaint, Finding, Strength, View};
use crate::graph::{Component, Idx};
use crate::model::time::{MINUTE, SECOND};
use crate::model::{Episode, Kind, Severity, Time};

/// How a symptom showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SymptomKind {
    /// A Kubernetes warning.
    Event,
    /// An error log template.
    Log,
    /// A firing alert.
    Alert,
    /// Something wanted is missing now.
    State,
}

impl SymptomKind {
    /// The word used in the graph store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Log => "log",
            Self::Alert => "alert",
            Self::State => "state",
        }
    }
}

/// One thing that hurts.
#[derive(Clone, Debug)]
pub struct Symptom {
    /// Stable identity: how it showed, on what, and which words.
    pub key: String,
    /// How it showed.
    pub kind: SymptomKind,
    /// On which resource.
    pub resource: Idx,
    /// The component of that resource.
    pub component: Component,
    /// When it began.
    pub onset: Time,
    /// When it was last seen.
    pub last: Time,
    /// How bad it is, escalated when it repeats.
    pub severity: Severity,
    /// What was seen.
    pub what: String,
}

/// Warnings that say nothing about a fault of the object they are about.
const HARMLESS: [&str; 8] = [
    "InvalidDiskCapacity",
    "DNSConfigForming",
    "FailedToUpdateEndpoint",
    "FailedToUpdateEndpointSlices",
    "FailedToCreateEndpoint",
    "NodeSysctlChange",
    "PossibleSELinuxLabelMismatch",
    "ClusterIPNotAllocated",
];

/// That something is missing is one symptom of a resource, whatever is found out about why.
const LACKS: &str = "lacks";

/// How long an event, log or alert must be quiet before it is over, in microseconds.
pub const QUIET: i64 = 15 * MINUTE;

/// Everything that hurts at the view's instant, by onset.
pub fn symptoms(view: &View<'_>, findings: &[Finding], complaints: &[Complaint]) -> Vec<Symptom> {
    let mut all = BTreeMap::new();
    let mut add = |s: Symptom| {
        let known = all.entry(s.key.clone()).or_insert_with(|| s.clone());
        known.onset = known.onset.min(s.onset);
        known.last = known.last.max(s.last);
        known.severity = known.severity.max(s.severity);
    };
    for (idx, event) in &view.episodes.events {
        if hurts(view, *idx, event) {
            add(of_event(view, *idx, event));
        }
    }
    logs(view, complaints, &mut add);
    for (idx, alert) in &view.episodes.alerts {
        add(new(
            view,
            SymptomKind::Alert,
            *idx,
            (alert.starts, view.now),
            alert.severity.max(Severity::Warning),
            &format!("{}/{}", alert.name, alert.fingerprint),
            format!("alert {}", alert.name),
        ));
    }
    for finding in findings
        .iter()
        .filter(|f| f.active && f.strength >= Strength::Strong)
    {
        let severity = if finding.strength == Strength::Proof {
            Severity::Error
        } else {
            Severity::Warning
        };
        add(new(
            view,
            SymptomKind::State,
            finding.on,
            (finding.since, view.now),
            severity,
            LACKS,
            finding.message.clone(),
        ));
    }
    unwell(view, findings, &mut add);
    let mut all: Vec<Symptom> = all.into_values().collect();
    all.sort_by(|a, b| (a.onset, &a.key).cmp(&(b.onset, &b.key)));
    all
}

fn new(
    view: &View<'_>,
    kind: SymptomKind,
    resource: Idx,
    (onset, last): (Time, Time),
    severity: Severity,
    words: &str,
    what: String,
) -> Symptom {
    let node = view.graph.get(resource);
    Symptom {
        key: format!("{kind:?}/{}/{words}", node.alias),
        kind,
        resource,
        component: view.component(resource),
        onset,
        last,
        severity,
        what,
    }
}

fn of_event(view: &View<'_>, idx: Idx, event: &Episode) -> Symptom {
    // Three repeats within five minutes raise the severity one step.
    let escalates = event.count >= 3 && event.last.0 - event.first.0 <= 5 * MINUTE;
    let severity = if escalates {
        event.severity.escalated()
    } else {
        event.severity
    };
    new(
        view,
        SymptomKind::Event,
        idx,
        (event.first, event.last),
        severity,
        &event.reason,
        format!("{}: {}", event.reason, event.message),
    )
}

/// A warning about a living object that repeats, lasts, or names something missing or a refusal.
fn hurts(view: &View<'_>, idx: Idx, event: &Episode) -> bool {
    if event.severity < Severity::Warning
        || HARMLESS.contains(&&*event.reason)
        || !view.still_holds(idx, event)
    {
        return false;
    }
    let quiet = view.now.0 - event.last.0 > QUIET;
    if quiet && view.well(idx) != Some(false) {
        return false;
    }
    let says_missing = [
        "not found",
        "forbidden",
        "denied",
        "refused",
        "exceeded quota",
    ]
    .iter()
    .any(|w| event.message.contains(w));
    event.count >= 2 || says_missing || view.lasts(Some(event.first))
}

fn logs(view: &View<'_>, complaints: &[Complaint], add: &mut impl FnMut(Symptom)) {
    let complaining: std::collections::BTreeSet<usize> = complaints
        .iter()
        .filter(|c| c.target.is_some())
        .map(|c| c.log)
        .collect();
    for (i, (idx, log)) in view.episodes.logs.iter().enumerate() {
        let bad = log.severity >= Severity::Error || complaining.contains(&i);
        if !bad || view.now.0 - log.last.0 > QUIET || in_first_minute(view, *idx, log.last) {
            continue;
        }
        let is_new = view.now.0 - log.first.0 <= 2 * QUIET;
        if is_new || log.rise(view.now).is_none_or(|rise| rise >= 3.0) {
            let words = format!("{:016x}", log.pattern);
            add(new(
                view,
                SymptomKind::Log,
                *idx,
                (log.first, log.last),
                log.severity.max(Severity::Warning),
                &words,
                log.sample.to_string(),
            ));
        }
    }
}

/// Programs complain while they and what they call start up.
fn in_first_minute(view: &View<'_>, idx: Idx, at: Time) -> bool {
    let Some(pod) = view.pod(idx) else {
        return false;
    };
    let started = pod
        .status
        .container_statuses
        .iter()
        .filter_map(|c| c.state.running.as_ref()?.started_at.0)
        .max()
        .or(view.graph.get(idx).created);
    started.is_some_and(|s| at.0 - s.0 < 60 * SECOND)
}

/// Pods, claims and nodes that are not well for longer than a roll-out takes and that no finding
/// speaks of.
fn unwell(view: &View<'_>, findings: &[Finding], add: &mut impl FnMut(Symptom)) {
    let spoken: std::collections::BTreeSet<Idx> = findings
        .iter()
        .filter(|f| f.active && f.strength >= Strength::Strong)
        .map(|f| f.on)
        .collect();
    for pod in view
        .unwell_pods()
        .filter(|p| !spoken.contains(p) && view.lasts(view.unwell_since(*p)))
    {
        let since = (view.unwell_since(pod).unwrap_or(view.now), view.now);
        add(new(
            view,
            SymptomKind::State,
            pod,
            since,
            Severity::Warning,
            LACKS,
            "pod is not ready".into(),
        ));
    }
    for node in view.graph.of_kind(&Kind::Node) {
        if view.well(node) == Some(false) && !spoken.contains(&node) {
            add(new(
                view,
                SymptomKind::State,
                node,
                (view.graph.get(node).known_at(), view.now),
                Severity::Error,
                LACKS,
                "node is not ready".into(),
            ));
        }
    }
}
