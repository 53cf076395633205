//! The read-only view that detectors have of a cluster at an instant.

use std::collections::BTreeSet;

use super::names::{ComponentId, Names};
use crate::episode::{Episodes, LogTemplate};
use crate::graph::{Component, Graph, Idx, Relation};
use crate::model::object::pod::PodSpec;
use crate::model::object::{self, Object, Pod};
use crate::model::time::{MINUTE, SECOND};
use crate::model::{Alert, Episode, Kind, Severity, Str, Subject, Time};

type Map<K, V> = hashbrown::HashMap<K, V, foldhash::fast::FixedState>;

/// The episodes of the window with the resources they are about.
#[derive(Debug, Default)]
pub struct Resolved<'a> {
    /// Events in time order.
    pub events: Vec<(Idx, &'a Episode)>,
    /// Log templates in time order.
    pub logs: Vec<(Idx, &'a LogTemplate)>,
    /// Firing alerts in time order.
    pub alerts: Vec<(Idx, &'a Alert)>,
    /// The cluster as a whole, when something was said that may be nobody's own.
    pub cluster: Option<Idx>,
    events_of: Map<Idx, Vec<usize>>,
    logs_of: Map<Idx, Vec<usize>>,
    alerts_of: Map<Idx, Vec<usize>>,
    /// Resources that something other than an ordinary step is told about.
    loud: BTreeSet<Idx>,
    names: Names,
}

/// Steps that every object takes: they undo warnings and never are one.
const STEPS: [&str; 10] = [
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
    /// Finds out which resources the episodes are about; subjects nobody knows become resources
    /// that are only named.
    pub fn new(graph: &mut Graph, episodes: &'a Episodes, name: &Str, now: Time) -> Self {
        let mut this = Self::default();
        for event in episodes.events() {
            if event.first <= now {
                if &*event.reason == "FailedScheduling" && this.cluster.is_none() {
                    let kind = Kind::Other("Cluster".into());
                    let whole = Subject {
                        kind,
                        uid: None,
                        namespace: Str::default(),
                        name: name.clone(),
                    };
                    this.cluster = Some(graph.intern(&whole, now));
                }
                // Whom such a refusal blames is named by where it happened, also where no state
                // tells of it.
                if event.severity >= Severity::Warning && event.message.contains("quota: ") {
                    let name = event.subject.namespace.clone();
                    graph.intern(
                        &Subject {
                            kind: Kind::Namespace,
                            uid: None,
                            namespace: Str::default(),
                            name,
                        },
                        now,
                    );
                }
                let idx = graph.intern(&event.subject, event.last);
                graph.end_unlisted(idx, event.last);
                if event.severity >= Severity::Warning || !STEPS.contains(&&*event.reason) {
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
                let idx = graph.intern(&log.subject, log.last);
                graph.end_unlisted(idx, log.last);
                this.loud.insert(idx);
                this.logs_of.entry(idx).or_default().push(this.logs.len());
                this.logs.push((idx, log));
            }
        }
        for alert in episodes.alerts() {
            if alert.firing && alert.starts <= now {
                let idx = graph.intern(&alert.subject, now);
                this.loud.insert(idx);
                this.alerts_of
                    .entry(idx)
                    .or_default()
                    .push(this.alerts.len());
                this.alerts.push((idx, alert));
            }
        }
        this
    }

    /// Forgets which resource belongs to which component, after the graph changed.
    pub fn graph_changed(&mut self) {
        self.names.clear();
    }

    /// Resources that something other than an ordinary step is told about.
    pub fn loud(&self) -> &BTreeSet<Idx> {
        &self.loud
    }
}

/// A cluster at an instant.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// Who is tied to whom.
    pub graph: &'a Graph,
    /// What happened.
    pub episodes: &'a Resolved<'a>,
    /// The instant.
    pub now: Time,
    /// Resources that are known not to be well.
    pub unwell: &'a BTreeSet<Idx>,
}

static NOBODY: BTreeSet<Idx> = BTreeSet::new();

/// How long a state must last before it counts as broken, in microseconds: a roll-out passes within
/// it.
pub const GRACE: i64 = 60 * SECOND;

impl<'a> View<'a> {
    /// A view in which nobody was looked at yet.
    pub fn new(graph: &'a Graph, episodes: &'a Resolved<'a>, now: Time) -> Self {
        Self {
            graph,
            episodes,
            now,
            unwell: &NOBODY,
        }
    }

    /// Living pods that are known not to be ready.
    pub fn unwell_pods(&self) -> impl Iterator<Item = Idx> + 'a {
        let view = *self;
        self.unwell
            .iter()
            .copied()
            .filter(move |i| *view.graph.get(*i).kind() == Kind::Pod && view.is_pod_unwell(*i))
    }

    /// Events about a resource in time order.
    pub fn events(&self, idx: Idx) -> impl Iterator<Item = &'a Episode> + 'a {
        let all = self.episodes;
        all.events_of
            .get(&idx)
            .into_iter()
            .flatten()
            .map(|i| all.events[*i].1)
    }

    /// Warnings about a resource in time order.
    pub fn warnings(&self, idx: Idx) -> impl Iterator<Item = &'a Episode> + 'a {
        self.events(idx).filter(|e| e.severity >= Severity::Warning)
    }

    /// Log templates written by a resource.
    pub fn logs(&self, idx: Idx) -> impl Iterator<Item = &'a LogTemplate> + 'a {
        let all = self.episodes;
        all.logs_of
            .get(&idx)
            .into_iter()
            .flatten()
            .map(|i| all.logs[*i].1)
    }

    /// Firing alerts about a resource.
    pub fn alerts(&self, idx: Idx) -> impl Iterator<Item = &'a Alert> + 'a {
        let all = self.episodes;
        all.alerts_of
            .get(&idx)
            .into_iter()
            .flatten()
            .map(|i| all.alerts[*i].1)
    }

    /// The newest version of a resource.
    pub fn object(&self, idx: Idx) -> Option<&'a Object> {
        self.graph.get(idx).object.as_deref()
    }

    /// A pod's newest version.
    pub fn pod(&self, idx: Idx) -> Option<&'a Pod> {
        self.object(idx)?.pod()
    }

    /// The spec by which a resource makes pods, or a pod's own.
    pub fn pod_spec(&self, idx: Idx) -> Option<&'a PodSpec> {
        let object = self.object(idx)?;
        let template = object
            .workload()
            .and_then(|w| w.spec.template.as_ref())
            .or_else(|| object.job().and_then(|j| j.spec.template.as_ref()));
        object
            .pod()
            .and_then(|p| p.spec.as_deref())
            .or_else(|| template.map(|t| &t.spec))
    }

    /// Whether a resource exists as far as anybody knows: its state says so, or no state of its
    /// kind is known at all.
    pub fn is_living(&self, idx: Idx) -> bool {
        let node = self.graph.get(idx);
        if node.object.is_some() {
            return !node.is_leaving();
        }
        node.closed.is_none() && !self.knows(node.kind(), node.namespace())
    }

    /// Whether state of a kind is known in a namespace, so that an object without state does not
    /// exist.
    pub fn knows(&self, kind: &Kind, namespace: &str) -> bool {
        let mut any = match kind {
            Kind::Pod => self.graph.pods(namespace).any(|_| true),
            Kind::Service => self.graph.services(namespace).any(|_| true),
            k if k.is_workload() => self
                .graph
                .workloads(namespace)
                .any(|i| self.graph.get(i).kind() == kind),
            _ => self.graph.knows_kind(kind, namespace),
        };
        // Pods come and go: that workloads are known but no pod is, says that the pods are known,
        // too.
        if !any && *kind == Kind::Pod {
            any = self.graph.knows_kind(kind, namespace);
        }
        any
    }

    /// The resource at the top of the owner chain; itself when nobody owns it.
    pub fn top_owner(&self, idx: Idx) -> Idx {
        let mut at = idx;
        for _ in 0..8 {
            let owner = self
                .graph
                .incoming(at)
                .filter(|(r, _)| *r == Relation::Controls)
                .map(|(_, o)| o)
                .min();
            match owner {
                Some(owner) if self.graph.get(owner).kind() != &Kind::Node => at = owner,
                _ => return at,
            }
        }
        at
    }

    /// The component of a resource.
    pub fn component(&self, idx: Idx) -> Component {
        self.episodes.names.get(self.component_id(idx))
    }

    /// The number of a resource's component.
    pub fn component_id(&self, idx: Idx) -> ComponentId {
        self.episodes.names.of(self.graph, idx)
    }

    /// The component of a number.
    pub fn component_of(&self, id: ComponentId) -> Component {
        self.episodes.names.get(id)
    }

    /// The number of a component; `None` when no resource that was asked for belongs to it.
    pub fn id_of(&self, component: &Component) -> Option<ComponentId> {
        self.episodes.names.find(component)
    }

    /// Live pods below a workload, however deep.
    pub fn pods_of(&self, idx: Idx) -> Vec<Idx> {
        let mut found = Vec::new();
        let mut next = vec![idx];
        let mut seen = 0;
        while let Some(at) = next.pop() {
            seen += 1;
            if seen > 10_000 {
                break;
            }
            for (relation, child) in self.graph.out(at) {
                if relation == Relation::Controls && self.graph.get(child).is_live() {
                    if self.graph.get(child).kind() == &Kind::Pod {
                        found.push(child);
                    } else {
                        next.push(child);
                    }
                }
            }
        }
        found.sort_unstable();
        found
    }

    /// Whether a pod is known to be ready or to have done its work.
    pub fn is_pod_well(&self, idx: Idx) -> bool {
        let Some(pod) = self.pod(idx) else {
            return false;
        };
        let status = &pod.status;
        match status.phase.as_deref() {
            Some("Succeeded") => return true,
            Some("Running") => {}
            _ => return false,
        }
        match object::condition(&status.conditions, "Ready") {
            Some(ready) => ready.is("True"),
            None => status
                .container_statuses
                .iter()
                .all(|c| c.ready != Some(false)),
        }
    }

    /// Whether a living pod is known not to be ready.
    pub fn is_pod_unwell(&self, idx: Idx) -> bool {
        let Some(pod) = self.pod(idx) else {
            return false;
        };
        let told = pod.status.phase.is_some() || !pod.status.conditions.is_empty();
        told && self.is_living(idx) && !self.is_pod_well(idx) && !self.is_leftover(idx, pod)
    }

    /// Whether a failed pod stays for the record only: its owner has what it wants without it.
    fn is_leftover(&self, idx: Idx, pod: &Pod) -> bool {
        let owner = self.top_owner(idx);
        pod.status.phase.as_deref() == Some("Failed")
            && owner != idx
            && self.well(owner) == Some(true)
    }

    /// Since when a pod is not ready: the condition's time, else its start, else its creation, else
    /// its first warning.
    pub fn unwell_since(&self, idx: Idx) -> Option<Time> {
        let pod = self.pod(idx)?;
        let changed = object::condition(&pod.status.conditions, "Ready")
            .or_else(|| object::condition(&pod.status.conditions, "PodScheduled"));
        changed
            .and_then(|c| c.last_transition_time.0)
            .or(pod.status.start_time.0)
            .or(self.graph.get(idx).created)
            .or_else(|| self.warnings(idx).map(|e| e.first).min())
    }

    /// Whether a state that began at `since` has lasted; one of unknown age has.
    pub fn lasts(&self, since: Option<Time>) -> bool {
        since.is_none_or(|s| self.now.0 - s.0 >= GRACE)
    }

    /// Whether a warning about a resource still holds: the resource lives, is not known to be well
    /// since, and the warning is not from before the window unless its state is still bad.
    pub fn still_holds(&self, idx: Idx, event: &Episode) -> bool {
        if !self.is_living(idx) {
            return false;
        }
        match self.well(idx) {
            Some(true) => false,
            Some(false) => true,
            None => {
                self.now.0 - event.last.0 <= 15 * MINUTE
                    && !self.was_undone(idx, event)
                    && !self.was_left(idx, event)
            }
        }
    }

    /// Whether a controller did not try again when it would have: each time it waits twice as long,
    /// which is about as long as all its waits before together.
    fn was_left(&self, idx: Idx, event: &Episode) -> bool {
        let is_try = |e: &&Episode| &*e.reason == "FailedCreate";
        let first = self
            .events(idx)
            .filter(is_try)
            .map(|e| e.first)
            .min()
            .unwrap_or(event.first);
        is_try(&event)
            && self.now.seconds_since(event.last) > 60.0 + 2.0 * event.last.seconds_since(first)
    }

    /// Whether a later event says that it worked after all.
    fn was_undone(&self, idx: Idx, event: &Episode) -> bool {
        const UNDOES: [(&str, &[&str]); 6] = [
            ("FailedScheduling", &["Scheduled"]),
            ("FailedCreate", &["SuccessfulCreate"]),
            ("Failed", &["Started"]),
            ("FailedMount", &["Created", "Started"]),
            ("FailedAttachVolume", &["SuccessfulAttachVolume"]),
            ("ProvisioningFailed", &["ProvisioningSucceeded"]),
        ];
        let undone_by = UNDOES
            .iter()
            .find(|(reason, _)| *reason == &*event.reason)
            .map_or(&[][..], |(_, by)| by);
        self.events(idx)
            .any(|e| e.last > event.last && undone_by.contains(&&*e.reason))
    }

    /// Whether a resource is known to be well; `None` when its state does not tell.
    pub fn well(&self, idx: Idx) -> Option<bool> {
        let object = self.object(idx)?;
        if object.pod().is_some() {
            return if self.is_pod_well(idx) {
                Some(true)
            } else {
                self.is_pod_unwell(idx).then_some(false)
            };
        }
        if let Some(w) = object.workload() {
            let (wanted, ready) = match w.status.desired_number_scheduled {
                Some(n) => (Some(n), w.status.number_ready),
                None => (w.spec.replicas, w.status.ready_replicas),
            };
            // A ReplicaSet has done its part when the pods exist; whether they are ready is theirs
            // to say.
            let have = if *self.graph.get(idx).kind() == Kind::ReplicaSet {
                w.status.replicas.or(ready)
            } else {
                ready
            };
            return match (wanted, have) {
                (Some(wanted), have)
                    if have.is_some()
                        || w.status.observed_generation.is_some()
                        || !w.status.conditions.is_empty() =>
                {
                    Some(have.unwrap_or(0) >= wanted)
                }
                _ => None,
            };
        }
        if let Some(claim) = object.claim() {
            return claim.phase.as_deref().map(|p| p == "Bound");
        }
        if let Some(job) = object.job() {
            return Some(
                object::condition(&job.status.conditions, "Failed").is_none_or(|c| !c.is("True")),
            );
        }
        if let Some(node) = object.node() {
            return object::condition(&node.status.conditions, "Ready").map(|c| c.is("True"));
        }
        None
    }
}
