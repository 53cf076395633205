//! Applying a batch to the live state: records are parsed, ordered and applied, clusters that are
//! due are evaluated, and what changed is collected.

use std::collections::BTreeSet;
use std::time::Duration;

use kgrca_core::billing::Metric;
use kgrca_core::engine::{self, Applied};
use kgrca_core::model::{Record, Str, Topic};
use kgrca_core::parse::Reason;

use super::Live;
use super::evaluate::Signals;
use super::misplaced::misplaced;
use super::outcome::{APPLIED, DUPLICATE, LOST, Outcome};
use super::partition::Partition;
use super::reading::{Hiding, read_one};
use super::records::{Batch, Work};
use crate::clock::{instant, now, since};

/// A parsed record and its position in the log.
struct Positioned {
    record: Record,
    topic: Topic,
    offset: u64,
}

/// The worker is stopping.
pub(super) struct Stopped;

/// How long a batch may take before a stop calls it off.
const LONGEST_AFTER_STOP: Duration = Duration::from_secs(4);
/// How long clusters of a tenant are evaluated, one after the other, while other tenants wait.
const EVALUATES_FOR: Duration = Duration::from_secs(2);

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
    signals: Signals<'_>,
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
    let calls_off = || can_stop && since(started) > LONGEST_AFTER_STOP && (signals.is_stopping)();
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
    let begun = instant();
    for cluster in &written {
        live.remember(cluster);
        let has_time = || since(begun) < EVALUATES_FOR || !(signals.gives_way)();
        let mut evaluation = None;
        if is_due(cluster) && has_time() {
            evaluation = live.evaluate(&partition.tenant, cluster, signals);
        } else if is_due(cluster) {
            live.evaluations.called_off(cluster.clone());
        }
        live.collect(cluster, evaluation.as_ref(), batch.is_last, &mut outcome);
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
