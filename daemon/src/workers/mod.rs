//! Workers: log → core → stores. One worker per partition of a tenant, loaded when there is
//! something to do.

mod apply;
mod batch;
mod batch_size;
mod evaluate;
mod evaluations;
mod history;
mod membership;
mod misplaced;
mod outcome;
mod partition;
mod place;
mod reading;
mod rebuild;
mod records;
mod refused;
mod replay;
mod reporter;
mod room;
mod snapshot;
mod undo;
mod worker;
mod writing;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kgrca_core::detect::Catalogue;
use kgrca_core::engine::{ClusterState, Limits};
use kgrca_core::model::{Str, Topic};
use kgrca_core::parse::mask::HashKey;
use kgrca_core::rca::Weights;
use kgrca_core::storage::{Stored, partition_of};
use kgrca_core::tenancy::TenantId;
use tokio::sync::{Notify, RwLock, watch};

use crate::places::Places;
use crate::storage::Stores;
use batch_size::BatchSize;
use evaluations::Evaluations;
use partition::Partition;
use reporter::Reported;
pub use room::Admission;
use undo::Before;
pub use writing::Writing;

/// The cluster of a record in the log. That of a tombstone is in its key, as ingestion writes it.
pub fn cluster_of(tenant: &TenantId, topic: Topic, stored: &Stored) -> Option<String> {
    if stored.value.is_empty() {
        return std::str::from_utf8(&stored.key)
            .ok()?
            .split_once('/')
            .map(|(cluster, _)| cluster.to_owned());
    }
    let mut records = Vec::new();
    let hiding = reading::Hiding::default();
    reading::read_one(tenant, topic, stored, hiding, &mut records).ok()?;
    records.first().map(|r| r.cluster.to_string())
}

/// The live state of a tenant's partition.
#[derive(Default)]
struct Live {
    /// Clusters by name.
    clusters: BTreeMap<Str, ClusterState>,
    /// What was last written of each incident, by its key.
    reported: HashMap<u64, Reported>,
    evaluations: Evaluations,
    rules: Rules,
    /// Whether it has what was committed.
    is_restored: bool,
    /// The plan's limits on live state.
    limits: Limits,
    /// How many records are applied together.
    batches: BatchSize,
    /// What it was before the current part of a batch, where that may be undone.
    before: Option<Before>,
}

/// What records are read and clusters are evaluated by.
#[derive(Clone, Default)]
struct Rules {
    /// Replaces values of objects that nothing reads.
    hash_key: Option<HashKey>,
    /// Whether records are masked: see [`reading::Hiding`].
    masks: bool,
    /// The weights by which causes are ranked.
    weights: Weights,
    /// The usual fixes of causes.
    catalogue: Catalogue,
}

/// Number of commits of each tenant's workers: what was read before a commit is outdated after it.
#[derive(Debug, Default)]
pub struct Commits(Mutex<HashMap<TenantId, Counts>>);

/// Commits of a tenant: all, and those with transitions of incidents.
#[derive(Clone, Debug, Default)]
struct Counts {
    all: watch::Sender<u64>,
    transitions: watch::Sender<u64>,
}

impl Commits {
    fn of(&self, tenant: &TenantId) -> Counts {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(tenant.clone()).or_default().clone()
    }

    fn add(&self, tenant: &TenantId, has_transitions: bool) {
        let counts = self.of(tenant);
        counts.all.send_modify(|n| *n += 1);
        if has_transitions {
            counts.transitions.send_modify(|n| *n += 1);
        }
    }
}

impl Live {
    /// A cluster's state, created with its first record.
    fn cluster(&mut self, name: &Str) -> &mut ClusterState {
        self.remember(name);
        self.clusters.entry(name.clone()).or_insert_with(|| {
            let mut state = ClusterState::new(name.clone());
            state.keep_journal();
            state.limit_to(self.limits);
            state
        })
    }

    /// Forgets all but how long records take.
    fn clear(&mut self) {
        let batches = self.batches;
        *self = Self {
            batches,
            ..Self::default()
        };
    }

