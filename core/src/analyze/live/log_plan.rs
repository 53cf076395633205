//! Whose log lines are worth a request: unhealthy containers, and those of what is affected.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::Live;
use super::urgency::{Urgency, urgency};
use crate::analyze::Analysis;
use crate::graph::{ComponentKind, Idx, Relation, component_key};
use crate::model::object::ContainerStatus;
use crate::model::{Kind, Time};

/// How many pods of one owner are read: the others fail in the same way.
const PODS_PER_OWNER: usize = 2;

/// The log of a run of a container.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ContainerLog {
    urgency: Urgency,
    /// Namespace of the pod.
    pub namespace: String,
    /// Name of the pod.
    pub pod: String,
    /// Name of the container.
    pub container: String,
    /// Whether it is the run before the current one.
    pub previous: bool,
    /// How often the container was restarted: each run has a log of its own.
    restarts: i64,
}

impl ContainerLog {
    /// The path that such a log has in a support bundle, by which it is recognized.
    pub(super) fn path(&self) -> String {
        format!(
            "pods/logs/{}/{}/{}.log",
            self.namespace, self.pod, self.container
        )
    }
}

/// Which logs to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogPlan {
    /// The most urgent ones first.
    pub logs: Vec<ContainerLog>,
    /// How many more would have been worth it.
    pub left_out: usize,
}

impl LogPlan {
    fn of(mut logs: Vec<ContainerLog>, most: usize) -> Self {
        logs.sort();
        let left_out = logs.len().saturating_sub(most);
        logs.truncate(most);
        Self { logs, left_out }
    }
}

/// The logs that were read, by pod, container and run.
#[derive(Debug, Default)]
pub(super) struct Read(BTreeSet<(String, String, String, i64, bool)>);

impl Read {
    pub(super) fn insert(&mut self, log: &ContainerLog) {
        self.0.insert(Self::key(log));
    }

    fn has(&self, log: &ContainerLog) -> bool {
        self.0.contains(&Self::key(log))
    }

    fn key(log: &ContainerLog) -> (String, String, String, i64, bool) {
        let (namespace, pod) = (log.namespace.clone(), log.pod.clone());
        (
            namespace,
            pod,
            log.container.clone(),
            log.restarts,
            log.previous,
        )
    }
}

impl Live {
    /// The logs of unhealthy containers, at most so many, without those that were read.
    pub fn unhealthy(&mut self, now: Time, most: usize) -> LogPlan {
        self.settle();
        let mut found: Vec<ContainerLog> = Vec::new();
        for idx in self.pods() {
            for (status, urgency) in self.statuses(idx, now) {
                found.extend(self.runs(idx, status, urgency));
            }
        }
        found.retain(|log| !self.logs.has(log));
        LogPlan::of(self.few_of_each(found), most)
    }

    /// The logs of containers that look healthy, at most so many: of one pod of each workload, the
    /// newest first, since what was changed last is what fails first.
    pub fn quiet(&self, most: usize) -> LogPlan {
        let mut found = Vec::new();
        for idx in self.pods() {
            let object = self.state.graph.get(idx).object.as_deref();
            let created = object.and_then(|o| o.meta.created).unwrap_or_default();
            let running = self.running(idx, Urgency::Quiet).into_iter();
            found.extend(running.map(|log| (Reverse(created), log)));
        }
        found.sort();
        let read = self.logs.0.iter();
        let mut seen: BTreeSet<String> = read
            .map(|(namespace, pod, container, ..)| self.owner(namespace, pod, container))
            .collect();
        let mut logs: Vec<ContainerLog> = found.into_iter().map(|(_, log)| log).collect();
        logs.retain(|log| seen.insert(self.owner(&log.namespace, &log.pod, &log.container)));
        let left_out = logs.len().saturating_sub(most);
        logs.truncate(most);
        LogPlan { logs, left_out }
    }

    /// The logs of containers that run in what an answer names, or in what calls it, at most so
    /// many, without those that were read.
    pub fn affected(&self, analysis: &Analysis, most: usize) -> LogPlan {
        let components = self.components(analysis);
        let mut found = Vec::new();
        for idx in self.pods() {
            if components.contains(&self.state.graph.component(idx).key()) {
                found.extend(self.running(idx, Urgency::Affected));
            }
        }
        found.retain(|log| !self.logs.has(log));
        LogPlan {
            left_out: 0,
            ..LogPlan::of(self.few_of_each(found), most)
        }
    }

