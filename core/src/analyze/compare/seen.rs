//! Whether the state after shows that what was deployed runs: what was not seen, what is still on
//! its way, and what is not well although no cause is known.

use std::collections::{BTreeMap, BTreeSet};

use super::state_of;
use crate::change::ClusterChange;
use crate::engine::ClusterState;
use crate::graph::Resource;
use crate::model::object::{Object, Pod, Workload, condition};
use crate::model::{Alias, Kind, Str};

/// Most objects that a reason names.
const MAX_NAMED: usize = 5;
/// Why manifests alone accept nothing.
const NO_STATE: &str = "the state after has no status of pods or workloads: manifests show what is \
                        wanted, not what runs";
/// What shows it.
const PASS: &str = "pass what the cluster shows after the rollout, as `kubectl get \
                    all,events,nodes -A -o json` prints it";

/// What is not as it should be, by the object that has it.
pub(super) type Troubles = BTreeMap<String, String>;

/// What is not well in some states of clusters, in one namespace if one is given.
pub(super) fn troubles(states: &BTreeMap<Str, ClusterState>, only: Option<&str>) -> Troubles {
    let nodes = live(states, only);
    let found = nodes.filter_map(|(node, object)| {
        if let Some(workload) = workload(node, object) {
            let what = unfinished(object, workload)?;
            return Some((title(node.kind(), node), what));
        }
        if let Some(job) = object.job().filter(|job| job.has_failed()) {
            let failed = job.status.failed.unwrap_or(0);
            return Some((
                title(node.kind(), node),
                format!("has {failed} failed pods"),
            ));
        }
        let what = unwell(object, object.pod()?)?;
        Some((
            maker(node, object),
            format!("has the pod `{}`, which {what}", node.name()),
        ))
    });
    found.collect()
}

/// Why nothing can be concluded of a state after; empty if it can.
pub(super) struct Doubts<'a> {
    pub(super) after: &'a BTreeMap<Str, ClusterState>,
    /// The objects that the input of the state after has.
    pub(super) present: &'a BTreeSet<Alias>,
    pub(super) before: &'a Troubles,
    /// Whose pods there were before, by [`makers`].
    pub(super) makers: &'a BTreeSet<String>,
    pub(super) changes: &'a [ClusterChange],
    pub(super) only: Option<&'a str>,
}

impl Doubts<'_> {
    pub(super) fn reason(&self) -> String {
        let nodes = || live(self.after, self.only);
        if !nodes().any(|(node, object)| self.is_present(node) && state_of(object)) {
            return format!("{NO_STATE}; {PASS}");
        }
        let unseen = self.unseen();
        if !unseen.is_empty() {
            return format!(
                "the state after does not show the health of {}; {PASS}",
                some(&unseen)
            );
        }
        let changed = self.changes.iter().map(|of| &of.change);
        let changed: BTreeSet<String> = changed
            .map(|change| named(&change.kind, &change.namespace, &change.name))
            .collect();
        let troubles = troubles(self.after, self.only);
        let is_new =
            |(of, _): &(&String, &String)| !self.before.contains_key(*of) || changed.contains(*of);
        let new = troubles.iter().filter(is_new);
        let new: Vec<String> = new.map(|(of, what)| format!("{of} {what}")).collect();
        if new.is_empty() {
            return String::new();
        }
        let again = "compare again with the state once the rollout is over";
        format!("{}; {again}", some(&new))
    }

    fn is_present(&self, node: &Resource) -> bool {
        self.present.contains(&node.alias)
    }

    /// Workloads without a status of now, and what had pods before and shows none now.
    fn unseen(&self) -> Vec<String> {
        let nodes = || live(self.after, self.only);
        let workloads = nodes().filter(|(node, object)| {
            workload(node, object).is_some() && !(self.is_present(node) && state_of(object))
        });
        let workloads = workloads.map(|(node, _)| title(node.kind(), node));
        let known: BTreeSet<String> = nodes()
            .filter(|(node, _)| self.is_present(node))
            .map(|(node, object)| maker(node, object))
            .collect();
        // Whose object was deleted has no pods any more.
        let ended: BTreeSet<String> = self
            .after
            .values()
            .flat_map(|state| state.graph.iter())
            .filter(|(_, node)| node.closed.is_some())
            .map(|(_, node)| title(node.kind(), node))
            .collect();
        let of_pods = self
            .makers
            .iter()
            .filter(|of| !known.contains(*of) && !ended.contains(*of));
        let all: BTreeSet<String> = workloads.chain(of_pods.cloned()).collect();
        all.into_iter().collect()
    }
}

