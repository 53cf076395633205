//! Two states of a cluster, as before and after a deployment: what changed, and which causes are
//! new.

mod seen;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::review::{self, Flaw, Grade};
use super::{Analysis, Bounds, Evidence, Input, apply};
use crate::change::ClusterChange;
use crate::engine::ClusterState;
use crate::graph::Graph;
use crate::model::object::Object;
use crate::model::{Alias, Body, Op, Str, Time};
use crate::rca::Cause;

/// What became of a cluster.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// Whether the state after may stay: it shows what runs, and nothing new is wrong.
    pub accepted: bool,
    /// The conclusion.
    pub verdict: Judgement,
    /// Why nothing can be concluded; empty otherwise.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// What the objects after show to be wrong that those before do not.
    pub flaws: Vec<Flaw>,
    /// Causes that were not there before, and whose confidence reaches the threshold.
    pub new_causes: Vec<Cause>,
    /// Causes that are no longer there, as `component fault`.
    pub gone_causes: Vec<String>,
    /// What was changed, in the order of time.
    pub changes: Vec<ClusterChange>,
    /// The answer for the state after.
    pub after: Analysis,
}

/// Whether a deployment may stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Judgement {
    /// What runs afterwards was seen, and nothing new is wrong.
    Accepted,
    /// Something new is wrong.
    Rejected,
    /// Nothing new is wrong, but what runs afterwards was not seen.
    Inconclusive,
}

impl Evidence<'_> {
    /// Compares this state with an earlier one. Objects that the earlier one has, and this one does
    /// not although it has others of their kind, were deleted; other kinds stay as they were.
    pub fn compare(mut self, mut before: Self, name: &str) -> Comparison {
        let (options, bounds) = (self.options, Bounds::NONE);
        let mut earlier = Analysis::empty(name, options);
        before.input.finish(options);
        let known = before.input.instant;
        let mut bases = BTreeMap::new();
        // Nothing stops any of these.
        let _ = apply(&mut bases, &mut before.input, &bounds);
        let _ = earlier.conclude(&mut bases, before.input, options, &bounds);
        let reviewed = bases
            .values()
            .flat_map(|state| review::review(&state.graph));
        let reviewed: Vec<Flaw> = reviewed.collect();
        let only = options.namespace.as_deref();
        let (troubles, makers) = (seen::troubles(&bases, only), seen::makers(&bases, only));
        self.input.finish(options);
        let mut clusters = continued(bases, &self.input, known);
        let present = present(&self.input);
        let instant = self.input.instant;
        let mut after = Analysis::empty(name, options);
        let _ = apply(&mut clusters, &mut self.input, &bounds);
        for state in clusters.values_mut() {
            state.end_missing(&present, instant);
        }
        let flaws = clusters
            .values()
            .flat_map(|state| review::review(&state.graph));
        let flaws = review::new(&reviewed, flaws.collect());
        let _ = after.conclude(&mut clusters, self.input, options, &bounds);
        let changes = clusters.values().flat_map(|state| {
            let cluster = state.name.to_string();
            state.history.all().iter().map(move |change| ClusterChange {
                cluster: cluster.clone(),
                change: change.clone(),
            })
        });
        let mut changes: Vec<ClusterChange> = changes.collect();
        changes.sort_by_key(|of| of.change.at);
        let doubts = seen::Doubts {
            after: &clusters,
            present: &present,
            before: &troubles,
            makers: &makers,
            changes: &changes,
            only,
        };
        let reason = doubts.reason();
        let compared = conclude(&earlier, after, changes, options.weights.threshold);
        judge(compared, flaws, reason)
    }
}

fn conclude(
    earlier: &Analysis,
    after: Analysis,
    changes: Vec<ClusterChange>,
    threshold: f64,
) -> Comparison {
    let key = |c: &Cause| {
        (
            c.namespace.clone(),
            c.component.clone(),
            c.fault_type.clone(),
        )
    };
    let keys = |analysis: &Analysis| analysis.causes.iter().map(key).collect::<BTreeSet<_>>();
    let (old, now) = (keys(earlier), keys(&after));
    let sure = earlier.causes.iter().filter(|c| c.confidence >= threshold);
    let sure: BTreeSet<_> = sure.map(key).collect();
    let is_new = |c: &&Cause| c.confidence >= threshold && !sure.contains(&key(c));
    let new_causes: Vec<Cause> = after.causes.iter().filter(is_new).cloned().collect();
    let gone = old.difference(&now);
    Comparison {
        accepted: false,
        verdict: Judgement::Inconclusive,
        reason: String::new(),
        flaws: Vec::new(),
        gone_causes: gone
            .map(|(_, component, fault)| format!("{component} {fault}"))
            .collect(),
        new_causes,
        changes,
        after,
    }
}

fn judge(compared: Comparison, flaws: Vec<Flaw>, doubts: String) -> Comparison {
    let is_wrong = flaws.iter().any(|flaw| flaw.grade == Grade::Error);
    let verdict = if is_wrong || !compared.new_causes.is_empty() {
        Judgement::Rejected
    } else if doubts.is_empty() {
        Judgement::Accepted
    } else {
        Judgement::Inconclusive
    };
    let is_open = verdict == Judgement::Inconclusive;
    Comparison {
        accepted: verdict == Judgement::Accepted,
        verdict,
        reason: if is_open { doubts } else { String::new() },
        flaws,
        ..compared
    }
}

/// Whether an object shows the health of a pod or workload.
fn state_of(object: &Object) -> bool {
    let of_pod = object.pod().is_some_and(|pod| pod.status.phase.is_some());
    let of_workload = object.workload().is_some_and(|workload| {
        let status = &workload.status;
        let counts = [
            status.observed_generation,
            status.replicas,
            status.ready_replicas,
            status.desired_number_scheduled,
        ];
        counts.iter().any(Option::is_some)
    });
    of_pod || of_workload
}

/// The clusters as they were, to which the records of now are applied. Two inputs that have one
/// cluster each are about the same one, whatever they call it.
fn continued(
    bases: BTreeMap<Str, ClusterState>,
    now: &Input,
    known: Time,
) -> BTreeMap<Str, ClusterState> {
    let names: BTreeSet<&Str> = now.records.iter().map(|record| &record.cluster).collect();
    let is_one = bases.len() == 1 && names.len() == 1;
    let renamed = |own: Str| match names.first() {
        Some(name) if is_one => (*name).clone(),
        _ => own,
    };
    let continued = bases.into_iter().map(|(own, state)| {
        let name = renamed(own);
        let graph: Graph = state.graph;
        (name.clone(), ClusterState::continuing(name, graph, known))
    });
    continued.collect()
}

/// The objects that an input has.
fn present(input: &Input) -> BTreeSet<Alias> {
    let states = input
        .records
        .iter()
        .filter_map(|record| match &record.body {
            Body::State(Op::Upsert, object) => Some(&object.meta),
            _ => None,
        });
    let aliases = states.map(|meta| Alias {
        kind: meta.kind.clone(),
        namespace: meta.namespace.clone(),
        name: meta.name.clone(),
    });
    aliases.collect()
}

#[cfg(test)]
mod tests;
