//! Symptoms: warnings that last, error logs, firing alerts, and what is wanted but missing now.

use std::collections::{BTreeMap, BTreeSet};

use super::alone;
use super::settled::is_between_restarts;
use crate::detect::{CallError, Finding, Strength, View};
use crate::episode::LogTemplate;
use crate::graph::{Component, Idx, Relation};
use crate::model::object;
use crate::model::time::{MINUTE, SECOND};
use crate::model::{Episode, Kind, Severity, Time};

/// The source of a symptom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SymptomKind {
    /// A Kubernetes warning.
    Event,
    /// An error log pattern.
    Log,
    /// A firing alert.
    Alert,
    /// State that shows that something is missing now, such as ready pods.
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

/// A sign that something is wrong now. Incidents are made of symptoms.
#[derive(Clone, Debug)]
pub struct Symptom {
    /// Stable identity: kind, resource and a text that tells symptoms of one kind and resource
    /// apart.
    pub key: String,
    /// Its source.
    pub kind: SymptomKind,
    /// The resource that shows it.
    pub resource: Idx,
    /// The component of that resource.
    pub component: Component,
    /// When it began.
    pub onset: Time,
    /// When it was last seen.
    pub last: Time,
    /// Its severity, raised when it repeats.
    pub severity: Severity,
    /// One sentence that describes it.
    pub what: String,
}

/// Reasons of warnings that do not mean that their object is broken.
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

/// Words of messages that name something missing or a refusal: waiting does not help.
const MISSING_OR_REFUSED: [&str; 5] = [
    "not found",
    "forbidden",
    "denied",
    "refused",
    "exceeded quota",
];

/// The discriminator of all state symptoms: what a resource lacks stays one symptom, whatever is
/// found out about the reason.
const LACKS: &str = "lacks";

/// How long an event or log pattern must be quiet to have ended, in microseconds.
pub const QUIET: i64 = 15 * MINUTE;

/// How long a pattern of errors stays news, in microseconds.
const LASTING: i64 = 6 * 60 * MINUTE;

/// A pattern within so long of the first line of the cluster may be older, in microseconds.
const LEADING: i64 = 5 * MINUTE;

/// All symptoms at the view's instant, by onset.
pub fn symptoms(view: &View<'_>, findings: &[Finding], call_errors: &[CallError]) -> Vec<Symptom> {
    let mut all = Collected {
        view,
        by_key: BTreeMap::new(),
    };
    all.add_events();
    all.add_logs(call_errors, false);
    all.add_alerts();
    all.add_findings(findings);
    all.add_unhealthy(findings);
    if all.by_key.is_empty() {
        // Nothing else is wrong: what may be usual is better than silence.
        all.add_logs(call_errors, true);
    }
    if all.by_key.is_empty() {
        all.add_alone(findings);
    }
    let mut all: Vec<Symptom> = all.by_key.into_values().collect();
    all.sort_by(|a, b| (a.onset, &a.key).cmp(&(b.onset, &b.key)));
    all
}

/// A symptom before its key and component are known.
struct Sighting<'a> {
    kind: SymptomKind,
    resource: Idx,
    onset: Time,
    last: Time,
    severity: Severity,
    /// Tells symptoms of one kind and resource apart.
    discriminator: &'a str,
    what: String,
}

/// Symptoms by key; several sightings of one are merged.
struct Collected<'a> {
    view: &'a View<'a>,
    by_key: BTreeMap<String, Symptom>,
}

