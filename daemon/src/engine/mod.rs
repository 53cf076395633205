//! Workers: log → core → stores. One worker per (tenant, partition), loaded when there is something to do.

mod batch;
mod history;
mod rebuild;
mod snapshot;
mod told;
mod worker;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kgrca_core::engine::ClusterState;
use kgrca_core::model::Str;
use kgrca_core::service::analyze::Counts;
use kgrca_core::storage::{Error, ErrorKind, Tenant, TransitionRow};
use tokio::sync::{Notify, RwLock, broadcast, watch};
use tokio::task::JoinHandle;

use crate::storage::Stores;
use told::Told;

/// How long a question waits for live state.
const LOADS: Duration = Duration::from_secs(10);

/// The partition of a cluster: CRC32 of `client_id/cluster`.
fn partition_of(tenant: &Tenant, cluster: &str, partitions: u32) -> u32 {
    crc32fast::hash(format!("{tenant}/{cluster}").as_bytes()) % partitions
}

/// The live state of a tenant's partition.
#[derive(Default)]
pub struct Live {
    /// Clusters by name.
    pub clusters: BTreeMap<Str, ClusterState>,
    /// What became of records since it was loaded, with the batch that is being worked off.
    pub counts: Counts,
    /// The same as of the last commit: what answers rest on.
    pub committed: Counts,
    /// What was told last of each incident, by its key.
    pub told: HashMap<u64, Told>,
    /// Clusters with records since they were looked at.
    pub dirty: std::collections::BTreeSet<Str>,
    /// When they were looked at.
    pub looked: Option<std::time::Instant>,
}

/// How often each tenant's workers committed: what was read before a commit is old after it.
#[derive(Debug, Default)]
pub struct Commits(Mutex<HashMap<Tenant, u64>>);

impl Commits {
    fn add(&self, tenant: &Tenant) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match all.get_mut(tenant) {
            Some(n) => *n += 1,
            None => {
                all.insert(tenant.clone(), 1);
            }
        }
    }

    fn get(&self, tenant: &Tenant) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(tenant).copied().unwrap_or(0)
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
pub struct Loaded {
    /// Its live state; readable once it was rebuilt.
    pub live: Arc<RwLock<Live>>,
    wake: Arc<Notify>,
    ready: watch::Receiver<bool>,
    /// How many records wait, as the worker saw it last.
    pub lag: watch::Receiver<u64>,
    /// Transitions as they are committed.
    pub feed: broadcast::Sender<TransitionRow>,
    task: Mutex<Option<JoinHandle<()>>>,
}

/// All workers of this daemon.
pub struct Engine {
    stores: Stores,
    partitions: u32,
    tick: Duration,
    owner: String,
    snapshots: PathBuf,
    loaded: Mutex<HashMap<(Tenant, u32), Arc<Loaded>>>,
    commits: Arc<Commits>,
    stop: watch::Sender<bool>,
}

impl Engine {
    /// An engine without workers; they are loaded as tenants need them.
    pub fn new(stores: Stores, partitions: u32, tick: Duration, owner: String, snapshots: PathBuf) -> Self {
        Self {
            stores,
            partitions,
            tick,
            owner,
            snapshots,
            loaded: Mutex::default(),
            commits: Arc::default(),
            stop: watch::channel(false).0,
        }
    }

    /// The partition of a cluster: CRC32 of `client_id/cluster`.
    pub fn partition(&self, tenant: &Tenant, cluster: &str) -> u32 {
        partition_of(tenant, cluster, self.partitions)
    }

    /// How often this daemon committed for a tenant.
    pub fn commits(&self, tenant: &Tenant) -> u64 {
        self.commits.get(tenant)
    }

    /// All partitions of a tenant; their live state may still be on its way.
    pub fn tenant(self: &Arc<Self>, tenant: &Tenant) -> Vec<Arc<Loaded>> {
        (0..self.partitions).map(|p| self.load(tenant, p)).collect()
    }

    /// All partitions of a tenant with their live state.
    pub async fn ready(self: &Arc<Self>, tenant: &Tenant) -> Result<Vec<Arc<Loaded>>, Error> {
        let all = self.tenant(tenant);
        for loaded in &all {
            let mut ready = loaded.ready.clone();
            let there = tokio::time::timeout(LOADS, ready.wait_for(|ready| *ready)).await;
            if !matches!(there, Ok(Ok(_))) {
                return Err(Error::new(ErrorKind::Unavailable, "the live state is being loaded").hint("try again in a moment"));
            }
        }
        Ok(all)
    }

    /// Partitions of a tenant that are loaded already.
    pub fn loaded(&self, tenant: &Tenant) -> Vec<Arc<Loaded>> {
        let all = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().filter(|((t, _), _)| t == tenant).map(|(_, l)| Arc::clone(l)).collect()
    }

    /// The loaded partition; starts its worker when there is none.
    pub fn load(self: &Arc<Self>, tenant: &Tenant, partition: u32) -> Arc<Loaded> {
        let mut all = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(loaded) = all.get(&(tenant.clone(), partition)) {
            return Arc::clone(loaded);
        }
        let (lag_sender, lag) = watch::channel(0);
        let (ready_sender, ready) = watch::channel(false);
        let loaded = Arc::new(Loaded {
            live: Arc::default(),
            wake: Arc::default(),
            ready,
            lag,
            feed: broadcast::channel(1024).0,
            task: Mutex::default(),
        });
        let worker = worker::Worker {
            stores: self.stores.clone(),
            tenant: tenant.clone(),
            partition,
            partitions: self.partitions,
            owner: self.owner.clone(),
            tick: self.tick,
            snapshots: snapshot::Snapshots::of(&self.snapshots, tenant, partition, self.partitions).into(),
            live: Arc::clone(&loaded.live),
            wake: Arc::clone(&loaded.wake),
            lag: lag_sender,
            ready: ready_sender,
            feed: loaded.feed.clone(),
            commits: Arc::clone(&self.commits),
            stop: self.stop.subscribe(),
        };
        *loaded.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(tokio::spawn(worker.run()));
        all.insert((tenant.clone(), partition), Arc::clone(&loaded));
        loaded
    }

    /// Says that records of a tenant were appended.
    pub fn appended(self: &Arc<Self>, tenant: &Tenant, partition: u32) {
        self.load(tenant, partition).wake.notify_one();
    }

    /// Stops the workers of a tenant and forgets its state.
    pub async fn unload(&self, tenant: &Tenant) {
        let gone: Vec<Arc<Loaded>> = {
            let mut all = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
            let keys: Vec<_> = all.keys().filter(|(t, _)| t == tenant).cloned().collect();
            keys.iter().filter_map(|k| all.remove(k)).collect()
        };
        for loaded in gone {
            let task = loaded.task.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(task) = task {
                task.abort();
                // An aborted task ends with an error that says just that.
                let _ = task.await;
            }
        }
    }

    /// Removes what lies on disk of a tenant's live state.
    pub fn forget(&self, tenant: &Tenant) -> std::io::Result<()> {
        match std::fs::remove_dir_all(snapshot::folder(&self.snapshots, tenant)) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    }

    /// Lets every worker finish its batch and leave.
    pub async fn shut_down(&self) {
        // Nobody listens when no worker was loaded.
        let _ = self.stop.send(true);
        let all: Vec<Arc<Loaded>> = self.loaded.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        for loaded in all {
            loaded.wake.notify_one();
            let task = loaded.task.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(task) = task {
                // A worker that panicked has said so in the log.
                let _ = task.await;
            }
        }
    }
}