    /// The current logs of the containers of a pod that run.
    fn running(&self, idx: Idx, urgency: Urgency) -> Vec<ContainerLog> {
        let object = self.state.graph.get(idx).object.as_deref();
        let pod = object.and_then(|o| o.pod());
        let all = pod
            .into_iter()
            .flat_map(|p| p.status.container_statuses.iter());
        let running = all.filter(|status| status.state.running.is_some());
        running
            .map(|status| self.run(idx, status, urgency, false))
            .collect()
    }

    /// The component that a log belongs to, with the container: its siblings log the same.
    fn owner(&self, namespace: &str, pod: &str, container: &str) -> String {
        let graph = &self.state.graph;
        let found = graph.find_live(Kind::Pod, namespace, pod);
        let owner = found.map(|idx| graph.component(idx).key());
        format!("{} {container}", owner.unwrap_or_default())
    }

    fn pods(&self) -> impl Iterator<Item = Idx> + '_ {
        let all = self.state.graph.iter();
        let pods = all.filter(|(_, r)| *r.kind() == Kind::Pod && r.is_live());
        pods.map(|(idx, _)| idx)
    }

    /// The unhealthy containers of a pod.
    fn statuses(&self, idx: Idx, now: Time) -> Vec<(&ContainerStatus, Urgency)> {
        let object = self.state.graph.get(idx).object.as_deref();
        let pod = object.and_then(|o| o.pod());
        let pod = pod.filter(|pod| pod.status.phase.as_deref() != Some("Succeeded"));
        let all = pod.into_iter().flat_map(|pod| pod.status.all_containers());
        all.filter_map(|status| Some((status, urgency(status, now)?)))
            .collect()
    }

    /// The logs of the last run of a container, and of the one before it.
    fn runs(&self, idx: Idx, status: &ContainerStatus, urgency: Urgency) -> Vec<ContainerLog> {
        let has_ended = status.last_state.terminated.is_some();
        let is_waiting = status.state.waiting.is_some();
        let mut runs = Vec::new();
        if !is_waiting {
            runs.push(self.run(idx, status, urgency, false));
        }
        if has_ended {
            runs.push(self.run(idx, status, urgency, true));
        }
        runs
    }

    fn run(
        &self,
        idx: Idx,
        of: &ContainerStatus,
        urgency: Urgency,
        previous: bool,
    ) -> ContainerLog {
        let pod = self.state.graph.get(idx);
        ContainerLog {
            urgency,
            namespace: pod.namespace().to_owned(),
            pod: pod.name().to_owned(),
            container: of.name.to_string(),
            previous,
            restarts: of.restart_count,
        }
    }

    /// Without the logs of pods whose siblings have more urgent ones.
    fn few_of_each(&self, mut logs: Vec<ContainerLog>) -> Vec<ContainerLog> {
        logs.sort();
        let mut pods: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        logs.retain(|log| {
            let owner = self.owner(&log.namespace, &log.pod, &log.container);
            let siblings = pods.entry(owner).or_default();
            let is_wanted = siblings.len() < PODS_PER_OWNER || siblings.contains(&log.pod);
            if is_wanted {
                siblings.insert(log.pod.clone());
            }
            is_wanted
        });
        logs
    }

    /// The keys of the components that an answer names, and of their callers.
    fn components(&self, analysis: &Analysis) -> BTreeSet<String> {
        let causes = analysis.incidents.iter().flat_map(|i| &i.causes);
        let mut named: BTreeSet<String> = causes
            .map(|c| component_key(&c.namespace, &c.component))
            .collect();
        let live = self.state.incidents.iter();
        let symptoms = live.flat_map(|incident| incident.members.values());
        named.extend(symptoms.map(|member| member.component.clone()));
        let graph = &self.state.graph;
        let services = graph.iter().filter(|(_, r)| *r.kind() == Kind::Service);
        let called = services.filter(|(idx, _)| named.contains(&graph.component(*idx).key()));
        let callers = called.flat_map(|(idx, _)| graph.incoming(idx));
        let callers = callers.filter(|(relation, _)| *relation == Relation::Calls);
        let callers = callers.map(|(_, idx)| graph.component(idx));
        let callers = callers.filter(|component| component.kind == ComponentKind::App);
        let callers: Vec<String> = callers.map(|component| component.key()).collect();
        named.extend(callers);
        named
    }
}
