//! Applying a batch to the live state: records are parsed, ordered and applied, clusters that are
//! due are evaluated, and what changed is collected.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kgrca_core::billing::Metric;
use kgrca_core::detect::{Pace, Phase, Watch};
use kgrca_core::engine::{self, Applied, Changes, ClusterState, Evaluation};
use kgrca_core::incident::Transition;
use kgrca_core::model::{Record, Str, Time, Topic};
use kgrca_core::parse::Reason;
use kgrca_core::storage::{
    AnswerRow, ClusterCounts, ClusterRow, Commit, Entry, Error, GraphBatch, PendingIncidentRow,
    Skipped, Stored, StreamId, UsageCounts,
};
use kgrca_core::tenancy::TenantId;

use super::batch::Numbered;
use super::evaluations::{COMPARE_FOR, INSPECT_FOR, RANK_FOR, Spent};
use super::history::PendingIncidentNode;
use super::misplaced::misplaced;
use super::partition::Partition;
use super::reading::{Hiding, read_one};
use super::records::{Batch, Work};
use super::reporter;
use super::{Live, Rules};
use crate::clock::{instant, now, since};
use crate::telemetry;

/// A parsed record and its position in the log.
struct Positioned {
    record: Record,
    topic: Topic,
    offset: u64,
}

/// What applying a batch changed.
#[derive(Default)]
pub(super) struct Outcome {
    pub usage: UsageCounts,
    /// Number of records by topic and by what became of them.
    pub by_topic: BTreeMap<(Topic, &'static str), u64>,
    pub transitions: Vec<(u64, Transition)>,
    pub rows: Vec<PendingIncidentRow>,
    pub answers: Vec<AnswerRow>,
    pub nodes: Vec<PendingIncidentNode>,
    pub clusters: Vec<ClusterRow>,
    pub changes: Changes,
    /// Entries that were not applied, and must not be after a restart either.
    pub skipped: Vec<Skipped>,
    /// Records of clusters that belong to other partitions.
    pub misplaced: Vec<Entry>,
    /// When the record arrived that waited longest.
    pub oldest: Option<Time>,
    /// How long the records took.
    pub applied_in: Duration,
    /// When the last record of each cluster arrived.
    arrivals: BTreeMap<Str, Time>,
}

/// The worker is stopping.
pub(super) struct Stopped;

/// How long a batch may take before a stop calls it off.
const LONGEST_AFTER_STOP: Duration = Duration::from_secs(4);

/// What becomes of records that are not rejected.
const APPLIED: &str = "applied";
const DUPLICATE: &str = "duplicate";
const LOST: &str = "lost";

impl Outcome {
    /// Counts what became of a record. Ticks and people's actions are not counted.
    fn count(&mut self, topic: Topic, status: &'static str) {
        self.count_many(topic, status, 1);
    }

    fn count_many(&mut self, topic: Topic, status: &'static str, records: u64) {
        if topic != Topic::Control {
            *self.by_topic.entry((topic, status)).or_default() += records;
        }
    }

    fn arrived(&mut self, records: &[Record], at: Time) {
        for record in records {
            match self.arrivals.get_mut(&record.cluster) {
                Some(last) => *last = at.max(*last),
                None => {
                    self.arrivals.insert(record.cluster.clone(), at);
                }
            }
        }
    }

    /// Skips an entry. Entries are skipped in the order of their streams.
    fn skip(&mut self, stream: StreamId, stored: &Stored, reason: Reason) {
        self.count(stream.topic, reason.as_str());
        if stream.topic.signal().is_metered && reason == Reason::Quota {
            let day = stored.received_at.day();
            self.usage.add(day, Metric::EventsRejectedQuota, 1);
        }
        let reason = reason.as_str();
        let offset = stored.offset;
        if let Some(last) = self.skipped.last_mut()
            && last.stream == stream
            && last.last + 1 == offset
            && last.reason == reason
        {
            (last.last, last.received_at) = (offset, stored.received_at);
            return;
        }
        self.skipped.push(Skipped {
            stream,
            first: offset,
            last: offset,
            reason: reason.to_owned(),
            received_at: stored.received_at,
        });
    }

    /// Adds the counts of records to the tenant's usage.
    fn count_usage(&mut self, day: &str) {
        for ((_, status), n) in &self.by_topic {
            let metric = match *status {
                APPLIED => Metric::RecordsApplied,
                DUPLICATE => Metric::RecordsDuplicate,
                LOST => Metric::RecordsLost,
                _ => Metric::RecordsRejected,
            };
            self.usage.add(day, metric, *n as i64);
        }
    }

