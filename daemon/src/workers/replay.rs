//! Records that were committed before are applied again to the live state.

use std::collections::BTreeMap;

use kgrca_core::engine::{ClusterState, Limits};
use kgrca_core::model::{Record, Str, Time, Topic};
use kgrca_core::parse::mask::HashKey;
use kgrca_core::storage::{SkippedOffsets, Stored, StreamId};

use super::apply::Stopped;
use super::partition::Partition;
use super::reading::{Hiding, read_one};

/// How records are read.
pub(super) struct Reading {
    /// Replaces values that nothing reads.
    pub hash_key: HashKey,
    /// Whether secrets and personal data are masked.
    pub masks: bool,
    /// The plan's limits on live state.
    pub limits: Limits,
}

/// Some records of a stream.
pub(super) struct Part {
    pub partition: Partition,
    pub topic: Topic,
    pub records: Vec<Stored>,
    /// The offset behind the last that was committed.
    pub end: u64,
    /// What arrived before is left out.
    pub since: Time,
}

impl Part {
    /// Applies the records that were committed and not skipped. Returns how many.
    ///
    /// # Errors
    /// When the worker is stopping.
    pub fn replay(
        &self,
        clusters: &mut BTreeMap<Str, ClusterState>,
        skipped: &SkippedOffsets,
        reading: &Reading,
        is_stopping: &dyn Fn() -> bool,
    ) -> Result<u64, Stopped> {
        let stream = StreamId {
            topic: self.topic,
            partition: self.partition.number,
        };
        let applies = |s: &&Stored| {
            s.offset < self.end
                && !s.value.is_empty()
                && s.received_at >= self.since
                && !skipped.contains(stream, s.offset)
        };
        let mut replayed = 0;
        for stored in self.records.iter().filter(applies) {
            if is_stopping() {
                return Err(Stopped);
            }
            self.replay_one(clusters, stored, reading);
            replayed += 1;
        }
        Ok(replayed)
    }

    fn replay_one(
        &self,
        clusters: &mut BTreeMap<Str, ClusterState>,
        stored: &Stored,
        reading: &Reading,
    ) {
        let mut records: Vec<Record> = Vec::new();
        let hiding = Hiding {
            hash_key: Some(&reading.hash_key),
            masks: reading.masks,
        };
        let tenant = &self.partition.tenant;
        // A record rejected then is rejected again; it was counted when it was committed.
        if read_one(tenant, self.topic, stored, hiding, &mut records).is_err() {
            return;
        }
        // Misplaced records were appended to their own partition.
        let is_own = |r: &Record| self.partition.owns(&r.cluster);
        for record in records.into_iter().filter(is_own) {
            let state = clusters
                .entry(record.cluster.clone())
                .or_insert_with(|| ClusterState::new(record.cluster.clone()));
            state.limit_to(reading.limits);
            if state.admit(self.topic, &record) {
                state.apply(record);
            }
        }
    }
}
