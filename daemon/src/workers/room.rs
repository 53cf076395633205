//! What a tenant's plan has room for. Records that would exceed it are rejected when they are
//! taken in, as far as this daemon knows what the tenant holds; its workers skip all others.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use kgrca_core::billing::{self, Metric, Plan};
use kgrca_core::engine::{self, ClusterState, Limits, Load};
use kgrca_core::model::time::DAY;
use kgrca_core::model::{Record, Str, Time, Topic};
use kgrca_core::storage::{Error, partition_of};
use kgrca_core::tenancy::TenantId;
use tokio::sync::{OwnedRwLockReadGuard, RwLock};

use super::worker::Worker;
use super::{Fleet, Live};
use crate::clock::now;

/// By how many events ingestion may exceed a day's limit: a batch that begins within it is taken
/// in completely.
const MAX_OVERSHOOT: u64 = 100_000;

/// Room for live objects, and for what is kept of others.
#[derive(Debug)]
pub(super) struct Room {
    /// `None` without a limit.
    limit: Option<u64>,
    held: Load,
    /// What was admitted and is not applied yet.
    new: HashSet<u64>,
    /// A cluster of which nothing is known.
    unknown: ClusterState,
}

impl Room {
    /// Room beside what these clusters hold.
    pub fn beside<'a>(
        limit: Option<u64>,
        clusters: impl Iterator<Item = &'a ClusterState>,
        elsewhere: Load,
    ) -> Self {
        let held = match limit {
            Some(_) => clusters.map(ClusterState::load).fold(elsewhere, Load::plus),
            None => elsewhere,
        };
        Self {
            limit,
            held,
            new: HashSet::new(),
            unknown: ClusterState::default(),
        }
    }

    /// Whether there is room for what the records of an entry add. What is admitted counts from
    /// then on.
    pub fn admits(&mut self, live: &Live, topic: Topic, records: &[Record]) -> bool {
        let Some(limit) = self.limit else {
            return true;
        };
        let (mut added, mut keys) = (Load::default(), Vec::new());
        for record in records {
            let state = live.clusters.get(&record.cluster).unwrap_or(&self.unknown);
            for addition in state.additions(topic, record) {
                if !self.new.contains(&addition.key) && !keys.contains(&addition.key) {
                    added.add(addition.held, addition.amount);
                    keys.push(addition.key);
                }
            }
        }
        if !self.held.has_room_for(added, limit) {
            return false;
        }
        self.held = self.held.plus(added);
        self.new.extend(keys);
        true
    }
}

/// What a tenant's plan allows a worker to apply.
#[derive(Clone, Debug, Default)]
pub(super) struct Allowance {
    /// Live state.
    pub limits: Limits,
    /// What clusters of other partitions hold.
    elsewhere: Load,
    /// Where records come past ingestion: how many clusters may be active, and those that are.
    clusters: Option<(u64, BTreeSet<Str>)>,
    /// The same: how many events a day may have at most, and how many each has.
    events: Option<(u64, BTreeMap<String, u64>)>,
}

impl Allowance {
    /// What the tenant's plan allows now.
    pub async fn read(worker: &Worker) -> Result<Self, Error> {
        let (meta, tenant) = (&worker.stores.meta, &worker.partition.tenant);
        let Some(row) = meta.tenant(tenant.as_str()).await? else {
            return Ok(Self::default());
        };
        let Some(plan) = billing::find(&row.plan).map(|plan| plan.with(&row.limits)) else {
            return Ok(Self::default());
        };
        let comes_past_ingestion = worker.stores.log.is_remote();
        let mut allowance = Self {
            limits: Limits {
                objects: plan.live_objects,
                clusters: plan.clusters,
            },
            ..Self::default()
        };
        let is_asked = plan.live_objects.is_some() && worker.partition.count > 1;
        if is_asked || (comes_past_ingestion && plan.clusters.is_some()) {
            allowance.read_clusters(worker, &plan).await?;
        }
        if let Some(limit) = plan
            .events_day
            .filter(|_| plan.events_are_hard && comes_past_ingestion)
        {
            let (yesterday, tomorrow) = (now().plus(-DAY).day(), now().plus(DAY).day());
            let rows = meta.usage(tenant, &yesterday, &tomorrow).await?;
            let events = rows
                .into_iter()
                .filter(|r| r.metric == Metric::EventsIngested);
            let by_day = events.map(|r| (r.day, r.amount.max(0) as u64)).collect();
            allowance.events = Some((limit.saturating_add(MAX_OVERSHOOT), by_day));
        }
        Ok(allowance)
    }

