//! What applying a batch changed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kgrca_core::billing::Metric;
use kgrca_core::engine::Changes;
use kgrca_core::incident::Transition;
use kgrca_core::model::{Record, Str, Time, Topic};
use kgrca_core::parse::Reason;
use kgrca_core::storage::{
    AnswerRow, ClusterRow, Commit, Entry, Error, GraphBatch, PendingIncidentRow, Skipped, Stored,
    StreamId, UsageCounts,
};

use super::batch::Numbered;
use super::history::PendingIncidentNode;

/// What becomes of records that are not rejected.
pub(super) const APPLIED: &str = "applied";
pub(super) const DUPLICATE: &str = "duplicate";
pub(super) const LOST: &str = "lost";

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

impl Outcome {
    /// Counts what became of a record. Ticks and people's actions are not counted.
    pub fn count(&mut self, topic: Topic, status: &'static str) {
        self.count_many(topic, status, 1);
    }

    pub fn count_many(&mut self, topic: Topic, status: &'static str, records: u64) {
        if topic != Topic::Control {
            *self.by_topic.entry((topic, status)).or_default() += records;
        }
    }

    /// Notes when records of clusters arrived.
    pub fn arrived(&mut self, records: &[Record], at: Time) {
        for record in records {
            match self.arrivals.get_mut(&record.cluster) {
                Some(last) => *last = at.max(*last),
                None => {
                    self.arrivals.insert(record.cluster.clone(), at);
                }
            }
        }
    }

    /// When the last record of a cluster arrived.
    pub fn last_arrival(&self, cluster: &Str) -> Option<Time> {
        self.arrivals.get(cluster).copied()
    }

    /// Skips an entry. Entries are skipped in the order of their streams.
    pub fn skip(&mut self, stream: StreamId, stored: &Stored, reason: Reason) {
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
    pub fn count_usage(&mut self, day: &str) {
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
