//! One batch: parsed, ordered, applied, looked at, committed.

use std::collections::{BTreeMap, BTreeSet};

use kgrca_core::detect::Catalogue;
use kgrca_core::engine::{self, Applied, Changes, ClusterState, Evaluation};
use kgrca_core::model::{Record, Str, Time, Topic};
use kgrca_core::parse::{self, Context, Reject};
use kgrca_core::rca::Weights;
use kgrca_core::storage::{
    AnswerRow, ClusterCounts, ClusterRow, Commit, Entry, Error, GraphBatch, IncidentNode,
    IncidentRow, Offset, Stored, StreamId, partition_of,
};
use kgrca_core::tenancy::TenantId;

use super::worker::Worker;
use super::{Live, told};
use crate::telemetry;

/// How long clusters go without being looked at while more waits.
const LOOKS: std::time::Duration = std::time::Duration::from_secs(5);

/// A parsed record with its place.
struct Placed {
    record: Record,
    topic: Topic,
    offset: u64,
}

/// What reading a batch brought to light.
#[derive(Default)]
pub(super) struct Outcome {
    pub usage: BTreeMap<(String, String), i64>,
    by_topic: BTreeMap<(Topic, &'static str), u64>,
    pub transitions: Vec<(u64, kgrca_core::incident::Transition)>,
    pub rows: Vec<IncidentRow>,
    pub answers: Vec<AnswerRow>,
    clusters: Vec<ClusterRow>,
    changes: Changes,
    /// Records of clusters that belong to other partitions.
    misplaced: Vec<Entry>,
    /// Incidents for the graph by key; their ids are not known yet.
    pub nodes: Vec<(u64, IncidentNode)>,
    /// When the record arrived that waited longest.
    oldest: Option<Time>,
}

/// What becomes of records that are not rejected.
const APPLIED: &str = "applied";
const DUPLICATE: &str = "duplicate";

impl Outcome {
    /// Counts what became of a record; ticks and people's acts are not counted.
    fn count(&mut self, topic: Topic, status: &'static str) {
        if topic != Topic::Control {
            *self.by_topic.entry((topic, status)).or_default() += 1;
        }
    }

    /// What became of the batch, for the counters that are committed with it.
    fn account(&mut self, day: &str) {
        for ((_, status), n) in &self.by_topic {
            let metric = match *status {
                APPLIED => "records_applied_count",
                DUPLICATE => "records_duplicate_count",
                _ => "records_rejected_count",
            };
            *self
                .usage
                .entry((day.to_owned(), metric.to_owned()))
                .or_default() += *n as i64;
        }
    }

