//! What every handler and worker shares.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use kgrca_core::tenancy::TenantId;

use crate::auth::KeyCache;
use crate::clock::now;
use crate::config::Settings;
use crate::http::{Answers, Clusters};
use crate::storage::Stores;
use crate::tenancy::Tenancy;
use crate::workers::Fleet;

/// The daemon's shared parts.
pub struct App {
    /// Settings as they were checked at start.
    pub settings: Settings,
    /// Stores.
    pub stores: Stores,
    /// Workers and the live state they hold.
    pub fleet: Arc<Fleet>,
    /// Keys that were looked up a moment ago.
    pub keys: Arc<KeyCache>,
    /// Answers that were served a moment ago.
    pub answers: Answers,
    /// Clusters that were admitted a moment ago.
    pub clusters: Clusters,
    /// Provisioning of tenants.
    pub tenancy: Tenancy,
    /// Usage of the API that is not written yet.
    pub pending_usage: PendingUsage,
}

/// Counters that a job writes within a second.
#[derive(Debug, Default)]
pub struct PendingUsage(Mutex<Waiting>);

/// Amounts by tenant, and by day and metric.
type Waiting = BTreeMap<TenantId, BTreeMap<(String, String), i64>>;

impl PendingUsage {
    /// Adds to a counter of today.
    pub fn add(&self, tenant: &TenantId, metric: &str, amount: i64) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *all.entry(tenant.clone())
            .or_default()
            .entry((now().day(), metric.to_owned()))
            .or_default() += amount;
    }

    /// Lets amounts wait again that could not be written.
    pub fn put_back(&self, tenant: &TenantId, usage: BTreeMap<(String, String), i64>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = all.entry(tenant.clone()).or_default();
        for (key, amount) in usage {
            *waiting.entry(key).or_default() += amount;
        }
    }

    /// Takes everything that waits.
    pub fn take(&self) -> Waiting {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