    /// Limits what clusters hold by the plan.
    fn limit(&mut self, limits: Limits) {
        if self.limits != limits {
            self.limits = limits;
            for state in self.clusters.values_mut() {
                state.limit_to(limits);
            }
        }
    }

    /// Forgets what was written of incidents that no longer exist.
    fn forget_reports(&mut self) {
        let incidents = self.clusters.values().flat_map(|c| c.incidents.iter());
        let keys: BTreeSet<u64> = incidents.map(|i| i.key).collect();
        self.reported.retain(|key, _| keys.contains(key));
    }
}

/// A loaded partition.
struct Loaded {
    live: Arc<RwLock<Live>>,
    wake: Arc<Notify>,
    stop: watch::Sender<bool>,
    /// Closed when its worker has ended.
    ended: watch::Receiver<()>,
}

impl Loaded {
    /// Whether it was asked to stop.
    fn is_stopping(&self) -> bool {
        *self.stop.borrow()
    }

    /// Whether its worker has ended.
    fn has_ended(&self) -> bool {
        self.ended.has_changed().is_err()
    }

    /// Waits until its worker has ended.
    async fn ended(&self) {
        self.ended.clone().changed().await.ok();
    }
}

/// A tenant and the number of one of its partitions.
type PartitionId = (TenantId, u32);

/// All workers of this daemon.
pub struct Fleet {
    stores: Stores,
    tick: Duration,
    owner: String,
    works: bool,
    snapshots: PathBuf,
    membership: Mutex<membership::Membership>,
    /// Partitions of each tenant that was seen.
    partitions: Mutex<HashMap<TenantId, u32>>,
    loaded: Mutex<BTreeMap<PartitionId, Arc<Loaded>>>,
    commits: Arc<Commits>,
    places: Places<TenantId>,
    writers: writing::Writers,
}

impl Fleet {
    /// A fleet without workers. They are loaded as tenants need them, and only when `works` is set.
    pub fn new(
        stores: Stores,
        works: bool,
        tick: Duration,
        owner: String,
        snapshots: PathBuf,
    ) -> Self {
        Self {
            stores,
            tick,
            owner,
            works,
            snapshots,
            membership: Mutex::default(),
            partitions: Mutex::default(),
            loaded: Mutex::default(),
            commits: Arc::default(),
            places: place::places(),
            writers: writing::Writers::default(),
        }
    }

    /// The name under which this daemon holds leases.
    pub fn owner(&self) -> &str {
        &self.owner
    }

    fn membership(&self) -> MutexGuard<'_, membership::Membership> {
        self.membership
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn loaded(&self) -> MutexGuard<'_, BTreeMap<PartitionId, Arc<Loaded>>> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this daemon should process a tenant's partition.
    pub fn is_mine(&self, tenant: &TenantId, partition: u32) -> bool {
        self.works && self.membership().is_mine(&self.owner, tenant, partition)
    }

    /// Remembers how many partitions a tenant has. When the number changes, its workers restart.
    pub fn know(&self, tenant: &TenantId, partitions: u32) {
        let before = self
            .partitions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(tenant.clone(), partitions);
        if before.is_some_and(|before| before != partitions) {
            self.restart(tenant);
        }
    }

    /// Stops the workers of a tenant; new ones are loaded once they have ended.
    fn restart(&self, tenant: &TenantId) {
        self.membership().forget(tenant);
        for (_, loaded) in self.loaded().iter().filter(|((t, _), _)| t == tenant) {
            loaded.stop.send_replace(true);
        }
    }

    /// How many partitions a tenant has; 1 while this daemon has not seen the tenant.
    pub fn partitions(&self, tenant: &TenantId) -> u32 {
        self.partitions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(tenant)
            .copied()
            .unwrap_or(1)
    }

    /// The partition of a cluster: CRC32 of `client_id/cluster`.
    pub fn partition(&self, tenant: &TenantId, cluster: &str) -> u32 {
        partition_of(tenant, cluster, self.partitions(tenant))
    }

    /// Counts the commits of this daemon for a tenant; can be awaited for the next one.
    pub fn commits(&self, tenant: &TenantId) -> watch::Receiver<u64> {
        self.commits.of(tenant).all.subscribe()
    }