    async fn read_clusters(&mut self, worker: &Worker, plan: &Plan) -> Result<(), Error> {
        let rows = worker
            .stores
            .meta
            .clusters(&worker.partition.tenant)
            .await?;
        for row in rows
            .iter()
            .filter(|row| !worker.partition.owns(&row.cluster))
        {
            let counts = row.counts.unwrap_or_default();
            self.elsewhere = self
                .elsewhere
                .plus(Load::of_objects(counts.resources as u64));
        }
        if let Some(limit) = plan.clusters.filter(|_| worker.stores.log.is_remote()) {
            let active = rows.iter().filter(|row| now().0 - row.last_seen().0 < DAY);
            let active = active.map(|row| row.cluster.as_str().into()).collect();
            self.clusters = Some((limit, active));
        }
        Ok(())
    }

    /// Judges the entries of a batch.
    pub fn gate(&self, live: &Live) -> Gate {
        Gate {
            room: Room::beside(self.limits.objects, live.clusters.values(), self.elsewhere),
            clusters: self.clusters.clone(),
            events: self.events.clone(),
        }
    }
}

/// Judges the entries of one batch, one after the other.
pub(super) struct Gate {
    room: Room,
    clusters: Option<(u64, BTreeSet<Str>)>,
    events: Option<(u64, BTreeMap<String, u64>)>,
}

impl Gate {
    /// Whether the plan has room for an entry. If so, it counts from then on.
    pub fn admits(
        &mut self,
        live: &Live,
        topic: Topic,
        received_at: Time,
        records: &[Record],
    ) -> bool {
        topic == Topic::Control
            || self.admits_clusters(records)
                && self.room.admits(live, topic, records)
                && self.admits_events(received_at, engine::events_of(topic, records.len() as u64))
    }

    fn admits_clusters(&mut self, records: &[Record]) -> bool {
        let Some((limit, active)) = &mut self.clusters else {
            return true;
        };
        let new: BTreeSet<&Str> = records
            .iter()
            .map(|r| &r.cluster)
            .filter(|cluster| !active.contains(*cluster))
            .collect();
        if new.is_empty() {
            return true;
        }
        let fits = (active.len() + new.len()) as u64 <= *limit;
        if fits {
            let new: Vec<Str> = new.into_iter().cloned().collect();
            active.extend(new);
        }
        fits
    }

    fn admits_events(&mut self, received_at: Time, more: u64) -> bool {
        let Some((limit, by_day)) = self.events.as_mut().filter(|_| more > 0) else {
            return true;
        };
        let events = by_day.entry(received_at.day()).or_default();
        let fits = *events + more <= *limit;
        if fits {
            *events += more;
        }
        fits
    }
}

/// Judges records before they are taken in, by what this daemon's workers hold. Those of other
/// partitions are admitted: their workers judge them. No batch is applied meanwhile.
pub struct Admission {
    room: Room,
    tenant: TenantId,
    partitions: u32,
    live: BTreeMap<u32, OwnedRwLockReadGuard<Live>>,
}

impl Admission {
    /// Whether the plan has room for the records of an entry.
    pub fn admits(&mut self, topic: Topic, records: &[Record]) -> bool {
        let Some(first) = records.first() else {
            return true;
        };
        let partition = partition_of(&self.tenant, &first.cluster, self.partitions);
        match self.live.get(&partition) {
            Some(live) => self.room.admits(live, topic, records),
            None => true,
        }
    }
}

