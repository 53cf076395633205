//! Which resources the episodes of the window are about.

use std::collections::BTreeSet;

use super::alert_subject::Subjects;
use super::names::Names;
use super::registry;
use super::schedule_fit::UsedOnNodes;
use super::timed_out::TimedOut;
use crate::episode::{Episodes, LogTemplate};
use crate::graph::{Graph, Idx};
use crate::model::{Alert, Episode, Kind, Severity, Str, Subject, Time};

type Map<K, V> = hashbrown::HashMap<K, V, foldhash::fast::FixedState>;

/// The episodes of the window with the resources that they are about.
#[derive(Debug, Default)]
pub struct Resolved<'a> {
    /// Events in time order.
    pub events: Vec<(Idx, &'a Episode)>,
    /// Log templates in time order.
    pub logs: Vec<(Idx, &'a LogTemplate)>,
    /// Firing alerts in time order.
    pub alerts: Vec<(Idx, &'a Alert)>,
    /// Time of the first log line of the cluster.
    pub logs_since: Option<Time>,
    /// The cluster itself, if an event may concern all of it.
    pub cluster: Option<Idx>,
    pub(super) events_of: Map<Idx, Vec<usize>>,
    pub(super) logs_of: Map<Idx, Vec<usize>>,
    pub(super) alerts_of: Map<Idx, Vec<usize>>,
    /// Resources with more than routine events.
    loud: BTreeSet<Idx>,
    pub(super) names: Names,
    /// The calls that timed out, once a policy asked for them.
    pub(super) timed_out: TimedOut,
    /// What pods take on the nodes that a detector asked for.
    pub(super) used: UsedOnNodes,
}

/// Reasons of routine events, which may clear warnings but never are one.
const ROUTINE: [&str; 10] = [
    "Scheduled",
    "Pulling",
    "Pulled",
    "Created",
    "Started",
    "SuccessfulCreate",
    "SuccessfulDelete",
    "ScalingReplicaSet",
    "Completed",
    "LeaderElection",
];

impl<'a> Resolved<'a> {
    /// Resolves which resources the episodes are about. Unknown subjects become resources of which
    /// only the name is known, as long as the graph has room for them.
    pub fn new(graph: &mut Graph, episodes: &'a Episodes, name: &Str, now: Time) -> Self {
        let mut this = Self {
            logs_since: episodes.logs_since,
            ..Self::default()
        };
        for event in episodes.events() {
            if event.first <= now {
                let is_of_all = matches!(
                    &*event.reason,
                    "FailedScheduling" | "FailedCreatePodSandBox" | "NotTriggerScaleUp"
                );
                if is_of_all && this.cluster.is_none() {
                    let kind = Kind::Other("Cluster".into());
                    let cluster = Subject {
                        kind,
                        uid: None,
                        namespace: Str::default(),
                        name: name.clone(),
                    };
                    this.cluster = graph.refer(&cluster, now);
                }
                // A refusal by a quota is the fault of the namespace, even if its state is not
                // known.
                if event.severity >= Severity::Warning && event.message.contains("quota: ") {
                    let name = event.subject.namespace.clone();
                    graph.refer(
                        &Subject {
                            kind: Kind::Namespace,
                            uid: None,
                            namespace: Str::default(),
                            name,
                        },
                        now,
                    );
                }
                // A registry is known by the pulls that fail.
                if let Some(host) = registry::of_failed_pull(&event.message) {
                    let registry = Subject {
                        kind: Kind::External,
                        uid: None,
                        namespace: Str::default(),
                        name: host.into(),
                    };
                    graph.refer(&registry, now);
                }
                let Some(idx) = graph.refer(&event.subject, event.last) else {
                    continue;
                };
                graph.end_unlisted(idx, event.last);
                if event.severity >= Severity::Warning || !ROUTINE.contains(&&*event.reason) {
                    this.loud.insert(idx);
                }
                this.events_of
                    .entry(idx)
                    .or_default()
                    .push(this.events.len());
                this.events.push((idx, event));
            }
        }
        for log in episodes.logs() {
            if log.first <= now {
                let Some(idx) = graph.refer(&log.subject, log.last) else {
                    continue;
                };
                graph.end_unlisted(idx, log.last);
                this.loud.insert(idx);
                this.logs_of.entry(idx).or_default().push(this.logs.len());
                this.logs.push((idx, log));
            }
        }
        let mut alerts = episodes.alerts();
        alerts.retain(|alert| alert.firing && alert.starts <= now);
        let known = Subjects::new(graph).resolve_all(&alerts, now);
        for (alert, known) in alerts.into_iter().zip(known) {
            let Some(idx) = known.or_else(|| graph.refer(&alert.subject, now)) else {
                continue;
            };
            this.loud.insert(idx);
            this.alerts_of
                .entry(idx)
                .or_default()
                .push(this.alerts.len());
            this.alerts.push((idx, alert));
        }
        this
    }

    /// Clears which resource belongs to which component, after the graph changed.
    pub fn graph_changed(&mut self) {
        self.names.clear();
        self.timed_out = TimedOut::default();
        self.used = UsedOnNodes::default();
    }

    /// Resources with more than routine events.
    pub fn loud(&self) -> &BTreeSet<Idx> {
        &self.loud
    }
}
