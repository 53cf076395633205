//! A batch that a store refuses for what is in it: the entries at fault are found by halving. They
//! are skipped for good, each with a dead letter, and all others are applied. When a store
//! refuses the result of evaluating a cluster, that cluster waits while the others continue.

use std::sync::Arc;

use kgrca_core::api::DeadLetter;
use kgrca_core::billing::Metric;
use kgrca_core::engine::Changes;
use kgrca_core::model::{Str, Topic};
use kgrca_core::parse::Reason;
use kgrca_core::storage::{
    Commit, Entry, Error, ErrorKind, GraphBatch, Offset, Skipped, Stored, StreamId, UsageCounts,
};

use super::batch::{Lease, append_misplaced, apply_off_thread, commit_batch};
use super::misplaced::{Misplaced, take_misplaced};
use super::records::{Batch, Work};
use super::worker::Worker;
use crate::clock::{instant, now};
use crate::environment::blocking;
use crate::telemetry;

/// How many entries of one batch are skipped. With more, the store may have trouble of its own: the
/// batch fails, and what is left of it is tried again later.
const MAX_SKIPPED: usize = 100;

/// Commits a batch in parts, without the entries that a store refuses. Returns the new positions
/// of its streams.
///
/// # Errors
/// `Unstorable` when a store refuses what no entry of the batch brought.
pub(super) async fn commit_in_parts(
    worker: &Worker,
    mut lease: Lease,
    batch: Batch,
) -> Result<Vec<Offset>, Error> {
    // Changes from before the batch: were they refused, every entry would seem to be at fault.
    // Among them is all that a graph lacks which gets everything once.
    write_pending(worker, lease).await?;
    lease.full_resync = false;
    let batch = without_misplaced(worker, batch).await?;
    let mut waiting = vec![Batch {
        work: Work::Nothing,
        ..batch
    }];
    let (mut offsets, mut skipped) = (Vec::new(), 0);
    while let Some(part) = waiting.pop() {
        lease.epoch = worker.take_lease().await?;
        let Some(error) = attempt(worker, lease, part.clone()).await? else {
            offsets.extend_from_slice(&part.positions);
            continue;
        };
        let parts = part.halves();
        if let [single] = &parts[..] {
            skipped += 1;
            if skipped > MAX_SKIPPED {
                return Err(error);
            }
            skip(worker, lease, single, error).await?;
            offsets.extend_from_slice(&single.positions);
        } else {
            waiting.extend(parts.into_iter().rev());
        }
    }
    evaluate_each(worker, lease).await?;
    Ok(offsets)
}

/// Commits a part of a batch. Returns the error when a store refuses it; nothing is changed then.
async fn attempt(worker: &Worker, lease: Lease, part: Batch) -> Result<Option<Error>, Error> {
    let place = worker.place(&mut instant()).await?;
    worker.live.write().await.begin();
    match commit_batch(worker, lease, Arc::new(part), place).await {
        Ok(_) => {
            worker.live.write().await.keep();
            Ok(None)
        }
        Err(error) if error.kind == ErrorKind::Unstorable => {
            worker.live.write().await.undo();
            Ok(Some(error))
        }
        Err(error) => Err(error),
    }
}

/// Commits what is done without a record, see [`attempt`].
async fn attempt_work(worker: &Worker, lease: Lease, work: Work) -> Result<Option<Error>, Error> {
    let batch = Batch {
        work,
        ..Batch::default()
    };
    attempt(worker, lease, batch).await
}

/// Writes what changed before the batch. What a store refuses of it is left out.
async fn write_pending(worker: &Worker, mut lease: Lease) -> Result<(), Error> {
    let clusters: Vec<Str> = worker.live.read().await.clusters.keys().cloned().collect();
    let all = Work::WritePending(clusters.clone());
    if attempt_work(worker, lease, all).await?.is_none() {
        return Ok(());
    }
    for cluster in clusters {
        lease.epoch = worker.take_lease().await?;
        let own = Work::WritePending(vec![cluster.clone()]);
        if let Some(error) = attempt_work(worker, lease, own).await? {
            let left_out = write_changes(worker, lease, &cluster).await?;
            telemetry::ChangesRefused {
                tenant: &worker.partition.tenant,
                cluster: &cluster,
                rows: left_out,
                error: &error,
            }
            .emit();
        }
    }
    Ok(())
}

/// Writes the changes of a cluster to the graph without the rows that it refuses. Returns how many
/// were left out. What belongs to the metadata is written with the next change.
async fn write_changes(worker: &Worker, lease: Lease, cluster: &Str) -> Result<usize, Error> {
    let place = worker.place(&mut instant()).await?;
    worker.live.write().await.begin();
    let batch = Batch {
        work: Work::WritePending(vec![cluster.clone()]),
        ..Batch::default()
    };
    let outcome = apply_off_thread(worker, Arc::new(batch), place).await?;
    worker.live.write().await.keep_unreported();
    let all = GraphBatch {
        partition: worker.partition.number,
        epoch: lease.epoch,
        full_resync: lease.full_resync,
        changes: outcome.changes,
        ..GraphBatch::default()
    };
    // An empty batch first: a graph that lost its data knows the partition from then on.
    let empty = GraphBatch {
        changes: Changes::default(),
        ..all.clone()
    };
    let (mut waiting, mut left_out) = (vec![all, empty], 0);
    while let Some(part) = waiting.pop() {
        let tenant = &worker.partition.tenant;
        worker.take_lease().await?;
        match worker.stores.graph.write(tenant, part.clone()).await {
            Ok(()) => {}
            Err(e) if e.kind != ErrorKind::Unstorable => return Err(e),
            Err(_) => match part.halves() {
                Some([first, rest]) => waiting.extend([rest, first]),
                None => left_out += 1,
            },
        }
    }
    Ok(left_out)
}