    /// The keys of all incidents that are written, or that one of those was merged into: each
    /// needs a number.
    pub fn incident_keys(&self) -> Vec<u64> {
        let rows = self.rows.iter().map(|r| r.key);
        let merged_into = self.rows.iter().filter_map(|r| r.merged_into);
        let answers = self.answers.iter().map(|a| a.key);
        let nodes = self.nodes.iter().map(|n| n.key);
        let keys: BTreeSet<u64> = rows
            .chain(merged_into)
            .chain(answers)
            .chain(nodes)
            .collect();
        keys.into_iter().collect()
    }

    /// What to write, with the incidents' numbers in place of their keys.
    ///
    /// # Errors
    /// When an incident has no number.
    pub fn numbered(self, numbers: &BTreeMap<u64, i64>) -> Result<Numbered, Error> {
        let rows = self.rows.into_iter().map(|row| row.numbered(numbers));
        let nodes = self.nodes.into_iter().map(|node| node.numbered(numbers));
        Ok(Numbered {
            graph: GraphBatch {
                changes: self.changes,
                incidents: nodes.collect::<Result<_, _>>()?,
                ..GraphBatch::default()
            },
            commit: Commit {
                skipped: self.skipped,
                usage: self.usage,
                clusters: self.clusters,
                incidents: rows.collect::<Result<_, _>>()?,
                transitions: self.transitions,
                answers: self.answers,
                ..Commit::default()
            },
        })
    }
}

/// Applies a batch. Evaluations are called off once the worker is stopping: the records are
/// committed, and the next start evaluates the clusters.
///
/// # Errors
/// [`Stopped`] when the worker is stopping before all records are applied: the live state has a
/// part of them.
pub(super) fn apply(
    live: &mut Live,
    partition: &Partition,
    batch: &Batch,
    is_stopping: &dyn Fn() -> bool,
) -> Result<Outcome, Stopped> {
    let mut outcome = Outcome::default();
    for (topic, records) in &batch.lost {
        outcome.count_many(*topic, LOST, *records);
    }
    if batch.len() > 0 {
        live.limit(batch.allowance.limits);
    }
    let started = instant();
    // A batch usually takes less, and is committed. A part of one is not called off: what belongs to
    // other partitions was appended to them before.
    let can_stop = batch.work == Work::EvaluateDue;
    let calls_off = || can_stop && since(started) > LONGEST_AFTER_STOP && is_stopping();
    let touched = apply_records(live, partition, batch, &mut outcome, &calls_off)?;
    outcome.applied_in = since(started);
    for cluster in &touched {
        live.evaluations.add(cluster.clone(), instant());
    }
    let due = match &batch.work {
        Work::EvaluateDue => live.evaluations.due(batch.is_last, instant()),
        Work::Evaluate(cluster) => Some(live.evaluations.take(cluster)),
        Work::Nothing | Work::WritePending(_) => None,
    };
    let is_due = |cluster: &Str| due.as_ref().is_some_and(|due| due.contains(cluster));
    let mut written = touched.clone();
    written.extend(due.iter().flatten().cloned());
    if let Work::WritePending(clusters) = &batch.work {
        written.extend(clusters.iter().cloned());
    }
    for cluster in &written {
        live.remember(cluster);
        if let Some(state) = live.clusters.get_mut(cluster) {
            let mut evaluation = None;
            if is_due(cluster) {
                let started = instant();
                evaluation = evaluate(&partition.tenant, state, &live.rules, is_stopping);
                match &evaluation {
                    Some(evaluation) => {
                        let spent = Spent {
                            time: since(started),
                            is_partial: evaluation.is_partial,
                        };
                        live.evaluations.spent(cluster, spent, instant());
                    }
                    None => live.evaluations.called_off(cluster.clone()),
                }
            }
            // Also of clusters that are not evaluated: what people did is reported at once.
            reporter::report(state, evaluation.as_ref(), &mut live.reported, &mut outcome);
            outcome.changes.extend(state.take_changes());
            outcome.clusters.push(ClusterRow {
                cluster: state.name.to_string(),
                state: state.save(),
                last_record: state.last_record,
                last_arrival: outcome.arrivals.get(cluster).copied(),
                // An evaluation may have to wait.
                counts: (evaluation.is_some() || batch.is_last).then(|| counts(state)),
            });
        }
    }
    outcome.count_usage(&now().day());
    if due.is_some() {
        live.forget_reports();
    }
    Ok(outcome)
}

/// Applies records in the order of time, topic and offset. Returns the clusters they belong to.
fn apply_records(
    live: &mut Live,
    partition: &Partition,
    batch: &Batch,
    outcome: &mut Outcome,
    is_stopping: &dyn Fn() -> bool,
) -> Result<BTreeSet<Str>, Stopped> {
    let mut records = parse_all(partition, batch, outcome, live);
    records.sort_by_key(|r| (r.record.at, r.topic, r.offset));
    let mut touched = BTreeSet::new();
    for Positioned { record, topic, .. } in records {
        if is_stopping() {
            return Err(Stopped);
        }
        let cluster = record.cluster.clone();
        let status = match live.cluster(&cluster).apply(record) {
            Applied::Applied => APPLIED,
            Applied::Duplicate => DUPLICATE,
        };
        touched.insert(cluster);
        outcome.count(topic, status);
    }
    Ok(touched)
}

fn counts(state: &ClusterState) -> ClusterCounts {
    ClusterCounts {
        resources: state.graph.live(),
        edges: state.graph.edge_count(),
        episodes: state.episodes.len(),
        incidents: state.incidents.iter().filter(|i| i.is_live()).count(),
    }
}

/// Evaluates a cluster for a limited time; `None` when the worker is stopping.
fn evaluate(
    tenant: &TenantId,
    state: &mut ClusterState,
    rules: &Rules,
    is_stopping: &dyn Fn() -> bool,
) -> Option<Evaluation> {
    let started = instant();
    let pace = |phase| {
        let limit = match phase {
            Phase::Inspection => INSPECT_FOR,
            Phase::Comparison => COMPARE_FOR,
            Phase::Ranking => RANK_FOR,
        };
        if is_stopping() {
            Pace::Abort
        } else if since(started) > limit {
            Pace::EndPhase
        } else {
            Pace::Continue
        }
    };
    let now = state.watermark;
    let watch = Watch::new(&pace);
    let evaluation = state.evaluate_within(watch, now, &rules.weights, &rules.catalogue)?;
    let causes = evaluation.ranked.iter().map(|r| r.causal.len()).sum();
    telemetry::ClusterEvaluated {
        seconds: since(started).as_secs_f64(),
        causes,
    }
    .emit();
    for panic in &evaluation.panics {
        telemetry::DetectorPanicked {
            tenant,
            cluster: &state.name,
            panic,
        }
        .emit();
    }
    if evaluation.is_partial {
        telemetry::EvaluationPartial {
            tenant,
            cluster: &state.name,
        }
        .emit();
    }
    Some(evaluation)
}

fn parse_all(
    partition: &Partition,
    batch: &Batch,
    outcome: &mut Outcome,
    live: &mut Live,
) -> Vec<Positioned> {
    let mut positioned = Vec::new();
    let mut records = Vec::new();
    let mut gate = batch.allowance.gate(live);
    let key = live.rules.hash_key.clone();
    let hiding = Hiding {
        hash_key: key.as_ref(),
        masks: live.rules.masks,
    };
    for (stream, stored) in &batch.records {
        let topic = stream.topic;
        for s in stored.iter().filter(|s| !s.value.is_empty()) {
            if topic != Topic::Control {
                let oldest = outcome.oldest.unwrap_or(s.received_at);
                outcome.oldest = Some(oldest.min(s.received_at));
            }
            records.clear();
            if let Err(reject) = read_one(&partition.tenant, topic, s, hiding, &mut records) {
                outcome.count(topic, reject.reason.as_str());
                continue;
            }
            let first = records.first();
            if let Some(entry) = first.and_then(|r| misplaced(partition, *stream, s, r)) {
                match entry.check() {
                    Ok(()) => outcome.misplaced.push(entry),
                    // Other producers may use keys of any length.
                    Err(_) => outcome.count(topic, Reason::TooLarge.as_str()),
                }
                continue;
            }
            if !gate.admits(live, topic, s.received_at, &records) {
                outcome.skip(*stream, s, Reason::Quota);
                continue;
            }
            if topic != Topic::Control {
                outcome.arrived(&records, s.received_at);
            }
            let mut new_records = 0;
            for record in records.drain(..) {
                if live.cluster(&record.cluster).admit(topic, &record) {
                    new_records += 1;
                    positioned.push(Positioned {
                        record,
                        topic,
                        offset: s.offset,
                    });
                } else {
                    outcome.count(topic, DUPLICATE);
                }
            }
            let events = engine::events_of(topic, new_records);
            if events > 0 {
                let day = s.received_at.day();
                outcome
                    .usage
                    .add(day, Metric::EventsIngested, events as i64);
            }
        }
    }
    positioned
}

#[cfg(test)]
mod tests {
    use super::*;
    use kgrca_core::incident::State;
    use kgrca_core::model::Severity;

    #[test]
    fn an_incident_that_only_the_graph_stores_gets_a_number_too() {
        let node = PendingIncidentNode {
            key: 7,
            cluster: "prod".into(),
            state: State::Open,
            severity: Severity::Warning,
            started: Time(1),
            ended: None,
            symptoms: Vec::new(),
            causes: None,
            at: Time(2),
        };
        let outcome = Outcome {
            nodes: vec![node],
            ..Outcome::default()
        };
        assert_eq!(outcome.incident_keys(), [7]);
    }
}