/// Whose pods there are: what owns them, or they themselves.
pub(super) fn makers(states: &BTreeMap<Str, ClusterState>, only: Option<&str>) -> BTreeSet<String> {
    let pods = live(states, only).filter(|(_, object)| object.pod().is_some_and(runs));
    let lasting = pods.filter(|(_, object)| !is_of_job(object));
    lasting.map(|(node, object)| maker(node, object)).collect()
}

fn runs(pod: &Pod) -> bool {
    !matches!(pod.status.phase.as_deref(), Some("Succeeded" | "Failed"))
}

/// The live objects of states, with what is known of them.
fn live<'a>(
    states: &'a BTreeMap<Str, ClusterState>,
    only: Option<&'a str>,
) -> impl Iterator<Item = (&'a Resource, &'a Object)> {
    let nodes = states.values().flat_map(|state| state.graph.iter());
    let nodes = nodes.map(|(_, node)| node).filter(|node| node.is_live());
    let is_asked = move |node: &&Resource| only.map(|n| node.namespace() == n).unwrap_or(true);
    let objects = |node: &'a Resource| Some((node, node.object.as_deref()?));
    nodes.filter(is_asked).filter_map(objects)
}

/// A workload that nothing else rolls out.
fn workload<'a>(node: &Resource, object: &'a Object) -> Option<&'a Workload> {
    let kinds = [Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet];
    let is_own = object.meta.owners.is_empty() && kinds.contains(node.kind());
    object.workload().filter(|_| is_own)
}

fn is_of_job(object: &Object) -> bool {
    object.meta.owners.iter().any(|owner| &*owner.kind == "Job")
}

fn named(kind: &str, namespace: &str, name: &str) -> String {
    match namespace {
        "" => format!("{kind} `{name}`"),
        namespace => format!("{kind} `{namespace}/{name}`"),
    }
}

fn title(kind: &Kind, node: &Resource) -> String {
    named(kind.as_str(), node.namespace(), node.name())
}

/// What stays when pods are replaced: the owner, of a `ReplicaSet` the Deployment.
fn maker(node: &Resource, object: &Object) -> String {
    let is_pod = object.pod().is_some();
    match object.meta.owners.first().filter(|_| is_pod) {
        Some(owner) if &*owner.kind == "ReplicaSet" => {
            let name = owner.name.rsplit_once('-').map(|(name, _)| name);
            named("Deployment", node.namespace(), name.unwrap_or(&owner.name))
        }
        Some(owner) => named(&owner.kind, node.namespace(), &owner.name),
        None => title(node.kind(), node),
    }
}

/// What a roll-out still lacks.
fn unfinished(object: &Object, workload: &Workload) -> Option<String> {
    let status = &workload.status;
    let generations = object.meta.generation.zip(status.observed_generation);
    if generations.is_some_and(|(wanted, seen)| seen < wanted) {
        return Some("was changed, which its controller has not seen yet".to_owned());
    }
    // What is 0 is left out of a status that was read whole.
    let none = status.observed_generation.map(|_| 0);
    let lacks = |what: &str, have: Option<i64>, wanted: i64| {
        let have = have.or(none).filter(|have| *have < wanted)?;
        Some(format!("has {have} of {wanted} pods {what}"))
    };
    if let Some(wanted) = status.desired_number_scheduled {
        return lacks("updated", status.updated_replicas, wanted)
            .or_else(|| lacks("ready", status.number_ready, wanted));
    }
    let wanted = workload.spec.replicas.unwrap_or(1);
    let partition = object
        .fields
        .get("spec.updateStrategy.rollingUpdate.partition");
    let kept: i64 = partition.and_then(|text| text.parse().ok()).unwrap_or(0);
    let updated = lacks(
        "updated",
        status.updated_replicas,
        wanted.saturating_sub(kept),
    );
    let surplus = status.replicas.filter(|all| *all > wanted);
    let available = status.available_replicas.or(status.ready_replicas);
    updated
        .or_else(|| lacks("available", available, wanted))
        .or_else(|| surplus.map(|all| format!("still has {all} pods, and wants {wanted}")))
}

/// What is wrong with a pod that nothing says why.
fn unwell(object: &Object, pod: &Pod) -> Option<String> {
    if object.meta.deleting.is_some() || is_of_job(object) {
        return None;
    }
    let status = &pod.status;
    let is_unready = condition(&status.conditions, "Ready").is_some_and(|c| c.is("False"));
    match status.phase.as_deref()? {
        phase @ ("Pending" | "Failed" | "Unknown") => Some(format!("is {phase}")),
        "Running" if is_unready => Some("is not ready".to_owned()),
        _ => None,
    }
}

/// Some of many.
fn some(all: &[String]) -> String {
    let named = all.iter().take(MAX_NAMED).map(String::as_str);
    let named = named.collect::<Vec<_>>().join(", ");
    match all.len().saturating_sub(MAX_NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}
