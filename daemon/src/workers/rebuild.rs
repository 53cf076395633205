//! A restart: the live state is loaded from the newest snapshot, or rebuilt from the state topics
//! and the last hour of the others, and brought up to the last commit.

use std::collections::BTreeMap;
use std::sync::Arc;

use kgrca_core::engine::ClusterState;
use kgrca_core::episode::RETENTION;
use kgrca_core::model::{Str, Time, Topic};
use kgrca_core::parse::mask::HashKey;
use kgrca_core::storage::seal::Keyring;
use kgrca_core::storage::{Error, ErrorKind, SkippedOffsets, StreamId};

use super::apply::Stopped;
use super::batch::stopped;
use super::evaluations::Evaluations;
use super::replay::{Part, Reading};
use super::reporter::Reported;
use super::room::Allowance;
use super::snapshot::Snapshot;
use super::worker::Worker;
use crate::clock::{instant, now, since};
use crate::environment::blocking;
use crate::random::random_id;
use crate::telemetry;

/// Maximum number of records read at once.
const MAX_CHUNK: usize = 20_000;
/// Characters of a new secret: more than 256 bits.
const SECRET_CHARS: usize = 52;

/// Where a worker starts.
pub(super) struct Rebuilt {
    pub offsets: BTreeMap<StreamId, u64>,
    /// Whether the graph lacks what was committed before.
    pub full_resync: bool,
}

/// The tenant's key. Its secret is made at the first use.
async fn hash_key(worker: &Worker) -> Result<HashKey, Error> {
    let (encryption, tenant) = (&worker.stores.encryption, &worker.partition.tenant);
    let fresh = random_id(SECRET_CHARS);
    let secret = encryption.tenant_secret(tenant, &fresh).await?;
    Ok(HashKey::new(secret.as_bytes()))
}

/// Live state that was read from snapshots and the log.
struct Replayed {
    clusters: BTreeMap<Str, ClusterState>,
    records: u64,
}

/// Replays what was committed, without committing it again.
pub(super) async fn rebuild(worker: &Worker) -> Result<Rebuilt, Error> {
    let started = instant();
    let (stores, tenant) = (&worker.stores, &worker.partition.tenant);
    let partition = worker.partition.number;
    let offsets: BTreeMap<StreamId, u64> = stores
        .meta
        .offsets(tenant)
        .await?
        .into_iter()
        .filter(|o| o.stream.partition == partition)
        .map(|o| (o.stream, o.next))
        .collect();
    // A graph without anything of this partition is new, was lost or was set aside: it gets
    // everything that the log still holds.
    let full_resync = !stores.graph.knows(tenant, partition).await?;
    let (snapshots, committed) = (Arc::clone(&worker.snapshots), offsets.clone());
    // First, because it makes the tenant's first data key, where new data is encrypted.
    let reading = Reading {
        hash_key: hash_key(worker).await?,
        masks: stores.log.is_remote(),
        limits: Allowance::read(worker).await?.limits,
    };
    let sealer = stores.encryption.sealer(tenant).await?;
    let snapshot = blocking(move || snapshots.newest(&committed, &sealer)).await;
    let snapshot = snapshot.map_err(|e| Error::new(ErrorKind::Internal, e.to_string()))?;
    let from_snapshot = snapshot.is_some();
    let reading = Arc::new(reading);
    let mut replayed = replay_all(worker, &offsets, snapshot, &reading).await?;
    let clusters = &mut replayed.clusters;
    for row in stores.meta.clusters(tenant).await? {
        if !worker.partition.owns(&row.cluster) {
            continue;
        }
        let state = clusters
            .entry(row.cluster.as_str().into())
            .or_insert_with(|| ClusterState::new(row.cluster.as_str()));
        state.restore(&row.state).map_err(|e| {
            Error::new(
                ErrorKind::Corrupt,
                format!("{tenant} cluster {}: {e}", row.cluster),
            )
        })?;
    }
    if full_resync && !clusters.is_empty() {
        telemetry::GraphRebuilt { tenant, partition }.emit();
    }
    for state in clusters.values_mut() {
        if full_resync {
            state.mark_all_changed();
        } else {
            state.keep_journal();
        }
    }
    let seconds = since(started).as_secs_f64();
    telemetry::StateRestored {
        tenant,
        partition,
        from_snapshot,
        replayed: replayed.records,
        seconds,
    }
    .emit();
    for state in replayed.clusters.values_mut() {
        state.limit_to(reading.limits);
    }
    let mut live = worker.live.write().await;
    live.is_restored = true;
    live.limits = reading.limits;
    live.rules.hash_key = Some(reading.hash_key.clone());
    live.rules.masks = reading.masks;
    live.evaluations = Evaluations::default();
    // What was committed and not evaluated before a crash.
    for cluster in replayed.clusters.keys() {
        live.evaluations.add(cluster.clone(), instant());
    }
    let incidents = replayed.clusters.values().flat_map(|c| c.incidents.iter());
    live.reported = incidents.map(|i| (i.key, Reported::restored(i))).collect();
    live.clusters = replayed.clusters;
    Ok(Rebuilt {
        offsets,
        full_resync,
    })
}

