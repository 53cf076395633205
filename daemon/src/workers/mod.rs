//! Workers: log → core → stores. One worker per (tenant, partition), loaded when there is something
//! to do.

mod batch;
mod history;
mod membership;
mod rebuild;
mod snapshot;
mod told;
mod worker;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kgrca_core::detect::Catalogue;
use kgrca_core::engine::ClusterState;
use kgrca_core::model::{Str, Topic};
use kgrca_core::rca::Weights;
use kgrca_core::storage::{Stored, partition_of};
use kgrca_core::tenancy::TenantId;
use tokio::sync::{Notify, watch};

use crate::storage::Stores;
use told::Told;

/// The cluster of a record of the log; of a tombstone by its key, as our door writes it.
pub fn cluster_of(tenant: &TenantId, topic: Topic, stored: &Stored) -> Option<String> {
    if stored.value.is_empty() {
        return std::str::from_utf8(&stored.key)
            .ok()?
            .split_once('/')
            .map(|(cluster, _)| cluster.to_owned());
    }
    let mut records = Vec::new();
    batch::read_one(tenant, topic, stored, &mut records).ok()?;
    records.first().map(|r| r.cluster.to_string())
}

/// The live state of a tenant's partition.
#[derive(Default)]
pub struct Live {
    /// Clusters by name.
    pub clusters: BTreeMap<Str, ClusterState>,
    /// What was told last of each incident, by its key.
    pub told: HashMap<u64, Told>,
    /// Clusters with records since they were looked at.
    pub dirty: BTreeSet<Str>,
    /// When they were looked at.
    pub looked: Option<std::time::Instant>,
    /// The weights by which causes are ranked.
    pub weights: Weights,
    /// The usual fixes of causes.
    pub catalogue: Catalogue,
}

/// How often each tenant's workers committed: what was read before a commit is old after it.
#[derive(Debug, Default)]
pub struct Commits(Mutex<HashMap<TenantId, watch::Sender<u64>>>);

impl Commits {
    fn sender(&self, tenant: &TenantId) -> watch::Sender<u64> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(tenant.clone())
            .or_insert_with(|| watch::channel(0).0)
            .clone()
    }

    fn add(&self, tenant: &TenantId) {
        self.sender(tenant).send_modify(|n| *n += 1);
    }
}

impl Live {
    /// A cluster's state; made when its first record arrives.
    fn cluster(&mut self, name: &Str) -> &mut ClusterState {
        self.clusters.entry(name.clone()).or_insert_with(|| {
            let mut state = ClusterState::new(name.clone());
            state.keep_journal();
            state
        })
    }
}

/// A loaded partition.
struct Loaded {
    wake: Arc<Notify>,
    stop: watch::Sender<bool>,
    /// Closed when its worker has left.
    ended: watch::Receiver<()>,
}

impl Loaded {
    /// Whether it was told to leave.
    fn leaves(&self) -> bool {
        *self.stop.borrow()
    }

    /// Whether its worker is gone.
    fn has_left(&self) -> bool {
        self.ended.has_changed().is_err()
    }

    /// Waits until its worker has left.
    async fn ended(&self) {
        self.ended.clone().changed().await.ok();
    }
}

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
    loaded: Mutex<HashMap<(TenantId, u32), Arc<Loaded>>>,
    commits: Arc<Commits>,
}

