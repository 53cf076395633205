//! What the log holds for the key of an entry that was skipped.

use std::collections::BTreeMap;

use kgrca_core::storage::{Entry, Error, SkippedOffsets, Stored, StreamId};

use super::apply::tombstone;
use super::records::Batch;
use super::worker::Worker;

/// How many entries are read at once to find those that were applied before.
const READ: usize = 20_000;

/// Skipped entries of compacted topics, by their keys. Compaction would keep them, as the newest of
/// their keys, and remove those that were applied: so the latter are appended again.
#[derive(Default)]
pub(super) struct Superseded(BTreeMap<StreamId, BTreeMap<Box<[u8]>, Stored>>);

impl Superseded {
    pub fn add(&mut self, batch: &Batch) {
        if let Some((stream, stored)) = batch.single()
            && stream.topic.signal().is_compacted()
        {
            let keys = self.0.entry(stream).or_default();
            keys.insert(stored.key.clone(), stored.clone());
        }
    }

    /// Appends the newest applied entry of each key, or a tombstone where there is none.
    pub async fn append(self, worker: &Worker) -> Result<(), Error> {
        let (stores, tenant) = (&worker.stores, &worker.partition.tenant);
        if self.0.is_empty() {
            return Ok(());
        }
        let skipped = stores.meta.skipped(tenant).await?;
        let skipped: SkippedOffsets = skipped.into_iter().collect();
        for (stream, mut keys) in self.0 {
            let end = keys.values().map(|s| s.offset).max().unwrap_or(0);
            let mut newest: BTreeMap<Box<[u8]>, Entry> = keys
                .iter()
                .map(|(key, stored)| (key.clone(), tombstone(stream, stored)))
                .collect();
            let mut from = 0;
            while from < end {
                let read = stores.log.read(tenant, stream, from, READ).await?;
                let Some(last) = read.last() else {
                    break;
                };
                from = last.offset + 1;
                for stored in read {
                    let Some(at) = keys.get(&stored.key).map(|s| s.offset) else {
                        continue;
                    };
                    if stored.offset > at {
                        // A newer one supersedes it already.
                        keys.remove(&stored.key);
                        newest.remove(&stored.key);
                    } else if !skipped.contains(stream, stored.offset) {
                        let value = stored.value.clone();
                        let entry = tombstone(stream, &stored);
                        newest.insert(stored.key, Entry { value, ..entry });
                    }
                }
            }
            // Keys of other producers may be too long for a new entry.
            let fits = |entry: &Entry| entry.check().is_ok();
            let entries: Vec<Entry> = newest.into_values().filter(fits).collect();
            if !entries.is_empty() {
                stores.log.append(tenant, entries).await?;
            }
        }
        Ok(())
    }
}