/// Reads from a snapshot's offsets up to the commit. Without a snapshot it reads the compacted
/// topics from their start and the others from an hour ago.
async fn replay_all(
    worker: &Worker,
    offsets: &BTreeMap<StreamId, u64>,
    snapshot: Option<Snapshot>,
    reading: &Arc<Reading>,
) -> Result<Replayed, Error> {
    let (log, tenant) = (&worker.stores.log, &worker.partition.tenant);
    // Refreshes what the log knows of its ends, which may be older than the commit.
    log.ends(tenant).await?;
    let bound = now().plus(-RETENTION);
    let (reached, mut clusters) = match snapshot {
        Some(snapshot) => (Some(snapshot.offsets), snapshot.clusters),
        None => (None, BTreeMap::new()),
    };
    let skipped: SkippedOffsets = worker
        .stores
        .meta
        .skipped(tenant)
        .await?
        .into_iter()
        .collect();
    let skipped = Arc::new(skipped);
    let mut replayed = 0;
    let mut renewed = instant();
    let is_input = |topic: &Topic| topic.signal().route.is_some();
    for topic in Topic::ALL.into_iter().filter(is_input) {
        let stream = StreamId {
            topic,
            partition: worker.partition.number,
        };
        let end = offsets.get(&stream).copied().unwrap_or(0);
        let is_state = topic.signal().is_compacted();
        let mut from = match &reached {
            Some(reached) => reached.get(&stream).copied().unwrap_or(0),
            None if is_state => 0,
            None => log.since(tenant, stream, bound).await?,
        };
        while from < end {
            let place = worker.place(&mut renewed).await?;
            let tail = log
                .tail(tenant, stream, from, MAX_CHUNK.min((end - from) as usize))
                .await?;
            if tail.next == from {
                break;
            }
            from = tail.next;
            let part = Part {
                partition: worker.partition.clone(),
                topic,
                records: tail.records,
                end,
                since: if is_state { Time(i64::MIN) } else { bound },
            };
            let stop = worker.stop.clone();
            let (reading, skipped) = (Arc::clone(reading), Arc::clone(&skipped));
            // Off the async threads: records of one tenant must not hold up the others.
            let applied = blocking(move || {
                let is_stopping = || *stop.borrow();
                let records = part.replay(&mut clusters, &skipped, &reading, &is_stopping);
                drop(place);
                (clusters, records)
            });
            let applied = applied.await;
            let records;
            (clusters, records) =
                applied.map_err(|e| Error::new(ErrorKind::Internal, e.to_string()))?;
            replayed += records.map_err(|Stopped| stopped())?;
        }
    }
    Ok(Replayed {
        clusters,
        records: replayed,
    })
}