    /// The same for commits that have transitions of incidents.
    pub fn transitions(&self, tenant: &TenantId) -> watch::Receiver<u64> {
        self.commits.of(tenant).transitions.subscribe()
    }

    fn loaded_ids(&self) -> Vec<PartitionId> {
        self.loaded().keys().cloned().collect()
    }

    /// Starts the worker of a partition when there is none. One that is stopping still counts: two
    /// would work under one lease.
    fn load(self: &Arc<Self>, tenant: &TenantId, partition: u32) -> Arc<Loaded> {
        let mut all = self.loaded();
        if let Some(loaded) = all
            .get(&(tenant.clone(), partition))
            .filter(|loaded| !loaded.has_ended())
        {
            return Arc::clone(loaded);
        }
        let partitions = self.partitions(tenant);
        let (stop, stopped) = watch::channel(false);
        let (alive, ended) = watch::channel(());
        let loaded = Arc::new(Loaded {
            live: Arc::default(),
            wake: Arc::default(),
            stop,
            ended,
        });
        let worker = worker::Worker {
            stores: self.stores.clone(),
            partition: Partition {
                tenant: tenant.clone(),
                number: partition,
                count: partitions,
            },
            owner: self.owner.clone(),
            tick: self.tick,
            snapshots: snapshot::Snapshots::of(&self.snapshots, tenant, partition, partitions)
                .into(),
            live: Arc::clone(&loaded.live),
            wake: Arc::clone(&loaded.wake),
            commits: Arc::clone(&self.commits),
            places: self.places.clone(),
            stop: stopped,
        };
        tokio::spawn(async move {
            worker.run().await;
            // The channel also closes when the worker panics.
            drop(alive);
        });
        all.insert((tenant.clone(), partition), Arc::clone(&loaded));
        loaded
    }

    /// Wakes the worker of a partition after this daemon appended records to it.
    pub fn appended(self: &Arc<Self>, tenant: &TenantId, partition: u32) {
        if self.is_mine(tenant, partition) {
            self.load(tenant, partition).wake.notify_one();
        }
    }

    /// Stops a worker after its batch and releases its lease.
    async fn give_up(&self, tenant: &TenantId, partition: u32) {
        let id = (tenant.clone(), partition);
        let stopping = self.loaded().get(&id).cloned();
        if let Some(loaded) = stopping {
            loaded.stop.send_replace(true);
            loaded.ended().await;
            // Removed only now, so that no second worker starts while it runs.
            let mut all = self.loaded();
            if all.get(&id).is_some_and(|l| Arc::ptr_eq(l, &loaded)) {
                all.remove(&id);
            }
        }
    }

    /// Stops the workers of a tenant.
    pub async fn unload(&self, tenant: &TenantId) {
        for (tenant, partition) in self.loaded_ids().into_iter().filter(|(t, _)| t == tenant) {
            self.give_up(&tenant, partition).await;
        }
    }

    /// Removes the snapshots of all tenants but these.
    pub fn forget_others(&self, living: &BTreeSet<TenantId>) -> std::io::Result<()> {
        for entry in std::fs::read_dir(&self.snapshots).into_iter().flatten() {
            let name = entry?.file_name();
            if let Some(tenant) = name
                .to_str()
                .and_then(TenantId::parse)
                .filter(|t| !living.contains(t))
            {
                self.forget(&tenant)?;
            }
        }
        Ok(())
    }

    /// Removes a tenant's snapshots.
    pub fn forget(&self, tenant: &TenantId) -> std::io::Result<()> {
        match std::fs::remove_dir_all(snapshot::folder(&self.snapshots, tenant)) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    }

    /// Stops all workers after their batches. Evaluations under way are called off. A request that
    /// appends meanwhile starts no worker: it would have the lease of the one that still ends, and
    /// apply the same records.
    pub async fn shut_down(&self) {
        self.membership().leave();
        let all: Vec<Arc<Loaded>> = self.loaded().values().cloned().collect();
        for loaded in &all {
            loaded.stop.send_replace(true);
        }
        for loaded in all {
            loaded.ended().await;
        }
    }
}