impl Collected<'_> {
    fn add(&mut self, sighting: Sighting<'_>) {
        let Sighting {
            kind,
            resource,
            onset,
            last,
            severity,
            discriminator,
            what,
        } = sighting;
        let alias = &self.view.graph.get(resource).alias;
        let key = format!("{kind:?}/{alias}/{discriminator}");
        let component = || self.view.component(resource);
        let symptom = self.by_key.entry(key.clone()).or_insert_with(|| Symptom {
            key,
            kind,
            resource,
            component: component(),
            onset,
            last,
            severity,
            what,
        });
        symptom.onset = symptom.onset.min(onset);
        symptom.last = symptom.last.max(last);
        symptom.severity = symptom.severity.max(severity);
    }

    fn add_events(&mut self) {
        let view = self.view;
        for (resource, event) in &view.episodes.events {
            if !is_symptom(view, *resource, event) {
                continue;
            }
            // Three repeats within five minutes raise the severity one step.
            let escalates = event.count >= 3 && event.last.0 - event.first.0 <= 5 * MINUTE;
            let severity = if escalates {
                event.severity.escalated()
            } else {
                event.severity
            };
            self.add(Sighting {
                kind: SymptomKind::Event,
                resource: *resource,
                onset: event.first,
                last: event.last,
                severity,
                discriminator: &event.reason,
                what: format!("{}: {}", event.reason, event.message),
            });
        }
    }

    /// Log patterns of errors that are new, or have become at least three times as frequent; with
    /// `chronic` also those that may have been there before anyone looked.
    fn add_logs(&mut self, call_errors: &[CallError], chronic: bool) {
        let view = self.view;
        let with_target: BTreeSet<usize> = call_errors
            .iter()
            .filter(|c| c.target.is_some())
            .map(|c| c.log)
            .collect();
        for (i, (resource, log)) in view.episodes.logs.iter().enumerate() {
            let is_error = log.severity >= Severity::Error || with_target.contains(&i);
            let is_quiet = view.now.0 - log.last.0 > QUIET;
            if !is_error || is_quiet || is_starting(view, *resource, log.last) {
                continue;
            }
            let rises = match log.rise(view.now) {
                Some(rise) => rise >= 3.0,
                None => true,
            };
            if rises || is_new(view, *resource, log, chronic) {
                self.add(Sighting {
                    kind: SymptomKind::Log,
                    resource: *resource,
                    onset: log.first,
                    last: log.last,
                    severity: log.severity.max(Severity::Warning),
                    discriminator: &format!("{:016x}", log.pattern),
                    what: log.sample.to_string(),
                });
            }
        }
    }

    fn add_alerts(&mut self) {
        let view = self.view;
        // Alerts for information only, such as `Watchdog`, say that nothing is wrong.
        let alerts = view.episodes.alerts.iter();
        for (resource, alert) in alerts.filter(|(_, a)| a.severity >= Severity::Warning) {
            self.add(Sighting {
                kind: SymptomKind::Alert,
                resource: *resource,
                onset: alert.starts,
                last: view.now,
                severity: alert.severity,
                discriminator: &format!("{}/{}", alert.name, alert.fingerprint),
                what: format!("alert {}", alert.name),
            });
        }
    }

    fn add_findings(&mut self, findings: &[Finding]) {
        let counts = |f: &&Finding| shows_lack(f) || f.active && self.view.keeps_crashing(f.on);
        for finding in findings.iter().filter(counts) {
            let severity = if finding.strength == Strength::Proof {
                Severity::Error
            } else {
                Severity::Warning
            };
            let since = finding.since;
            self.add_lack(finding.on, since, severity, finding.message.clone());
        }
    }

    /// Pods and nodes that are unhealthy for longer than a roll-out takes, and pods whose start
    /// failed, unless a finding says why.
    fn add_unhealthy(&mut self, findings: &[Finding]) {
        let view = self.view;
        let explained: BTreeSet<Idx> = findings
            .iter()
            .filter(|f| shows_lack(f))
            .map(|f| f.on)
            .collect();
        let pods = view.unhealthy_pods().filter(|pod| !explained.contains(pod));
        let counts =
            |pod: &Idx| view.lasts(view.unhealthy_since(*pod)) || view.has_failed_to_start(*pod);
        for pod in pods.filter(counts) {
            let since = view.unhealthy_since(pod).unwrap_or(view.now);
            self.add_lack(pod, since, Severity::Warning, not_ready(view, pod));
        }
        for node in view.graph.of_kind(&Kind::Node) {
            if view.is_healthy(node) == Some(false) && !explained.contains(&node) {
                let since = view.graph.get(node).known_at();
                self.add_lack(node, since, Severity::Error, "node is not ready".into());
            }
        }
    }

    /// What the state alone shows to be missing, though that may be meant.
    fn add_alone(&mut self, findings: &[Finding]) {
        for finding in findings
            .iter()
            .filter(|f| f.active && f.fault.counts_alone())
        {
            let what = finding.message.clone();
            self.add_lack(finding.on, finding.since, Severity::Warning, what);
        }
        for (resource, what) in alone::states(self.view) {
            let since = self.view.graph.get(resource).known_at();
            self.add_lack(resource, since, Severity::Warning, what);
        }
    }

    fn add_lack(&mut self, resource: Idx, onset: Time, severity: Severity, what: String) {
        self.add(Sighting {
            kind: SymptomKind::State,
            resource,
            onset,
            last: self.view.now,
            severity,
            discriminator: LACKS,
            what,
        });
    }
}

