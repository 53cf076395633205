//! One batch from the log to the stores: applied, then written to the graph, then committed.

use std::collections::BTreeMap;
use std::sync::Arc;

use kgrca_core::jobs::{JobKind, NewJob};
use kgrca_core::storage::{Commit, Entry, Error, ErrorKind, GraphBatch, Offset};
use kgrca_core::tenancy::TenantId;
use serde_json::json;

use super::apply::{Stopped, apply};
use super::evaluate::Signals;
use super::outcome::Outcome;
use super::records::Batch;
use super::worker::Worker;
use crate::clock::{instant, now, since};
use crate::environment::blocking;
use crate::places::Place;
use crate::random::random_id;
use crate::telemetry;

/// The right to commit, and what to write under it.
#[derive(Clone, Copy)]
pub(super) struct Lease {
    pub epoch: i64,
    /// Whether the graph lacks earlier changes of this partition: it gets everything once.
    pub full_resync: bool,
}

/// Applies a batch in the place in which it was read, and commits it. Returns the new positions of its streams.
pub(super) async fn commit_batch(
    worker: &Worker,
    lease: Lease,
    batch: Arc<Batch>,
    place: Place<TenantId>,
) -> Result<Vec<Offset>, Error> {
    let started = instant();
    let offsets = batch.positions.clone();
    let (count, lost) = (batch.len(), batch.lost.clone());
    let mut outcome = apply_off_thread(worker, batch, place).await?;
    append_misplaced(worker, std::mem::take(&mut outcome.misplaced)).await?;
    let numbers = reserve_numbers(worker, &outcome).await?;
    let by_topic = std::mem::take(&mut outcome.by_topic);
    let oldest = outcome.oldest;
    let has_transitions = !outcome.transitions.is_empty();
    let (applied_in, begun) = (outcome.applied_in, instant());
    write(worker, lease, outcome.numbered(&numbers)?, &offsets).await?;
    let took = applied_in + since(begun);
    worker.live.write().await.batches.applied(count, took);
    for (topic, records) in lost {
        telemetry::RecordsLost {
            tenant: &worker.partition.tenant,
            topic,
            partition: worker.partition.number,
            records,
        }
        .emit();
    }
    let tenant = &worker.partition.tenant;
    worker.commits.add(tenant, has_transitions);
    telemetry::BatchCommitted {
        tenant: &worker.partition.tenant,
        by_topic: &by_topic,
        seconds: since(started).as_secs_f64(),
        waited: oldest.map(|oldest| now().seconds_since(oldest)),
    }
    .emit();
    Ok(offsets)
}

/// Applying is work for the processor: it would hold up everything else on an async thread. The
/// place is given back after it: a store that is slow for one tenant holds up no other.
pub(super) async fn apply_off_thread(
    worker: &Worker,
    batch: Arc<Batch>,
    place: Place<TenantId>,
) -> Result<Outcome, Error> {
    let mut live = Arc::clone(&worker.live).write_owned().await;
    let partition = worker.partition.clone();
    let stop = worker.stop.clone();
    let applied = blocking(move || {
        let signals = Signals {
            is_stopping: &|| *stop.borrow(),
            gives_way: &|| place.gives_way(),
        };
        apply(&mut live, &partition, &batch, signals)
    })
    .await;
    let applied = applied.map_err(|e| Error::new(ErrorKind::Internal, e.to_string()))?;
    applied.map_err(|Stopped| stopped())
}

/// The error of work that ends because the worker is stopping.
pub(super) fn stopped() -> Error {
    Error::new(ErrorKind::Unavailable, "the worker is stopping")
}

/// Appends records to the partitions that they belong to.
///
/// # Errors
/// `Unstorable` when the log refuses one of them.
pub(super) async fn append_misplaced(worker: &Worker, misplaced: Vec<Entry>) -> Result<(), Error> {
    if misplaced.is_empty() {
        return Ok(());
    }
    telemetry::Misplaced {
        tenant: &worker.partition.tenant,
        records: misplaced.len(),
    }
    .emit();
    append(worker, misplaced).await
}

async fn append(worker: &Worker, entries: Vec<Entry>) -> Result<(), Error> {
    let appended = worker.stores.log.append(&worker.partition.tenant, entries);
    appended.await.map_err(|e| Error {
        // Repeating does not help.
        kind: match e.kind {
            ErrorKind::Refused => ErrorKind::Unstorable,
            kind => kind,
        },
        ..e
    })
}

async fn reserve_numbers(worker: &Worker, outcome: &Outcome) -> Result<BTreeMap<u64, i64>, Error> {
    let keys = outcome.incident_keys();
    if keys.is_empty() {
        return Ok(BTreeMap::new());
    }
    let (meta, tenant) = (&worker.stores.meta, &worker.partition.tenant);
    meta.reserve_numbers(tenant, &keys).await
}

/// What is written of a batch, with the numbers of its incidents.
pub(super) struct Numbered {
    pub graph: GraphBatch,
    pub commit: Commit,
}

/// Writes the graph first: writing the same again changes nothing, but what it missed would be
/// lost.
async fn write(
    worker: &Worker,
    lease: Lease,
    numbered: Numbered,
    offsets: &[Offset],
) -> Result<(), Error> {
    let (stores, partition) = (&worker.stores, &worker.partition);
    let graph = GraphBatch {
        partition: partition.number,
        epoch: lease.epoch,
        full_resync: lease.full_resync,
        ..numbered.graph
    };
    stores.graph.write(&partition.tenant, graph).await?;
    let plan = (!numbered.commit.transitions.is_empty()).then(|| plan(&partition.tenant));
    let commit = Commit {
        epoch: lease.epoch,
        offsets: offsets.to_vec(),
        plan,
        ..numbered.commit
    };
    let meta = &stores.meta;
    meta.commit(&partition.tenant, partition.number, commit)
        .await
}

/// The job that decides who is notified of the transitions.
fn plan(tenant: &TenantId) -> NewJob {
    let id = format!("job_{}", random_id(12));
    NewJob {
        tenant: Some(tenant.clone()),
        ..NewJob::new(id, JobKind::NotifyPlan, json!({}), now())
    }
}