impl Fleet {
    /// An engine without workers; they are loaded as tenants need them, never where this daemon
    /// does not work.
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
        }
    }

    /// The name under which this daemon owns partitions.
    pub fn owner(&self) -> &str {
        &self.owner
    }

    fn membership(&self) -> MutexGuard<'_, membership::Membership> {
        self.membership
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn places(&self) -> MutexGuard<'_, HashMap<(TenantId, u32), Arc<Loaded>>> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this daemon is to work on a tenant's partition.
    pub fn is_mine(&self, tenant: &TenantId, partition: u32) -> bool {
        self.works && self.membership().is_mine(&self.owner, tenant, partition)
    }

    /// Remembers how many partitions a tenant has. With another number its workers begin anew.
    pub fn know(&self, tenant: &TenantId, partitions: u32) {
        let before = self
            .partitions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(tenant.clone(), partitions);
        if before.is_some_and(|before| before != partitions) {
            self.membership().forget(tenant);
            for (_, loaded) in self.places().iter().filter(|((t, _), _)| t == tenant) {
                // It leaves by itself; nobody takes its place before.
                loaded.stop.send_replace(true);
            }
        }
    }

    /// How many partitions a tenant has, as far as this daemon knows.
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

    /// How often this daemon committed for a tenant, and whoever waits for the next time.
    pub fn commits(&self, tenant: &TenantId) -> watch::Receiver<u64> {
        self.commits.sender(tenant).subscribe()
    }

    fn loaded_places(&self) -> Vec<(TenantId, u32)> {
        self.places().keys().cloned().collect()
    }

    /// Starts the worker of a partition when there is none. One that leaves is waited for: two
    /// would work under one lease.
    fn load(self: &Arc<Self>, tenant: &TenantId, partition: u32) -> Arc<Loaded> {
        let mut all = self.places();
        if let Some(loaded) = all
            .get(&(tenant.clone(), partition))
            .filter(|loaded| !loaded.has_left())
        {
            return Arc::clone(loaded);
        }
        let partitions = self.partitions(tenant);
        let (stop, stopped) = watch::channel(false);
        let (alive, ended) = watch::channel(());
        let loaded = Arc::new(Loaded {
            wake: Arc::default(),
            stop,
            ended,
        });
        let worker = worker::Worker {
            stores: self.stores.clone(),
            tenant: tenant.clone(),
            partition,
            partitions,
            owner: self.owner.clone(),
            tick: self.tick,
            snapshots: snapshot::Snapshots::of(&self.snapshots, tenant, partition, partitions)
                .into(),
            live: Arc::default(),
            wake: Arc::clone(&loaded.wake),
            commits: Arc::clone(&self.commits),
            stop: stopped,
        };
        tokio::spawn(async move {
            worker.run().await;
            // Also when it panics: the channel closes with the task.
            drop(alive);
        });
        all.insert((tenant.clone(), partition), Arc::clone(&loaded));
        loaded
    }

    /// Says that records of a tenant were appended here.
    pub fn appended(self: &Arc<Self>, tenant: &TenantId, partition: u32) {
        if self.is_mine(tenant, partition) {
            self.load(tenant, partition).wake.notify_one();
        }
    }

    /// Lets a worker finish its batch and give its lease back.
    async fn give_up(&self, tenant: &TenantId, partition: u32) {
        let place = (tenant.clone(), partition);
        let leaving = self.places().get(&place).cloned();
        if let Some(loaded) = leaving {
            loaded.stop.send_replace(true);
            loaded.ended().await;
            // Only then: until it is gone nobody takes its place.
            let mut places = self.places();
            if places.get(&place).is_some_and(|l| Arc::ptr_eq(l, &loaded)) {
                places.remove(&place);
            }
        }
    }

    /// Lets the workers of a tenant leave.
    pub async fn unload(&self, tenant: &TenantId) {
        for (tenant, partition) in self
            .loaded_places()
            .into_iter()
            .filter(|(t, _)| t == tenant)
        {
            self.give_up(&tenant, partition).await;
        }
    }

    /// Removes what lies on disk of tenants that are not among these.
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

    /// Removes what lies on disk of a tenant's live state.
    pub fn forget(&self, tenant: &TenantId) -> std::io::Result<()> {
        match std::fs::remove_dir_all(snapshot::folder(&self.snapshots, tenant)) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    }

    /// Lets every worker finish its batch and leave.
    pub async fn shut_down(&self) {
        let all: Vec<Arc<Loaded>> = self.places().drain().map(|(_, loaded)| loaded).collect();
        for loaded in &all {
            loaded.stop.send_replace(true);
        }
        for loaded in all {
            loaded.ended().await;
        }
    }
}
