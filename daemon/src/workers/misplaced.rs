//! Records in partitions that are not those of their clusters: other producers use other hashes, and
//! the tenant may have had fewer partitions.

use kgrca_core::model::Record;
use kgrca_core::storage::{Entry, Stored, StreamId};

use super::partition::Partition;
use super::reading::{Hiding, read_one};
use super::records::Batch;

/// The entry to append to the right partition when a record is in the wrong one.
pub(super) fn misplaced(
    partition: &Partition,
    stream: StreamId,
    stored: &Stored,
    first: &Record,
) -> Option<Entry> {
    if partition.owns(&first.cluster) {
        return None;
    }
    Some(Entry {
        stream: StreamId {
            partition: partition.number_of(&first.cluster),
            ..stream
        },
        key: stored.key.clone(),
        value: stored.value.clone(),
        received_at: stored.received_at,
    })
}

/// A record of a batch that belongs to another partition.
pub(super) struct Misplaced {
    pub stream: StreamId,
    pub stored: Stored,
    /// What is appended there.
    pub entry: Entry,
}

/// Takes the records out of a batch that belong to other partitions. What their log would refuse
/// stays.
pub(super) fn take_misplaced(partition: &Partition, batch: &mut Batch) -> Vec<Misplaced> {
    let mut taken = Vec::new();
    let mut records = Vec::new();
    for (stream, stored) in &mut batch.records {
        let mut elsewhere = |s: &Stored| {
            records.clear();
            let (tenant, hiding) = (&partition.tenant, Hiding::default());
            read_one(tenant, stream.topic, s, hiding, &mut records).ok()?;
            misplaced(partition, *stream, s, records.first()?).filter(|e| e.check().is_ok())
        };
        for s in std::mem::take(stored) {
            match elsewhere(&s) {
                None => stored.push(s),
                Some(entry) => taken.push(Misplaced {
                    stream: *stream,
                    stored: s,
                    entry,
                }),
            }
        }
    }
    batch.records.retain(|_, stored| !stored.is_empty());
    taken
}
