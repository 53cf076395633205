//! A restart: the live state is rebuilt from the state topics and the window, up to what was committed.

use std::collections::{BTreeMap, BTreeSet};

use kgrca_core::engine::ClusterState;
use kgrca_core::episode::KEPT;
use kgrca_core::model::{Record, Topic};
use kgrca_core::parse::{self, Context};
use kgrca_core::storage::{Error, ErrorKind, StreamId, Tenant};
use tokio::sync::RwLock;

use super::Live;
use crate::app::now;
use crate::storage::Stores;
use crate::telemetry;

const CHUNK: usize = 20_000;

/// Replays what was committed without committing it again. Returns how far each stream is worked off.
pub(super) async fn rebuild(
    stores: &Stores,
    tenant: &Tenant,
    (partition, partitions): (u32, u32),
    live: &RwLock<Live>,
) -> Result<BTreeMap<StreamId, u64>, Error> {
    let offsets: BTreeMap<StreamId, u64> = stores
        .meta
        .offsets(tenant)
        .await?
        .into_iter()
        .filter(|o| o.stream.partition == partition)
        .map(|o| (o.stream, o.next))
        .collect();
    let bound = now().plus(-KEPT);
    let mut clusters: BTreeMap<_, ClusterState> = BTreeMap::new();
    for topic in [Topic::Resource, Topic::Topology, Topic::Events, Topic::Logs, Topic::Alerts] {
        let stream = StreamId { topic, partition };
        let end = offsets.get(&stream).copied().unwrap_or(0);
        let is_state = matches!(topic, Topic::Resource | Topic::Topology);
        let mut from = if is_state { 0 } else { stores.log.since(tenant, stream, bound).await? };
        while from < end {
            let read = stores.log.read(tenant, stream, from, CHUNK.min((end - from) as usize)).await?;
            let Some(last) = read.last().map(|s| s.offset) else { break };
            let in_window = |s: &kgrca_core::storage::Stored| is_state || s.received_at >= bound;
            for stored in read.iter().filter(|s| s.offset < end && !s.value.is_empty() && in_window(s)) {
                replay(&mut clusters, tenant, topic, stored);
            }
            from = last + 1;
        }
    }
    for row in stores.meta.clusters(tenant).await? {
        // The other partitions restore theirs.
        if super::partition_of(tenant, &row.cluster, partitions) != partition {
            continue;
        }
        let state = clusters.entry(row.cluster.as_str().into()).or_insert_with(|| ClusterState::new(row.cluster.as_str()));
        state
            .restore(&row.state)
            .map_err(|e| Error::new(ErrorKind::Corrupt, format!("{tenant} cluster {}: {e}", row.cluster)))?;
    }
    // A graph that has nothing although there is something was lost or set aside.
    let is_lost = !clusters.is_empty() && stores.graph.counts(tenant).await?.resources == 0;
    if is_lost {
        telemetry::GraphRebuilt { tenant, partition }.emit();
    }
    for state in clusters.values_mut() {
        if is_lost { state.tell_everything() } else { state.keep_journal() }
    }
    let mut live = live.write().await;
    live.dirty = if is_lost { clusters.keys().cloned().collect() } else { BTreeSet::new() };
    live.clusters = clusters;
    Ok(offsets)
}

fn replay(
    clusters: &mut BTreeMap<kgrca_core::model::Str, ClusterState>,
    tenant: &Tenant,
    topic: Topic,
    stored: &kgrca_core::storage::Stored,
) {
    let mut records: Vec<Record> = Vec::new();
    let key = std::str::from_utf8(&stored.key).ok();
    let default = if matches!(topic, Topic::Resource | Topic::Topology) { None } else { key };
    let context = Context { received_at: stored.received_at, cluster: default, client_id: Some(tenant.as_str()) };
    // What was rejected then is rejected again; it was counted when it was committed.
    if parse::parse(topic, &stored.value, &context, &mut records).is_err() {
        return;
    }
    for record in records {
        clusters.entry(record.cluster.clone()).or_insert_with(|| ClusterState::new(record.cluster.clone())).apply(record);
    }
}
