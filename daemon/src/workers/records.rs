//! Records of a partition that are applied together.

use std::collections::BTreeMap;
use std::sync::Arc;

use kgrca_core::model::{Str, Topic};
use kgrca_core::storage::{Offset, Stored, StreamId};

use super::room::Allowance;

/// Records that were read from the log.
#[derive(Clone, Default)]
pub(super) struct Batch {
    pub records: BTreeMap<StreamId, Vec<Stored>>,
    /// Where each stream continues after it.
    pub positions: Vec<Offset>,
    /// Numbers of records that should be among these, but were lost to damage in the log.
    pub lost: BTreeMap<Topic, u64>,
    /// What the tenant's plan allows.
    pub allowance: Arc<Allowance>,
    /// Whether no more records wait behind these.
    pub is_last: bool,
    /// What is done besides applying the records.
    pub work: Work,
}

/// What is done besides applying the records of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Work {
    /// Clusters that are due are evaluated.
    #[default]
    EvaluateDue,
    /// Nothing: it is a part of a batch, and clusters are evaluated after all parts.
    Nothing,
    /// Changes of clusters that were made before are written.
    WritePending(Vec<Str>),
    /// One cluster is evaluated.
    Evaluate(Str),
}

impl Batch {
    /// Number of records.
    pub fn len(&self) -> usize {
        self.records.values().map(Vec::len).sum()
    }

    /// Size of the records in bytes.
    pub fn bytes(&self) -> usize {
        let records = self.records.values().flatten();
        records.map(|s| s.value.len()).sum()
    }

    /// The record of a batch that has no other.
    pub fn single(&self) -> Option<(StreamId, &Stored)> {
        let mut all = self
            .records
            .iter()
            .flat_map(|(s, all)| all.iter().map(|r| (*s, r)));
        all.next().filter(|_| all.next().is_none())
    }

    /// Divides it into two parts, to be applied one after the other: the first has the first half
    /// of each stream; where each has one record, half of the streams. A batch with one record or
    /// none stays one part.
    pub fn halves(mut self) -> Vec<Batch> {
        if self.len() < 2 {
            return vec![self];
        }
        let mut first = Self {
            lost: std::mem::take(&mut self.lost),
            allowance: Arc::clone(&self.allowance),
            work: self.work.clone(),
            ..Self::default()
        };
        if self.records.values().all(|records| records.len() < 2) {
            let half = self.records.len() / 2;
            let streams: Vec<StreamId> = self.records.keys().copied().take(half).collect();
            for stream in streams {
                first.records.extend(self.records.remove_entry(&stream));
            }
            let is_first = |offset: &mut Offset| first.records.contains_key(&offset.stream);
            first.positions = self.positions.extract_if(.., is_first).collect();
            return vec![first, self];
        }
        for (stream, records) in &mut self.records {
            let rest = records.split_off(records.len().div_ceil(2));
            let half = std::mem::replace(records, rest);
            if let Some(next) = records.first().map(|s| s.offset) {
                first.positions.push(Offset {
                    stream: *stream,
                    next,
                });
            } else {
                // Nothing of the stream is left: what the first part commits has to say so, or a
                // restart between the two would apply its records again.
                let is_own = |offset: &mut Offset| offset.stream == *stream;
                let own = self.positions.extract_if(.., is_own);
                first.positions.extend(own);
            }
            first.records.insert(*stream, half);
        }
        self.records.retain(|_, records| !records.is_empty());
        vec![first, self]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kgrca_core::model::Time;

    fn batch(records: &[(Topic, &[u64])]) -> Batch {
        let mut batch = Batch::default();
        for (topic, offsets) in records {
            let stream = StreamId {
                topic: *topic,
                partition: 0,
            };
            let stored = |offset: &u64| Stored {
                offset: *offset,
                key: Box::default(),
                value: Box::default(),
                received_at: Time(1),
            };
            let all = offsets.iter().map(stored).collect();
            batch.records.insert(stream, all);
            batch.positions.push(Offset { stream, next: 100 });
        }
        batch
    }

    fn singles(batch: Batch) -> Vec<(Topic, u64)> {
        let parts = batch.halves();
        if let [part] = &parts[..] {
            let single = part.single().map(|(s, r)| (s.topic, r.offset));
            return single.into_iter().collect();
        }
        for (stream, records) in &parts[0].records {
            let next = parts[0].positions.iter().find(|o| o.stream == *stream);
            let last = records.last().map(|s| s.offset);
            assert!(next.is_some_and(|o| Some(o.next) > last), "{last:?}");
        }
        parts.into_iter().flat_map(singles).collect()
    }

    #[test]
    fn halving_ends_at_each_record_in_the_order_of_its_stream() {
        let all = [
            (Topic::Resource, &[0, 1, 7][..]),
            (Topic::Events, &[3]),
            (Topic::Logs, &[5, 6]),
        ];
        let found = singles(batch(&all));
        for (topic, offsets) in all {
            let own = found.iter().filter(|(t, _)| *t == topic);
            assert_eq!(own.map(|(_, n)| *n).collect::<Vec<_>>(), offsets);
        }
        assert!(singles(batch(&[])).is_empty());
    }

    #[test]
    fn positions_behind_the_last_record_belong_to_the_part_that_has_it() {
        let parts = batch(&[(Topic::Logs, &[5, 6, 9])]).halves();
        let next = |b: &Batch| b.positions.iter().map(|o| o.next).collect::<Vec<_>>();
        let next: Vec<_> = parts.iter().map(next).collect();
        assert_eq!(next, [[9], [100]]);
    }
}