/// Whether a log pattern began lately: within half an hour, or within hours and after the first lines
/// of the cluster, or from a new pod. One that was there from the first line on may be older.
fn is_new(view: &View<'_>, resource: Idx, log: &LogTemplate, chronic: bool) -> bool {
    let age = view.now.0 - log.first.0;
    let came_later = || {
        let since = view.episodes.logs_since;
        since.is_some_and(|since| log.first.0 - since.0 > LEADING)
    };
    let is_of_new_pod = || {
        let created = view.graph.get(resource).created;
        created.is_some_and(|created| view.now.0 - created.0 <= LASTING)
    };
    age <= 2 * QUIET || age <= LASTING && (chronic || came_later() || is_of_new_pod())
}

/// Why a pod is not ready, as far as its condition says.
fn not_ready(view: &View<'_>, pod: Idx) -> String {
    let conditions = view.pod(pod).map(|p| &p.status.conditions);
    let ready = conditions.and_then(|c| object::condition(c, "Ready"));
    if let Some(message) = ready
        .and_then(|c| c.message.as_deref())
        .filter(|m| !m.is_empty())
    {
        return format!("pod is not ready: {message}");
    }
    // A table has no conditions, but says what a container waits for.
    let status = view.pod(pod).map(|p| &p.status);
    let containers = status.into_iter().flat_map(|s| {
        let init = s.init_container_statuses.iter();
        init.chain(s.container_statuses.iter())
    });
    let mut waiting = containers.filter_map(|c| c.state.waiting.as_ref()?.reason.as_deref());
    match waiting.next() {
        Some(reason) => format!("pod is not ready: a container waits: {reason}"),
        None => "pod is not ready".to_owned(),
    }
}

/// Whether a finding shows that something is missing now.
fn shows_lack(finding: &Finding) -> bool {
    finding.active && (finding.strength >= Strength::Strong || finding.fault.is_reported())
}

/// Whether an event is a warning about a living object that repeats, lasts, or names something
/// missing or a refusal.
fn is_symptom(view: &View<'_>, resource: Idx, event: &Episode) -> bool {
    if event.severity < Severity::Warning
        || HARMLESS.contains(&&*event.reason)
        || !view.may_hold(resource, event)
    {
        return false;
    }
    let is_quiet = view.now.0 - event.last.0 > QUIET;
    if is_quiet && view.is_healthy(resource) != Some(false) {
        return false;
    }
    event.count >= 2
        || MISSING_OR_REFUSED
            .iter()
            .any(|words| event.message.contains(words))
        || view.lasts(Some(event.first))
}

/// Whether a pod was in its first minute at `at`: programs log errors until what they call has
/// started, too.
fn is_starting(view: &View<'_>, resource: Idx, at: Time) -> bool {
    if view.pod(resource).is_none() {
        return false;
    }
    // The first minute of a Job or a bare pod is its life, not that of a server in a rollout.
    let owner = view.top_owner(resource);
    let has_owner = || {
        let mut controllers = view.graph.incoming(owner);
        controllers.any(|(relation, _)| relation == Relation::Controls)
    };
    let runs_once = match view.graph.get(owner).kind() {
        Kind::Job | Kind::CronJob => true,
        Kind::Pod => !has_owner(),
        _ => false,
    };
    if runs_once {
        return false;
    }
    let started = view.started(resource).or(view.graph.get(resource).created);
    // Before its start, the container before this one wrote its last words.
    started.is_some_and(|s| {
        let is_first_minute = at.0 - s.0 < 60 * SECOND;
        is_first_minute && (at >= s || !is_between_restarts(view, resource))
    })
}
