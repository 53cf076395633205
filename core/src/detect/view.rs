//! The read-only view of a cluster at an instant that detectors work on.

use std::collections::BTreeSet;

use super::names::ComponentId;
use super::pace::Watch;
use super::resolved::Resolved;
use crate::episode::LogTemplate;
use crate::graph::{Component, Graph, Idx, Relation};
use crate::model::object::pod::PodSpec;
use crate::model::object::{Object, Pod};
use crate::model::time::{MINUTE, SECOND};
use crate::model::{Alert, Episode, Kind, Severity, Time};

/// A cluster at an instant.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The resources and their relations.
    pub graph: &'a Graph,
    /// Events, logs and alerts of the window.
    pub episodes: &'a Resolved<'a>,
    /// The instant.
    pub now: Time,
    /// Resources that are known to be unhealthy.
    pub unhealthy: &'a BTreeSet<Idx>,
    /// When the evaluation has to stop.
    pub watch: Watch<'a>,
}

static NONE: BTreeSet<Idx> = BTreeSet::new();

/// How long a state must last before it counts as broken, in microseconds: longer than a rollout
/// usually takes.
pub const GRACE: i64 = 60 * SECOND;

/// How long a line says how its writer is, in microseconds.
const RECENT: i64 = 15 * MINUTE;

impl<'a> View<'a> {
    /// A view before any resource was inspected.
    pub fn new(graph: &'a Graph, episodes: &'a Resolved<'a>, now: Time) -> Self {
        Self {
            graph,
            episodes,
            now,
            unhealthy: &NONE,
            watch: Watch::UNLIMITED,
        }
    }

    /// Whether detectors have no time left. One that looks at many resources for each of many
    /// asks, and ends with what it found.
    pub(super) fn is_late(&self) -> bool {
        self.watch.ends()
    }

    /// Existing pods that are known not to be ready.
    pub fn unhealthy_pods(&self) -> impl Iterator<Item = Idx> + 'a {
        let view = *self;
        self.unhealthy
            .iter()
            .copied()
            .filter(move |i| *view.graph.get(*i).kind() == Kind::Pod && view.is_pod_unhealthy(*i))
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

    /// Whether a line still says how its writer is: it is recent, or the last one about a trouble
    /// of a pod that has not been ready since.
    pub(super) fn is_current(&self, writer: Idx, log: &LogTemplate) -> bool {
        if self.now.0 - log.last.0 <= RECENT {
            return true;
        }
        let since = self.unhealthy_since(writer);
        let is_since =
            self.is_pod_unhealthy(writer) && since.is_some_and(|s| log.last.0 >= s.0 - GRACE);
        let is_later = |other: &LogTemplate| {
            other.last.0 > log.last.0 + GRACE
                && other.severity >= Severity::Warning
                && !other.trouble().is_empty()
        };
        is_since && !self.logs(writer).any(is_later)
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

    /// The pod template of a workload, or a pod's own spec.
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

    /// Whether a resource exists: by its state, or because no state of its kind is known at all.
    pub fn exists(&self, idx: Idx) -> bool {
        let node = self.graph.get(idx);
        if node.object.is_some() {
            return !node.is_leaving();
        }
        let is_unseen = || !self.knows(node.kind(), node.namespace()) || self.is_unlisted(idx);
        node.closed.is_none() && is_unseen()
    }

    /// Whether the state of a kind is known in a namespace, so that an object without state does
    /// not exist.
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
        // A namespace may have no pod at the moment.
        if !any && *kind == Kind::Pod {
            any = self.graph.knows_kind(kind, namespace);
        }
        any || self.graph.was_listed_in(kind, namespace)
    }

    /// The resource at the top of the owner chain, as far as owners or the names that controllers
    /// give show it; the resource itself if it has no owner.
    pub fn top_owner(&self, idx: Idx) -> Idx {
        let mut at = idx;
        for _ in 0..8 {
            if self.graph.get(at).kind().is_top_workload() {
                return at;
            }
            let owner = self
                .graph
                .incoming(at)
                .filter(|(r, _)| *r == Relation::Controls)
                .map(|(_, o)| o)
                .min();
            match owner {
                Some(owner) if self.graph.get(owner).kind() != &Kind::Node => at = owner,
                _ => return self.namesake(at).unwrap_or(at),
            }
        }
        at
    }

    /// The workload after which a controller named a pod or ReplicaSet of which nothing else is
    /// known, or which was deleted.
    pub(super) fn namesake(&self, idx: Idx) -> Option<Idx> {
        let node = self.graph.get(idx);
        if node.is_live() || !matches!(node.kind(), Kind::Pod | Kind::ReplicaSet) {
            return None;
        }
        let name = self.component(idx).name;
        let controllers = [
            Kind::Deployment,
            Kind::StatefulSet,
            Kind::DaemonSet,
            Kind::CronJob,
        ];
        let mut named = controllers
            .into_iter()
            .filter_map(|kind| self.graph.find_live(kind, node.namespace(), &name));
        named.next()
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

    /// The number of a component; `None` if no resource of it was requested yet.
    pub fn id_of(&self, component: &Component) -> Option<ComponentId> {
        self.episodes.names.find(component)
    }

    /// Live pods of a workload, at any depth of the owner chain.
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
}
