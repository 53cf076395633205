//! Analyzes recorded input offline: records in, causes out. An input holds one or more clusters and
//! is evaluated at one instant.

#[cfg(test)]
mod chains;
mod compare;
#[cfg(test)]
mod components;
mod evidence;
#[cfg(test)]
mod fixes;
mod live;
mod reader;
mod review;
mod selected;
#[cfg(test)]
mod standing;
#[cfg(test)]
mod tables;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::change::{ClusterChange, ObjectChange};
use crate::detect::{Catalogue, Watch};
use crate::engine::{Applied, ClusterState, Evaluation};
use crate::graph::{Graph, OBJECT_BYTES};
use crate::incident::Incident;
use crate::model::object::Selector;
use crate::model::{Record, RecordCounts, Severity, Str, Time};
use crate::rca::{
    self, Cause, Change, Demotion, EngineInfo, MissingEvidence, Scorer, Seen, Standing, Verdict,
    Weights,
};
pub use compare::{Comparison, Judgement};
pub use evidence::{Evidence, ReadSource};
pub use live::{ContainerLog, Live, LogPlan, Page, Reader, WatchLine};
use reader::Input;
pub use review::{Flaw, Grade};

/// How an input is read and evaluated.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The instant of the evaluation; default: the time of the newest record.
    pub at: Option<Time>,
    /// Only causes of this namespace and those outside namespaces.
    pub namespace: Option<String>,
    /// Only incidents of components that have an object with such labels.
    pub selector: Option<Selector>,
    /// The algorithm that ranks causes.
    pub scorer: Scorer,
    /// Maximum number of causes; 0 for all.
    pub top: usize,
    /// Causes of less confidence are left out.
    pub min_confidence: f64,
    /// When the input was read; replaces missing times.
    pub now: Time,
    /// The weights of the causal scorer.
    pub weights: Weights,
    /// The usual fixes.
    pub catalogue: Catalogue,
    /// Whether all changes of objects are listed.
    pub changes: bool,
}

/// A record that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Rejected {
    /// The file, where an input has several.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// Number of the line or item, from 1.
    pub line: u64,
    /// The reason as in metrics, such as `unknown_shape`.
    pub reason: String,
    /// What is wrong with the record.
    pub message: String,
}

/// Summary of an incident of the input.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct IncidentSummary {
    /// Id within this input, `inc-<n>`.
    pub incident_id: String,
    /// Name of the cluster.
    pub cluster: String,
    /// Onset of the first symptom.
    #[schema(value_type = String, format = DateTime)]
    pub started_at: Time,
    /// The highest severity of its symptoms.
    pub severity: Severity,
    /// Number of its symptoms.
    pub symptoms: usize,
    /// Its first cause, as `component fault`.
    pub cause: Option<String>,
    /// What decides whether it is background to others.
    #[serde(skip)]
    pub standing: Standing,
    /// Its own ranking; [`Analysis::causes`] merges those of all incidents.
    #[serde(skip)]
    pub causes: Vec<Cause>,
}

/// The answer for one input.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Analysis {
    /// Name of the input, such as a file.
    pub input: String,
    /// The verdict over all incidents.
    pub verdict: Verdict,
    /// The causes over all incidents in one ranking.
    pub causes: Vec<Cause>,
    /// The incidents by start.
    pub incidents: Vec<IncidentSummary>,
    /// Which records would raise the confidence, or show that the cluster is healthy.
    pub missing_evidence: Vec<MissingEvidence>,
    /// Changes that came with the incidents and explain none of the causes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub other_changes: Vec<Change>,
    /// Every change that the records show, in the order of time; only if asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<ClusterChange>,
    /// What happened to the records.
    pub records: RecordCounts,
    /// The first hundred records that could not be read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rejects: Vec<Rejected>,
    /// The engine that gave the answer.
    pub engine: EngineInfo,
}

/// How much an analysis may take.
#[derive(Clone, Copy, Debug)]
pub struct Bounds<'a> {
    /// Most records.
    pub records: usize,
    /// Most objects, with those that others only refer to.
    pub objects: usize,
    /// When to stop.
    pub watch: Watch<'a>,
}

impl Bounds<'static> {
    /// For input that whoever runs the analysis chose.
    const NONE: Self = Self {
        records: usize::MAX,
        objects: usize::MAX,
        watch: Watch::UNLIMITED,
    };
}

/// Why an analysis did not come to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// The input has too many records.
    Records,
    /// The input has too many objects, or they are too large.
    Objects,
    /// It was called off.
    CalledOff,
}

/// Reads JSON lines, or one or more JSON documents that span lines, and evaluates them.
pub fn analyze(name: &str, bytes: &[u8], options: &Options) -> Analysis {
    let mut analysis = Analysis::empty(name, options);
    // Nothing stops it.
    let _ = analysis.run(bytes, options, &Bounds::NONE);
    analysis
}

