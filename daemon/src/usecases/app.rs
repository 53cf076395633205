//! What all use cases share: stores, workers, caches and settings.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use kgrca_core::billing::Metric;
use kgrca_core::storage::{self, UsageCounts};
use kgrca_core::tenancy::TenantId;

use super::audit_counts::AuditCounts;
use super::authentication::{Guesses, KeyCache};
use super::budgets::Budgets;
use super::cluster_quota::ClusterQuota;
use super::ingest::{DiskShare, HashKeys, Repeats, StorageQuota};
use super::key_uses::KeyUses;
use super::known_sources::KnownSources;
use super::notify::Breakers;
use super::query::RunningQueries;
use super::rca_cache::RcaCache;
use super::system::StoreReport;
use crate::clock::now;
use crate::config::Settings;
use crate::outbound::Outbound;
use crate::storage::Stores;
use crate::tenancy::Tenancy;
use crate::workers::Fleet;

/// The daemon's shared parts.
pub struct App {
    /// Settings, already validated.
    pub settings: Settings,
    /// Stores.
    pub stores: Stores,
    /// Workers and the live state they hold.
    pub fleet: Arc<Fleet>,
    /// Recently used API keys.
    pub keys: Arc<KeyCache>,
    /// Uses of keys that are not written yet.
    pub key_uses: KeyUses,
    /// Acts for the audit log that are counted.
    pub audit_counts: AuditCounts,
    /// Recently served answers.
    pub rca_cache: RcaCache,
    /// Queries that are running.
    pub running_queries: RunningQueries,
    /// Recently admitted clusters.
    pub cluster_quota: ClusterQuota,
    /// What tenants store, as it was last measured.
    pub storage_quota: StorageQuota,
    /// What is left of the disk.
    pub disk_share: DiskShare,
    /// Keys of the hashes that replace values.
    pub hash_keys: HashKeys,
    /// Provisioning of tenants.
    pub tenancy: Tenancy,
    /// The last report on stores.
    pub store_report: StoreReport,
    /// Where requests with valid keys come from.
    pub known_sources: Arc<KnownSources>,
    /// Keys that did not exist.
    pub guesses: Guesses,
    /// Idempotency keys since they were last trimmed.
    pub repeats: Repeats,
    /// What requests may hold at a time.
    pub budgets: Budgets,
    /// Requests to addresses that tenants choose.
    pub outbound: Outbound,
    /// Receivers of notifications that failed.
    pub breakers: Breakers,
    /// API usage that is not written yet.
    pub pending_usage: PendingUsage,
}

impl App {
    /// The shared parts of a daemon, with empty caches.
    pub fn new(settings: Settings, stores: Stores, fleet: Arc<Fleet>) -> Self {
        let keys = Arc::new(KeyCache::default());
        let cached_keys = Arc::clone(&keys);
        let tenancy = Tenancy::new(
            stores.clone(),
            Arc::clone(&fleet),
            Box::new(move || cached_keys.clear()),
            settings.abort_at_saga_write,
        );
        Self {
            budgets: Budgets::new(
                (settings.max_body_mib as usize) << 20,
                settings.max_connections_per_address as usize,
            ),
            outbound: Outbound::new(&settings.notify_networks),
            breakers: Breakers::default(),
            settings,
            stores,
            fleet,
            keys,
            key_uses: KeyUses::default(),
            audit_counts: AuditCounts::default(),
            rca_cache: RcaCache::default(),
            running_queries: RunningQueries::default(),
            cluster_quota: ClusterQuota::default(),
            storage_quota: StorageQuota::default(),
            disk_share: DiskShare::default(),
            hash_keys: HashKeys::default(),
            tenancy,
            store_report: StoreReport::default(),
            known_sources: Arc::default(),
            guesses: Guesses::default(),
            repeats: Repeats::default(),
            pending_usage: PendingUsage::default(),
        }
    }

    /// Writes pending API usage. What cannot be written stays pending.
    ///
    /// # Errors
    /// The last failure, when there was one.
    pub async fn flush_usage(&self) -> storage::Result<()> {
        let mut result = Ok(());
        for (tenant, usage) in self.pending_usage.take() {
            if let Err(e) = self.stores.meta.add_usage(&tenant, &usage).await {
                self.pending_usage.put_back(&tenant, usage);
                result = Err(e);
            }
        }
        result
    }
}

/// Usage counters in memory. They are written every half second: a crash loses what is not written
/// yet, at the provider's expense.
#[derive(Debug, Default)]
pub struct PendingUsage(Mutex<Pending>);

/// Amounts by tenant.
type Pending = BTreeMap<TenantId, UsageCounts>;

impl PendingUsage {
    /// Adds to today's counter of a metric.
    pub fn add(&self, tenant: &TenantId, metric: Metric, amount: i64) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let pending = all.entry(tenant.clone()).or_default();
        pending.add(now().day(), metric, amount);
    }

    fn put_back(&self, tenant: &TenantId, usage: UsageCounts) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(tenant.clone()).or_default().merge(usage);
    }

    fn take(&self) -> Pending {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