impl Fleet {
    /// Judges records of a tenant by a limit on live objects. Waits while a batch is applied.
    pub async fn admission(&self, tenant: &TenantId, objects: Option<u64>) -> Admission {
        let mut live = BTreeMap::new();
        if objects.is_some() {
            for (partition, state) in self.live_of(tenant) {
                let state = state.read_owned().await;
                if state.is_restored {
                    live.insert(partition, state);
                }
            }
        }
        let clusters = live.values().flat_map(|live| live.clusters.values());
        Admission {
            room: Room::beside(objects, clusters, Load::default()),
            tenant: tenant.clone(),
            partitions: self.partitions(tenant),
            live,
        }
    }

    /// What the active symptoms of a component say; `None` when no worker of the cluster has its
    /// state here.
    pub fn active_symptoms(
        &self,
        tenant: &TenantId,
        cluster: &str,
        component: &str,
    ) -> Option<Vec<String>> {
        let partition = self.partition(tenant, cluster);
        let mut own = self.live_of(tenant).into_iter();
        let (_, live) = own.find(|(number, _)| *number == partition)?;
        // What is stored is shown while the worker applies a batch or evaluates.
        let live = live.try_read_owned().ok()?;
        if !live.is_restored {
            return None;
        }
        let state = live.clusters.get(cluster)?;
        let active = state.incidents.active_symptoms(component);
        Some(active.map(|member| member.what.clone()).collect())
    }

    /// The live state of a tenant's partitions that have a worker here.
    fn live_of(&self, tenant: &TenantId) -> Vec<(u32, Arc<RwLock<Live>>)> {
        let loaded = self.loaded();
        let own = loaded.iter().filter(|((t, _), _)| t == tenant);
        own.map(|((_, partition), loaded)| (*partition, Arc::clone(&loaded.live)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kgrca_core::parse::{Context, parse};

    fn records(topic: Topic, text: &str) -> Vec<Record> {
        let mut records = Vec::new();
        parse(topic, text.as_bytes(), &Context::default(), &mut records).unwrap();
        records
    }

    fn pod(cluster: &str, name: &str) -> Vec<Record> {
        let text = format!(
            r#"{{"op":"UPSERT","at":"1970-01-01T00:00:00Z","cluster":"{cluster}","kind":"Pod",
            "uid":"{name}","namespace":"shop","name":"{name}"}}"#
        );
        records(Topic::Resource, &text)
    }

    #[test]
    fn a_plan_has_room_for_its_objects_and_for_updates_of_them() {
        let mut live = Live::default();
        for record in pod("prod", "a") {
            live.cluster(&record.cluster.clone()).apply(record);
        }
        let allowance = Allowance {
            limits: Limits {
                objects: Some(3),
                clusters: None,
            },
            ..Allowance::default()
        };
        let mut gate = allowance.gate(&live);
        let mut admits = |cluster: &str, name: &str| {
            gate.admits(&live, Topic::Resource, Time(0), &pod(cluster, name))
        };
        assert!(admits("prod", "b") && admits("stage", "c"));
        assert!(!admits("prod", "d") && !admits("stage", "a"));
        assert!(admits("prod", "a") && admits("prod", "b"), "known ones");
    }

    #[test]
    fn what_comes_past_ingestion_is_held_against_clusters_and_the_day() {
        let live = Live::default();
        let allowance = Allowance {
            clusters: Some((2, BTreeSet::from(["prod".into()]))),
            events: Some((3, BTreeMap::from([(Time(0).day(), 1)]))),
            ..Allowance::default()
        };
        let mut gate = allowance.gate(&live);
        let mut admits = |cluster: &str, at: i64| {
            let text = format!(
                r#"{{"cluster":"{cluster}","severity":"ERROR","pod_name":"p","message":"m"}}"#
            );
            gate.admits(&live, Topic::Logs, Time(at), &records(Topic::Logs, &text))
        };
        assert!(admits("prod", 0) && admits("stage", 0));
        assert!(!admits("third", 0), "one cluster too many");
        assert!(!admits("prod", 0), "one event too many");
        assert!(admits("prod", DAY), "the next day");
    }
}