/// The same within bounds.
///
/// # Errors
/// Says which bound was reached.
pub fn analyze_within(
    bounds: &Bounds<'_>,
    name: &str,
    bytes: &[u8],
    options: &Options,
) -> Result<Analysis, Stopped> {
    let mut analysis = Analysis::empty(name, options);
    analysis.run(bytes, options, bounds)?;
    Ok(analysis)
}

/// The instant at which [`analyze`] evaluates this input.
pub fn instant(bytes: &[u8], options: &Options) -> Time {
    let input = reader::read(bytes, options, &Bounds::NONE);
    input.map(|input| input.instant).unwrap_or(options.now)
}

impl Analysis {
    fn empty(name: &str, options: &Options) -> Self {
        Self {
            input: name.to_owned(),
            verdict: Verdict::NothingFound,
            causes: Vec::new(),
            incidents: Vec::new(),
            missing_evidence: Vec::new(),
            other_changes: Vec::new(),
            changes: Vec::new(),
            records: RecordCounts::default(),
            rejects: Vec::new(),
            engine: EngineInfo::new(options.scorer, &options.weights),
        }
    }

    fn run(&mut self, bytes: &[u8], options: &Options, bounds: &Bounds<'_>) -> Result<(), Stopped> {
        let input = reader::read(bytes, options, bounds)?;
        self.evaluate(input, options, bounds)
    }

    fn evaluate(
        &mut self,
        mut input: Input,
        options: &Options,
        bounds: &Bounds<'_>,
    ) -> Result<(), Stopped> {
        let mut clusters = BTreeMap::new();
        apply(&mut clusters, &mut input, bounds)?;
        self.conclude(&mut clusters, input, options, bounds)
    }

    /// Evaluates clusters to which an input was applied.
    fn conclude(
        &mut self,
        clusters: &mut BTreeMap<Str, ClusterState>,
        input: Input,
        options: &Options,
        bounds: &Bounds<'_>,
    ) -> Result<(), Stopped> {
        (self.records, self.rejects) = (input.counts, input.rejects);
        let mut seen = Seen {
            symptoms: false,
            whole: !clusters.is_empty() && !input.lacks_files,
        };
        for state in clusters.values_mut() {
            let (weights, catalogue) = (&options.weights, &options.catalogue);
            let evaluation = state
                .evaluate_within(bounds.watch, input.instant, weights, catalogue)
                .ok_or(Stopped::CalledOff)?;
            if options.changes {
                let of = |change: &ObjectChange| ClusterChange {
                    cluster: state.name.to_string(),
                    change: change.clone(),
                };
                self.changes.extend(state.history.all().iter().map(of));
            }
            self.take(state, evaluation, options, &mut seen);
        }
        self.finish(seen, options);
        Ok(())
    }

    /// Adds what the evaluation of a cluster found.
    fn take(
        &mut self,
        state: &ClusterState,
        evaluation: Evaluation,
        options: &Options,
        seen: &mut Seen,
    ) {
        let (before, found) = (self.incidents.len(), evaluation.ranked.len());
        seen.whole &= evaluation.shows_health;
        self.missing_evidence.extend(evaluation.missing_evidence);
        let selected = options.selector.as_ref();
        let selected = selected.map(|selector| selected::components(&state.graph, selector));
        for ranked in evaluation.ranked {
            let causes = of_namespace(ranked.causes(options.scorer), options);
            let mut incident = summary(state, ranked.key, causes);
            incident.standing = ranked.standing;
            let members = state.incidents.get(ranked.key);
            let is_wanted = |components: &_| selected::touches(components, members, &incident);
            if selected.as_ref().map(is_wanted).unwrap_or(true) {
                self.other_changes.extend(ranked.other_changes);
                self.incidents.push(incident);
            }
        }
        // Symptoms of others are none of what was asked about, and no sign of its health.
        let kept = self.incidents.len() - before;
        let is_all = kept == found;
        seen.symptoms |= evaluation.symptoms > 0 && (is_all || kept > 0);
        seen.whole &= is_all;
    }

    /// How much lower the causes of each incident rank: what is background below the causes of the
    /// others that have a name, or below all if they have none; what is over below those that have a
    /// name and go on.
    fn demotions(&self) -> Vec<Option<Demotion>> {
        let all: Vec<Standing> = self.incidents.iter().map(|i| i.standing).collect();
        let is_background = |i: &IncidentSummary| i.standing.is_background(&all);
        let mut named = self.incidents.iter().filter(|i| rca::has_name(&i.causes));
        let others_have_names = named.clone().any(|i| !is_background(i));
        let goes_on = named.any(|i| !i.standing.settled);
        let of = |i: &IncidentSummary| match (is_background(i), i.standing.settled) {
            (true, _) if !others_have_names => Some(Demotion::All),
            (true, _) => Some(Demotion::Named),
            (false, true) => goes_on.then_some(Demotion::Named),
            (false, false) => None,
        };
        self.incidents.iter().map(of).collect()
    }