/// Appends what belongs to other partitions to those, once: each attempt to commit a part would
/// append it again.
async fn without_misplaced(worker: &Worker, mut batch: Batch) -> Result<Batch, Error> {
    if worker.partition.count == 1 {
        return Ok(batch);
    }
    let partition = worker.partition.clone();
    let (mut batch, misplaced) = blocking(move || {
        let misplaced = take_misplaced(&partition, &mut batch);
        (batch, misplaced)
    })
    .await
    .map_err(|e| Error::new(ErrorKind::Internal, e.to_string()))?;
    let entries = misplaced.iter().map(|m| m.entry.clone()).collect();
    match append_misplaced(worker, entries).await {
        Ok(()) => return Ok(batch),
        Err(e) if e.kind == ErrorKind::Unstorable => {}
        Err(e) => return Err(e),
    }
    for Misplaced {
        stream,
        stored,
        entry,
    } in misplaced
    {
        match append_misplaced(worker, vec![entry]).await {
            Ok(()) => {}
            Err(e) if e.kind == ErrorKind::Unstorable => {
                // It is skipped like others that a store refuses.
                let own = batch.records.entry(stream).or_default();
                let at = own.partition_point(|s| s.offset < stored.offset);
                own.insert(at, stored);
            }
            Err(e) => return Err(e),
        }
    }
    Ok(batch)
}

/// Evaluates the waiting clusters one by one, so that only those are put off whose results a store
/// refuses.
async fn evaluate_each(worker: &Worker, mut lease: Lease) -> Result<(), Error> {
    let waiting = worker.live.read().await.evaluations.waiting(instant());
    for cluster in waiting {
        lease.epoch = worker.take_lease().await?;
        let work = Work::Evaluate(cluster.clone());
        if let Some(error) = attempt_work(worker, lease, work).await? {
            telemetry::EvaluationRefused {
                tenant: &worker.partition.tenant,
                cluster: &cluster,
                error: &error,
            }
            .emit();
            let mut live = worker.live.write().await;
            live.evaluations.refuse(cluster, instant());
        }
    }
    Ok(())
}

/// Commits the only entry of a batch as skipped.
async fn skip(worker: &Worker, lease: Lease, batch: &Batch, error: Error) -> Result<(), Error> {
    let Some((stream, stored)) = batch.single() else {
        return Err(error);
    };
    let tenant = &worker.partition.tenant;
    telemetry::RecordRefused {
        tenant,
        stream,
        offset: stored.offset,
        error: &error,
    }
    .emit();
    // Before the commit: a crash in between makes a second letter, and never none.
    let letter = letter(worker, stream, stored)?;
    worker.stores.log.append(tenant, vec![letter]).await?;
    let mut usage = UsageCounts::default();
    if stream.topic != Topic::Control {
        usage.add(now().day(), Metric::RecordsRejected, 1);
    }
    let commit = Commit {
        epoch: lease.epoch,
        offsets: batch.positions.clone(),
        skipped: vec![Skipped {
            stream,
            first: stored.offset,
            last: stored.offset,
            reason: Reason::Refused.as_str().to_owned(),
            received_at: stored.received_at,
        }],
        usage,
        ..Commit::default()
    };
    let meta = &worker.stores.meta;
    meta.commit(tenant, worker.partition.number, commit).await
}

/// The dead letter of an entry. It keeps no text of a record with which something is wrong that
/// ingestion does not know of; the record is in the log.
fn letter(worker: &Worker, stream: StreamId, stored: &Stored) -> Result<Entry, Error> {
    let tenant = &worker.partition.tenant;
    let letter = DeadLetter {
        id: 0,
        at: now(),
        topic: stream.topic.as_str().to_owned(),
        reason: Reason::Refused.as_str().to_owned(),
        message: format!(
            "a store refuses the changes that this record makes, at offset {} of partition {}; it was \
             skipped, and the daemon logged why",
            stored.offset, stream.partition
        ),
        record: String::new(),
        retried_at: None,
    };
    let value =
        serde_json::to_vec(&letter).map_err(|e| Error::new(ErrorKind::Internal, e.to_string()))?;
    Ok(Entry {
        stream: StreamId {
            topic: Topic::Dlq,
            partition: worker.partition.number_of(tenant.as_str()),
        },
        key: tenant.as_str().as_bytes().into(),
        value: value.into(),
        received_at: letter.at,
    })
}
