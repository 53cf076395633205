//! A batch that a store refuses for what is in it: the entries at fault are found by halving. They
//! are skipped for good, each with a dead letter, and all others are applied. When a store
//! refuses the result of evaluating a cluster, that cluster waits while the others continue.

use std::sync::Arc;

use kgrca_core::api::DeadLetter;
use kgrca_core::billing::Metric;
use kgrca_core::model::Topic;
use kgrca_core::parse::Reason;
use kgrca_core::storage::{
    Commit, Entry, Error, ErrorKind, Offset, Skipped, Stored, StreamId, UsageCounts,
};

use super::Live;
use super::batch::{Lease, commit_batch};
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
    commit_work(worker, lease, Work::WritePending).await?;
    lease.full_resync = false;
    let mut waiting = vec![Batch {
        work: Work::Nothing,
        ..batch
    }];
    let (mut offsets, mut skipped) = (Vec::new(), 0);
    while let Some(part) = waiting.pop() {
        lease.epoch = worker.take_lease().await?;
        let before = copy(worker).await?;
        let error = match commit_batch(worker, lease, Arc::new(part.clone())).await {
            Ok(reached) => {
                offsets.extend(reached);
                continue;
            }
            Err(e) if e.kind == ErrorKind::Unstorable => e,
            Err(e) => return Err(e),
        };
        *worker.live.write().await = before;
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

/// Evaluates the waiting clusters one by one, so that only those are put off whose results a store
/// refuses.
async fn evaluate_each(worker: &Worker, mut lease: Lease) -> Result<(), Error> {
    let waiting = worker.live.read().await.evaluations.waiting();
    for cluster in waiting {
        lease.epoch = worker.take_lease().await?;
        let before = copy(worker).await?;
        let work = Work::Evaluate(cluster.clone());
        match commit_work(worker, lease, work).await {
            Ok(()) => {}
            Err(error) if error.kind == ErrorKind::Unstorable => {
                let tenant = &worker.partition.tenant;
                telemetry::EvaluationRefused {
                    tenant,
                    cluster: &cluster,
                    error: &error,
                }
                .emit();
                let mut live = worker.live.write().await;
                *live = before;
                live.evaluations.refuse(cluster, instant());
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Commits what is done without a record.
async fn commit_work(worker: &Worker, lease: Lease, work: Work) -> Result<(), Error> {
    let batch = Batch {
        work,
        ..Batch::default()
    };
    commit_batch(worker, lease, Arc::new(batch)).await?;
    Ok(())
}

/// A copy of the live state, to continue from when a store refuses what follows from it. Copying
/// many objects is work for the processor.
async fn copy(worker: &Worker) -> Result<Live, Error> {
    let live = Arc::clone(&worker.live).read_owned().await;
    blocking(move || live.clone())
        .await
        .map_err(|e| Error::new(ErrorKind::Internal, e.to_string()))
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