    /// Numbers the incidents, merges their causes into one ranking and draws the conclusion.
    fn finish(&mut self, mut seen: Seen, options: &Options) {
        let mut causes: Vec<Cause> = Vec::new();
        for (incident, demotion) in self.incidents.iter().zip(self.demotions()) {
            let first = causes.len();
            causes.extend_from_slice(&incident.causes);
            if let Some(demotion) = demotion {
                for cause in &mut causes[first..] {
                    rca::demote(cause, demotion);
                }
            }
        }
        self.causes = rca::merge(causes);
        self.causes
            .retain(|cause| cause.confidence >= options.min_confidence);
        if options.top > 0 {
            self.causes.truncate(options.top);
        }
        self.incidents
            .sort_by(|a, b| (a.started_at, &a.cluster).cmp(&(b.started_at, &b.cluster)));
        for (i, incident) in self.incidents.iter_mut().enumerate() {
            incident.incident_id = format!("inc-{}", i + 1);
        }
        let explained: Vec<&Change> = self
            .causes
            .iter()
            .filter_map(|c| c.change.as_ref())
            .collect();
        self.other_changes
            .retain(|other| !explained.iter().any(|change| change.is_same(other)));
        self.other_changes
            .sort_by(|a, b| (a.at, &a.what).cmp(&(b.at, &b.what)));
        self.other_changes.dedup();
        self.changes.sort_by_key(|change| change.change.at);
        self.missing_evidence.sort();
        self.missing_evidence.dedup();
        // Symptoms may be among the records that could not be read: too many of these, and the
        // absence of symptoms means nothing.
        let RecordCounts {
            seen: all,
            rejected,
            ..
        } = self.records;
        if rejected > 0 {
            self.missing_evidence.push(MissingEvidence::new(
                &format!("{rejected} of {all} records, which could not be read"),
                "whatever they report",
                "",
            ));
        }
        seen.symptoms |= rejected > all - rejected;
        seen.whole &= rejected == 0;
        self.verdict = rca::verdict(&self.causes, seen, &options.weights);
    }
}

/// After how many records the bounds are checked.
const CHECK_EVERY: usize = 500;

/// Applies the records in the order of their time, and counts what happened to them.
fn apply(
    clusters: &mut BTreeMap<Str, ClusterState>,
    input: &mut Input,
    bounds: &Bounds<'_>,
) -> Result<(), Stopped> {
    // Sequence numbers rise in the order of the input.
    input.records.retain(|record| {
        let is_new = cluster(clusters, record).admit(record.body.topic(), record);
        input.counts.duplicate += u64::from(!is_new);
        is_new
    });
    input
        .records
        .sort_by_key(|record| (record.at, record.body.topic()));
    for (i, record) in std::mem::take(&mut input.records).into_iter().enumerate() {
        if i % CHECK_EVERY == 0 {
            check(clusters, bounds)?;
        }
        match cluster(clusters, &record).apply(record) {
            Applied::Applied => input.counts.applied += 1,
            Applied::Duplicate => input.counts.duplicate += 1,
        }
    }
    check(clusters, bounds)?;
    Ok(())
}

fn check(clusters: &BTreeMap<Str, ClusterState>, bounds: &Bounds<'_>) -> Result<(), Stopped> {
    let graphs = clusters.values().map(|state| &state.graph);
    let slots: usize = graphs.clone().map(Graph::slots).sum();
    let excess: u64 = graphs.map(Graph::excess).sum();
    let max_excess = (bounds.objects as u64).saturating_mul(OBJECT_BYTES.into());
    if slots.max(clusters.len()) > bounds.objects || excess > max_excess {
        return Err(Stopped::Objects);
    }
    if bounds.watch.is_aborted() {
        return Err(Stopped::CalledOff);
    }
    Ok(())
}

/// The state of a record's cluster; created with its first record.
fn cluster<'a>(
    clusters: &'a mut BTreeMap<Str, ClusterState>,
    record: &Record,
) -> &'a mut ClusterState {
    let name = &record.cluster;
    clusters
        .entry(name.clone())
        .or_insert_with(|| ClusterState::new(name.clone()))
}

fn of_namespace(causes: &[Cause], options: &Options) -> Vec<Cause> {
    let is_wanted = |cause: &&Cause| match &options.namespace {
        Some(namespace) => cause.namespace.is_empty() || cause.namespace == *namespace,
        None => true,
    };
    causes.iter().filter(is_wanted).cloned().collect()
}

fn summary(state: &ClusterState, key: u64, causes: Vec<Cause>) -> IncidentSummary {
    let incident = state.incidents.get(key);
    IncidentSummary {
        incident_id: String::new(),
        cluster: state.name.to_string(),
        started_at: incident.map(|i| i.started).unwrap_or_default(),
        severity: incident.map(Incident::severity).unwrap_or_default(),
        symptoms: incident.map(|i| i.members.len()).unwrap_or_default(),
        cause: causes
            .first()
            .map(|c| format!("{} {}", c.component, c.fault_type)),
        standing: Standing::default(),
        causes,
    }
}
