//! A restart: the live state is loaded from the newest snapshot, or rebuilt from the state topics
//! and the window, and brought up to what was committed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use kgrca_core::engine::ClusterState;
use kgrca_core::episode::RETENTION;
use kgrca_core::model::{Record, Str, Topic};
use kgrca_core::storage::{Error, ErrorKind, Stored, StreamId, partition_of};

use super::batch;
use super::snapshot::Snapshot;
use super::told::Told;
use super::worker::Worker;
use crate::clock::now;
use crate::telemetry;

const CHUNK: usize = 20_000;

/// Replays what was committed without committing it again. Returns how far each stream is worked
/// off, and whether the graph is to be told everything.
pub(super) async fn rebuild(worker: &Worker) -> Result<(BTreeMap<StreamId, u64>, bool), Error> {
    let started = Instant::now();
    let (stores, tenant, partition) = (&worker.stores, &worker.tenant, worker.partition);
    let offsets: BTreeMap<StreamId, u64> = stores
        .meta
        .offsets(tenant)
        .await?
        .into_iter()
        .filter(|o| o.stream.partition == partition)
        .map(|o| (o.stream, o.next))
        .collect();
    // A graph that was told nothing of this partition is new, was lost or set aside: it is told all
    // that the log knows.
    let is_lost = !stores.graph.knows(tenant, partition).await?;
    let (snapshots, committed) = (std::sync::Arc::clone(&worker.snapshots), offsets.clone());
    let snapshot = tokio::task::spawn_blocking(move || snapshots.newest(&committed)).await;
    let snapshot = snapshot.map_err(|e| Error::new(ErrorKind::Internal, e.to_string()))?;
    let from_snapshot = snapshot.is_some();
    let (mut clusters, replayed) = replay_all(worker, &offsets, snapshot).await?;
    for row in stores.meta.clusters(tenant).await? {
        // The other partitions restore theirs.
        if partition_of(tenant, &row.cluster, worker.partitions) != partition {
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
    if is_lost && !clusters.is_empty() {
        telemetry::GraphRebuilt { tenant, partition }.emit();
    }
    for state in clusters.values_mut() {
        if is_lost {
            state.mark_all_changed();
        } else {
            state.keep_journal();
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    telemetry::StateRestored {
        tenant,
        partition,
        from_snapshot,
        replayed,
        seconds,
    }
    .emit();
    let mut live = worker.live.write().await;
    live.dirty = if is_lost {
        clusters.keys().cloned().collect()
    } else {
        BTreeSet::new()
    };
    live.told = clusters
        .values()
        .flat_map(|c| c.incidents.iter())
        .map(|i| (i.key, Told::restored(i)))
        .collect();
    live.clusters = clusters;
    Ok((offsets, is_lost))
}

/// Reads from a snapshot's offsets, or from the start of the state topics and the window, up to the
/// commit.
async fn replay_all(
    worker: &Worker,
    offsets: &BTreeMap<StreamId, u64>,
    snapshot: Option<Snapshot>,
) -> Result<(BTreeMap<Str, ClusterState>, u64), Error> {
    let (log, tenant) = (&worker.stores.log, &worker.tenant);
    // What a log believes of its ends may be older than the commit.
    log.ends(tenant).await?;
    let bound = now().plus(-RETENTION);
    let (reached, mut clusters) =
        snapshot.map_or((None, BTreeMap::new()), |s| (Some(s.offsets), s.clusters));
    let mut replayed = 0;
    for topic in [
        Topic::Resource,
        Topic::Topology,
        Topic::Events,
        Topic::Logs,
        Topic::Alerts,
    ] {
        let stream = StreamId {
            topic,
            partition: worker.partition,
        };
        let end = offsets.get(&stream).copied().unwrap_or(0);
        let is_state = matches!(topic, Topic::Resource | Topic::Topology);
        let mut from = match &reached {
            Some(reached) => reached.get(&stream).copied().unwrap_or(0),
            None if is_state => 0,
            None => log.since(tenant, stream, bound).await?,
        };
        while from < end {
            let read = log
                .tail(tenant, stream, from, CHUNK.min((end - from) as usize))
                .await?;
            let Some(last) = read.last().map(|s| s.offset) else {
                break;
            };
            let in_window = |s: &Stored| is_state || s.received_at >= bound;
            for stored in read
                .iter()
                .filter(|s| s.offset < end && !s.value.is_empty() && in_window(s))
            {
                replay(&mut clusters, worker, topic, stored);
                replayed += 1;
            }
            from = last + 1;
        }
    }
    Ok((clusters, replayed))
}

fn replay(
    clusters: &mut BTreeMap<Str, ClusterState>,
    worker: &Worker,
    topic: Topic,
    stored: &Stored,
) {
    let mut records: Vec<Record> = Vec::new();
    // What was rejected then is rejected again; it was counted when it was committed.
    if batch::read_one(&worker.tenant, topic, stored, &mut records).is_err() {
        return;
    }
    // What was sent on to another partition lives there.
    let is_own = |r: &Record| {
        partition_of(&worker.tenant, &r.cluster, worker.partitions) == worker.partition
    };
    for record in records.into_iter().filter(is_own) {
        let state = clusters
            .entry(record.cluster.clone())
            .or_insert_with(|| ClusterState::new(record.cluster.clone()));
        if state.admit(topic, &record) {
            state.apply(record);
        }
    }
}