    /// Every incident that something is told of or that another one went into: each needs its
    /// number.
    fn incidents(&self) -> Vec<u64> {
        let into = self
            .rows
            .iter()
            .filter_map(|r| r.merged_into.as_ref()?.parse().ok());
        let told = self
            .rows
            .iter()
            .map(|r| r.key)
            .chain(self.answers.iter().map(|a| a.key));
        let all: BTreeSet<u64> = told
            .chain(self.nodes.iter().map(|(key, _)| *key))
            .chain(into)
            .collect();
        all.into_iter().collect()
    }
}

/// Works a batch off and commits it. `settled` says that nothing more waits: then the clusters are
/// looked at. `whole` says that the graph is told everything of this partition.
pub(super) async fn work_off(
    worker: &Worker,
    (epoch, whole): (i64, bool),
    read: BTreeMap<StreamId, Vec<Stored>>,
    offsets: &mut BTreeMap<StreamId, u64>,
    settled: bool,
) -> Result<(), Error> {
    let started = std::time::Instant::now();
    let next: Vec<Offset> = read
        .iter()
        .filter_map(|(stream, records)| {
            Some(Offset {
                stream: *stream,
                next: records.last()?.offset + 1,
            })
        })
        .collect();
    let live = std::sync::Arc::clone(&worker.live).write_owned().await;
    let (tenant, place) = (worker.tenant.clone(), (worker.partition, worker.partitions));
    let worked = tokio::task::spawn_blocking(move || {
        let mut live = live;
        let outcome = apply(&mut live, &tenant, place, &read, settled);
        (live, outcome)
    });
    let (live, mut outcome) = worked
        .await
        .map_err(|e| Error::new(kgrca_core::storage::ErrorKind::Internal, e.to_string()))?;
    drop(live);
    if !outcome.misplaced.is_empty() {
        telemetry::Misplaced {
            tenant: &worker.tenant,
            records: outcome.misplaced.len(),
        }
        .emit();
        worker
            .stores
            .log
            .append(&worker.tenant, std::mem::take(&mut outcome.misplaced))
            .await?;
    }
    let keys = outcome.incidents();
    let numbers = if keys.is_empty() {
        BTreeMap::new()
    } else {
        worker
            .stores
            .meta
            .reserve_numbers(&worker.tenant, &keys)
            .await?
    };
    for row in &mut outcome.rows {
        row.incident_id = numbers
            .get(&row.key)
            .map(|n| format!("inc-{n}"))
            .unwrap_or_default();
        row.merged_into = row
            .merged_into
            .take()
            .and_then(|key| numbers.get(&key.parse().ok()?).map(|n| format!("inc-{n}")));
    }
    for (key, node) in &mut outcome.nodes {
        node.id = numbers
            .get(key)
            .map(|n| format!("inc-{n}"))
            .unwrap_or_default();
    }
    // The graph first: what it was told twice changes nothing, what it was not told would be lost.
    let incidents = outcome.nodes.into_iter().map(|(_, node)| node).collect();
    let graph = GraphBatch {
        partition: worker.partition,
        epoch,
        whole,
        copied: false,
        changes: outcome.changes,
        incidents,
    };
    worker.stores.graph.write(&worker.tenant, graph).await?;
    let commit = Commit {
        epoch,
        offsets: next.clone(),
        usage: outcome.usage,
        clusters: outcome.clusters,
        incidents: outcome.rows,
        transitions: outcome.transitions,
        answers: outcome.answers,
        jobs: Vec::new(),
    };
    worker
        .stores
        .meta
        .commit(&worker.tenant, worker.partition, commit)
        .await?;
    worker.commits.add(&worker.tenant);
    offsets.extend(next.iter().map(|o| (o.stream, o.next)));
    telemetry::BatchCommitted {
        tenant: &worker.tenant,
        by_topic: &outcome.by_topic,
        seconds: started.elapsed().as_secs_f64(),
        waited: outcome
            .oldest
            .map(|oldest| crate::clock::now().seconds_since(oldest)),
    }
    .emit();
    Ok(())
}

/// A partition and how many there are.
type Partition = (u32, u32);

fn apply(
    live: &mut Live,
    tenant: &TenantId,
    partition: Partition,
    read: &BTreeMap<StreamId, Vec<Stored>>,
    settled: bool,
) -> Outcome {
    let mut outcome = Outcome::default();
    let mut placed = parse_all(tenant, partition, read, &mut outcome, live);
    placed.sort_by_key(|a| (a.record.at, a.topic, a.offset));
    let mut touched: BTreeSet<Str> = BTreeSet::new();
    for p in placed {
        let name = p.record.cluster.clone();
        let applied = live.cluster(&name).apply(p.record);
        touched.insert(name);
        if p.topic == Topic::Control {
            continue;
        }
        outcome.count(
            p.topic,
            if applied == Applied::Applied {
                APPLIED
            } else {
                DUPLICATE
            },
        );
    }
    live.dirty.extend(touched.iter().cloned());
    // While more waits, clusters are looked at now and then only.
    let looks = settled || live.looked.is_none_or(|at| at.elapsed() > LOOKS);
    let due = if looks {
        std::mem::take(&mut live.dirty)
    } else {
        BTreeSet::new()
    };
    if looks {
        live.looked = Some(std::time::Instant::now());
    }
    for name in touched.union(&due) {
        let Some(state) = live.clusters.get_mut(name) else {
            continue;
        };
        let evaluation = due
            .contains(name)
            .then(|| evaluate(tenant, state, &live.weights, &live.catalogue));
        // Also of clusters that are not looked at now: what people did counts at once.
        told::update(state, evaluation.as_ref(), &mut live.told, &mut outcome);
        outcome.changes.extend(state.take_changes());
        let row = ClusterRow {
            cluster: state.name.to_string(),
            state: state.save(),
            last_record: state.last_record,
            counts: due.contains(name).then(|| counts(state)),
        };
        outcome.clusters.push(row);
    }
    outcome.account(&crate::clock::now().day());
    if looks {
        let known: BTreeSet<u64> = live
            .clusters
            .values()
            .flat_map(|c| c.incidents.iter())
            .map(|i| i.key)
            .collect();
        live.told.retain(|key, _| known.contains(key));
    }
    outcome
}

fn counts(state: &ClusterState) -> ClusterCounts {
    ClusterCounts {
        resources: state.graph.live(),
        edges: state.graph.edge_count(),
        episodes: state.episodes.len(),
        incidents: state.incidents.iter().filter(|i| i.is_live()).count(),
    }
}

fn evaluate(
    tenant: &TenantId,
    state: &mut ClusterState,
    weights: &Weights,
    catalogue: &Catalogue,
) -> Evaluation {
    let started = std::time::Instant::now();
    let evaluation = state.evaluate(state.watermark, weights, catalogue);
    let causes = evaluation.ranked.iter().map(|r| r.causal.len()).sum();
    telemetry::ClusterEvaluated {
        seconds: started.elapsed().as_secs_f64(),
        causes,
    }
    .emit();
    for panic in &evaluation.panics {
        telemetry::DetectorPanicked {
            tenant,
            cluster: &state.name,
            panic,
        }
        .emit();
    }
    evaluation
}

/// Reads one record of the log. On the compacted topics the key is the object's; elsewhere it is
/// the cluster of records that name none.
pub(super) fn read_one(
    tenant: &TenantId,
    topic: Topic,
    stored: &Stored,
    out: &mut Vec<Record>,
) -> Result<(), Reject> {
    let is_state = matches!(topic, Topic::Resource | Topic::Topology);
    let cluster = if is_state {
        None
    } else {
        std::str::from_utf8(&stored.key).ok()
    };
    let context = Context {
        received_at: stored.received_at,
        cluster,
        client_id: Some(tenant.as_str()),
    };
    parse::parse(topic, &stored.value, &context, out)
}

/// Another producer's hash, or fewer partitions than there are now, may have led a record astray:
/// it is sent on.
fn misplaced(
    tenant: &TenantId,
    (own, count): Partition,
    stream: StreamId,
    stored: &Stored,
    first: &Record,
) -> Option<Entry> {
    let partition = partition_of(tenant, &first.cluster, count);
    let entry = || Entry {
        stream: StreamId {
            partition,
            ..stream
        },
        key: stored.key.clone(),
        value: stored.value.clone(),
        received_at: stored.received_at,
    };
    (partition != own).then(entry)
}

fn parse_all(
    tenant: &TenantId,
    partition: Partition,
    read: &BTreeMap<StreamId, Vec<Stored>>,
    outcome: &mut Outcome,
    live: &mut Live,
) -> Vec<Placed> {
    let mut placed = Vec::new();
    let mut records = Vec::new();
    for (stream, stored) in read {
        for s in stored.iter().filter(|s| !s.value.is_empty()) {
            if stream.topic != Topic::Control {
                outcome.oldest = Some(
                    outcome
                        .oldest
                        .map_or(s.received_at, |oldest| oldest.min(s.received_at)),
                );
            }
            records.clear();
            if let Err(reject) = read_one(tenant, stream.topic, s, &mut records) {
                outcome.count(stream.topic, reject.reason.as_str());
                continue;
            }
            if let Some(entry) = records
                .first()
                .and_then(|first| misplaced(tenant, partition, *stream, s, first))
            {
                outcome.misplaced.push(entry);
                continue;
            }
            let mut new_records = 0;
            for record in records.drain(..) {
                if live.cluster(&record.cluster).admit(stream.topic, &record) {
                    new_records += 1;
                    placed.push(Placed {
                        record,
                        topic: stream.topic,
                        offset: s.offset,
                    });
                } else {
                    outcome.count(stream.topic, DUPLICATE);
                }
            }
            if engine::is_billable(stream.topic, new_records) {
                *outcome
                    .usage
                    .entry((s.received_at.day(), "events_ingested_count".into()))
                    .or_default() += 1;
            }
        }
    }
    placed
}

#[cfg(test)]
mod tests {
    use super::*;
    use kgrca_core::incident::State;

    #[test]
    fn what_only_the_graph_is_told_of_has_a_number_too() {
        let node = IncidentNode {
            id: String::new(),
            cluster: "prod".into(),
            state: State::Open,
            severity: kgrca_core::model::Severity::Warning,
            started: Time(1),
            ended: None,
            symptoms: Vec::new(),
            causes: None,
            at: Time(2),
        };
        let outcome = Outcome {
            nodes: vec![(7, node)],
            ..Outcome::default()
        };
        assert_eq!(outcome.incidents(), [7]);
    }
}
